"""Pillow's antialiased resize, written out: two passes of fixed-point sums, in an order that no version changes."""

from __future__ import annotations

import math

import images
import numpy as np
import pytest
from PIL import Image

from augreg import Pipeline, ops
from augreg.backends import backend

SIZES = (
    # height, width, to height, to width; and whether the rows go first
    ((40, 30, 10, 25), True),
    ((40, 30, 20, 20), False),  # exactly twice as many pixels
    ((41, 30, 20, 20), True),
    ((30, 40, 10, 25), False),
    ((40, 30, 30, 45), True),
    ((20, 30, 45, 25), False),
    ((20, 30, 45, 65), False),
    ((20, 30, 20, 13), False),
    ((20, 30, 9, 30), True),
)


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


KERNELS = {"bilinear": (_triangle, 1.0), "bicubic": (_cubic, 2.0)}


def _rows(image: np.ndarray, wanted: int, interpolation: str) -> np.ndarray:
    """The image with so many rows: bytes by whole numbers of 22 binary digits, floats in float64."""
    kernel, reach = KERNELS[interpolation]
    scale = len(image) / wanted
    widened = max(1.0, scale)
    out = np.empty((wanted, *image.shape[1:]), image.dtype)
    for row in range(wanted):
        center = (row + 0.5) * scale
        first = max(0, int(center - reach * widened + 0.5))
        last = min(len(image), int(center + reach * widened + 0.5))
        weights = np.array([kernel((place - center + 0.5) / widened) for place in range(first, last)])
        weights /= weights.sum()
        part = image[first:last]
        if image.dtype == np.uint8:
            whole = np.array([math.trunc(weight * 2**22 + math.copysign(0.5, weight)) for weight in weights])
            out[row] = np.clip((np.tensordot(whole, part.astype(np.int64), 1) + 2**21) >> 22, 0, 255)
        else:
            out[row] = np.tensordot(weights, part.astype(np.float64), 1)
    return out


def _resized(image: np.ndarray, height: int, width: int, interpolation: str, rows_first: bool) -> np.ndarray:
    for rows in (rows_first, not rows_first):
        if rows:
            image = _rows(image, height, interpolation)
        else:
            image = _rows(image.swapaxes(0, 1), width, interpolation).swapaxes(0, 1)
    return image


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("sizes", "rows_first"), SIZES)
def test_bytes_are_those_of_two_passes_in_this_order(
    sizes: tuple[int, int, int, int], rows_first: bool, channels: int, interpolation: str
) -> None:
    height, width, *wanted = sizes
    image = images.made("noise", height, width, channels)
    found = backend("pillow").apply(ops.resize(*wanted, interpolation), image)
    assert np.array_equal(found, _resized(image, *wanted, interpolation, rows_first))


@pytest.mark.parametrize(("sizes", "rows_first"), SIZES)
def test_floats_are_those_of_two_passes_in_this_order(sizes: tuple[int, int, int, int], rows_first: bool) -> None:
    height, width, *wanted = sizes
    image = images.made("noise", height, width, 3, "float32")
    found = backend("pillow").apply(ops.resize(*wanted, "bicubic"), image)
    assert np.abs(found - _resized(image, *wanted, "bicubic", rows_first)).max() < 1e-6


def test_the_order_does_not_hang_on_the_version_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resize of both axes at once is never asked of Pillow: 12 takes the columns first, 13 chooses."""
    resize = Image.Image.resize
    asked = []

    def watched(self: Image.Image, size: tuple[int, int], *arguments: object) -> Image.Image:
        asked.append((self.size, size))
        return resize(self, size, *arguments)

    monkeypatch.setattr(Image.Image, "resize", watched)
    for (height, width, *wanted), _ in SIZES:
        backend("pillow").apply(ops.resize(*wanted), images.made("noise", height, width))
    assert asked
    assert all(before[0] == after[0] or before[1] == after[1] for before, after in asked)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["pillow", "opencv"])
def test_a_median_of_one_pixel_never_reaches_a_library(
    name: str, channels: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow 12.3's MedianFilter(1) divides by zero, which ends the process."""
    if name == "opencv":
        pytest.importorskip("cv2")
    monkeypatch.setattr("PIL.ImageFilter.MedianFilter", None)
    image = images.made("noise", 9, 7, channels, dtype)
    assert np.array_equal(backend(name).apply(ops.median_blur(1), image), image)
    for approximate in (False, True):
        pipe = Pipeline.from_spec(
            {"backend": name, "approximate": approximate, "image": [{"median_blur": {"size": 1, "p": 1}}]}
        )
        assert np.array_equal(pipe.train(image, index=0), image)
        assert not pipe.train.plan((9, 7), channels=channels, dtype=dtype, index=0).ops
