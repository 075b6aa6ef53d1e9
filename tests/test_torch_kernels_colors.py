"""Tables, statistics, saturation, hue, sharpness and normalization of batches: the values of Pillow's backend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from augreg import ImageError, ops

torch = pytest.importorskip("torch")

from batched import assert_same, pictures, tensor  # noqa: E402

from augreg.backends.torch_kernels import colors, measuring, normalizing, sharpening, tables  # noqa: E402

COUNT = 20
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
POINTS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], np.ndarray]] = {
    "brightness": (tables.brightness, np.array([0.0, 1.0, 0.29, 0.57, 1.7, 2.0 / 3, 1e6])),
    "posterize": (tables.posterize, np.arange(9.0)),
    "solarize": (tables.solarize, np.array([0.0, 256.0, 128.0, 128.0000000001, 77.5, 255.0])),
    "solarize_add": (tables.solarize_add, np.array([0.0, 10.9, 110.0, -30.0, -30.9, 300.0])),
    "gamma": (tables.gamma, np.array([1.0, 0.5, 2.0, 2.2, 1 / 2.2, 0.01, 30.0])),
}


@pytest.mark.parametrize("name", POINTS)
def test_tables_of_point_functions(name: str) -> None:
    make, amounts = POINTS[name]
    if name in ("brightness", "gamma"):
        amounts = np.concatenate([amounts, np.random.default_rng(1).random(60) * 3])
    arrays = [RAMP] * len(amounts)
    wanted = [ops.point_function(name, amount) for amount in amounts.tolist()]
    assert_same(tables.looked_up(tensor(arrays), make(torch.from_numpy(amounts))), wanted, arrays)


def test_invert_and_flags() -> None:
    flags = torch.tensor([True, False, True])
    arrays = pictures(3, 7, 9, 3)
    wanted = [[ops.point_function("invert")] * flag for flag in flags.tolist()]
    assert_same(tables.looked_up(tensor(arrays), tables.where(flags, tables.invert(3))), wanted, arrays)
    assert torch.equal(tables.looked_up(tensor(arrays), tables.identity(3)), tensor(arrays))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tables_one_after_the_other_with_statistics_of_what_is_before(channels: int) -> None:
    arrays = pictures(COUNT, 13, 18, channels)
    images, factors = tensor(arrays), torch.linspace(0.2, 1.8, COUNT, dtype=torch.float64)
    wanted = []
    for factor in factors.tolist():
        first = ops.PointFunction("brightness", factor)
        statistics = ops.ImageStatistic("equalize"), ops.ImageStatistic("auto_contrast", 4.0)
        wanted.append(ops.Lookup((first, *statistics, ops.PointFunction("solarize", 100.0))))
    total = tables.brightness(factors)
    counts = measuring.histograms(images)
    total = tables.after(total, measuring.equalize(measuring.histograms_after(counts, total)))
    cutoff = torch.full((COUNT,), 4.0)
    total = tables.after(total, measuring.auto_contrast(measuring.histograms_after(counts, total), cutoff))
    total = tables.after(total, tables.solarize(torch.full((COUNT,), 100.0)))
    assert_same(tables.looked_up(images, total), wanted, arrays)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 5), (17, 18), (40, 50)])
def test_auto_contrast_and_equalize(size: tuple[int, int]) -> None:
    arrays = pictures(COUNT, *size, 3)
    images = tensor(arrays)
    counts = measuring.histograms(images)
    assert_same(
        tables.looked_up(images, measuring.equalize(counts)), [ops.image_statistic("equalize")] * COUNT, arrays
    )
    cutoffs = torch.tensor([0.0, 0.1, 2.5, 10.0, 33.3, 49.0, 50.0, 51.0, 99.0, 100.0] * 2, dtype=torch.float64)
    wanted = [ops.image_statistic("auto_contrast", cutoff) for cutoff in cutoffs.tolist()]
    assert_same(tables.looked_up(images, measuring.auto_contrast(counts, cutoffs)), wanted, arrays)
    wanted = [ops.image_statistic("auto_contrast")] * COUNT
    assert_same(tables.looked_up(images, measuring.auto_contrast(counts)), wanted, arrays)


def _factors(seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(
        np.concatenate([[0.0, 0.29 - 1e-9, 1.0, 0.57 - 1e-9, 1.13, 2.0], rng.random(COUNT - 6) * 2.5])
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_saturation(channels: int) -> None:
    arrays, factors = pictures(COUNT, 23, 19, channels), _factors(2)
    images = tensor(arrays)
    wanted: list[ops.Op] = [ops.image_statistic("contrast", factor) for factor in factors.tolist()]
    assert_same(tables.looked_up(images, measuring.contrast(images, factors)), wanted, arrays)
    wanted = [ops.enhance("gray", factor, "saturation") for factor in factors.tolist()]
    assert_same(colors.saturated(images, factors), wanted, arrays)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(23, 19), (3, 3), (2, 9), (9, 2)])
def test_sharpness(size: tuple[int, int], channels: int) -> None:
    arrays, factors = pictures(COUNT, *size, channels), _factors(3)
    wanted = [ops.enhance("smooth", factor, "sharpness") for factor in factors.tolist()]
    assert_same(sharpening.sharpened(tensor(arrays), factors), wanted, arrays)


def test_hue_of_many_colors() -> None:
    rng = np.random.default_rng(4)
    shifts = np.concatenate([[0.0, 0.5, -0.5, 1 / 256, -0.003, 0.999 / 255, 1 / 255], rng.random(COUNT - 7) - 0.5])
    arrays = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(COUNT)]
    arrays[7] = arrays[7] // 32 * 36  # many equal and extreme channels
    arrays[8] = np.repeat(arrays[8][..., :1], 3, 2)
    wanted = [ops.hue(shift) for shift in shifts.tolist()]
    assert_same(colors.shifted_hue(tensor(arrays), torch.from_numpy(shifts)), wanted, arrays)
    gray = pictures(COUNT, 5, 6, 1)
    assert torch.equal(colors.shifted_hue(tensor(gray), torch.from_numpy(shifts)), tensor(gray))


@pytest.mark.soak
def test_hue_of_every_color() -> None:
    green, blue = np.mgrid[:256, :256].astype(np.uint8)
    arrays = [np.stack([np.full_like(green, red), green, blue], 2) for red in range(256)]
    shifts = np.arange(-128, 128) / 256
    for start in range(0, 256, 16):
        part = slice(start, start + 16)
        wanted = [ops.hue(shift) for shift in shifts[part].tolist()]
        found = colors.shifted_hue(tensor(arrays[part]), torch.from_numpy(shifts[part]))
        assert_same(found, wanted, arrays[part])


@pytest.mark.parametrize("work", [colors.saturated, colors.shifted_hue, measuring.contrast])
def test_two_channels_have_no_luma(work: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(ImageError, match="needs a gray or RGB image"):
        work(tensor(pictures(2, 5, 5, 2)), torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_normalize(channels: int) -> None:
    arrays = pictures(COUNT, 9, 11, channels)
    mean, std = tuple(0.4 + 0.01 * c for c in range(channels)), (0.225,)
    images = tensor(arrays)
    assert_same(normalizing.normalized(images, mean, std), [ops.Normalize(mean, std)] * COUNT, arrays)
    factors = _factors(5)
    stages = [(ops.PointFunction("brightness", factor),) for factor in factors.tolist()]
    wanted = [ops.Normalize(mean, std, stages=each) for each in stages]
    assert_same(normalizing.normalized(images, mean, std, tables.brightness(factors)), wanted, arrays)
    wanted = [ops.Normalize(mean, std, stages=(ops.ImageStatistic("equalize"),))] * COUNT
    per_channel = measuring.equalize(measuring.histograms(images))
    assert_same(normalizing.normalized(images, mean, std, per_channel), wanted, arrays)
