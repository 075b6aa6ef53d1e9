"""Sampling for many images at once: the same ops as one by one, as arrays of their numbers.

A transform that has `sample_columns(rng, scene)` is sampled once. It is `sample` with `Cursors` and `Scenes`, and the
numbers of the ops that it returns may be arrays. It returns ops and steps for all of the images, or `Some` of them.
Other transforms, and those that return NotImplemented, are sampled image by image, and their ops are gathered. What
`draw` gives is the definition of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.backends import OpenCursor
from augreg.columns.cursors import Rows, Some, Streams
from augreg.columns.philox import Addresses, ReadWords, words
from augreg.columns.records import Columns, Scenes, gathered
from augreg.errors import ImageError
from augreg.ops import FunctionCall, Op
from augreg.rng import Cursor, stream_key
from augreg.steps.schedules import scheduled
from augreg.steps.step import Step, children

__all__ = ["DrawnColumns", "NotByColumnsError", "by_columns", "draw_columns", "one_by_one"]


class NotByColumnsError(ValueError):
    """The images must be drawn one by one."""


class DrawnColumns(msgspec.Struct, frozen=True, eq=False):
    """The ops, in an order that is right for every image, and the scenes after them.

    Consecutive ops of one step, such as those of a jitter in random order, are on different images.
    """

    columns: list[Columns]
    scenes: Scenes


def by_columns(transform: Any) -> bool:
    """Whether a transform can be sampled for many images at once.

    A subclass that overrides `sample` alone cannot: the `sample_columns` that it inherits would draw other ops.
    """
    for base in type(transform).__mro__:
        if "sample_columns" in vars(base):
            return True
        if "sample" in vars(base):
            return False
    return False


def one_by_one(steps: Iterable[Step]) -> list[str]:
    """The names of the steps, and children of steps, that are sampled image by image, in order."""
    found = []
    for step in steps:
        found += [] if by_columns(step.transform) else [step.name]
        found += one_by_one(children(step.transform))
    return found


_Item = tuple[Any, Rows, str]
"""Something on the stack: a step or an op, the images that it is for, and the path of the step that returned it."""


def draw_columns(
    steps: Sequence[Step],
    scenes: Scenes,
    addresses: Addresses,
    read: ReadWords = words,
    open_cursor: OpenCursor = Cursor,
) -> DrawnColumns:
    """Sample the steps for N images in one epoch.

    Raises ValueError unless the scenes and the addresses are as many, and of one epoch. Raises NotByColumnsError
    where only `draw` knows what to do, or what to raise: for functions of plugins, for steps that are made image by
    image, for two that one step makes with one name, for a `Normalize` of some images only, and where a step fails,
    unless it refuses the images by an ImageError. `read` and `open_cursor` are the `words` and the `cursor` of a
    backend that has them.
    """
    _check_addresses(scenes, addresses)
    streams = Streams(addresses, read)
    streams.prepare(_keys(steps))
    met: dict[str, _Met] = {}  # the steps by path
    everyone: Rows = np.arange(len(scenes))
    columns: list[Columns] = []
    stack: list[_Item] = [(step, everyone, "") for step in reversed(steps)]
    while stack:
        item, rows, parent = stack.pop()
        if not len(rows):
            continue
        if not isinstance(item, Step):
            columns.append(Columns(item, rows))
            scenes = _after(scenes, item, rows)
            continue
        step = scheduled(item, scenes.epoch) if item.schedules else item
        path, key = _stream(step, parent, rows, len(scenes), met)
        cursors = streams.cursors(key, 1 if step.p >= 1.0 else 0, None if rows is everyone else rows)
        if step.p < 1.0:
            applied = np.flatnonzero(cursors.bernoulli(step.p))
            rows, cursors = rows[applied], cursors.taken(applied)
            if not len(rows):
                continue
        seen = scenes if len(rows) == len(scenes) else scenes.taken(rows)
        try:
            result = step.transform.sample_columns(cursors, seen) if by_columns(step.transform) else NotImplemented
            if result is NotImplemented:  # the first word has decided that it is applied
                result = _sampled(step, seen, [open_cursor(addresses.at(row), key, 1) for row in rows.tolist()])
        except (ImageError, NotByColumnsError):
            raise
        except Exception as error:
            raise NotByColumnsError(f"{step.name} failed for {len(rows)} images: {error!r}") from error
        parts: Sequence[Any] = result if type(result) is tuple else (result,)
        _check_parts(step, parts)
        _prepare_made(streams, parts, path)
        for part in reversed(parts):
            if isinstance(part, Some):
                stack.append((part.item, rows[part.rows], path))
            else:
                stack.append((part, rows, path))
    return DrawnColumns(columns, scenes)


def _check_addresses(scenes: Scenes, addresses: Addresses) -> None:
    if len(scenes) != len(addresses):
        raise ValueError(f"there are {len(scenes)} scenes and {len(addresses)} addresses; give one for each image")
    others = np.flatnonzero(addresses.parts[2] != scenes.epoch)
    if len(others):
        found = f"image {others[0]} has an address of epoch {addresses.at(int(others[0])).epoch}"
        raise ValueError(
            f"{found}, and the scenes are of epoch {scenes.epoch}; schedules and random numbers need the same"
        )


def _after(scenes: Scenes, op: Op, rows: Rows) -> Scenes:
    try:
        return scenes.after(op, rows)
    except ValueError as error:
        raise NotByColumnsError(str(error)) from error


def _check_parts(step: Step, parts: Sequence[Any]) -> None:
    """Raise NotByColumnsError for anything but ops that can be told in columns, and steps."""
    for part in parts:
        item = part.item if isinstance(part, Some) else part
        if not isinstance(item, Op | Step) or isinstance(item, FunctionCall):
            raise NotByColumnsError(f"{step.name} is sampled for many images and returned {type(item).__name__}")


def _keys(steps: Iterable[Step]) -> list[int]:
    """The stream keys of the steps of a spec, of which surely every one is sampled."""
    return [step.stream_key for step in steps if step.stream_key is not None]


class _Met(msgspec.Struct):
    """A step that was sampled, and the images that it was for: their numbers, or from the second time on a mask."""

    step: Step
    rows: Rows
    mask: NDArray[np.bool_] | None = None

    def again(self, rows: Rows, count: int) -> bool:
        """Whether the step was sampled for any of these images before."""
        if self.mask is None:
            self.mask = np.zeros(count, np.bool_)
            self.mask[self.rows] = True
        found = bool(self.mask[rows].any())
        self.mask[rows] = True
        return found


def _stream(step: Step, parent: str, rows: Rows, count: int, met: dict[str, _Met]) -> tuple[str, int]:
    """The path of a step and its stream key, as `draw` has them for an image whose steps have different paths."""
    path = step.path or f"{parent}{'/' if parent else ''}{step.uid or step.name}#0"
    before = met.get(path)
    if before is None:
        met[path] = _Met(step, rows)
    elif (before.step is not step and before.step != step) or before.again(rows, count):
        raise NotByColumnsError(f"two steps have the path {path}, so one of them has another for some images")
    return path, stream_key(path) if step.stream_key is None or not step.path else step.stream_key


def _prepare_made(streams: Streams, parts: Sequence[Any], parent: str) -> None:
    """Read the first words of all steps that a step made, such as those of a jitter, in one call."""
    steps = [part.item if isinstance(part, Some) else part for part in parts]
    made = [step.name for step in steps if isinstance(step, Step) and not step.path and step.uid is None]
    streams.prepare([stream_key(f"{parent}/{name}#0") for name in made])


def _sampled(step: Step, scenes: Scenes, cursors: Sequence[Cursor]) -> tuple[Some, ...]:
    """The ops of a step, sampled image by image: the first one of each image, then the second ones, and so on."""
    places: list[list[tuple[int, Op]]] = []
    for row, cursor in enumerate(cursors):
        try:
            result = step.transform.sample(cursor, scenes.at(row))
        finally:
            cursor.close()
        for place, op in enumerate(result if isinstance(result, tuple) else (result,)):
            if not isinstance(op, Op) or isinstance(op, FunctionCall):
                kind = "a step" if isinstance(op, Step) else type(op).__name__
                raise NotByColumnsError(f"{step.name} is sampled image by image and returned {kind}")
            if place == len(places):
                places.append([])
            places[place].append((row, op))
    return tuple([Some(column.rows, column.op) for drawn in places for column in gathered(drawn)])
