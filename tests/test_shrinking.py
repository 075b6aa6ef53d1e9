"""Strong shrinking loses no light and moves nothing, on both backends."""

from __future__ import annotations

import importlib.util

import images
import numpy as np
import oracle
import pytest

from augreg import ops
from augreg.backends import backend

HAVE = tuple(name for name in ("pillow", "opencv") if name != "opencv" or importlib.util.find_spec("cv2"))
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
