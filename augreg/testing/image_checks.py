"""Checks of input and output images: dtypes, sizes, ranges, memory, and agreement of backends."""

from __future__ import annotations

import importlib.util

import numpy as np

from augreg.ops import FunctionCall
from augreg.pipeline import Pipeline
from augreg.testing.running import KEYS, Array, accepted_image, attempt, nearly_same, pattern, same, smooth
from augreg.testing.step_under_test import StepUnderTest

__all__ = [
    "backends_agree",
    "bytes_and_floats_agree",
    "dtypes_and_sizes",
    "input_is_not_written",
    "size_matches_the_plan",
]

_SIZES = ((1, 1), (1, 17), (17, 1), (13, 22))
# In pixel values of 0..255:
_ROUNDING = 10.0  # floats are not rounded before a threshold, which turns a small difference into a large one
_ONE_KEY, _ALL_KEYS, _BIAS = 10.0, 3.0, 1.0  # backends round coordinates and pixel values differently
_SMALL = "do not enlarge small differences, as a threshold after a resampling does"


def input_is_not_written(tested: StepUnderTest) -> None:
    """Input and earlier results are not modified; read-only and non-contiguous images are accepted."""
    for pipeline in tested.pipelines(p=1):
        channels = accepted_image(pipeline.train, 24, 32).shape[2]
        for dtype in ("uint8", "float32"):
            image = pattern(24, 32, channels, dtype)
            before = image.copy()
            expected = attempt(pipeline.train, image, 3)
            assert np.array_equal(image, before), "it writes to its input image; write to a copy: `array.copy()`"
            strided = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)[::2, ::2]
            image.flags.writeable = False
            for other in (image, strided, np.asfortranarray(image)):
                found = attempt(pipeline.train, other, 3)
                assert nearly_same(found, expected), (
                    "the memory layout of the image changes the result; give code that reads memory directly "
                    "`np.ascontiguousarray(array)`"
                )
            if expected is None:
                continue
            assert expected.flags.writeable, "its result is read-only; return a copy: `array.copy()`"
            kept = expected.copy()
            attempt(pipeline.train, np.ascontiguousarray(image[::-1, ::-1]), 3)
            assert same(expected, kept), (
                "the next call writes to the result of the previous one: they share memory; return a new "
                "array each time"
            )
            expected[...] = 0
            assert np.array_equal(image, before), (
                "its result shares memory with the input; return a copy: `array.copy()`"
            )


def dtypes_and_sizes(tested: StepUnderTest) -> None:
    """uint8 and float32 images of 1, 3 or 4 channels, down to one pixel, keep their kind, or are refused clearly."""
    for pipeline in tested.pipelines(p=1):
        accepted = False
        for channels in (1, 3, 4):
            for dtype in ("uint8", "float32"):
                for height, width in _SIZES:
                    image = pattern(height, width, channels, dtype)
                    trained, tested_image = attempt(pipeline.train, image, 2), attempt(pipeline.test, image)
                    for result in (trained, tested_image):
                        if result is None:
                            continue
                        accepted = True
                        assert np.isfinite(result).all(), (
                            f"{height}x{width}x{channels} {dtype}: not finite; guard divisions, roots and logarithms"
                        )
                        if tested.info.kind != "normalize":
                            assert result.dtype == image.dtype, (
                                f"{dtype} became {result.dtype}; return an array of the dtype of the input"
                            )
                            assert result.shape[2:] == (channels,), (
                                f"{channels} channels became {result.shape[2:]}; keep the channels of the input"
                            )
                    if trained is not None and tested.info.kind != "normalize":
                        _stays_in_range(pipeline, image)
        assert accepted, "it accepts no image with 1, 3 or 4 channels; take at least one of these kinds"


def _stays_in_range(pipeline: Pipeline, image: Array) -> None:
    """Its functions return floats in 0..1: a pipeline clips only at the end, after other steps."""
    if image.dtype != np.float32:
        return
    plan = pipeline.train.plan(image.shape[:2], 2, channels=image.shape[2], dtype="float32")
    engine, array = plan.settings.engine, image
    for op in plan.ops:
        array = engine.apply(op, array)
        low, high = float(array.min()), float(array.max())
        if isinstance(op, FunctionCall):
            assert low > -1e-5 and high < 1 + 1e-5, (
                f"{op} returns floats from {low:g} to {high:g}, not within 0 and 1; clip them"
            )


def bytes_and_floats_agree(tested: StepUnderTest) -> None:
    """A uint8 image and the same float32 image have the same result, within 10 of 255 on average."""
    if tested.info.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=1):
        channels = accepted_image(pipeline.train, 24, 32).shape[2]
        images = [smooth(24, 32, channels, dtype) for dtype in ("uint8", "float32")]
        for key in KEYS[:6]:
            one, other = (attempt(pipeline.train, image, key) for image in images)
            if one is None or other is None:
                continue
            assert one.shape == other.shape, (
                f"{one.shape} from uint8, {other.shape} from float32; the size must not depend on the dtype"
            )
            off = np.abs(one.astype(float) - 255.0 * other.astype(float)).mean()
            assert off <= _ROUNDING, (
                f"key {key}: results of uint8 and float32 differ by {off:.1f} of 255; white is 255 in uint8 "
                "images and 1.0 in float32 images, and uint8 results need clipping before the conversion"
            )


def size_matches_the_plan(tested: StepUnderTest) -> None:
    """The plan gives the size of the result, or says that it is unknown."""
    for pipeline in tested.pipelines(p=1):
        for height, width in ((13, 22), (40, 31)):
            image = accepted_image(pipeline.train, height, width)
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
                assert result.shape == shape, (
                    f"its ops give the shape {shape}, the result has {result.shape}; pass the true `size` to "
                    "`ops.call`, or none if it is not known before"
                )


def backends_agree(tested: StepUnderTest) -> None:
    """Backends agree on a smooth image: within 3 of 255 on average, 10 for one key, and 1 in mean brightness."""
    if importlib.util.find_spec("cv2") is None:
        return
    for first, second in zip(
        tested.pipelines(p=1, backend="pillow"), tested.pipelines(p=1, backend="opencv"), strict=True
    ):
        image = accepted_image(first.train, 48, 64, smooth)
        scale = 255.0 if tested.info.kind == "normalize" or image.dtype == np.float32 else 1.0
        distances, biases = [], []
        for key in KEYS:
            one, other = first.train(image, key), second.train(image, key)
            assert one.shape == other.shape, (
                f"{one.shape} with pillow, {other.shape} with opencv; the size must not depend on the backend"
            )
            off = (one.astype(float) - other.astype(float)) * scale
            distances.append(np.abs(off).mean())
            biases.append(off.mean())
            assert distances[-1] <= _ONE_KEY, (
                f"key {key}: the backends differ by {distances[-1]:.1f} of 255; {_SMALL}"
            )
        distance = np.mean(distances)
        assert distance <= _ALL_KEYS, f"the backends differ by {distance:.1f} of 255 on average; {_SMALL}"
        bias = abs(np.mean(biases))
        assert bias <= _BIAS, f"one backend is brighter than the other, by {bias:.1f} of 255 on average; {_SMALL}"
