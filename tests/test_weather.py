"""Shadows, fog, snow, flares and noise of the lightness: what they mean, and what albumentations makes of them."""

from __future__ import annotations

import math
from pathlib import Path

import albumentations_weather_golden as golden
import numpy as np
import pytest
from one_step import drawn, each_backend, train

from augreg import Pipeline, SpecError, ops
from augreg.backends import backend
from augreg.backends.grain import thresholds
from augreg.backends.regions import covered, polygon_mask

THEIRS = np.load(Path(__file__).parent / "data" / "albumentations_weather.npz")


def run(op: ops.Op, image: np.ndarray, name: str = "pillow") -> np.ndarray:
    return backend(name).apply(op, image)


def flat(*values: int) -> np.ndarray:
    return np.full((40, 50, 3), values, np.uint8)


# Those of albumentations


@each_backend
def test_shadows_as_in_albumentations(name: str) -> None:
    found = golden.made()
    for polygon, darkness in zip(golden.SHADOWS, golden.DARKNESS, strict=True):
        found = run(ops.shade(1 - darkness, (tuple(polygon),)), found, name)
    assert (found != THEIRS["shadow"]).any(axis=2).sum() <= 2  # OpenCV rounds some pixels of an outline otherwise


@each_backend
def test_flares_and_fog_as_in_albumentations(name: str) -> None:
    """Bit for bit, where they were given the same disks."""
    circles = tuple((*place, size, opacity, color) for opacity, place, size, color in golden.CIRCLES)
    strength = 5 * (0.2 * 8 + 0.1 * 27 + 0.15 * 1) / 36
    op = ops.flare(golden.CENTER, golden.RADIUS, golden.COLOR, circles, strength)
    assert np.array_equal(run(op, golden.made(), name), THEIRS["flare"])
    assert np.array_equal(run(ops.fog(*golden.FOG), golden.made(), name), THEIRS["fog"])


@each_backend
def test_snow_as_in_albumentations(name: str) -> None:
    point, factor = golden.SNOW
    found = run(ops.scale_lightness(factor, point / 2 + 1 / 3), golden.made(), name)
    away = np.abs(found.astype(int) - THEIRS["snow"])
    assert np.median(away) <= 1 and np.quantile(away, 0.95) <= 4  # its hue has 180 steps


def test_a_turned_blur_as_in_albumentations() -> None:
    """Its angle is clockwise."""
    side, sigma_x, sigma_y, degrees = golden.BLUR
    op = ops.oriented_blur(side, (sigma_x, sigma_y), -degrees, 1.0, [1.0] * side**2)
    assert np.allclose(op.kernel, THEIRS["kernel"], atol=1e-7)


# Regions


def test_polygons_by_hand() -> None:
    square = polygon_mask(((2, 1), (5, 1), (5, 4), (2, 4)), 7, 8)
    wanted = np.zeros((7, 8), bool)
    wanted[1:5, 2:6] = True  # with its outline
    assert np.array_equal(square, wanted)
    star = polygon_mask(((0, 0), (20, 0), (0, 20), (20, 20)), 21, 21)  # an hourglass: its sides are outside
    assert star[3, 10] and star[17, 10] and not star[10, 3] and not star[10, 17]
    beyond = polygon_mask(((-5, -5), (50, -5), (50, 50), (-5, 50)), 7, 8)
    assert beyond.all()
    line = polygon_mask(((1, 1), (4, 1), (1, 1)), 3, 6)
    assert np.argwhere(line).tolist() == [[1, 1], [1, 2], [1, 3], [1, 4]]


def test_disks_by_hand() -> None:
    x, y, radius = np.array([2, 2, 90]), np.array([2, 2, 2]), np.array([1, 2, 84])
    found = covered(x, y, radius, 5, 6)
    assert found.tolist() == [[0, 0, 1, 0, 0, 0], [0, 1, 2, 1, 0, 0], [1, 2, 2, 2, 1, 0], [0, 1, 2, 1, 0, 0],
                              [0, 0, 1, 0, 0, 0]]  # fmt: skip
    assert (covered(np.array([0]), np.array([0]), np.array([10**6]), 5, 6) == 1).all()


def test_disks_are_those_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    for radius in (1, 2, 3, 7, 24, 60):
        wanted = np.zeros((70, 90), np.uint8)
        cv2.circle(wanted, (30, 41), radius, 1, -1)
        found = covered(np.array([30]), np.array([41]), np.array([radius]), 70, 90)
        assert np.array_equal(found, wanted)


# Steps


