"""Shrinking loses no light and moves nothing, on both backends; exactly where it is strong."""

from __future__ import annotations

import importlib.util

import images
import numpy as np
import oracle
import pytest

from augreg import ops
from augreg.backends import backend

HAVE = tuple(name for name in ("pillow", "opencv") if name != "opencv" or importlib.util.find_spec("cv2"))
opencv = pytest.mark.skipif("opencv" not in HAVE, reason="cv2 is not installed")
SCALES = [(8.0, 8.0), (9.1, 12.0), (24.0, 24.0), (31.7, 24.3), (50.0, 50.0), (24.0, 1.0), (1.0, 30.5), (24.0, 0.5)]


def _spot(height: int, width: int, y: float, x: float, deviation: float) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width] + 0.5
    return np.exp(-((ys - y) ** 2 + (xs - x) ** 2) / (2 * deviation**2))[..., None]


def _light(image: np.ndarray) -> tuple[float, float, float]:
    """The sum of the pixel values, and the center as fractions of the sides."""
    plane = image[..., 0].astype(float)
    ys, xs = np.mgrid[: plane.shape[0], : plane.shape[1]] + 0.5
    total = plane.sum()
    return total, (plane * ys).sum() / total / plane.shape[0], (plane * xs).sum() / total / plane.shape[1]


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_spot_keeps_its_light_and_its_place(interpolation: str, scale: tuple[float, float], name: str) -> None:
    """Much smaller than a pixel of the result, where the weights of neighboring pixels differ most, and larger."""
    wanted = 10, 9
    height, width = (round(side * each) for side, each in zip(wanted, scale, strict=True))
    area = height * width / (wanted[0] * wanted[1])
    for deviation in (0.1, 0.5):
        for place in (0.5, 0.47):
            # in pixels of the side that shrinks, and wide enough for a side that does not
            spot = _spot(height, width, place * height, (1 - place) * width, max(1.0, deviation * max(scale)))
            light, y, x = _light(spot)
            image = spot.astype(np.float32)
            found = _light(backend(name).apply(ops.resize(*wanted, interpolation), image))
            assert abs(found[0] * area / light - 1) < 2e-3
            assert abs(found[1] - y) * wanted[0] < 0.06
            assert abs(found[2] - x) * wanted[1] < 0.06


def _weighed(size: int, wanted: int, interpolation: str) -> np.ndarray:
    """Columns of the result of a white column at each place: row i is the result where column i is white."""
    columns = np.eye(size, dtype=np.float32)[..., None]
    return backend("opencv").apply(ops.resize(size, wanted, interpolation), columns)[..., 0].astype(float)


@opencv
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("wanted", [40, 41])
def test_single_pixels_weigh_alike(wanted: int, interpolation: str) -> None:
    """A column of pixels keeps its light and its place, as docs/backends.md states."""
    little = 1.2, 1.45, 1.7, 2.07, 2.3
    for scale in (*little, 2.55, 2.8, 3.05, 3.5, 4.1, 4.5, 5.0, 5.3, 5.9, 6.1, 6.6, 7.0, 7.9):
        size = round(wanted * scale)
        found = _weighed(size, wanted, interpolation)
        light = found.sum(axis=1) * size / wanted
        place = (found * (np.arange(wanted) + 0.5)).sum(axis=1) / found.sum(axis=1)
        away = np.abs(place - (np.arange(size) + 0.5) * wanted / size)
        inner = slice(round(4 * scale), -round(4 * scale))  # nearer to the border, Pillow weighs them differently too
        assert np.abs(light - 1.0)[inner].max() < (0.34 if scale in little else 0.06), scale
        assert away[inner].max() < (0.22 if scale in little else 0.17), scale


ODD_AND_EVEN = [
    (60, 50, 20, 21),
    (61, 133, 20, 20),
    (174, 177, 21, 20),
    (333, 257, 31, 30),
    (1024, 777, 3, 16),
    (520, 4, 4, 8),
]


@opencv
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sizes", ODD_AND_EVEN, ids=str)
def test_a_flip_before_is_a_flip_after(sizes: tuple[int, int, int, int], interpolation: str) -> None:
    height, width, *wanted = sizes
    op = ops.resize(*wanted, interpolation)
    for dtype, near in (("uint8", 2.0), ("float32", 1e-5)):
        image = images.made("noise", height, width, 3, dtype)
        before = backend("opencv").apply(op, np.ascontiguousarray(image[::-1, ::-1]))
        away = before[::-1, ::-1].astype(float) - backend("opencv").apply(op, image)
        assert np.abs(away).max() <= near


@opencv
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sizes", ODD_AND_EVEN, ids=str)
def test_a_constant_image_stays_constant(sizes: tuple[int, int, int, int], interpolation: str) -> None:
    height, width, *wanted = sizes
    op = ops.resize(*wanted, interpolation)
    for channels in (1, 2, 3, 4):
        value = np.array([0, 77, 254, 255][-channels:], np.uint8)
        image = np.broadcast_to(value, (height, width, channels)).copy()
        assert (backend("opencv").apply(op, image) == value).all()
        assert np.allclose(backend("opencv").apply(op, image.astype(np.float32)), value, rtol=1e-6)


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("kind", ["noise", "smooth", "gradient"])
def test_strong_shrinking_is_near_the_definition(kind: str, interpolation: str, dtype: str, name: str) -> None:
    """Within the 3 that docs/backends.md states, to the edges: no weight lies outside the image."""
    white = 255 if dtype == "uint8" else 1
    for height, width, *wanted in ((200, 330, 8, 11), (97, 131, 9, 15), (90, 90, 1, 1)):
        image = images.made(kind, height, width, 3, dtype)
        op = ops.resize(*wanted, interpolation)
        away = np.abs(backend(name).apply(op, image) - oracle.run(op, image)) / white * 255
        assert away.max() < 3.0, (height, width, wanted, away.max())
