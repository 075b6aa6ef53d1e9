"""The targets in the catalogue: sample photos that are transformed with their boxes, keypoints and masks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from augreg.gallery.annotations import ANNOTATED, annotated
from augreg.gallery.captions import size_of
from augreg.gallery.photo_rows import sample_tile
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
    """A photo with its targets, and some draws."""

    name: str
    size: str
    photo: Tile
    draws: tuple[Tile, ...]


def demonstrations(images: Iterable[Any], backend: str) -> tuple[Demonstration, ...]:
    """A demonstration for each of these images that is an annotated sample photo."""
    annotated_paths = [path for path in samples() if path.name in ANNOTATED]
    requested = {Path(image).resolve() for image in images if isinstance(image, str | Path)}
    photos = read(path for path in annotated_paths if path.resolve() in requested)
    pipeline = Pipeline.from_spec({**yaml.safe_load(SPEC), "backend": backend, "output": "numpy"})
    return tuple(
        _demonstration(pipeline, photo, index) for index, photo in enumerate(photos) if photo.array is not None
    )


def _demonstration(pipeline: Pipeline, photo: Photo, index: int) -> Demonstration:
    height, width = (photo.array.shape if photo.array is not None else (0, 0))[:2]
    sample = annotated(photo.name, photo.array, height, width)
    photo = photo._replace(sample=sample)
    outputs = [pipeline.train(sample, index=index, epoch=epoch) for epoch in range(_DRAWS)]
    counts = [len(output["boxes"]) for output in outputs]
    draws = [
        sample_tile(pipeline, photo, output, output["image"], f"epoch {epoch}", f"{count} box{'es' * (count != 1)}")
        for epoch, (output, count) in enumerate(zip(outputs, counts, strict=True))
    ]
    start = sample_tile(pipeline, photo, sample, sample["image"], "original", "with its targets")
    return Demonstration(photo.name, size_of(height, width), start, tuple(draws))
