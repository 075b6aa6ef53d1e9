"""Checks that one key is one image: in any order, in threads, and whatever other generators are up to."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from augreg.pipeline import Pipeline
from augreg.testing.attempts import KEYS, attempt, pattern, same, suited
from augreg.testing.subjects import Subject

__all__ = [
    "global_generators",
    "global_states",
    "other_key_other_draw",
    "same_bytes_in_threads",
    "same_key_same_bytes",
]


def same_key_same_bytes(tested: Subject) -> None:
    """One key, one image: after other calls, in another order, and from plans that were made before any ran."""
    for pipeline in tested.pipelines(seed=3):
        image = suited(pipeline.train, 24, 32)
        kind: dict[str, Any] = {"channels": image.shape[2], "dtype": str(image.dtype)}
        first = [attempt(pipeline.train, image, key) for key in KEYS]
        attempt(pipeline.train, pattern(30, 26, image.shape[2], str(image.dtype)), 77)
        for key in reversed(KEYS):
            assert same(attempt(pipeline.train, image, key), first[key]), f"key {key} gave two different images"
        plans = [pipeline.train.plan((24, 32), key, **kind) for key in KEYS]
        for key in reversed(KEYS):
            assert same(attempt(plans[key].run, image), first[key]), f"the plan of key {key} gives another image"


def same_bytes_in_threads(tested: Subject) -> None:
    """Four threads at once give what one gives."""
    keys = [*KEYS] * 2
    for pipeline in tested.pipelines():
        image = suited(pipeline.train, 24, 32)
        alone = [attempt(pipeline.train, image, key) for key in KEYS]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(attempt, [pipeline.train] * len(keys), [image] * len(keys), keys))
        assert all(same(found, alone[key]) for key, found in zip(keys, together, strict=True)), "threads disagree"


def other_key_other_draw(tested: Subject) -> None:
    """If it draws, other keys and other epochs give other images."""
    drawing = [pipeline for pipeline in tested.pipelines(p=1) if _draws(pipeline)]
    for pipeline in drawing:
        image = suited(pipeline.train, 32, 48)
        found = [attempt(pipeline.train, image, key, epoch) for key in KEYS for epoch in (0, 1, 2)]
        if any(not same(result, found[0]) for result in found):
            return
    assert not drawing, "it draws, yet twelve keys in three epochs give one image"


def _draws(pipeline: Pipeline) -> bool:
    """Whether what is to be done depends on the key."""
    return len({str(pipeline.train.plan((32, 48), key).ops) for key in KEYS}) > 1


def global_generators(tested: Subject) -> None:
    """It neither moves nor reads the generators of `random`, NumPy and torch."""
    for pipeline in tested.pipelines():
        image = suited(pipeline.train, 24, 32)
        before = global_states()
        first = [attempt(pipeline.train, image, key) for key in KEYS]
        assert global_states() == before, f"it moves a global generator: {_moved(before)}"
        kept = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            random.seed(1)
            np.random.seed(1)  # noqa: NPY002
            second = [attempt(pipeline.train, image, key) for key in KEYS]
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])  # noqa: NPY002
        assert all(map(same, first, second)), "it reads a global generator: seeding one changed the image"


def global_states() -> dict[str, Any]:
    """The states of the generators that everybody shares, by whose they are."""
    states: dict[str, Any] = {"random": random.getstate()}
    numpy: Any = np.random.get_state()  # noqa: NPY002
    states["numpy.random"] = (numpy[0], bytes(numpy[1]), *numpy[2:])
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = bytes(torch.random.get_rng_state().numpy())
    return states


def _moved(before: Mapping[str, Any]) -> str:
    now = global_states()
    return ", ".join(name for name in before if now[name] != before[name])
