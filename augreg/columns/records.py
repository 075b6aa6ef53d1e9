"""Scenes and ops of many images: the records of `augreg.ops`, with arrays where images have their own numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from augreg.columns.cursors import Integers, Rows
from augreg.ops import BranchMix, FunctionCall, Op, PixelValues, Scene

__all__ = ["Columns", "Scenes", "by_image", "gathered"]


class Scenes(msgspec.Struct, frozen=True, eq=False):
    """What is known about N images before a pixel is read: their sizes, and all else, which they have in common.

    `common` is a scene whose size means nothing, and which has no boxes: steps that look at boxes are not for this.
    """

    height: Integers
    width: Integers
    common: Scene

    def __len__(self) -> int:
        return len(self.height)

    @property
    def channels(self) -> int:
        return self.common.channels

    @property
    def colors(self) -> int:
        """The number of channels without alpha."""
        return self.common.colors

    @property
    def normalized(self) -> bool:
        return self.common.normalized

    @property
    def epoch(self) -> int:
        return self.common.epoch

    @property
    def size(self) -> tuple[Integers, Integers]:
        return self.height, self.width

    @property
    def white(self) -> float:
        """The pixel value of white: 255 for bytes, 1 for floats."""
        return self.common.white

    def pixel_values(self, fill: PixelValues) -> PixelValues:
        """A fill on the 0..255 scale, converted to pixel values of these images."""
        return self.common.pixel_values(fill)

    def taken(self, rows: Rows) -> Scenes:
        """The scenes of these images."""
        return Scenes(self.height[rows], self.width[rows], self.common)

    def at(self, row: int) -> Scene:
        """The scene of one image."""
        return replace(self.common, height=int(self.height[row]), width=int(self.width[row]))

    def after(self, op: Op, rows: Rows) -> Scenes:
        """The scenes after an op on some of the images, whose size it knows.

        Raises ValueError for an op that changes more than the size, such as a `Normalize`, on some of them only.
        """
        if type(op).after is not Op.after:
            if len(rows) != len(self):
                raise ValueError(f"{type(op).__name__} must be for all images of a batch, or for none")
            return replace(self, common=op.after(self.common))
        if op.keeps_scene:
            return self
        size: Any = op.size_after(self.height[rows], self.width[rows])  # type: ignore[arg-type]
        height, width = self.height.copy(), self.width.copy()
        height[rows], width[rows] = size
        return Scenes(height, width, self.common)


class Columns(msgspec.Struct, frozen=True, eq=False):
    """An op on the images `rows` of a batch. A number that they do not share is an array, with one for each of them.

    The arrays may be anywhere in the record: in its fields, in the records within them, and in the label.
    """

    op: Op
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, place: int) -> Op:
        """The op on image rows[place]: as a record with plain numbers, as it is drawn for an image alone."""
        op: Op = _mapped(self.op, lambda numbers: numbers.item(place))
        return op

    def taken(self, places: Rows, rows: Rows) -> Columns:
        """The op on some of the images, given by their places among `rows`; they get these numbers of images."""
        return Columns(_mapped(self.op, lambda numbers: numbers[places]), rows)


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """A record with what the function makes of each array in it. What is a single image's own stays as it is."""
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, tuple):
        return tuple([_mapped(item, function) for item in value])
    if isinstance(value, msgspec.Struct) and not isinstance(value, FunctionCall | BranchMix):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return type(value)(**{name: _mapped(item, function) for name, item in fields.items()})
    return value


def gathered(drawn: Iterable[tuple[int, Op]]) -> list[Columns]:
    """Ops of single images, given with the numbers of the images, in as few `Columns` as they fit in.

    Ops are put together if they differ in their numbers and labels only; a `FunctionCall` and a `BranchMix` stay
    alone. Each image has one op at most.
    """
    groups: dict[Any, tuple[list[int], list[Op]]] = {}
    for row, op in drawn:
        outline = row if isinstance(op, FunctionCall | BranchMix) else _outline(op)
        rows, ops = groups.setdefault(outline, ([], []))
        rows.append(row)
        ops.append(op)
    return [
        Columns(ops[0] if len(ops) == 1 else _stacked(ops), np.array(rows, np.intp)) for rows, ops in groups.values()
    ]


def _outline(value: Any) -> Any:
    """What an op is without its numbers and its label; it can be hashed."""
    if type(value) in (int, float):
        return type(value)
    if isinstance(value, tuple):
        return tuple([_outline(item) for item in value])
    if isinstance(value, msgspec.Struct):
        parts = [_outline(getattr(value, name)) for name in value.__struct_fields__ if name != "label"]
        return type(value), *parts
    return value


def _labels(labels: Sequence[Any]) -> Any:
    if all(type(label) is str and label == labels[0] for label in labels):
        return labels[0]
    found = np.empty(len(labels), object)
    for place, label in enumerate(labels):
        found[place] = label
    return found


def _stacked(values: Sequence[Any]) -> Any:
    """Values of one outline as one, with arrays for numbers that differ."""
    first = values[0]
    if type(first) in (int, float):
        if all(value == first for value in values) and (first or len(set(map(repr, values))) == 1):  # 0.0 is -0.0
            return first
        kind = np.float64 if type(first) is float else np.uint64 if max(values) >= 1 << 63 else np.int64
        return np.array(values, kind)
    if isinstance(first, tuple):
        return tuple([_stacked(items) for items in zip(*values, strict=True)])
    if isinstance(first, msgspec.Struct):
        fields = {name: [getattr(value, name) for value in values] for name in first.__struct_fields__}
        return type(first)(**{
            name: _labels(items) if name == "label" else _stacked(items) for name, items in fields.items()
        })  # fmt: skip
    return first


def by_image(columns: Iterable[Columns], count: int) -> list[list[Op]]:
    """The ops of each of `count` images, in order."""
    found: list[list[Op]] = [[] for _ in range(count)]
    for column in columns:
        for place, row in enumerate(column.rows.tolist()):
            found[row].append(column.at(place))
    return found