def test_shadows_are_drawn_in_their_area() -> None:
    found = drawn({"shadow": {"count": [1, 3], "darkness": [0.2, 0.6]}}, (40, 50), 200)
    counts = np.bincount([len(one) for one in found], minlength=4) / 200
    assert counts[0] == 0 and np.allclose(counts[1:], 1 / 3, atol=0.12)
    corners = np.array([op.polygons[0] for one in found for op in one])
    assert corners.shape[1:] == (5, 2)
    assert corners.min(axis=(0, 1)).tolist() == [0, 20] and corners.max(axis=(0, 1)).tolist() == [49, 39]
    factors = [op.factor for one in found for op in one]
    assert min(factors) >= 0.4 and max(factors) <= 0.8 and np.mean(factors) == pytest.approx(0.6, abs=0.03)


def test_shadows_of_values_of_lightness_and_once() -> None:
    """By hand: lightness 0.5 (50 to 200, saturation 0.6) becomes 0.25, which is 0.1 to 0.4."""
    everything = {"count": 4, "corners": 40, "darkness": [0.5, 0.5], "area": [0, 0, 1, 1]}
    image = np.full((60, 60, 3), (200, 50, 50), np.uint8)
    values = {*map(tuple, train({"shadow": everything}, image).reshape(-1, 3).tolist())}
    assert {(200, 50, 50), (100, 25, 25), (50, 12, 12)} <= values
    once = {*map(tuple, train({"shadow": {**everything, "overlap": "once"}}, image).reshape(-1, 3).tolist())}
    assert once == {(200, 50, 50), (100, 25, 25)}
    bright = np.full(
        (60, 60, 3), (255, 205, 205), np.uint8
    )  # lightness 230 / 255, all that is possible of saturation
    light = train({"shadow": {**everything, "overlap": "once", "of": "lightness"}}, bright)
    assert {*map(tuple, light.reshape(-1, 3).tolist())} == {(255, 205, 205), (230, 0, 0)}


def test_snow_bleaches_dark_pixels() -> None:
    """By hand: below 1/3 + 0.1 of white, 60 becomes 150, and colors keep their saturation: 0.2 and 60 +- 12."""
    step = {"snow": {"point": [0.2, 0.2]}}
    assert (train(step, flat(60, 60, 60)) == 150).all()
    assert (train(step, flat(111, 111, 111)) == 111).all() and (train(step, flat(110, 110, 110)) == 255).all()
    assert (train(step, flat(72, 60, 48)) == (171, 150, 129)).all()  # 150 +- 0.2 * (255 - 150)


@each_backend
def test_lightness_changes_within_the_polygon_alone(name: str) -> None:
    """In images of several parts; floats beside it keep every bit."""
    image = np.full((500, 90, 3), (255, 205, 205), np.uint8)
    lower = ((10, 400), (50, 400), (50, 450), (10, 450))
    found = run(ops.shade(0.5, (lower,), "lightness"), image, name)
    wanted = image.copy()
    wanted[400:451, 10:51] = (230, 0, 0)
    assert np.array_equal(found, wanted)
    floats = np.random.default_rng(1).random((500, 90, 3), np.float32)
    found = run(ops.scale_lightness(2.0, 0.4), floats, name)
    light = (floats.max(axis=2) + floats.min(axis=2)) * np.float32(0.5)
    assert np.array_equal(found[light >= 0.4], floats[light >= 0.4])
    dark = light < 0.4
    assert np.allclose((found.max(axis=2) + found.min(axis=2))[dark], 4.0 * light[dark], atol=1e-5)


def test_fog_is_white_and_thickest_in_the_middle() -> None:
    black = np.zeros((90, 120, 3), np.uint8)
    found = np.mean([train({"fog": {}}, black, index) for index in range(12)], axis=0)
    assert found[30:60, 40:80].mean() > 1.5 * found[[0, -1]].mean() > 0
    assert (train({"fog": {}}, flat(255, 255, 255)) == 255).all()
    assert (train({"fog": {"opacity": 0}}, flat(9, 8, 7)) == (9, 8, 7)).all()
    (disks, blur), *_ = drawn({"fog": {"intensity": [0.5, 0.5]}}, (400, 500), 1)
    assert disks.opacity == 0.04 and len(blur.kernel) == 13
    with pytest.raises(SpecError, match="intensity must be between 0 and 1"):
        Pipeline.from_spec([{"fog": {"intensity": [0.5, 2]}}])


