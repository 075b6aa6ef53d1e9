"""Parts of JPEGs are decoded to the pixels of the whole image."""

from __future__ import annotations

import io
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
