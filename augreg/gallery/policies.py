"""Policies: a table with photos as rows, and the first sub-policies as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.gallery.captions import describe_ops
from augreg.gallery.photos import Photo, shrunk
from augreg.gallery.tiles import Tile, tile
from augreg.images.thumbnails import viewable
from augreg.pipeline import Pipeline
from augreg.steps.step import Step, children
from augreg.transforms.policies.notation import Row, format_row
from augreg.transforms.policies.steps import AutoAugment

__all__ = ["FIGURE", "Sheet", "SheetRow", "figure", "sheets"]

FIGURE = "svhn-figure"
"""The five sub-policies of the figure in the paper."""

_COLUMNS = 5
_MOST_PHOTOS = 4
_SHORTER = 160
_LONGEST = 192

_Demo = tuple[str, NDArray[np.uint8]]


class SheetRow(NamedTuple):
    """A photo: the original, and the result of each sub-policy."""

    name: str
    tiles: tuple[Tile, ...]


class Sheet(NamedTuple):
    """A policy: its name, its sub-policies in the notation of the paper, and the photos.

    `left_out` is the number of sub-policies that are not shown.
    """

    title: str
    dialect: str
    captions: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    left_out: int


def sheets(pipeline: Pipeline, photos: Sequence[Photo]) -> tuple[Sheet, ...]:
    """Every policy table among the steps of a pipeline, on the first photos."""
    return tuple(_sheet(policy, _demos(photos), pipeline) for policy in dict.fromkeys(_policies(pipeline.steps)))


def figure(pipeline: Pipeline, photos: Sequence[Photo]) -> Sheet:
    """The five sub-policies of the figure in the paper, with the seed and backend of a pipeline."""
    return _sheet(AutoAugment(policy=FIGURE), _demos(photos), pipeline)


def _demos(photos: Sequence[Photo]) -> list[_Demo]:
    images = [(photo.name, viewable(photo.array)[0]) for photo in photos if photo.array is not None]
    return [(name, shrunk(array, _SHORTER)) for name, array in images[:_MOST_PHOTOS]]


def _policies(steps: Iterable[Step]) -> Iterator[AutoAugment]:
    for step in steps:
        if isinstance(step.transform, AutoAugment):
            yield step.transform
        yield from _policies(children(step.transform))


def _sheet(policy: AutoAugment, demos: Sequence[_Demo], pipeline: Pipeline) -> Sheet:
    shown = policy.table[:_COLUMNS]
    pipes = [_single(policy, row, pipeline) for row in shown]
    title = policy.policy if isinstance(policy.policy, str) else "custom table"
    return Sheet(
        title,
        policy.dialect,
        tuple(format_row(row) for row in shown),
        tuple(_row(demo, index, pipes) for index, demo in enumerate(demos)),
        len(policy.table) - len(shown),
    )


def _single(policy: AutoAugment, row: Row, pipeline: Pipeline) -> Pipeline:
    """A pipeline with one sub-policy, and the seed and backend of the given pipeline."""
    arguments = {field.name: getattr(policy, field.name) for field in fields(policy)}
    step = {"auto_augment": {**arguments, "policy": [row]}}
    return Pipeline.from_spec({"image": [step], "seed": pipeline.options.seed, "backend": pipeline.backend})


def _row(demo: _Demo, index: int, pipes: Sequence[Pipeline]) -> SheetRow:
    name, photo = demo
    height, width, channels = photo.shape
    tiles = [tile(photo, name, "original", "", _LONGEST)._replace(heading="")]
    for number, pipe in enumerate(pipes):
        # each column is another epoch: at the same address all columns would draw the same numbers
        plan = pipe.train.plan((height, width), index, number, channels=channels)
        caption = ", ".join(describe_ops(entry.ops) for entry in plan.entries if entry.ops) or "nothing drawn"
        shown = tile(plan.run(photo), name, f"sub-policy {number + 1}", caption, _LONGEST)
        tiles.append(shown._replace(heading=""))  # the head of the column has it
    return SheetRow(name, tuple(tiles))
