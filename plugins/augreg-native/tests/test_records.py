"""Records of color ops, warps, filters, noise and remaps that the Python side does not make are refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from augreg_native import _native, colors, filters, noises, remaps, warps

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
NAN, INFINITE = float("nan"), float("inf")


def packed(code: int, form: str, *numbers: float, tail: bytes = b"") -> bytes:
    data = struct.pack("=" + form, *numbers) + tail
    return struct.pack("=2i", code, 8 + len(data)) + data


def color(
    kind: int, *, count: int = 3, rows: int = 0, base: float = 0.0, amount: float = 1.0, tail: bytes = b""
) -> bytes:
    return packed(colors.CODE, "4i2d", kind, count, rows, 0, base, amount, tail=tail)


def warp(
    height: int = 6, width: int = 7, sampling: int = 0, matrix: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0)
) -> bytes:
    return packed(warps.CODE, "4i8d4Bi", height, width, sampling, 1, *matrix, 0, 0, 0, 0, 0)


def taps(reach: int, count: int, y: int, x: int, weight: float) -> bytes:
    return packed(filters.CONVOLVE, "2i", reach, count, tail=struct.pack("=2ifi", y, x, weight, 0))


def field(sampling: int, value: float, count: int = 2 * 6 * 7) -> bytes:
    return packed(remaps.REMAP, "i4B", sampling, 0, 0, 0, 0, tail=np.full(count, value, np.float32).tobytes())


def grid(
    lines: int = 3, shift: float = 2.5, part: float = 0.5, cell: int = 1, rows: int = 6, width: int = 7
) -> bytes:
    doubles = [*[shift] * (2 * rows * lines), *[part] * width]
    tail = struct.pack(f"={len(doubles)}d{width}i", *doubles, *[cell] * width)
    return packed(remaps.GRID, "i4B2i", 1, 0, 0, 0, 0, lines, 0, tail=tail + bytes(-len(tail) % 8))


BLEND, SATURATION, HUE, TABLES, MATRIX, HSV, CONTRAST, EQUALIZE, AUTO_CONTRAST = range(9)
GOOD = {
    "blend": color(BLEND),
    "saturation": color(SATURATION),
    "hue": color(HUE, amount=255.0),
    "hsv": color(HSV, amount=1.0, base=-1.0, tail=struct.pack("=d", 1.0)),
    "tables": color(TABLES, rows=3, tail=bytes(768)),
    "matrix": color(MATRIX, tail=bytes(48)),
    "contrast": color(CONTRAST),
    "equalize": color(EQUALIZE, count=2),
    "auto_contrast": color(AUTO_CONTRAST, amount=100.0),
    "warp": warp(),
    "sharpness": packed(filters.SHARPEN, "d", 1.5),
    "blur": packed(filters.BLUR, "d", 100.0),
    "median": packed(filters.MEDIAN, "2i", 255, 0),
    "convolution": taps(2, 1, -2, 2, 1.0),
    "noise": packed(noises.CODE, "2iQ2f", 2, 0, 2**64 - 1, 0.1, 0.1),
    "box of noise": packed(noises.BOX, "6iQ", 2, 3, 4, 4, 0, 0, 7),
    "remap": field(1, -1e30),
    "clahe": packed(colors.CLAHE, "2id", 9, 9, 2.0),
    "grid": grid(shift=-1e9, part=1.0),
}
BAD = {
    "a color op of no kind": color(9),
    "of a negative kind": color(-1),
    "no colors": color(BLEND, count=0),
    "more colors than channels": color(EQUALIZE, count=4),
    "a base beyond white": color(BLEND, base=256.0),
    "a factor that is no number": color(BLEND, amount=NAN),
    "a factor that overflows": color(SATURATION, amount=1e31),
    "a contrast that overflows": color(CONTRAST, amount=-1e31),
    "saturation of two colors": color(SATURATION, count=2),
    "contrast of two colors": color(CONTRAST, count=2),
    "hue of one color": color(HUE, count=1),
    "a hue beyond the circle": color(HUE, amount=256.0),
    "a negative hue": color(HUE, amount=-1.0),
    "an hsv of one color": color(HSV, count=1, tail=bytes(8)),
    "an hsv beyond the circle": color(HSV, amount=1.5, tail=bytes(8)),
    "an hsv whose saturation is no number": color(HSV, base=NAN, tail=bytes(8)),
    "an hsv whose value is no number": color(HSV, tail=struct.pack("=d", NAN)),
    "an hsv without a value": color(HSV),
    "two tables for three colors": color(TABLES, rows=2, tail=bytes(768)),
    "a table that is missing": color(TABLES, rows=1, tail=bytes(248)),
    "tables that are missing": color(TABLES, rows=3, tail=bytes(760)),
    "a matrix that is cut off": color(MATRIX, tail=bytes(40)),
    "a cutoff of more than all": color(AUTO_CONTRAST, amount=100.5),
    "a cutoff that is no number": color(AUTO_CONTRAST, amount=NAN),
    "a warp to nothing": warp(height=0),
    "a sampling of no name": warp(sampling=3),
    "a warp that is too far for fixed point": warp(matrix=(1, 0.5, 40_000, 0, 1, 0, 0, 0)),
    "a sharpness that is no number": packed(filters.SHARPEN, "d", NAN),
    "a blur of nothing": packed(filters.BLUR, "d", 0.0),
    "a blur that is too wide": packed(filters.BLUR, "d", 100.5),
    "an even median": packed(filters.MEDIAN, "2i", 4, 0),
    "a median of one": packed(filters.MEDIAN, "2i", 1, 0),
    "a median that is too large": packed(filters.MEDIAN, "2i", 257, 0),
    "a neighbor that is too low": taps(2, 1, 3, 0, 1.0),
    "a neighbor that is too far left": taps(2, 1, 0, -3, 1.0),
    "a weight that is no number": taps(2, 1, 0, 0, NAN),
    "neighbors that are missing": taps(2, 2, 0, 0, 1.0),
    "a negative reach": taps(-1, 0, 0, 0, 1.0),
    "a huge reach": taps(2**31 - 1, 1, 0, 0, 1.0),
    "noise of no kind": packed(noises.CODE, "2iQ2f", 3, 0, 0, 0.1, 0.1),
    "noise that is no number": packed(noises.CODE, "2iQ2f", 0, 0, 0, NAN, 0.0),
    "color noise that overflows": packed(noises.CODE, "2iQ2f", 2, 0, 0, 0.0, 1e7),
    "a box of noise outside": packed(noises.BOX, "6iQ", 3, 3, 4, 4, 0, 0, 7),
    "a box of nothing": packed(noises.BOX, "6iQ", 3, 3, 0, 4, 0, 0, 7),
    "a box of normal bytes": packed(noises.BOX, "6iQ", 2, 3, 4, 4, 1, 0, 7),
    "a field that is no number": field(0, NAN),
    "a field that is infinite": field(1, INFINITE),
    "a field that is cut off": field(1, 0.0, count=82),
    "a blur of floats for bytes": packed(remaps.FLOAT_BLUR, "2i", 0, 0, tail=bytes(8)),
    "a grid of one line": grid(lines=1, cell=0),
    "a shift that is no number": grid(shift=NAN),
    "a shift that is too far": grid(shift=1e10),
    "a part before a line": grid(part=-0.1),
    "a part after a line": grid(part=1.1),
    "a cell before the first": grid(cell=-1),
    "a cell after the last": grid(cell=2),
    "a grid with a row less": grid(rows=5),
    "a grid with a column less": grid(width=6),
    "no tiles": packed(colors.CLAHE, "2id", 0, 3, 2.0),
    "too many tiles": packed(colors.CLAHE, "2id", 4097, 1, 2.0),
    "a limit that is no number": packed(colors.CLAHE, "2id", 3, 3, NAN),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_records_run(name: str) -> None:
    _native.run(GOOD[name], IMAGE, np.empty_like(IMAGE), "")


def test_a_color_op_changes_its_colors_only(isa: str) -> None:
    """Of three channels, the first two; Python makes records for all channels."""
    inverted = color(TABLES, count=2, rows=1, tail=bytes(range(255, -1, -1)))
    for record, expected in ((inverted, 255 - IMAGE), (color(BLEND, count=2, amount=0.0), 0 * IMAGE)):
        out = np.empty_like(IMAGE)
        _native.run(record, IMAGE, out, isa)
        assert np.array_equal(out[..., :2], expected[..., :2]) and np.array_equal(out[..., 2], IMAGE[..., 2])


@pytest.mark.parametrize("name", BAD)
def test_others_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the program does not fit the images"):
        _native.run(BAD[name], IMAGE, np.empty_like(IMAGE), "")


def test_a_column_has_no_two_neighbors() -> None:
    column = np.zeros((6, 1, 3), np.uint8)
    for record in (warp(6, 1, sampling=1), field(1, 0.0, count=12), grid(width=1)):
        with pytest.raises(ValueError, match="the program does not fit the images"):
            _native.run(record, column, np.empty_like(column), "")


def test_a_row_that_is_longer_than_floats_count() -> None:
    """Its last pixel is 2^24, and the float after 2^24 is 2^24 + 2."""
    row = np.zeros((1, 2**24 + 1, 1), np.uint8)
    with pytest.raises(ValueError, match="the program does not fit the images"):
        _native.run(field(0, 0.0, count=2 * row.size), row, np.empty_like(row), "")


def test_bytes_only(isa: str) -> None:
    """After a normalize, no op of these fits; the blur of floats does, if it has all of its weights."""
    planes = np.zeros((3, 6, 7), np.float32).transpose(1, 2, 0)
    for name, record in GOOD.items():
        if name == "box of noise":
            continue
        with pytest.raises(ValueError, match="the program does not fit the images"):
            _native.run(record, planes, np.empty_like(planes), isa), name
    weights = np.ones(4, np.float32).tobytes()  # a record is a multiple of 8 bytes
    for reach, tail in ((1, weights[:8]), (-1, weights), (2**31 - 1, weights)):
        with pytest.raises(ValueError, match="the program does not fit the images"):
            _native.run(packed(remaps.FLOAT_BLUR, "2i", reach, 0, tail=tail), planes, np.empty_like(planes), isa)


def test_clahe_needs_luma() -> None:
    two = np.zeros((6, 7, 2), np.uint8)
    with pytest.raises(ValueError, match="the program does not fit the images"):
        _native.run(GOOD["clahe"], two, np.empty_like(two), "")