def test_rain_by_hand() -> None:
    """5 pixels down and 2 to the right are 8 pixels that touch by their sides; each is a ninth of 3x3 squares."""
    op = ops.Rain(1, 2, 5, 1, 1.0, 3, (200.0,))
    found = run(op, np.zeros((40, 40, 1), np.uint8))[..., 0]
    ys, xs = np.nonzero(found)
    assert len(ys) == 8 and np.ptp(ys) == 5 and np.ptp(xs) == 2 and {*found[ys, xs].tolist()} == {200}
    left = run(ops.Rain(1, -2, 5, 1, 1.0, 3, (200.0,)), np.zeros((40, 40, 1), np.uint8))[..., 0]
    assert left[ys.min()].argmax() == found[ys.min()].argmax() and left[ys.max()].argmax() < found[ys.max()].argmax()
    blurred = run(ops.Rain(1, 2, 5, 3, 0.5, 3, (200.0,)), np.full((40, 40, 1), 100, np.uint8))[..., 0]
    values = {round((100 + round(200 * part / 9)) * 0.5) for part in range(10)}
    assert {*blurred.ravel().tolist()} <= values | {value + 1 for value in values} and blurred.min() == 50
    for one in drawn({"rain": {"slant": [-3, 2]}}, (80, 60), 40):
        (drop,) = one
        assert (drop.count, drop.length) == (26, 10) and -3 <= drop.slant <= 1


def test_sepia_by_hand() -> None:
    found = train({"sepia": {"p": 1}}, flat(100, 50, 200))
    assert (found == (116, 103, 80)).all()  # 39.3 + 38.45 + 37.8, 34.9 + 34.3 + 33.6, 27.2 + 26.7 + 26.2
    half = Pipeline.from_spec([{"sepia": {"p": 0.5}}]).test(flat(100, 50, 200))
    assert (half == (108, 76, 140)).all()
    gray = np.full((4, 5, 1), 9, np.uint8)
    assert np.array_equal(train({"sepia": {"p": 1}}, gray), gray)


def test_tone_curves_by_hand() -> None:
    """At 0.2: 0.384 * 0.25 + 0.096 * 0.75 + 0.008 = 0.176, and at 0.8 by symmetry 0.824."""
    step, pipe = {"tone_curve": {"scale": 0}}, Pipeline.from_spec([{"tone_curve": {"scale": 0.3, "p": 0.5}}])
    for value, wanted in ((0, 0), (51, 45), (204, 210), (255, 255)):
        assert (train(step, flat(*[value] * 3)) == wanted).all()
    image = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (1, 1, 3))
    mean = np.mean([pipe.train(image, index) for index in range(1500)], axis=0)
    assert np.abs(mean - pipe.test(image)).max() < 3.5
    low, high = np.array([op.stages[0].amount for one in drawn({"tone_curve": {}}, (3, 3), 400) for op in one]).T
    assert low.mean() == pytest.approx(0.25, abs=0.02) and high.std() == pytest.approx(0.1, rel=0.1)


def test_a_shift_of_each_channel() -> None:
    step = {"rgb_shift": {"shift": [10, 10], "green": [-5, -5], "blue": [0, 0]}}
    assert (train(step, flat(9, 9, 9)) == (19, 4, 9)).all()


def test_a_flare_is_brightest_at_its_center() -> None:
    (op,) = drawn({"sun_flare": {"radius": 60, "fill": [255, 200, 100], "strength": 1.0}}, (200, 300), 1)[0]
    found = run(op, np.zeros((200, 300, 3), np.uint8))
    x, y = op.center
    assert found[y, x].tolist() == [255, 200, 100] and 0 <= y < 100
    for one in drawn({"sun_flare": {}}, (200, 300), 50):
        (op,) = one
        assert 6 <= len(op.circles) <= 10
        for _, _, radius, opacity, color in op.circles:
            assert radius in (1, 8) and 0.05 <= opacity < 0.2 and all(204 <= value <= 255 for value in color)


# Noise


def test_the_counts_are_those_of_poisson() -> None:
    """Cumulated probabilities by hand: exp(-0.5) = 0.607, exp(-0.5) * 1.5 = 0.910; z of them 0.27 and 1.34."""
    found = thresholds(0.5)
    wanted = [math.exp(-0.5), math.exp(-0.5) * 1.5, math.exp(-0.5) * 1.625]
    assert np.allclose([0.5 * math.erfc(-one / math.sqrt(2)) for one in found[:3]], wanted)
    assert thresholds(0.0).tolist() == [np.inf]
    normal = np.random.default_rng(3).normal(size=200_000)
    for mean in (0.1, 3.0, 64.0):
        counts = np.searchsorted(thresholds(mean), normal)
        assert counts.mean() == pytest.approx(mean, rel=0.02) and counts.var() == pytest.approx(mean, rel=0.02)


