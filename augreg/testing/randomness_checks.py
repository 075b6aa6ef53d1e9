"""Checks that a key determines the image: in any order, in threads, independent of global generators."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from augreg.columns.philox import addresses_of
from augreg.columns.records import by_image, scenes_of
from augreg.execution.sampling import draw
from augreg.execution.sampling_columns import by_columns, draw_columns
from augreg.ops import Scene
from augreg.pipeline import Pipeline
from augreg.testing.running import KEYS, accepted_image, attempt, pattern, same
from augreg.testing.step_under_test import StepUnderTest

__all__ = [
    "batches_draw_the_same",
    "global_generators",
    "global_states",
    "moved_generators",
    "other_key_other_draw",
    "same_bytes_in_threads",
    "same_key_same_bytes",
]

_SIZES = ((24, 32), (32, 24), (20, 20), (1, 1))
_OWN = "draw from `rng`, or from a generator seeded with `rng.bits()`"


def same_key_same_bytes(tested: StepUnderTest) -> None:
    """The same key gives the same image: after other calls, in another order, and from plans made in advance."""
    for pipeline in tested.pipelines(seed=3):
        image = accepted_image(pipeline.train, 24, 32)
        kind: dict[str, Any] = {"channels": image.shape[2], "dtype": str(image.dtype)}
        first = [attempt(pipeline.train, image, key) for key in KEYS]
        attempt(pipeline.train, pattern(30, 26, image.shape[2], str(image.dtype)), 77)
        for key in reversed(KEYS):
            assert same(attempt(pipeline.train, image, key), first[key]), (
                f"key {key} gave two different images; draw from `rng` alone, and keep nothing between calls"
            )
        plans = [pipeline.train.plan((24, 32), key, **kind) for key in KEYS]
        for key in reversed(KEYS):
            assert same(attempt(plans[key].run, image), first[key]), (
                f"the plan of key {key} gives another image; draw in `sample`, and pass what is drawn "
                "in the `params` of `ops.call`"
            )


def same_bytes_in_threads(tested: StepUnderTest) -> None:
    """Four threads give the same images as one."""
    keys = [*KEYS] * 2
    for pipeline in tested.pipelines():
        image = accepted_image(pipeline.train, 24, 32)
        alone = [attempt(pipeline.train, image, key) for key in KEYS]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(attempt, [pipeline.train] * len(keys), [image] * len(keys), keys))
        assert all(same(image, alone[key]) for key, image in zip(keys, together, strict=True)), (
            "threads disagree; use no memory that calls share, such as a buffer in the module"
        )


def batches_draw_the_same(tested: StepUnderTest) -> None:
    """Its `sample_columns`, if it has one, gives each of many images the ops that `sample` gives it alone."""
    for pipeline in tested.pipelines(seed=3):
        if not by_columns(pipeline.steps[0].transform):
            return
        image = accepted_image(pipeline.train, 24, 32)
        count, channels = len(_SIZES) * len(KEYS), image.shape[2]
        sizes = [Scene(*size, channels, "uint8" if image.dtype == np.uint8 else "float32") for size in _SIZES]
        scenes = scenes_of(sizes * len(KEYS))
        addresses = addresses_of(3, range(count))
        found = by_image(draw_columns(pipeline.steps, scenes, addresses).columns, count)
        for row in range(count):
            alone = draw(pipeline.steps, scenes.at(row), addresses.at(row)).ops
            assert repr(found[row]) == repr(alone), (
                f"`sample_columns` gives {found[row]} for a {sizes[row % len(sizes)].size} image, and `sample` gives "
                f"{alone}; draw in the same order, compute with the same formulas, or leave `sample_columns` out"
            )


def other_key_other_draw(tested: StepUnderTest) -> None:
    """If it is random, other keys and other epochs give other images."""
    drawing = [pipeline for pipeline in tested.pipelines(p=1) if _draws(pipeline)]
    for pipeline in drawing:
        image = accepted_image(pipeline.train, 32, 48)
        results = [attempt(pipeline.train, image, key, epoch) for key in KEYS for epoch in (0, 1, 2)]
        if any(not same(result, results[0]) for result in results):
            return
    assert not drawing, (
        "it draws random numbers, but twelve keys in three epochs give the same image; use what is drawn, "
        "or do not draw"
    )


def _draws(pipeline: Pipeline) -> bool:
    """Whether the ops depend on the key."""
    return len({str(pipeline.train.plan((32, 48), key).ops) for key in KEYS}) > 1


def global_generators(tested: StepUnderTest) -> None:
    """It neither advances nor reads the global generators of `random`, NumPy and torch."""
    for pipeline in tested.pipelines():
        image = accepted_image(pipeline.train, 24, 32)
        before = global_states()
        first = [attempt(pipeline.train, image, key) for key in KEYS]
        moved = moved_generators(before)
        assert not moved, f"it advances a global generator: {moved}; {_OWN}"
        kept = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            random.seed(1)
            np.random.seed(1)  # noqa: NPY002
            second = [attempt(pipeline.train, image, key) for key in KEYS]
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])  # noqa: NPY002
        assert all(map(same, first, second)), f"it reads a global generator: seeding one changed the image; {_OWN}"


def global_states() -> dict[str, Any]:
    """The states of the global generators, by library."""
    states: dict[str, Any] = {"random": random.getstate()}
    numpy: Any = np.random.get_state()  # noqa: NPY002
    states["numpy.random"] = (numpy[0], bytes(numpy[1]), *numpy[2:])
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = bytes(torch.random.get_rng_state().numpy())
    return states


def moved_generators(before: Mapping[str, Any]) -> str:
    """The global generators whose states differ from those of before, for a message."""
    now = global_states()
    return ", ".join(name for name in before if now[name] != before[name])
