"""Parts of JPEGs are decoded to the pixels of the whole image."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image

jpeg = pytest.importorskip("augreg_native._jpeg", reason="this build is without libjpeg-turbo")

RNG = np.random.default_rng(7)


def encoded(height: int, width: int, **options: Any) -> bytes:
    noise = RNG.integers(0, 256, (height // 3 + 1, width // 3 + 1, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", **options)
    return file.getvalue()


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_every_pixel_of_a_part_is_that_of_the_whole_image(subsampling: str) -> None:
    for height, width in ((1, 1), (7, 300), (64, 64), (131, 90), (200, 333)):
        data = encoded(height, width, subsampling=subsampling, quality=int(RNG.integers(30, 100)))
        whole = pixels(data)
        for _ in range(20):
            top, left = int(RNG.integers(height)), int(RNG.integers(width))
            bottom, right = int(RNG.integers(top, height)) + 1, int(RNG.integers(left, width)) + 1
            out = np.full_like(whole, 77)
            assert jpeg.decode(data, out, top, left, bottom, right)
            assert np.array_equal(out[top:bottom, left:right], whole[top:bottom, left:right])


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_every_pixel_of_a_part_of_a_smaller_image_is_that_of_the_whole(subsampling: str, reduction: int) -> None:
    """The whole is that of Pillow's draft mode."""
    for height, width in ((16, 16), (64, 64), (131, 90), (200, 333), (301, 415)):
        data = encoded(height, width, subsampling=subsampling, quality=int(RNG.integers(30, 100)))
        rows, columns = -(-height // reduction), -(-width // reduction)
        whole = np.zeros((rows, columns, 3), np.uint8)
        assert jpeg.decode(data, whole, 0, 0, rows, columns, reduction)
        draft = Image.open(io.BytesIO(data))
        draft.draft("RGB", (width // reduction, height // reduction))
        assert np.array_equal(whole, np.asarray(draft))
        for _ in range(20):
            top, left = int(RNG.integers(rows)), int(RNG.integers(columns))
            bottom, right = int(RNG.integers(top, rows)) + 1, int(RNG.integers(left, columns)) + 1
            out = np.full_like(whole, 77)
            assert jpeg.decode(data, out, top, left, bottom, right, reduction)
            assert np.array_equal(out[top:bottom, left:right], whole[top:bottom, left:right])


Factors = tuple[int, ...]
UNEQUAL = (2, 1), (1, 1), (2, 1)


def gray(luma: Factors, blue: Factors, red: Factors) -> bytes:
    """A gray image of 64 x 64 with these sampling factors, written by hand: a scan for each plane, every block 0."""
    data = encoded(64, 64)
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    planes = luma, blue, red
    factors = b"".join(bytes([1 + plane, 16 * planes[plane][0] + planes[plane][1], plane > 0]) for plane in range(3))
    file = data[: frame + 10] + factors + data[frame + 19 : scan]
    across, down = map(max, zip(*planes, strict=True))
    for plane, (columns, rows) in enumerate(planes):
        blocks = -(-8 * columns // across) * -(-8 * rows // down)
        # the codes of a difference of 0 and of the end of a block, in the usual tables
        bits = ("0000" if plane else "001010") * blocks
        bits += "1" * (-len(bits) % 8)
        zeros = int(bits, 2).to_bytes(len(bits) // 8, "big")
        file += b"\xff\xda\0\x08\x01" + bytes([plane + 1, 17 * (plane > 0), 0, 63, 0]) + zeros
    return file + b"\xff\xd9"


def test_the_same_samplings_are_reduced_as_by_simplejpeg() -> None:
    """In others, a part of the smaller image has other pixels than the whole."""
    simplejpeg = pytest.importorskip("simplejpeg")
    reduced = []
    pairs = list(itertools.product((1, 2, 3, 4), repeat=2))
    usual = itertools.product(pairs, itertools.product((1, 2), repeat=2))
    for luma, blue, red in [*((luma, chroma, chroma) for luma, chroma in usual), ((2, 2), (4, 1), (4, 1)), UNEQUAL]:
        data, out = gray(luma, blue, red), np.zeros((64, 64, 3), np.uint8)
        whole = (3, 2) not in zip(luma, blue, strict=True)  # libjpeg enlarges by whole numbers only
        assert jpeg.decode(data, out, 0, 0, 64, 64) == whole and (out == 128 * whole).all()
        try:
            known = simplejpeg.decode_jpeg(data, "RGB", min_height=32, min_width=32).shape == (32, 32, 3)
        except ValueError:
            known = False
        assert jpeg.decode(data, np.zeros((32, 32, 3), np.uint8), 0, 0, 32, 32, 2) == known
        reduced += [(luma, blue)] * known
    assert len(reduced) == 10


def test_the_array_has_the_size_of_the_smaller_image() -> None:
    data = encoded(50, 61)
    assert jpeg.decode(data, np.zeros((25, 31, 3), np.uint8), 0, 0, 25, 31, 2)
    for size, reduction in (((25, 30), 2), ((50, 61), 2), ((25, 31), 4), ((25, 31), 1)):
        assert not jpeg.decode(data, np.zeros((*size, 3), np.uint8), 0, 0, *size, reduction)
    for reduction in (0, 3, 16, -1, 2**40):
        with pytest.raises(ValueError, match="expected a reduction of 1, 2, 4 or 8, got"):
            jpeg.decode(data, np.zeros((25, 31, 3), np.uint8), 0, 0, 25, 31, reduction)
    with pytest.raises(TypeError, match="6 or 7 arguments"):
        jpeg.decode(data, np.zeros((25, 31, 3), np.uint8), 0, 0, 25, 31, 2, 2)


def test_rows_and_columns_far_from_the_part_are_not_decoded() -> None:
    data = encoded(300, 300)
    out = np.full((300, 300, 3), 77, np.uint8)
    assert jpeg.decode(data, out, 140, 150, 150, 160)
    assert (out[:120] == 77).all() and (out[170:] == 77).all()
    assert (out[:, :120] == 77).all() and (out[:, 190:] == 77).all()


def test_restart_markers_and_optimized_tables() -> None:
    data = encoded(150, 170, optimize=True, restart_marker_blocks=3)
    whole, out = pixels(data), np.zeros((150, 170, 3), np.uint8)
    assert jpeg.decode(data, out, 60, 70, 90, 110)
    assert np.array_equal(out[60:90, 70:110], whole[60:90, 70:110])


def test_damaged_files_and_other_sizes_are_not_decoded() -> None:
    data, out = encoded(50, 60), np.zeros((50, 60, 3), np.uint8)
    assert not jpeg.decode(data[: len(data) // 2], out, 0, 0, 50, 60)
    assert not jpeg.decode(data[:-2], out, 0, 0, 50, 60)  # the end is missing: Pillow warns of it too
    assert not jpeg.decode(b"", out, 0, 0, 50, 60)
    assert not jpeg.decode(data, np.zeros((60, 50, 3), np.uint8), 0, 0, 50, 50)
    gray = io.BytesIO()
    Image.fromarray(out[..., 0]).save(gray, "JPEG")
    assert not jpeg.decode(gray.getvalue(), out, 0, 0, 50, 60)


@pytest.mark.parametrize(
    ("out", "box"),
    [
        (np.zeros((50, 60, 4), np.uint8), (0, 0, 5, 5)),
        (np.zeros((50, 60), np.uint8), (0, 0, 5, 5)),
        (np.zeros((50, 60, 3), np.float32), (0, 0, 5, 5)),
        (np.zeros((50, 60, 3), np.uint8), (-1, 0, 5, 5)),
        (np.zeros((50, 60, 3), np.uint8), (0, 0, 51, 5)),
        (np.zeros((50, 60, 3), np.uint8), (0, 0, 5, 61)),
        (np.zeros((50, 60, 3), np.uint8), (5, 0, 5, 5)),
    ],
)
def test_boxes_and_arrays_are_checked(out: Any, box: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        jpeg.decode(encoded(50, 60), out, *box)


def test_arrays_that_cannot_be_written_are_refused() -> None:
    out = np.zeros((50, 60, 3), np.uint8)
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        jpeg.decode(encoded(50, 60), out[:, ::-1], 0, 0, 5, 5)
    out.flags.writeable = False
    with pytest.raises((BufferError, ValueError)):
        jpeg.decode(encoded(50, 60), out, 0, 0, 5, 5)


def test_damaged_files_write_nothing_outside_the_array() -> None:
    numbers = np.random.default_rng(11)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        good = np.frombuffer(encoded(90, 131, subsampling=subsampling), np.uint8)
        for _ in range(100):
            bad = good.copy()
            bad[numbers.integers(150, len(bad) - 2, int(numbers.integers(1, 4)))] = numbers.integers(256)
            reduction = int(numbers.choice([1, 2, 4, 8]))
            rows, columns = -(-90 // reduction), -(-131 // reduction)
            memory = np.full(4096 + rows * columns * 3 + 4096, 77, np.uint8)
            out = memory[4096:-4096].reshape(rows, columns, 3)
            top, left = int(numbers.integers(rows)), int(numbers.integers(columns))
            jpeg.decode(bad.tobytes(), out, top, left, rows, columns, reduction)
            assert (memory[:4096] == 77).all() and (memory[-4096:] == 77).all()
