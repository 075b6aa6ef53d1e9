"""Fading: brightness, contrast and saturation of different images of a batch in one op.

All three blend an image with a simpler one: black, its mean luma, or its luma. A color jitter draws their order for
each image, so at each turn some images need one of them and some another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from augreg.columns.cursors import Floats, Rows
from augreg.columns.records import Columns, Scenes
from augreg.ops import Enhance, ImageStatistic, Lookup, Op, PointFunction

__all__ = ["Fade", "faded_together"]


class Fade(Op, frozen=True, eq=False):
    """Blend each image with its luma, its mean luma or black: 1 for one of these or for none, for each image."""

    of_luma: Any
    of_mean: Any
    factor: Any

    def parts(self) -> tuple[Op, ...]:
        """The op that does the same to a single image."""
        if self.of_luma:
            return (Enhance("gray", self.factor),)
        if self.of_mean:
            return (Lookup((ImageStatistic("contrast", self.factor),)),)
        return (Lookup((PointFunction("brightness", self.factor),)),)


def faded_together(columns: Sequence[Columns], scenes: Scenes) -> list[Columns]:
    """Columns with the same result, where those that blend different images are one.

    A column may go in front of others that are for none of its images. Without a saturation nothing is put together:
    brightness and contrast are tables, which need no pass over the pixels of their own.
    """
    common = scenes.common
    if common.dtype != "uint8" or common.alpha or common.channels != 3:
        return list(columns)
    found: list[list[Columns]] = []
    for number, column in enumerate(columns):
        if not column.op.keeps_kind:  # what follows may see other channels, or floats
            return [*(each for block in found for each in _together(block)), *columns[number:]]
        block = _block(found, column, len(scenes)) if _fades(column.op) else None
        if block is None:
            found.append([column])
        else:
            block.append(column)
    return [each for block in found for each in _together(block)]


def _fades(op: Op) -> bool:
    if isinstance(op, Enhance):
        return op.degenerate == "gray"
    if not isinstance(op, Lookup) or len(op.stages) != 1:
        return False
    stage = op.stages[0]
    kind = PointFunction if stage.name == "brightness" else ImageStatistic
    return stage.name in ("brightness", "contrast") and isinstance(stage, kind)


def _block(found: list[list[Columns]], column: Columns, count: int) -> list[Columns] | None:
    """The last block of blends that the column can join: neither it nor what follows has any of its images."""
    own = np.zeros(count, bool)
    own[column.rows] = True
    for block in reversed(found):
        if any(own[each.rows].any() for each in block):
            return None
        if _fades(block[0].op):
            return block
    return None


def _together(block: list[Columns]) -> list[Columns]:
    if len(block) < 2 or not any(isinstance(column.op, Enhance) for column in block):
        return block
    rows: Rows = np.concatenate([column.rows for column in block])
    order = rows.argsort()
    numbers = np.concatenate([_numbers(column) for column in block], axis=1)[:, order]
    return [Columns(Fade(*numbers), rows[order])]


def _numbers(column: Columns) -> Floats:
    """The fields of a `Fade`, 3 x the images of the column."""
    op: Any = column.op
    if isinstance(op, Enhance):
        fields: tuple[Any, ...] = 1.0, 0.0, op.factor
    else:
        fields = 0.0, float(op.stages[0].name == "contrast"), op.stages[0].amount
    return np.stack([np.broadcast_to(np.asarray(field, np.float64), len(column)) for field in fields])
