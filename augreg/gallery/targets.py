"""The page's demonstration of targets: sample photos with their boxes, keypoints and masks, moved together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from augreg.gallery.annotations import ANNOTATED, annotated
from augreg.gallery.photo_rows import shown
from augreg.gallery.photos import Photo, read, samples
from augreg.gallery.tiles import Tile
from augreg.pipeline import Pipeline

__all__ = ["SPEC", "Demonstration", "demonstrations"]

SPEC = """\
targets: {boxes: xyxy, min_visible: 0.3, keypoints: drop, swap: {left_eye: right_eye, left eye: right eye}}
image:
  - horizontal_flip
  - affine: {degrees: 25, scale: [0.8, 1.2]}
  - random_resized_crop: {size: 320, scale: [0.4, 1]}
"""
_DRAWS = 4


class Demonstration(NamedTuple):
    """A photo with its targets, and some draws of both."""

    name: str
    size: str
    photo: Tile
    draws: tuple[Tile, ...]


def demonstrations(images: Iterable[Any], backend: str) -> tuple[Demonstration, ...]:
    """One for each of these images that is a sample photo with annotations."""
    wanted = [path for path in samples() if path.name in ANNOTATED]
    given = {Path(image).resolve() for image in images if isinstance(image, str | Path)}
    photos = read(path for path in wanted if path.resolve() in given)
    spec = {**yaml.safe_load(SPEC), "backend": backend, "output": "numpy"}
    pipeline = Pipeline.from_spec(spec)
    return tuple(_of(pipeline, photo, index) for index, photo in enumerate(photos) if photo.array is not None)


def _of(pipeline: Pipeline, photo: Photo, index: int) -> Demonstration:
    height, width = (photo.array.shape if photo.array is not None else (0, 0))[:2]
    sample = annotated(photo.name, photo.array, height, width)
    photo = photo._replace(sample=sample)
    done = [pipeline.train(sample, index=index, epoch=epoch) for epoch in range(_DRAWS)]
    draws = [
        shown(pipeline, photo, one, one["image"], f"epoch {epoch}", f"{len(one['boxes'])} boxes")
        for epoch, one in enumerate(done)
    ]
    start = shown(pipeline, photo, sample, sample["image"], "the photo", "with its targets")
    return Demonstration(photo.name, f"{height}×{width}", start, tuple(draws))
