"""Mean images: what a pixel shows on average over many draws of a transform."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.gallery.photos import shrunk
from augreg.images.thumbnails import viewable
from augreg.ops import Noise, Normalize
from augreg.pipeline import Pipeline

__all__ = ["MEAN_DRAWS", "mean_image"]

MEAN_DRAWS = 256
_SHORTER = 128  # noise of single pixels has the same mean in a small image, and takes less time there


def mean_image(pipeline: Pipeline, photo: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """The mean of the training images of a photo with the indices 0 to 255, and the number of different draws.

    If they differ in size, as after a quarter turn, it is the mean of those of the most frequent size.
    """
    if any(isinstance(op, Noise) for op in pipeline.train.plan(photo.shape[:2], 0, channels=photo.shape[2]).ops):
        photo = shrunk(photo, _SHORTER)
    height, width, channels = photo.shape
    plans: dict[Any, Any] = {}
    counts: Counter[Any] = Counter()
    for index in range(MEAN_DRAWS):
        plan = pipeline.train.plan((height, width), index, channels=channels)
        key = index if plan.deferred else plan.ops  # equal ops make equal images
        plans.setdefault(key, plan)
        counts[key] += 1
    sums: dict[tuple[int, ...], NDArray[np.uint32]] = {}
    weights: Counter[tuple[int, ...]] = Counter()
    for key, plan in plans.items():
        image = _viewable(plan, photo)
        total = sums.setdefault(image.shape, np.zeros(image.shape, np.uint32))
        total += image if counts[key] == 1 else np.multiply(image, counts[key], dtype=np.uint32)
        weights[image.shape] += counts[key]
    (shape, weight), *_ = weights.most_common(1)
    return np.rint(sums[shape] / weight).astype(np.uint8), len(plans)


def _viewable(plan: Any, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    array = plan.run(photo)
    normalize = next((op for op in plan.ops if isinstance(op, Normalize)), None)
    return viewable(array if normalize is None else array.transpose(1, 2, 0), normalize)[0]
