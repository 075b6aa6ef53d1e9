"""One step alone: its images, and the ops that it draws."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from augreg import Pipeline

BACKENDS = ("pillow", *(["opencv"] if importlib.util.find_spec("cv2") else []))
each_backend = pytest.mark.parametrize("name", BACKENDS)


def train(step: Any, image: np.ndarray, index: int = 0, **options: Any) -> np.ndarray:
    return Pipeline.from_spec({"image": [step], "seed": 4, **options}).train(image, index)


def drawn(step: Any, size: tuple[int, int], count: int) -> list[tuple]:
    """The ops that a step draws for `count` images."""
    pipe = Pipeline.from_spec({"image": [step], "seed": 4})
    return [pipe.train.plan(size, index=index).entries[0].ops for index in range(count)]