@each_backend
def test_noise_of_the_lightness(name: str) -> None:
    """Half of the image has the lightness 40 and half 200, whose deviation is 80: the mean count is 0.5 * 80."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, :100], image[:, 100:] = (60, 40, 20), 200
    step = {"lightness_noise": {"intensity": [0.5, 0.5], "hue": 0}}
    found = train(step, image, backend=name)
    light = (found.max(axis=2).astype(float) + found.min(axis=2)) / 2
    assert light[:, :100].mean() == pytest.approx(40 + 40 * (1 - 40 / 255), abs=0.5)
    assert light[:, 100:].mean() == pytest.approx(200 + 40 * (1 - 200 / 255), abs=0.5)
    assert light[:, :100].std() == pytest.approx(math.sqrt(40) * (1 - 40 / 255), rel=0.05)
    assert (np.ptp(found[:, 100:], axis=2) == 0).all()  # gray stays gray
    hue = (found[:, :100, 1].astype(float) - found[:, :100, 2]) / (
        found[:, :100, 0].astype(float) - found[:, :100, 2]
    )
    assert np.abs(hue - 0.5).max() < 0.06  # the middle channel stays in the middle
    turned = train({"lightness_noise": {"intensity": [0.5, 0.5], "hue": [0.2, 0.2]}}, image, backend=name)[:, :100]
    assert 0.2 < (turned[..., 0] < turned[..., 1]).mean() < 0.8
    coarse = train({"lightness_noise": {"intensity": [0.5, 0.5], "hue": 0, "grain": "coarse"}}, image)
    changed = coarse[:, 100:, 0] != 200
    assert changed.mean() == pytest.approx(1 - math.exp(-0.5 * 80 / 255), abs=0.01)
    assert {*coarse[:, 100:][changed].ravel().tolist()} <= {228, 255}  # 200 + 27.5, and then white


def test_factors_of_images_channels_pixels_and_values() -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    found = {per: train({"multiplicative_noise": {"factor": [0.5, 1.5], "per": per}}, image, 3)
             for per in ("image", "channel", "pixel", "value")}  # fmt: skip
    assert len(np.unique(found["image"])) == 1
    assert len(np.unique(found["channel"].reshape(-1, 3), axis=0)) == 1 and len(np.unique(found["channel"])) == 3
    assert (np.ptp(found["pixel"], axis=2) == 0).all() and (np.ptp(found["value"], axis=2) > 0).mean() > 0.9
    for per in ("pixel", "value"):
        one = found[per].astype(float)
        assert one.min() >= 50 and one.max() <= 150 and one.mean() == pytest.approx(100, abs=1.5)
        assert one.std() == pytest.approx(100 / math.sqrt(12), rel=0.03)
    pipe = Pipeline.from_spec([{"multiplicative_noise": {"factor": [0.5, 1.1], "p": 0.5}}])
    assert (pipe.test(image) == 90).all()  # half of the time 80 on average


def test_gray_noise_and_its_variance() -> None:
    image = np.full((100, 120, 3), 128, np.uint8)
    found = train({"gaussian_noise": {"std": [0.1, 0.1], "per": "pixel"}}, image).astype(int)
    assert (np.ptp(found, axis=2) == 0).all() and found.std() == pytest.approx(25.5, rel=0.03)
    step = {"gaussian_noise": {"std": [0.0, 0.1], "uniform": "variance"}}
    squares = [op.amounts[0] ** 2 for one in drawn(step, (9, 9), 400) for op in one]
    assert np.mean(squares) == pytest.approx(0.005, rel=0.06) and np.median(squares) == pytest.approx(0.005, rel=0.15)
    assert "per" not in str(Pipeline.from_spec([{"gaussian_noise": {"std": 0.1}}]).to_spec())


def test_a_turned_blur() -> None:
    """By hand: with one deviation and the power 1 it is a Gaussian; a line along y for a narrow one of x."""
    even = ops.oriented_blur(5, (1.3, 1.3), 40.0, 1.0, [1.0] * 25)
    assert np.allclose(even.kernel, ops.windowed_blur(1.3, 5).kernel)
    kernel = np.array(ops.oriented_blur(5, (0.1, 2.0), 0.0, 1.0, [1.0] * 25).kernel)
    assert kernel[:, 2].sum() == pytest.approx(1) and kernel[:, [0, 1, 3, 4]].sum() < 1e-9
    up = np.array(ops.oriented_blur(7, (3.0, 0.5), 45.0, 1.0, [1.0] * 49).kernel)
    assert up[1, 5] > 10 * up[1, 1]  # from the left below to the right above
    powers = [op for one in drawn({"oriented_blur": {"power": [0.5, 8], "noise": 1}}, (9, 9), 60) for op in one]
    assert {len(op.kernel) for op in powers} == {3, 5, 7}
    assert all(math.fsum(map(math.fsum, op.kernel)) == pytest.approx(1) for op in powers)
    flat = ops.oriented_blur(3, (1.0, 1.0), 0.0, 50.0, [1.0] * 9).kernel  # a plateau up to a distance of 1
    assert flat[0][0] < 1e-9 and flat[0][1] == pytest.approx(flat[1][1], rel=0.5)
