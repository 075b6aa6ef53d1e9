"""Sharpness, Gaussian blur and median have the bytes of Pillow's filters."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from augreg_native import program, remaps
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from augreg import ops
from augreg.backends import plain
from augreg.ops import Op

Array = NDArray[np.uint8]
Run = Callable[[list[Op], Array], Array]
FACTORS = (0.0, 0.4, 1.0, 1.9, 7.0, -1.3, 1e20)
SIGMAS = (1e-3, 0.3, 0.9, 2**0.5, 1.5, 2.0, 3.7, 11.0, 60.0, 64.6, 66.4, 100.0)
SIZES = (3, 5, 7, 9, 31)


def by_pillow(image: Array, work: Callable[[Image.Image], Image.Image]) -> Array:
    """Channel by channel."""
    planes = (Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(image, 2, 0))
    return np.stack([np.asarray(work(plane)) for plane in planes], axis=2)


def images(image_of: Callable[..., Array], seed: int, most: int = 45) -> Array:
    numbers = random.Random(seed)
    side = numbers.choice((3, most))
    return image_of(seed, numbers.randint(1, side), numbers.randint(1, side), numbers.choice((1, 2, 3, 3, 4)))


def test_sharpness(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    for seed in range(100):
        image, factor = images(image_of, seed), FACTORS[seed % len(FACTORS)]
        found = compiled([ops.enhance("smooth", factor, "sharpness")], image)
        expected = by_pillow(image, lambda plane, factor=factor: ImageEnhance.Sharpness(plane).enhance(factor))  # type: ignore[misc]
        assert np.array_equal(found, expected), (seed, image.shape, factor)


def test_gaussian_blur(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Boxes smaller and larger than the image, and one with a radius of less than a pixel."""
    for seed in range(100):
        image, sigma = images(image_of, seed, 100), SIGMAS[seed % len(SIGMAS)]
        blur = ImageFilter.GaussianBlur(sigma)
        expected = by_pillow(image, lambda plane, blur=blur: plane.filter(blur))  # type: ignore[misc]
        assert np.array_equal(compiled([ops.gaussian_blur(sigma)], image), expected), (seed, image.shape, sigma)


@pytest.mark.parametrize("size", SIZES)
def test_median(isa: str, compiled: Run, image_of: Callable[..., Array], size: int) -> None:
    for seed in range(12):
        image = images(image_of, seed, 30)
        expected = by_pillow(image, lambda plane: plane.filter(ImageFilter.MedianFilter(size)))
        assert np.array_equal(compiled([ops.median_blur(size)], image), expected), (seed, image.shape)


def test_long_rows(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Rows of several vectors and pieces, and columns of several strips."""
    blur, median = ImageFilter.GaussianBlur(4.0), ImageFilter.MedianFilter(5)
    for image in (image_of(1, 5, 900), image_of(2, 900, 5)):
        assert np.array_equal(compiled([ops.gaussian_blur(4.0)], image), by_pillow(image, lambda p: p.filter(blur)))
        assert np.array_equal(compiled([ops.median_blur(5)], image), by_pillow(image, lambda p: p.filter(median)))
        found = compiled([ops.enhance("smooth", 1.7, "sharpness")], image)
        assert np.array_equal(found, by_pillow(image, lambda p: ImageEnhance.Sharpness(p).enhance(1.7)))


@pytest.mark.parametrize(("height", "width", "sigma"), [(3, 300, 2.0), (40, 2, 11.0), (1, 1, 1.0), (20, 31, 0.6)])
def test_floats_mirrored_at_their_edges(isa: str, height: int, width: int, sigma: float) -> None:
    """Also several times, where the weights reach further than the image."""
    image = np.random.default_rng(height).standard_normal((height, width, 2), np.float32)
    reach = math.ceil(4.0 * sigma)
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    expected = plain.float_blur(sigma, padded)[reach : reach + height, reach : reach + width]
    found = remaps.blurred_floats(sigma, image, isa, mirrored=True)
    assert found is not None and np.array_equal(found, expected)
    assert np.array_equal(plain.float_blur(sigma, image, "symmetric"), expected)


def test_what_has_no_kernel_is_left_to_pillow() -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    for op in (
        ops.gaussian_blur(100.5),
        ops.gaussian_blur(0.0),
        ops.median_blur(1),
        ops.median_blur(257),
        ops.motion_blur(2001.0, 30.0),
        ops.enhance("smooth", 1e31, "sharpness"),
    ):
        assert program.run([op], 0, image)[0] == 0, op
