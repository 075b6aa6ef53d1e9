"""Color ops have the bytes of Pillow, alone and many in one pass."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from augreg_native import program
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from augreg import ops
from augreg.backends import hsv
from augreg.ops import Enhance, Hue, ImageStatistic, Lookup, Normalize, Op, PointFunction

Array = NDArray[np.uint8]
Run = Callable[[list[Op], Array], Array]
FACTORS = (0.0, 0.1, 0.37, 0.999, 1.0, 1.1, 1.63, 3.0, -0.7, 40.0, 1e20)


def some_colors() -> Array:
    """Every red and green with some blues: chromas of 17, 51 and 85 are where hues are whole bytes."""
    grid = np.mgrid[0:256, 0:256].transpose(1, 2, 0)
    blues = (0, 1, 17, 34, 85, 130, 170, 221, 254, 255)
    return np.concatenate([np.dstack([grid, np.full((256, 256), blue)]) for blue in blues]).astype(np.uint8)


def all_colors() -> Array:
    numbers = np.arange(1 << 24, dtype=np.uint32).reshape(4096, 4096)
    return np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], axis=2).astype(np.uint8)


def hue_by_pillow(image: Array, shift: float) -> Array:
    hsv = np.array(Image.fromarray(np.ascontiguousarray(image)).convert("HSV"))
    hsv[..., 0] += np.uint8(int(255.0 * shift) % 256)
    return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))


def by_pillow(op: Op, image: Array) -> Array:
    """The image after an op, by what Pillow has for it."""
    pil = Image.fromarray(np.ascontiguousarray(image if image.shape[2] == 3 else image[..., 0]))
    if isinstance(op, Hue):
        return hue_by_pillow(image, op.shift) if image.shape[2] == 3 else image
    if isinstance(op, Enhance):
        found = ImageEnhance.Color(pil).enhance(op.factor)
    else:
        (stage,) = op.stages  # type: ignore[attr-defined]
        amount = stage.amount
        found = {
            "brightness": lambda: ImageEnhance.Brightness(pil).enhance(amount),
            "contrast": lambda: ImageEnhance.Contrast(pil).enhance(amount),
            "equalize": lambda: ImageOps.equalize(pil),
            "auto_contrast": lambda: ImageOps.autocontrast(pil, amount),
            "posterize": lambda: ImageOps.posterize(pil, int(amount)),
            "solarize": lambda: ImageOps.solarize(pil, int(amount)),
            "invert": lambda: ImageOps.invert(pil),
            "table": lambda: pil.point(list(amount) * image.shape[2]),
        }[stage.name]()
    return np.asarray(found).reshape(image.shape)


@pytest.mark.parametrize("shift", [0.02, 0.5, -0.31])
def test_hue_of_many_colors(isa: str, compiled: Run, shift: float) -> None:
    colors = some_colors()
    assert np.array_equal(compiled([ops.hue(shift)], colors), hue_by_pillow(colors, shift))


@pytest.mark.parametrize(
    "shifts",
    [(0.1, 0.2, -0.1), (-0.47, -0.9, 0.3), (0.0, 0.5, 0.5), (1.0, 0.0, 0.0), (-1.0, 1.0, -1.0), (1e-60, 0.1, 0)],
)
def test_shifts_of_hue_saturation_and_value_are_those_of_numpy(
    isa: str, compiled: Run, shifts: tuple[float, float, float]
) -> None:
    """Those of NumPy are compared with an oracle in double precision, in the tests of augreg."""
    colors = some_colors()
    assert np.array_equal(compiled([ops.shift_hsv(*shifts)], colors), hsv.shifted(ops.shift_hsv(*shifts), colors))


@pytest.mark.parametrize("factor", FACTORS)
def test_saturation_of_many_colors(isa: str, compiled: Run, factor: float) -> None:
    colors = some_colors()[::3]
    expected = ImageEnhance.Color(Image.fromarray(colors)).enhance(factor)
    assert np.array_equal(compiled([ops.enhance("gray", factor, "saturation")], colors), np.asarray(expected))


@pytest.mark.soak
def test_all_colors(isa: str, compiled: Run) -> None:
    """All 2^24, with hues and saturations of both signs."""
    colors = all_colors()
    for shift in (0.004, 0.1, -0.3, 0.5, -0.5):
        assert np.array_equal(compiled([ops.hue(shift)], colors), hue_by_pillow(colors, shift)), shift
    for factor in FACTORS:
        op = ops.enhance("gray", factor, "saturation")
        assert np.array_equal(compiled([op], colors), by_pillow(op, colors)), factor


def random_op(numbers: random.Random, channels: int) -> Op:
    factor = numbers.choice((*FACTORS, numbers.uniform(-3, 3)))
    choices = [
        ops.point_function("brightness", factor),
        ops.point_function("posterize", numbers.randint(1, 8)),
        ops.point_function("solarize", numbers.randint(0, 256)),
        ops.point_function("invert"),
        ops.point_function("table", numbers.randbytes(256)),
        ops.image_statistic("equalize"),
        ops.image_statistic("auto_contrast", numbers.choice((0, 1, 5, 33.3, 7.77, 50))),
        ops.image_statistic("contrast", factor),
        ops.enhance("gray", factor, "saturation"),
        ops.hue(numbers.uniform(-0.5, 0.5)),
    ]
    return numbers.choice(choices if channels == 3 else choices[:8])


def test_lists_in_one_pass(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Random lists on images of all kinds, on one and three channels, at times with a normalize after them."""
    for seed in range(120):
        numbers = random.Random(seed)
        side = numbers.choice((2, 40, 40, 90))
        channels = numbers.choice((1, 3, 3))
        image = image_of(seed, numbers.randint(1, side), numbers.randint(1, side), channels)
        chosen = [random_op(numbers, channels) for _ in range(numbers.randint(1, 5))]
        expected = image
        for op in chosen:
            expected = by_pillow(op, expected)
        if numbers.random() < 0.5:
            mean, std = (0.485, 0.456, 0.406)[:channels], (0.229, 0.224, 0.225)[:channels]
            found = compiled([*chosen, Normalize(mean, std)], image)
            expected = ((expected / 255.0 - np.array(mean)) / np.array(std)).astype(np.float32)
        else:
            found = compiled(chosen, image)
        assert found.dtype == expected.dtype and np.array_equal(found, expected), (seed, image.shape, chosen)


