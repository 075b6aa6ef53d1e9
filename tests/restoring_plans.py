"""Plans of views, and an image of its coordinates, for the tests of predictions that come back from views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from augreg import Pipeline
from augreg.execution.plan import Plan

__all__ = [
    "FLIP",
    "HEIGHT",
    "MOVES",
    "SCALE",
    "TURN",
    "UPSIDE_DOWN",
    "WARPS",
    "WIDTH",
    "coordinates",
    "plan_of",
    "steps",
]

HEIGHT, WIDTH = 36, 48
SCALE = 64.0

FLIP = {"horizontal_flip": {"p": 1}}
UPSIDE_DOWN = {"vertical_flip": {"p": 1}}
TURN = {"rotate": {"degrees": [90, 90]}}

MOVES: tuple[Any, ...] = (
    "d4",
    "horizontal_flip",
    {"random_crop": {"size": [25, 25]}},
    {"center_crop": {"size": [27, 29]}},
    {"pad": {"padding": 4}},
    {"pad": {"padding": [3, 3, 1, 1], "mode": "edge"}},
)
"""Steps that move pixels and change none."""

WARPS: tuple[Any, ...] = (
    {"rotate": {"degrees": 40}},
    {"affine": {"degrees": 20, "scale": [0.8, 1.3]}},
    {"perspective": {"distortion": 0.3, "p": 1}},
    {"elastic": {"alpha": 30, "sigma": 5}},
    {"grid_distortion": {"limit": 0.2}},
    {"optical_distortion": {"k": [-0.2, 0.2]}},
    {"resize": {"size": [50, 41]}},
    {"random_resized_crop": {"size": [40, 40], "scale": [0.4, 1]}},
)
"""Steps that resample."""


def coordinates(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A float image whose channels are x and y in pixels, divided by SCALE, and 1: height x width x 3."""
    ys, xs = np.mgrid[:height, :width] + 0.5
    return np.stack((xs / SCALE, ys / SCALE, np.ones((height, width))), axis=2).astype(np.float32)


def plan_of(
    image: Any, *steps: Any, index: int = 0, backend: str = "pillow", targets: Mapping[str, Any] | None = None
) -> Plan:
    """The plan that training draws for an image."""
    spec = {"image": list(steps), "backend": backend, "targets": dict(targets or {})}
    return Pipeline.from_spec(spec).train.plan(image, index)


def steps(kinds: tuple[Any, ...], most: int = 3) -> st.SearchStrategy[list[Any]]:
    """Lists of one or more of these steps."""
    return st.lists(st.sampled_from(kinds), min_size=1, max_size=most)
