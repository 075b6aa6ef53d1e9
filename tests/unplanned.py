"""The runner that plans nothing: each op alone, array to array, in the order in which it was drawn.

It is what the planner is compared with, so it must not import the planner; a test sees to that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from augreg.backends import backend
from augreg.execution.sampling import draw, expect
from augreg.ops import Scene
from augreg.rng import address_of


def scene_of(image: np.ndarray[Any, Any]) -> Scene:
    height, width, channels = image.shape
    return Scene(height, width, channels, "uint8" if image.dtype == np.uint8 else "float32")


def train(pipeline: Any, image: np.ndarray[Any, Any], index: int, epoch: int = 0) -> np.ndarray[Any, Any]:
    """What `pipeline.train` gives for a height x width x channels array, as such an array."""
    return run(drawn(pipeline, image, index, epoch), image, pipeline.backend)


def drawn(pipeline: Any, image: np.ndarray[Any, Any], index: int, epoch: int = 0) -> list[Any]:
    """The ops in the order in which they are drawn."""
    return draw(pipeline.steps, scene_of(image), address_of(pipeline.options.seed, index, epoch)).ops


def test(pipeline: Any, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What `pipeline.test` gives."""
    return run(expect(pipeline.steps, scene_of(image)).ops, image, pipeline.backend)


test.__test__ = False  # type: ignore[attr-defined]


def run(ops: Any, image: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """The ops one by one, each on a contiguous array of its own."""
    engine = backend(name)
    for op in ops:
        image = np.array(engine.apply(op, np.array(image)))
    return image