def test_stages_of_a_normalize_and_of_one_lookup(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Point functions and statistics that the planner has merged, in the order in which they stand."""
    image = image_of(8, 50, 61)
    stages = (
        PointFunction("brightness", 1.4),
        ImageStatistic("contrast", 0.6),
        PointFunction("posterize", 3.0),
        PointFunction("invert"),
        ImageStatistic("equalize"),
        PointFunction("brightness", 0.9),
    )
    expected = image
    for stage in stages:
        expected = by_pillow(Lookup((stage,)), expected)
    assert np.array_equal(compiled([Lookup(stages)], image), expected)
    normalized = ((expected / 255.0 - 0.4) / 0.25).astype(np.float32)
    assert np.array_equal(compiled([Normalize((0.4,), (0.25,), stages=stages)], image), normalized)


def test_channels_have_tables_of_their_own(isa: str, compiled: Run) -> None:
    """Two and four channels are equalized one by one; the tables differ."""
    pixels = np.random.default_rng(2).integers(0, 256, (30, 41, 4)) >> np.arange(4)
    for image in (pixels.astype(np.uint8), pixels[..., 1:3].astype(np.uint8)):
        planes = [np.asarray(ImageOps.equalize(Image.fromarray(plane))) for plane in np.moveaxis(image, 2, 0)]
        assert np.array_equal(compiled([ops.image_statistic("equalize")], image), np.stack(planes, axis=2))


def test_what_has_no_kernel_is_left_to_pillow() -> None:
    """Luma of two channels, which is an error there, and factors that no byte can tell apart."""
    two = np.zeros((5, 6, 2), np.uint8)
    for op in (ops.image_statistic("contrast", 0.5), ops.enhance("gray", 0.5, "saturation"), ops.hue(0.1)):
        assert program.run([op], 0, two) == (0, two)
    three = np.zeros((5, 6, 3), np.uint8)
    for op in (ops.enhance("gray", 1e31, "saturation"), ops.image_statistic("contrast", float("nan"))):
        assert program.run([op], 0, three)[0] == 0


def test_the_input_stays_as_it_is(isa: str, compiled: Run) -> None:
    """Color ops run in place, but never on the image that was given."""
    image = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    before = image.copy()
    for op in (ops.hue(0.2), ops.point_function("invert"), ops.image_statistic("contrast", 0.5)):
        found = compiled([op], image)
        assert not np.shares_memory(found, image) and np.array_equal(image, before)
