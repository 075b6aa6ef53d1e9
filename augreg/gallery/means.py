"""The mean over many draws of a transform: what each pixel shows on average."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.gallery.photos import shrunk
from augreg.images.thumbnails import viewable
from augreg.ops import Noise, Normalize
from augreg.pipeline import Pipeline

__all__ = ["MEAN_DRAWS", "MeanOfDraws", "mean_of_draws", "with_boxes"]

MEAN_DRAWS = 128
_SHORTER = 128  # noise of single pixels has the same mean in a small image, and takes less time there


class MeanOfDraws(NamedTuple):
    """The mean of so many `draws`, and the number of different `results` among them."""

    image: NDArray[np.uint8]
    draws: int
    results: int


def with_boxes(photo: NDArray[np.uint8], *boxes: tuple[float, float, float, float]) -> dict[str, Any]:
    """A sample for `plan`: the photo with these boxes, in the format of the pipeline."""
    return {"image": photo, **({"boxes": [list(box) for box in boxes]} if boxes else {})}


def mean_of_draws(
    pipeline: Pipeline, photo: NDArray[np.uint8], *boxes: tuple[float, float, float, float]
) -> MeanOfDraws:
    """The mean of the training images of a photo with the indices 0 to 127.

    If they differ in size, as after a quarter turn, it is the mean of those that have the size of the test image, or
    of the most frequent size if none has that. `boxes` are seen by steps such as `safe_crop`.
    """
    if any(isinstance(op, Noise) for op in pipeline.train.plan(photo.shape[:2], 0, channels=photo.shape[2]).ops):
        photo = shrunk(photo, _SHORTER)
    sample = with_boxes(photo, *boxes)
    plans: dict[Any, Any] = {}
    counts: Counter[Any] = Counter()
    for index in range(MEAN_DRAWS):
        plan = pipeline.train.plan(sample, index)
        key = index if plan.deferred else plan.ops  # equal ops make equal images
        plans.setdefault(key, plan)
        counts[key] += 1
    sums: dict[tuple[int, ...], NDArray[np.uint32]] = {}
    draws: Counter[tuple[int, ...]] = Counter()
    results: Counter[tuple[int, ...]] = Counter()
    for key, plan in plans.items():
        image = _viewable(plan, photo)
        total = sums.setdefault(image.shape, np.zeros(image.shape, np.uint32))
        total += image if counts[key] == 1 else np.multiply(image, counts[key], dtype=np.uint32)
        draws[image.shape] += counts[key]
        results[image.shape] += 1
    shape = max(draws, key=draws.__getitem__)
    if len(draws) > 1:
        test = _viewable(pipeline.test.plan(sample), photo).shape
        shape = test if test in draws else shape
    return MeanOfDraws(np.rint(sums[shape] / draws[shape]).astype(np.uint8), draws[shape], results[shape])


def _viewable(plan: Any, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    array = plan.run(photo)
    normalize = next((op for op in plan.ops if isinstance(op, Normalize)), None)
    return viewable(array if normalize is None else array.transpose(1, 2, 0), normalize)[0]
