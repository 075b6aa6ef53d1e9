"""Scenes and ops of many images: the records of `augreg.ops`, with arrays where images have their own numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from augreg.columns.cursors import Floats, Integers, Rows
from augreg.columns.seen_boxes import SeenBoxes, seen_boxes
from augreg.ops import BranchMix, FunctionCall, Op, PixelValues, Scene, mix

__all__ = ["BranchColumns", "Columns", "Scenes", "by_image", "gathered", "scenes_of", "sizes_after", "united"]


class Scenes(msgspec.Struct, frozen=True, eq=False):
    """What is known about N images before a pixel is read: their sizes and boxes, and all else, which they share.

    `common` is a scene whose size means nothing, and which has no boxes. `boxes` are None for images alone; where the
    images are of samples with boxes they are needed, since steps that look at them draw other numbers without them.
    """

    height: Integers
    width: Integers
    common: Scene
    boxes: SeenBoxes | None = None

    def __post_init__(self) -> None:
        if self.common.boxes:
            raise ValueError("boxes of many images are the field `boxes`, not boxes of the scene that they share")

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
        boxes = None if self.boxes is None else self.boxes.taken(rows)
        return Scenes(self.height[rows], self.width[rows], self.common, boxes)

    def at(self, row: int) -> Scene:
        """The scene of one image."""
        boxes = () if self.boxes is None else self.boxes.at(row)
        return replace(self.common, height=int(self.height[row]), width=int(self.width[row]), boxes=boxes)

    def after(self, op: Op, rows: Rows) -> Scenes:
        """The scenes after an op on some of the images, whose size it knows.

        Raises ValueError for an op that changes more than the size, such as a `Normalize`, on some of them only.
        """
        if not op.keeps_kind:
            if len(rows) != len(self):
                raise ValueError(f"{type(op).__name__} must be for all images of a batch, or for none")
            return replace(self, common=op.after(self.common))
        if op.keeps_scene:
            return self
        height, width = sizes_after(op, rows, self.height, self.width)
        boxes = self.boxes
        if boxes is not None:
            numbers, before, after = rows.tolist(), (self.height[rows], self.width[rows]), (height[rows], width[rows])
            boxes = boxes.moved(op, rows, before, after, lambda place: (_at(op, place), self.at(numbers[place])))
        return Scenes(height, width, self.common, boxes)


def sizes_after(op: Op, rows: Rows, height: Integers, width: Integers) -> tuple[Integers, Integers]:
    """The sizes of all images after an op on some of them, whose size it knows."""
    if op.keeps_scene:
        return height, width
    size: Any = op.size_after(height[rows], width[rows])  # type: ignore[arg-type]
    height, width = height.copy(), width.copy()
    height[rows], width[rows] = size
    return height, width


def scenes_of(scenes: Sequence[Scene]) -> Scenes:
    """The scenes of one or more images as one. Raises ValueError if they differ in more than sizes and boxes."""
    common = replace(scenes[0], height=0, width=0, boxes=())
    for number, scene in enumerate(scenes):
        other = replace(scene, height=0, width=0, boxes=())
        if other != common:
            raise ValueError(
                f"images of one batch differ in their sizes only: number 0 is {common}, {number} is {other}"
            )
    boxes = seen_boxes([scene.boxes for scene in scenes]) if any(scene.boxes for scene in scenes) else None
    sizes = np.array([scene.size for scene in scenes], np.int64)
    return Scenes(sizes[:, 0], sizes[:, 1], common, boxes)


class Columns(msgspec.Struct, frozen=True, eq=False):
    """An op on the images `rows` of a batch. A number that they do not share is an array, with one for each of them.

    The arrays may be anywhere in the record: in its fields, in the records within them, and in the label. It pickles
    as these arrays, with the label as it is: the text of each op can be made later.
    """

    op: Op
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, place: int) -> Op:
        """The op on image rows[place]: as a record with plain numbers, as it is drawn for an image alone."""
        op: Op = _at(self.op, place)
        return op

    def each(self) -> list[Op]:
        """The ops on all images `rows`, in less time than `at` takes for each."""
        return list(_each(self.op, len(self.rows)))

    def taken(self, places: Rows, rows: Rows) -> Columns:
        """The op on some of the images, given by their places among `rows`; they get these numbers of images."""
        if isinstance(self.op, BranchColumns):
            return Columns(self.op.taken(places), rows)
        return Columns(_mapped(self.op, lambda numbers: numbers[places]), rows)

    def unlabeled(self) -> Columns:
        """These without the label, which a pickle need not carry where the op is run and never printed."""
        op = replace(self.op, label="")
        if isinstance(op, BranchColumns):
            op = replace(op, chains=tuple([column.unlabeled() for column in op.chains]))
        return Columns(op, self.rows)

    def __reduce__(self) -> Any:
        # that of `Op` makes the text of the label
        return _columns, (*msgspec.Struct.__reduce__(self.op), self.rows)


def _columns(make: Any, arguments: tuple[Any, ...], rows: Rows) -> Columns:
    return Columns(make(*arguments), rows)


class BranchColumns(Op, frozen=True, eq=False):
    """N `BranchMix` of as many branches: `chains` are columns for the branches, as if each were an image of a batch.

    Branch b of image i is row b * N + i of them. `weights` has an array for each branch. The label is empty for mixes
    that `ops.mix` makes.
    """

    chains: tuple[Columns, ...]
    weights: tuple[Floats, ...]
    keep: Floats

    def point_map(self, height: int, width: int) -> None:
        return None

    def taken(self, places: Rows) -> BranchColumns:
        """The mixes of these images."""
        count, width = len(self.keep), len(self.weights)
        own = (np.arange(width)[:, None] * count + places).ravel()
        number = np.full(count * width, -1)
        number[own] = np.arange(len(own))
        chains = []
        for column in self.chains:
            rows = number[column.rows]
            kept = np.flatnonzero(rows >= 0)
            if len(kept):
                kept = kept[rows[kept].argsort()]
                chains.append(column.taken(kept, rows[kept]))
        weights, keep, label = (_mapped(value, lambda given: given[places]) for value in self._numbers_of_images)
        return BranchColumns(tuple(chains), weights, keep, label=label)

    @property
    def _numbers_of_images(self) -> tuple[Any, Any, Any]:
        return self.weights, self.keep, self.label

    def each(self) -> list[BranchMix]:
        """The mixes of all images."""
        count, width = len(self.keep), len(self.weights)
        chains = list(map(tuple, by_image(self.chains, count * width)))
        branches = [tuple(chains[row::count]) for row in range(count)]
        weights, keep, labels = (_each(value, count) for value in self._numbers_of_images)
        return [
            replace(one, label=label) if label else one
            for one, label in zip(map(mix, branches, weights, keep), labels, strict=True)
        ]


def _each(value: Any, count: int) -> Iterable[Any]:
    """As `_at` gives it for each of `count` images; a `repeat` where they share it."""
    if isinstance(value, np.ndarray):
        return value.tolist()  # type: ignore[no-any-return]
    if isinstance(value, BranchColumns):
        return value.each()
    if isinstance(value, tuple):
        parts = [_each(item, count) for item in value]
        return repeat(value, count) if _shared(parts) else zip(*parts, strict=True)
    if isinstance(value, msgspec.Struct) and not isinstance(value, FunctionCall):
        names = value.__struct_fields__
        parts = [_each(getattr(value, name), count) for name in names]
        if _shared(parts):
            return repeat(value, count)
        make: Any = type(value)
        return [make(**dict(zip(names, each, strict=True))) for each in zip(*parts, strict=True)]
    return repeat(value, count)


def _shared(parts: Iterable[Iterable[Any]]) -> bool:
    return all(isinstance(part, repeat) for part in parts)


def _at(value: Any, place: int) -> Any:
    if isinstance(value, BranchColumns):
        return value.taken(np.array([place])).each()[0]
    return _mapped(value, lambda numbers: numbers.item(place))


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """A record with what the function makes of each array in it; a function call has arrays of its own."""
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, tuple):
        return tuple([_mapped(item, function) for item in value])
    if isinstance(value, msgspec.Struct) and not isinstance(value, FunctionCall):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return type(value)(**{name: _mapped(item, function) for name, item in fields.items()})
    return value


def gathered(drawn: Iterable[tuple[int, Op]]) -> list[Columns]:
    """Ops of single images, given with the numbers of the images, in as few `Columns` as they fit in.

    Ops are put together if they differ in their numbers and labels only; mixes of branches, if they have as many.
    Function calls stay alone. Each image has one op at most.
    """
    groups: dict[Any, tuple[list[int], list[Any]]] = {}
    for row, op in drawn:
        outline: Any = (BranchMix, len(op.branches)) if type(op) is BranchMix else row
        outline = _outline(op) if not isinstance(op, BranchMix | FunctionCall) else outline
        rows, ops = groups.setdefault(outline, ([], []))
        rows.append(row)
        ops.append(op)
    return [
        Columns(_mixes(ops) if type(ops[0]) is BranchMix else _one(ops), np.array(rows, np.intp))
        for rows, ops in groups.values()
    ]


def _one(ops: Sequence[Op]) -> Op:
    op: Op = ops[0] if isinstance(ops[0], FunctionCall) else _stacked(ops)
    return op


def _mixes(mixes: Sequence[BranchMix]) -> BranchColumns:
    chains = [mix.branches[branch] for branch in range(len(mixes[0].branches)) for mix in mixes]
    longest = max(map(len, chains), default=0)
    columns = [
        column
        for place in range(longest)
        for column in gathered((row, chain[place]) for row, chain in enumerate(chains) if place < len(chain))
    ]
    weights = tuple([np.array(each, np.float64) for each in zip(*[mix.weights for mix in mixes], strict=True)])
    keep = np.array([mix.keep for mix in mixes], np.float64)
    return BranchColumns(tuple(columns), weights, keep, label=_labels([mix.label for mix in mixes]))


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


def united(first: Columns, second: Columns) -> Columns:
    """One op, without a label, for the images of both: ops of one kind that differ in numbers only."""
    counts = len(first), len(second)
    rows = np.concatenate([first.rows, second.rows])
    whole = Columns(_united(replace(first.op, label=""), replace(second.op, label=""), counts), rows)
    order = rows.argsort()
    return whole.taken(order, rows[order])


def _united(first: Any, second: Any, counts: tuple[int, int]) -> Any:
    if isinstance(first, msgspec.Struct):
        fields = {name: (getattr(first, name), getattr(second, name)) for name in first.__struct_fields__}
        return type(first)(**{name: _united(*pair, counts) for name, pair in fields.items()})
    if isinstance(first, tuple):
        return tuple([_united(*pair, counts) for pair in zip(first, second, strict=True)])
    if not isinstance(first, np.ndarray) and not isinstance(second, np.ndarray) and first == second:
        return first
    return np.concatenate([np.broadcast_to(one, count) for one, count in zip((first, second), counts, strict=True)])


def by_image(columns: Iterable[Columns], count: int) -> list[list[Op]]:
    """The ops of each of `count` images, in order."""
    found: list[list[Op]] = [[] for _ in range(count)]
    for column in columns:
        for row, op in zip(column.rows.tolist(), column.each(), strict=True):
            found[row].append(op)
    return found
