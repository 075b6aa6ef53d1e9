"""Crops, flips, turns, borders and boxes, for images with any strides, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from augreg_native import program
from test_resize import INSTRUCTION_SETS

from augreg import ops
from augreg.ops.op import PadMode


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_moves(channels: int, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All eight arrangements of boxes of many widths, of pixels and of planes."""
    monkeypatch.setattr(program, "ISA", isa)
    whole = np.random.default_rng(channels).integers(0, 256, (40, 70, channels), dtype=np.uint8)
    planes = np.ascontiguousarray(whole.transpose(2, 0, 1)).transpose(1, 2, 0)
    for width, (transpose, flip_y, flip_x) in itertools.product(
        (1, 2, 5, 16, 17, 33, 68), itertools.product((0, 1), repeat=3)
    ):
        expected = whole[3:36, 2 : 2 + width]
        expected = expected.swapaxes(0, 1) if transpose else expected
        expected = expected[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
        move = ops.Move(3, 2, 33, width, bool(transpose), bool(flip_y), bool(flip_x))
        for image in (whole, planes):
            assert np.array_equal(program.run([move], 0, image)[1], expected), (width, transpose, flip_y, flip_x)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("normalized", [False, True])
def test_borders_and_boxes(channels: int, normalized: bool) -> None:
    """On bytes, and on floats after a normalize that only converts; the view of a flip is padded, and once more."""
    image = np.random.default_rng(5).integers(0, 256, (7, 11, channels), dtype=np.uint8)
    fill = tuple(float(value) for value in (9, 200, 31, 77)[:channels])
    before = [ops.Normalize((0.0,), (1 / 255,))] if normalized else []
    chosen = [
        *before,
        ops.Move(0, 1, 7, 9, flip_x=True),
        ops.Pad(2, 0, 1, 3, fill),
        ops.Paint(1, 2, 4, 5, (6.0,)),
        ops.Pad(0, 1, 0, 0),
    ]
    count, found = program.run(chosen, 0, image)
    expected = np.zeros((10, 13, channels))
    expected[:9] = fill
    expected[2:9, 1:10] = image[:, 1:10][:, ::-1]
    expected[1:5, 2:7] = 6
    assert count == len(chosen) and found.dtype == (np.float32 if normalized else np.uint8)
    assert np.allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_borders_of_the_images_own_pixels(mode: PadMode, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of bytes and floats, of views, as wide as the image and wider: those are left to NumPy."""
    monkeypatch.setattr(program, "ISA", isa)
    pixels = np.random.default_rng(6)
    for height, width, channels, normalized in itertools.product((1, 2, 7), (1, 3, 20), (1, 3, 4), (False, True)):
        whole = pixels.integers(0, 256, (height, width + 2, channels), dtype=np.uint8)
        before = [ops.Normalize((0.5,), (0.5,))] if normalized else []
        before.append(ops.Move(0, 1, height, width, flip_x=True))
        view = whole[:, 1:-1][:, ::-1]
        if normalized:
            view = ((view / 255.0 - 0.5) / 0.5).astype(np.float32)
        for widths in ((0, 0, 0, 1), (1, 0, 2, 1), (6, 6, 2, 2), (7, 1, 0, 20), (0, 0, 0, 21), (8, 0, 0, 0)):
            top, bottom, left, right = widths
            rows, columns = (length - (mode == "reflect") for length in (height, width))
            fits = mode == "edge" or (max(top, bottom) <= rows and max(left, right) <= columns)
            count, found = program.run([*before, ops.Pad(*widths, mode=mode)], 0, whole)
            assert count == len(before) + fits
            if fits:
                assert np.array_equal(found, np.pad(view, ((top, bottom), (left, right), (0, 0)), mode))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_long_rows_are_mirrored(isa: str, monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    monkeypatch.setattr(program, "ISA", isa)
    whole = np.random.default_rng(channels).integers(0, 256, (3, 152, channels), dtype=np.uint8)
    for width in (15, 22, 64, 65, 86, 150):
        _, found = program.run([ops.Move(0, 1, 3, width, flip_x=True)], 0, whole)
        assert np.array_equal(found, whole[:, 1 : width + 1][:, ::-1])


def test_fills_are_rounded_and_limited() -> None:
    image = np.zeros((1, 1, 3), np.uint8)
    _, found = program.run([ops.Pad(0, 0, 0, 1, (300.0, 1.5, 2.5))], 0, image)
    assert found[0, 1].tolist() == [255, 2, 2]  # halves to the even number


def test_a_fill_passes_through_the_ops_that_the_planner_moved_before_it() -> None:
    inverted = (ops.point_function("invert"),)
    _, found = program.run([ops.Pad(0, 0, 0, 1, (10.0,), fill_ops=inverted)], 0, np.zeros((1, 1, 3), np.uint8))
    assert found[0, 1].tolist() == [245] * 3
