"""Records of color ops: functions of the pixel value, saturation, hue, and sums of channels."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from augreg.backends import intensity
from augreg.ops import ColorMatrix, Enhance, Hue, ImageStatistic, LocalContrast, Lookup, PointFunction, ShiftHsv

if TYPE_CHECKING:
    from augreg.ops.scene import PixelValues
    from augreg_native.program import Shape

__all__ = ["CLAHE", "CODE", "enhanced", "equalized_locally", "hue", "looked_up", "mixed", "shifted", "staged"]

CODE: Final = 5
CLAHE: Final = 14
"""The codes of these ops in `enum augreg_code`; all but the last have the first."""

# `enum augreg_color_kind`
_BLEND, _SATURATION, _HUE, _TABLES, _MATRIX, _HSV, _CONTRAST, _EQUALIZE, _AUTO_CONTRAST = range(9)
_STATISTICS: Final = {"contrast": _CONTRAST, "equalize": _EQUALIZE, "auto_contrast": _AUTO_CONTRAST}
_MOST_FACTOR: Final = 1e30
_MOST_TILES: Final = 4096

_record: Final = struct.Struct("=6i2d")


def _packed(kind: int, colors: int, amount: float = 0.0, base: float = 0.0) -> bytes:
    return _record.pack(CODE, _record.size, kind, colors, 0, 0, base, amount)


@lru_cache(maxsize=256)
def _table(points: tuple[PointFunction, ...], colors: int) -> bytes:
    table = intensity.table(points, *_NOT_NEEDED).tobytes()
    return _record.pack(CODE, _record.size + len(table), _TABLES, colors, 1, 0, 0.0, 0.0) + table


_NOT_NEEDED: Any = (None, None, None, None)  # an image and how to measure it: for stages that depend on the image


def staged(stages: Sequence[PointFunction | ImageStatistic], colors: int) -> bytes | None:
    """Records of these stages for so many colors; point functions in a row become one table."""
    records: list[bytes] = []
    points: list[PointFunction] = []
    for stage in stages:
        if isinstance(stage, PointFunction):
            points.append(stage)
            continue
        kind = _STATISTICS.get(stage.name)
        if kind is None or (kind == _CONTRAST and colors not in (1, 3)):
            return None
        if isinstance(stage.amount, tuple):
            return None
        if not abs(stage.amount) <= (100.0 if kind == _AUTO_CONTRAST else _MOST_FACTOR):
            return None
        records += _functions(points, colors)
        points.clear()
        records.append(_packed(kind, colors, stage.amount))
    return b"".join((*records, *_functions(points, colors)))


def _functions(points: list[PointFunction], colors: int) -> tuple[bytes, ...]:
    if not points:
        return ()
    name, amount = points[0].name, points[0].amount
    if len(points) == 1 and name == "brightness" and isinstance(amount, float) and abs(amount) <= _MOST_FACTOR:
        return (_packed(_BLEND, colors, amount),)
    return (_table(tuple(points), colors),)


def looked_up(op: Lookup, shape: Shape) -> bytes | None:
    """The records of functions of the pixel value."""
    return None if shape.floats else staged(op.stages, shape.channels)


def enhanced(op: Enhance, shape: Shape) -> bytes | None:
    """The record of a saturation."""
    if shape.floats or shape.channels not in (1, 3) or not abs(op.factor) <= _MOST_FACTOR:
        return None
    return b"" if shape.channels == 1 else _packed(_SATURATION, 3, op.factor)


def hue(op: Hue, shape: Shape) -> bytes | None:
    """The record of a shift of the hue, which has 256 steps."""
    if shape.floats or shape.channels not in (1, 3):
        return None
    steps = int(255.0 * op.shift)
    return b"" if steps == 0 or shape.channels == 1 else _packed(_HUE, 3, float(steps % 256))


def shifted(op: ShiftHsv, shape: Shape) -> bytes | None:
    """The record of shifts of hue, saturation and value."""
    shifts = op.hue, op.saturation, op.value
    if shape.floats or shape.channels != 3 or not all(abs(shift) <= 1.0 for shift in shifts):
        return None
    packed = struct.pack("=d", op.value)
    return _record.pack(CODE, _record.size + len(packed), _HSV, 3, 0, 0, op.saturation, op.hue) + packed


def mixed(op: ColorMatrix, shape: Shape) -> bytes | None:
    """The record of sums of channels."""
    return None if shape.floats else _mixed(op.rows, op.offsets, shape.channels)


@lru_cache(maxsize=256)
def _mixed(rows: tuple[tuple[float, ...], ...], offsets: PixelValues, channels: int) -> bytes | None:
    numbers = [number for row, offset in zip(rows, offsets, strict=True) for number in (offset, *row)]
    if len(rows) != channels or not all(abs(number) <= _MOST_FACTOR for number in numbers):
        return None
    packed = struct.pack(f"={len(numbers)}f", *numbers)
    return _record.pack(CODE, _record.size + len(packed), _MATRIX, channels, 0, 0, 0.0, 0.0) + packed


_clahe_record: Final = struct.Struct("=4id")


def equalized_locally(op: LocalContrast, shape: Shape) -> bytes | None:
    """The record of an equalization in tiles."""
    rows, columns = op.tiles
    if shape.floats or shape.channels not in (1, 3) or not 0.0 <= op.clip <= 1e6:
        return None
    if min(op.tiles) < 1 or rows * columns > _MOST_TILES:
        return None
    return _clahe_record.pack(CLAHE, _clahe_record.size, rows, columns, op.clip)
