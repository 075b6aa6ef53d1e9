"""Checks of what comes in and goes out: kinds, sizes, ranges, the caller's memory, and that backends agree."""

from __future__ import annotations

import importlib.util

import numpy as np

from augreg.ops import FunctionCall
from augreg.pipeline import Pipeline
from augreg.testing.attempts import KEYS, Array, alike, attempt, pattern, same, smooth, suited
from augreg.testing.subjects import Subject

__all__ = [
    "backends_agree",
    "bytes_and_floats_agree",
    "input_is_not_written",
    "kinds_and_sizes",
    "leaves_the_size_it_says",
]

_SIZES = ((1, 1), (1, 17), (17, 1), (13, 22))
_ROUNDED = 6.0  # levels; a float need not be rounded before it meets a threshold
_PLACES, _PLACES_ON_AVERAGE, _BIAS = 10.0, 3.0, 1.0  # levels; backends round places and levels differently


def input_is_not_written(tested: Subject) -> None:
    """What it is given and what it gave stay as they are; read-only and non-contiguous images are taken."""
    for pipeline in tested.pipelines(p=1):
        channels = suited(pipeline.train, 24, 32).shape[2]
        for dtype in ("uint8", "float32"):
            image = pattern(24, 32, channels, dtype)
            before = image.copy()
            expected = attempt(pipeline.train, image, 3)
            assert np.array_equal(image, before), "it writes to the image that it was given"
            strided = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)[::2, ::2]
            image.flags.writeable = False
            for other in (image, strided, np.asfortranarray(image)):
                found = attempt(pipeline.train, other, 3)
                assert alike(found, expected), "the layout of the image in memory changes the result"
            if expected is None:
                continue
            assert expected.flags.writeable, "what it hands out is read-only"
            kept = expected.copy()
            attempt(pipeline.train, np.ascontiguousarray(image[::-1, ::-1]), 3)
            assert same(expected, kept), "the next call writes to the result of the last one: its memory is shared"
            expected[...] = 0
            assert np.array_equal(image, before), "what it hands out is the caller's own image"


def kinds_and_sizes(tested: Subject) -> None:
    """Bytes and floats, 1, 3 and 4 channels, from one pixel up: that kind comes out, or a refusal says why."""
    for pipeline in tested.pipelines(p=1):
        taken = False
        for channels in (1, 3, 4):
            for dtype in ("uint8", "float32"):
                for height, width in _SIZES:
                    image = pattern(height, width, channels, dtype)
                    trained, settled = attempt(pipeline.train, image, 2), attempt(pipeline.test, image)
                    for result in (trained, settled):
                        if result is None:
                            continue
                        taken = True
                        assert np.isfinite(result).all(), f"{height}x{width}x{channels} {dtype}: not finite"
                        if tested.mark.kind != "normalize":
                            assert result.dtype == image.dtype, f"{dtype} became {result.dtype}"
                            assert result.shape[2:] == (channels,), f"{channels} channels became {result.shape[2:]}"
                    if trained is not None and tested.mark.kind != "normalize":
                        _stays_in_range(pipeline, image)
        assert taken, "it takes images of neither 1, 3 nor 4 channels"


def _stays_in_range(pipeline: Pipeline, image: Array) -> None:
    """Its own functions leave floats from 0 to 1: a pipeline clips them in the end, and other steps come before."""
    if image.dtype != np.float32:
        return
    plan = pipeline.train.plan(image.shape[:2], 2, channels=image.shape[2], dtype="float32")
    engine, array = plan.settings.engine, image
    for op in plan.ops:
        array = engine.apply(op, array)
        low, high = float(array.min()), float(array.max())
        if isinstance(op, FunctionCall):
            assert low > -1e-5 and high < 1 + 1e-5, f"{op} leaves floats from {low:g} to {high:g}, not within 0 and 1"


def bytes_and_floats_agree(tested: Subject) -> None:
    """An image of bytes and the same one of floats from 0 to 1 come out alike, within 6 levels on average."""
    if tested.mark.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=1):
        channels = suited(pipeline.train, 24, 32).shape[2]
        images = [smooth(24, 32, channels, dtype) for dtype in ("uint8", "float32")]
        for key in KEYS[:6]:
            one, other = (attempt(pipeline.train, image, key) for image in images)
            if one is None or other is None:
                continue
            assert one.shape == other.shape, f"{one.shape} of bytes, {other.shape} of floats"
            off = np.abs(one.astype(float) - 255.0 * other.astype(float)).mean()
            assert off <= _ROUNDED, f"key {key}: bytes and floats are {off:.1f} levels apart"


def leaves_the_size_it_says(tested: Subject) -> None:
    """The plan knows the size that comes out, or says that it does not."""
    for pipeline in tested.pipelines(p=1):
        for height, width in ((13, 22), (40, 31)):
            image = suited(pipeline.train, height, width)
            channels, dtype = image.shape[2], str(image.dtype)
            result = pipeline.train(image, 4)
            plan = pipeline.train.plan((height, width), 4, channels=channels, dtype=dtype)
            known = not plan.deferred
            scene = plan.scene
            for op in plan.ops:
                if not known or op.size_after(*scene.size) is None:
                    known = False
                    break
                scene = op.after(scene)
            if known:
                shape = (channels, *scene.size) if scene.normalized else (*scene.size, channels)
                assert result.shape == shape, f"{height}x{width}: its ops say {shape}, and it leaves {result.shape}"


def backends_agree(tested: Subject) -> None:
    """Backends make the same image of a smooth one: within 3 levels on average, 10 with one key, none 1 lighter."""
    if importlib.util.find_spec("cv2") is None:
        return
    for first, second in zip(
        tested.pipelines(p=1, backend="pillow"), tested.pipelines(p=1, backend="opencv"), strict=True
    ):
        image = suited(first.train, 48, 64, smooth)
        scale = 255.0 if tested.mark.kind == "normalize" or image.dtype == np.float32 else 1.0
        apart, lighter = [], []
        for key in KEYS:
            one, other = first.train(image, key), second.train(image, key)
            assert one.shape == other.shape, f"{one.shape} with pillow, {other.shape} with opencv"
            off = (one.astype(float) - other.astype(float)) * scale
            apart.append(np.abs(off).mean())
            lighter.append(off.mean())
            assert apart[-1] <= _PLACES, f"key {key}: the backends are {apart[-1]:.1f} levels apart"
        assert np.mean(apart) <= _PLACES_ON_AVERAGE, f"the backends are {np.mean(apart):.1f} levels apart on average"
        bias = abs(np.mean(lighter))
        assert bias <= _BIAS, f"the backends are {bias:.1f} levels apart on average: one is lighter than the other"
