"""Fusing: a crop, an antialiased resize, a second crop and flips in one op, for many images at once.

The pixels are those of the ops one by one, since no pixel is computed from another one that was rounded elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from msgspec.structs import replace

from augreg.columns.cursors import Integers, Rows
from augreg.columns.records import Columns, Scenes, sizes_after, united
from augreg.devices.fading import faded_together
from augreg.ops import Move, Op, Resize, Warp
from augreg.ops.op import ResizeInterpolation, joined

__all__ = ["CropResize", "fused"]


class CropResize(Op, frozen=True, eq=False):
    """Cut out a box, resize it to `whole`, cut out a part of that, and flip the part.

    The box is (top, left, height, width) of the image; `part` is (top, left) within the resized box, and the part is
    height x width. All numbers may be arrays, with one for each image.
    """

    box: tuple[Any, Any, Any, Any]
    whole: tuple[Any, Any]
    part: tuple[Any, Any]
    height: Any
    width: Any
    interpolation: ResizeInterpolation
    flip_y: Any = False
    flip_x: Any = False

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def parts(self) -> tuple[Op, ...]:
        """The ops that do the same to a single image."""
        part = Move(*self.part, self.height, self.width, False, self.flip_y, self.flip_x)
        return Move(*self.box), Resize(*self.whole, self.interpolation), part


_LOOK_BACK: Final = 16  # columns; as many as the ops of a policy
_EXACT: Final = ("bilinear", "bicubic", "lanczos")


def fused(columns: Sequence[Columns], scenes: Scenes) -> list[Columns]:
    """Columns with the same result on images of these scenes, in fewer passes.

    Columns are put together where they are next to each other and for the same images, or where a flip is for some
    of them. Warps, and blends of colors, are put together where they are for different images, so that a policy has
    one for all of them.
    """
    found: list[Columns] = []
    beyond: Columns | None = None  # the last crop that is not within its images, which the kernel of moves refuses
    height, width = scenes.height, scenes.width
    for column in columns:
        op, rows = column.op, column.rows
        if isinstance(op, Resize) and _antialiased(op):
            size = height[rows], width[rows]
            cut = _cut(found[-1], rows) if found and found[-1] is not beyond else None
            box = (0, 0, *size) if cut is None else (cut.top, cut.left, cut.height, cut.width)
            label = op.label if cut is None else (joined, cut, op)
            start = CropResize(box, (op.height, op.width), (0, 0), op.height, op.width, op.interpolation, label=label)
            if cut is not None:
                found.pop()
            found.append(Columns(start, rows))
        elif isinstance(op, Move) and found and (whole := _with_move(found[-1], op, rows)) is not None:
            found[-1] = whole
        elif not (isinstance(op, Warp) and _with_warp(found, op, rows)):
            found.append(column)
            if isinstance(op, Move) and not np.all(op.within(height[rows], width[rows])):
                beyond = column
        height, width = sizes_after(op, rows, height, width)
    return faded_together(found, scenes)


def _with_warp(found: list[Columns], warp: Warp, rows: Rows) -> bool:
    """Put a warp together with one before it, if none of its images has another op in between, and say whether."""
    own = set(rows.tolist())
    for place in range(len(found) - 1, max(-1, len(found) - 1 - _LOOK_BACK), -1):
        if not own.isdisjoint(found[place].rows.tolist()):
            return False
        other = found[place].op
        if isinstance(other, Warp) and _alike(other, warp):
            found[place] = united(found[place], Columns(warp, rows))
            return True
    return False


def _alike(one: Warp, other: Warp) -> bool:
    if any(isinstance(number, np.ndarray) for number in (*one.fill, *other.fill)):
        return False
    return (one.interpolation, one.mode, one.fill) == (other.interpolation, other.mode, other.fill)


def _antialiased(op: Resize) -> bool:
    return op.interpolation in _EXACT and (op.antialias or op.interpolation == "lanczos")


def _same(first: Rows, second: Rows) -> bool:
    return first is second or np.array_equal(first, second)


def _cut(column: Columns, rows: Rows) -> Move | None:
    """The op of a column that only cuts out, for these images."""
    op = column.op
    return op if isinstance(op, Move) and not np.any(op.rearranges) and _same(column.rows, rows) else None


def _with_move(start: Columns, move: Move, rows: Rows) -> Columns | None:
    """A crop and resize with the move after it, if it is a crop for all of the images, or a flip for some."""
    op = start.op
    if not isinstance(op, CropResize) or np.any(move.transpose):
        return None
    flips = np.any(op.flip_y) or np.any(op.flip_x)
    if _same(start.rows, rows) and not flips:
        top, left = op.part[0] + move.top, op.part[1] + move.left
        if not np.all(move.within(op.height, op.width)):
            return None
        own = replace(
            op,
            part=(top, left),
            height=move.height,
            width=move.width,
            flip_y=move.flip_y,
            flip_x=move.flip_x,
            label=(joined, op, move),
        )
        return Columns(own, start.rows)
    whole = np.all(move.top == 0) and np.all(move.left == 0)
    places = np.searchsorted(start.rows, rows)
    if not whole or not np.isin(rows, start.rows).all():
        return None
    height, width = _each(op.height, len(start.rows))[places], _each(op.width, len(start.rows))[places]
    if not (np.all(move.height == height) and np.all(move.width == width)):
        return None
    own = replace(
        op,
        flip_y=_toggled(op.flip_y, move.flip_y, places, len(start.rows)),
        flip_x=_toggled(op.flip_x, move.flip_x, places, len(start.rows)),
    )
    return Columns(own, start.rows)


def _each(number: Any, count: int) -> Integers:
    """A number for each image."""
    return np.broadcast_to(np.asarray(number), (count,))


def _toggled(before: Any, flip: Any, places: Rows, count: int) -> Any:
    if not np.any(flip):
        return before
    flips = np.array(_each(before, count), bool)
    flips[places] ^= _each(flip, len(places)).astype(bool)
    return flips
