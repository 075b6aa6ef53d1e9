"""Transforms of lenses, sensors, channels and files: what people expect of their names."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import Any

import images
import numpy as np
import pytest
from one_step import drawn, each_backend, train
from PIL import Image

import augreg
from augreg import ImageError, Pipeline, SpecError, ops
from augreg.backends import displacement
from augreg.ops import Move, Paint, Scene
from augreg.rng import address_of
from augreg.transforms.fitting import SafeCrop


def flat(value: int, channels: int = 3) -> np.ndarray:
    return np.full((120, 160, channels), value, np.uint8)


# Distortion


@each_backend
@pytest.mark.parametrize(
    ("step", "given"),
    [("elastic", {"alpha": 0}), ("grid_distortion", {"limit": 0}), ("optical_distortion", {"k": 0})],
)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_distortion_of_nothing_changes_nothing(step: str, given: dict, interpolation: str, name: str) -> None:
    image = images.made("noise", 24, 31, 3)
    found = train({step: given | {"interpolation": interpolation}}, image, backend=name)
    assert np.array_equal(found, image)


def test_elastic_with_normal_noise_moves_pixels_as_far_as_white_noise_smoothed_does() -> None:
    """A Gaussian leaves 1 / (2 sqrt(pi) sigma) of a deviation; theirs is 1 / 4.59, the largest of 131,072 numbers."""
    deviations = []
    for key in range(6):
        ys, xs = displacement.sources(ops.elastic(Scene(256, 256), 120.0, 6.0, key, noise="normal"), 256, 256)
        shifts = ys - np.arange(256)[:, None] - 0.5, xs - np.arange(256) - 0.5
        deviations += [shift.std() for shift in shifts]
    assert np.mean(deviations) == pytest.approx(120 / 4.59 / (2 * math.sqrt(math.pi) * 6.0), rel=0.05)


def test_elastic_moves_pixels_as_far_as_its_docstring_says_and_smoothly() -> None:
    op = ops.elastic(Scene(200, 240), 50.0, 5.0, 7)
    ys, xs = displacement.sources(op, 200, 240)
    shift = ys - (np.arange(200) + 0.5)[:, None]
    assert abs(shift.std() - 0.163 * 50 / 5) < 0.15
    assert abs(shift.mean()) < 0.2
    assert np.abs(np.diff(shift, axis=1)).max() < 1.6  # white noise of this size would jump by 8
    assert abs(np.corrcoef(shift.ravel(), (xs - (np.arange(240) + 0.5)).ravel())[0, 1]) < 0.1


def test_grid_distortion_keeps_the_edge_and_moves_the_nodes() -> None:
    op = ops.grid(Scene(100, 100), 4, 5, 0.5, 3)
    ys, xs = displacement.sources(op, 100, 100)
    assert abs(ys[0] - 0.5).max() < 0.5  # half a pixel from the edge, where nothing moves
    assert abs(xs[:, -1] - 99.5).max() < 0.5
    assert abs(xs - np.arange(100) - 0.5).max() > 2.0
    assert (np.diff(ys, axis=0) > 0).all()
    assert (np.diff(xs, axis=1) > 0).all()  # no folds


def test_a_barrel_shrinks_the_corners_and_a_pincushion_pulls_them_out() -> None:
    image = flat(200)
    barrel = train({"optical_distortion": {"k": [0.3, 0.3], "fill": 7}}, image)
    pincushion = train({"optical_distortion": {"k": [-0.3, -0.3], "fill": 7}}, image)
    assert (barrel[[0, 0, -1, -1], [0, -1, 0, -1]] == 7).all()
    assert (barrel[60, 80] == 200).all()
    assert (pincushion == 200).all()


# Noise


@each_backend
@pytest.mark.parametrize(
    ("step", "deviation"),
    [
        ({"gaussian_noise": 0.05}, 0.05),
        ({"shot_noise": 100}, np.sqrt(120 / 255 / 100)),
        ({"iso_noise": {"grain": 0.1, "color": 0.03}}, np.hypot(0.1 * np.sqrt(120 / 255), 0.03)),
    ],
    ids=str,
)
def test_noise_has_its_mean_and_deviation(step: dict, deviation: float, name: str) -> None:
    found = train(step, flat(120), backend=name).astype(float)
    count = found[..., 0].size
    assert abs(found.mean() - 120) < 5 * 255 * deviation / np.sqrt(count)
    assert abs(found.std() / (255 * deviation) - 1) < 5 / np.sqrt(2 * count)
    assert not np.array_equal(found, train(step, flat(120), index=1, backend=name))


def test_shot_noise_is_poisson_where_photons_are_few() -> None:
    """White is 20 photons, so a value of 51 is 4; the counts have Poisson's probabilities, and black stays black."""
    found = train({"shot_noise": 20}, np.full((300, 300, 1), 51, np.uint8)) * (20 / 255)
    counts = np.bincount(np.rint(found).astype(int).ravel(), minlength=12)[:12] / found.size
    poisson = np.exp(-4.0) * np.array([4.0**k for k in range(12)]) / np.cumprod([1, *range(1, 12)])
    assert np.abs(counts - poisson).max() < 0.01
    assert not train({"shot_noise": 20}, flat(0)).any()


def test_iso_noise_is_colorless_without_color() -> None:
    found = train({"iso_noise": {"grain": 0.2, "color": 0}}, flat(120))
    assert np.ptp(found, axis=2).max() == 0
    assert found.std() > 20


def test_gaussian_noise_of_normalized_images_is_not_clipped_and_sensors_come_before() -> None:
    pipe = Pipeline.from_spec([{"normalize": {"mean": "half", "std": "half"}}, {"gaussian_noise": 0.5}])
    found = pipe.train(flat(250), 0)
    assert found.max() > 2.0
    assert abs(found.std() - 0.5) < 0.01
    with pytest.raises(SpecError, match="normalize"):
        Pipeline.from_spec([{"normalize": "half"}, "jpeg"])


# Blur and detail


@each_backend
def test_motion_blur_draws_a_line_of_its_length_and_angle(name: str) -> None:
    dot = np.zeros((41, 41, 1), np.float32)
    dot[20, 20] = 1.0
    across = train({"motion_blur": {"length": 9, "angle": [0, 0]}}, dot, backend=name)[..., 0]
    assert np.allclose(across.sum(), 1.0, atol=1e-5)
    assert np.flatnonzero(across.any(axis=1)).tolist() == [20]
    assert np.ptp(np.flatnonzero(across.any(axis=0))) == 8
    up = train({"motion_blur": {"length": 15, "angle": [45, 45]}}, dot, backend=name)[..., 0]
    assert up[16, 24] > 0.05  # counter-clockwise: up and to the right
    assert up[24, 24] < 1e-9


@each_backend
def test_motion_blur_goes_on_in_its_direction(name: str) -> None:
    """A line of 9 pixels to the right of its pixel: a dot is smeared to its left, whose pixels see it."""
    dot = np.zeros((21, 21, 1), np.float32)
    dot[10, 10] = 1.0

    def columns(**arguments: Any) -> list[int]:
        step = {"motion_blur": {"length": 9, "angle": [0, 0], **arguments}}
        found = train(step, dot, backend=name)[..., 0]
        assert found.sum() == pytest.approx(1.0, abs=1e-4) and np.flatnonzero(found.any(axis=1)).tolist() == [10]
        return np.flatnonzero(found[10] > 0.02).tolist()

    assert columns(direction=1) == [6, 7, 8, 9, 10] and columns(direction=-1) == [10, 11, 12, 13, 14]
    assert columns(direction=0.5) == [6, 7, 8, 9, 10, 11, 12]
    assert columns(direction=0) == [6, 7, 8, 9, 10, 11, 12, 13, 14]
    up = train({"motion_blur": {"length": 9, "angle": [90, 90], "direction": 1}}, dot, backend=name)[..., 0]
    assert np.flatnonzero(up[:, 10] > 0.02).tolist() == [10, 11, 12, 13, 14]  # what lies below sees it above


def test_motion_blur_moves_its_line_by_up_to_a_fraction_of_half_of_it() -> None:
    """The center of the weights is where the line is: within 0.5 of 4 pixels, and everywhere there."""
    centers = []
    for (op,) in drawn({"motion_blur": {"length": 9, "shift": 0.5}}, (9, 9), 300):
        weights = np.array(op.kernel)
        rows, columns = (np.arange(side) - side // 2 for side in weights.shape)
        assert weights.sum() == pytest.approx(1.0) and max(weights.shape) <= 9  # what would leave the square does not
        centers.append((weights.sum(axis=1) @ rows, weights.sum(axis=0) @ columns))
    assert np.abs(centers).max() < 2.0 + 1e-9 and (np.ptp(centers, axis=0) > 3.6).all()
    assert np.abs(np.mean(centers, axis=0)).max() < 0.25
    plain = Pipeline.from_spec(["motion_blur"])
    assert plain.fingerprint == Pipeline.from_spec([{"motion_blur": {"direction": 0, "shift": 0}}]).fingerprint


@each_backend
def test_median_blur_removes_specks_and_keeps_edges(name: str) -> None:
    image = flat(40)
    image[:, 80:] = 200
    specked = image.copy()
    specked[10::20, 10::20] = 255
    assert np.array_equal(train({"median_blur": 5}, specked, backend=name), image)


def test_median_blur_draws_odd_sides() -> None:
    sides = {op.amount for (op,) in drawn({"median_blur": [3, 9]}, (9, 9), 60)}
    assert sides == {3.0, 5.0, 7.0, 9.0}
    with pytest.raises(SpecError, match="odd"):
        Pipeline.from_spec([{"median_blur": 4}])


@each_backend
def test_a_blur_of_a_size_ends_there(name: str) -> None:
    """Weights by hand: e^(-1/8) and e^(-1/2) beside 1; with deviation 0, OpenCV's for 5 pixels, which is 1.1."""
    dot = np.zeros((15, 15, 1), np.float32)
    dot[7, 7] = 1.0
    for sigma, deviation in ((2.0, 2.0), (0.0, 1.1)):
        found = train({"gaussian_blur": {"sigma": [sigma, sigma], "size": 5}}, dot, backend=name)[..., 0]
        weights = np.array([math.exp(-2 / deviation**2), math.exp(-0.5 / deviation**2), 1.0])
        weights = np.array([*weights, *weights[1::-1]]) / (2 * weights.sum() - 1)
        assert np.allclose(found[5:10, 5:10], np.outer(weights, weights), atol=1e-6)
        assert found.sum() == pytest.approx(1.0, abs=1e-5)
    mean = train({"box_blur": 3}, dot, backend=name)[..., 0]
    assert np.allclose(mean[6:9, 6:9], 1 / 9, atol=1e-6) and mean.sum() == pytest.approx(1.0, abs=1e-5)
    corner = np.zeros((4, 4, 1), np.uint8)
    corner[1, 1] = 90  # which the mirrored border shows four times around the first pixel
    assert train({"box_blur": 3}, corner, backend=name)[0, 0] == 40


@each_backend
def test_edges_by_hand(name: str) -> None:
    """One brighter pixel in a flat image: its value, and the values around it, are the weights times its excess."""
    image = np.full((5, 5, 1), 100, np.uint8)
    image[2, 2] = 110
    sharp = train({"sharpen": {"alpha": [0.5, 0.5], "lightness": [0.8, 0.8]}}, image, backend=name)[..., 0]
    assert sharp[0, 0] == 90 and sharp[1, 2] == 85 and sharp[2, 2] == 90 + 49  # 0.5 + 0.5 * 8.8 = 4.9 times 10
    relief = train({"emboss": {"alpha": [0.5, 0.5], "strength": [0.6, 0.6]}}, image, backend=name)[..., 0]
    assert relief[0, 0] == 100 and relief[2, 2] == 110
    assert relief[1, 1] == 108 and relief[3, 3] == 92  # it lies below on the right of the first, and weighs 0.8
    assert relief[2, 1] == 103 and relief[2, 3] == 97
    transparent = np.dstack([image] * 3 + [np.where(image > 100, 0, 255)]).astype(np.uint8)
    spec = {"image": [{"sharpen": {"p": 1}}], "backend": name, "channels": "rgba"}
    found = np.asarray(Pipeline.from_spec(spec).train(Image.fromarray(transparent, "RGBA"), 0))
    assert np.array_equal(found[..., 3], transparent[..., 3]) and not np.array_equal(found, transparent)


def test_mean_weights_give_the_mean_image() -> None:
    """The mean of 4000 draws, of pixel values that nothing clips."""
    image = np.random.default_rng(0).uniform(0.45, 0.55, (3, 4, 1)).astype(np.float32)
    for step in ("sharpen", "emboss"):
        pipe = Pipeline.from_spec({"image": [{step: {"p": 0.6}}], "seed": 1})
        mean = np.mean([pipe.train(image, index) for index in range(4000)], axis=0)
        assert np.abs(mean - pipe.test(image)).max() < 0.006
        assert np.abs(image - pipe.test(image)).max() > 0.02


def test_sides_of_blurs() -> None:
    """A kernel of albumentations has a whole number of pixels, and one more if it is even."""
    found = drawn({"gaussian_blur": {"sigma": 1, "size": [3, 7]}}, (9, 9), 400)
    counts = Counter(len(op.kernel) for (op,) in found)
    assert counts.keys() == {3, 5, 7} and 40 < counts[3] < 120 and 110 < counts[5] < 210  # 1, 2 and 2 of 5
    counts = Counter(len(op.kernel) for (op,) in drawn({"box_blur": [3, 7]}, (9, 9), 300))
    assert counts.keys() == {3, 5, 7} and min(counts.values()) > 70
    with pytest.raises(SpecError, match="size must be odd numbers from 1 to 127"):
        Pipeline.from_spec([{"box_blur": 4}])
    plain, later = Pipeline.from_spec(["gaussian_blur"]), Pipeline.from_spec([{"gaussian_blur": {"size": None}}])
    assert plain.fingerprint == later.fingerprint and "size" not in plain.to_spec()["image"][0]["gaussian_blur"]


@each_backend
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_pillow_writes_and_reads(channels: int, name: str) -> None:
    image = np.ascontiguousarray(next(iter(images.photos().values()))[:90, :121, :channels])
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if channels == 1 else image).save(file, "JPEG", quality=17)
    wanted = np.asarray(Image.open(file)).reshape(image.shape)
    assert np.array_equal(train({"jpeg": 17}, image, backend=name), wanted)
    floats = image.astype(np.float32) / np.float32(255)
    assert np.allclose(train({"jpeg": 17}, floats, backend=name) * 255, wanted, atol=1e-3)


@pytest.mark.parametrize("step", ["jpeg", "clahe"])
def test_files_and_luma_have_no_place_for_four_channels(step: str) -> None:
    with pytest.raises(ImageError, match="4 channels"):
        train(step, flat(9, 4), channels="keep")


def test_downscale_has_no_more_pixel_values_than_the_small_image() -> None:
    image = images.made("noise", 40, 60, 1)
    found = train({"downscale": 0.1}, image)
    assert found.shape == image.shape
    assert np.array_equal(found, np.repeat(np.repeat(found[5::10, 5::10], 10, 0), 10, 1))
    assert found.std() < image.std() / 4
    assert np.array_equal(train({"downscale": 0.1}, image, approximate=True), found)


# Pixel values and channels


def test_gamma_bends_the_middle_and_joins_its_neighbors() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    for power in (0.5, 2.0):
        found = train({"gamma": power}, ramp).ravel()
        assert np.array_equal(found, np.rint(255 * (np.arange(256) / 255) ** power))
    pipe = Pipeline.from_spec(["invert", {"gamma": 0.5}, {"brightness": 0.5}])
    assert len(pipe.train.plan((8, 8), index=0).ops) == 1
    brighter = [float(op.stages[0].amount) < 1 for (op,) in drawn({"gamma": [0.5, 2.0]}, (8, 8), 400)]
    assert abs(np.mean(brighter) - 0.5) < 5 * 0.5 / 20


@each_backend
def test_clahe_raises_the_contrast_of_what_is_dark_and_keeps_colors(name: str) -> None:
    image = flat(220)
    image[:60] = images.made("noise", 60, 160, 3)[..., :1] // 16 + 20
    found = train({"clahe": 4}, image, backend=name)
    assert found[:60].std() > 2 * image[:60].std()
    assert np.ptp(found, axis=2).max() == 0  # gray stays gray
    tinted = image // 2 + np.array([40, 60, 90], np.uint8)
    moved = train({"clahe": 2}, tinted, backend=name).astype(int) - tinted
    unclipped = (tinted + moved > 0).all(axis=2) & (tinted + moved < 255).all(axis=2)
    assert unclipped.mean() > 0.5
    assert np.ptp(moved, axis=2)[unclipped].max() == 0  # all channels move together


def test_clahe_has_no_tiles_below_8_pixels() -> None:
    assert [op.tiles for (op,) in drawn({"clahe": {"tiles": 8}}, (20, 160), 1)] == [(2, 8)]


def test_rgb_shift_moves_each_channel_by_its_own_number() -> None:
    found = train({"rgb_shift": 50}, flat(120))
    shifts = found[0, 0].astype(int) - 120
    assert (found == found[0, 0]).all()
    assert len(set(shifts)) == 3
    assert np.abs(shifts).max() <= 50
    assert np.array_equal(train({"rgb_shift": [200, 200]}, flat(120)), flat(255))


def test_channel_shuffle_takes_every_order_and_keeps_pixel_values() -> None:
    image = flat(0) + np.array([10, 20, 30], np.uint8)
    orders = {tuple(train("channel_shuffle", image, index)[0, 0]) for index in range(80)}
    assert len(orders) == 6
    assert all(sorted(order) == [10, 20, 30] for order in orders)


def test_channel_drop_leaves_at_least_one() -> None:
    seen = set()
    for index in range(40):
        found = train({"channel_drop": {"count": [1, 5], "fill": 3}}, flat(100), index)[0, 0]
        seen.add(tuple(found.tolist()))
    assert {sorted(color).count(100) for color in seen} == {1, 2}
    assert {value for color in seen for value in color} == {3, 100}
    assert np.array_equal(train("channel_drop", flat(100, 1), channels="keep"), flat(100, 1))


# Grid mask: Chen et al. 2020


def test_grid_mask_keeps_the_fraction_that_the_paper_gives() -> None:
    """1 - (1 - ratio)^2 of the image, in the mean over offsets."""
    kept = [np.mean(train({"grid_mask": {"unit": [0.2, 0.5], "ratio": 0.4}}, flat(9, 1), i) > 0) for i in range(150)]
    assert abs(np.mean(kept) - (1 - 0.6**2)) < 0.01


def test_grid_mask_hides_equal_squares_on_a_grid() -> None:
    for boxes in drawn({"grid_mask": {"unit": 0.25, "ratio": 0.6}}, (160, 160), 20):
        assert all(isinstance(box, Paint) for box in boxes)
        inner = [box for box in boxes if min(box.top, box.left) > 0 and box.height == box.width == 16]
        assert len(inner) >= 9
        assert len({box.top % 40 for box in inner}) == len({box.left % 40 for box in inner}) == 1


def test_grid_mask_leaves_something_of_the_smallest_unit() -> None:
    """A unit of 2 pixels with 0.99 of its side hidden: 1 pixel is hidden all the same, so a quarter of the image."""
    found = train({"grid_mask": {"unit": [0.1, 0.1], "ratio": 0.01}}, flat(9, 1)[:20, :20], 0)
    assert np.mean(found == 0) == 0.25


def test_grid_mask_of_a_narrow_image_has_few_boxes() -> None:
    assert max(len(boxes) for boxes in drawn("grid_mask", (2, 5000), 5)) <= 64


# Symmetries and sizes


@pytest.mark.parametrize(("step", "count"), [("rot90", 4), ("d4", 8)])
def test_symmetries_are_all_reached_equally_often_and_are_moves(step: str, count: int) -> None:
    image = images.made("noise", 5, 5, 1)
    seen: dict[bytes, int] = {}
    for index in range(800):
        found = train(step, image, index)
        assert np.array_equal(np.sort(found.ravel()), np.sort(image.ravel()))
        seen[found.tobytes()] = seen.get(found.tobytes(), 0) + 1
    assert len(seen) == count
    assert max(abs(n - 800 / count) for n in seen.values()) < 5 * np.sqrt(800 / count)
    assert all(isinstance(op, Move) for (op,) in drawn(step, (7, 9), 10))


@pytest.mark.parametrize(
    ("size", "wanted", "inside"),
    [
        ((50, 100), (80, 80), (20, 60, 0, 80)),
        ((100, 50), (80, 80), (0, 80, 20, 60)),
        ((10, 10), (31, 40), (0, 31, 4, 35)),
        ((1, 400), (20, 30), (9, 10, 0, 30)),
        ((40, 30), (40, 30), (0, 40, 0, 30)),
    ],
)
def test_letterbox_shows_the_whole_image_and_bars(size: tuple, wanted: tuple, inside: tuple) -> None:
    pipe = Pipeline.from_spec([{"letterbox": {"size": list(wanted), "fill": 7}}])
    found = pipe.train(np.full((*size, 3), 200, np.uint8), 0)
    mask = np.zeros(wanted, bool)
    mask[inside[0] : inside[1], inside[2] : inside[3]] = True
    assert found.shape[:2] == wanted
    assert (found[mask] == 200).all()
    assert (found[~mask] == 7).all()
    assert np.array_equal(pipe.test(np.full((*size, 3), 200, np.uint8)), found)


def test_safe_crop_is_no_larger_than_its_boxes_need() -> None:
    """A box 10 wide and 80 high, in a crop at least half as wide as high: 40 x 80, wherever it holds the box."""
    crop = SafeCrop((32, 32), scale=(0.1, 0.1), ratio=(0.5, 4.0))
    scene = Scene(100, 100, boxes=((20.0, 10.0, 30.0, 90.0),))
    crops = [crop.sample(address_of(0, index).cursor(0), scene)[0] for index in range(200)]
    assert {(op.top, op.height, op.width) for op in crops} == {(10, 80, 40)}
    assert {op.left for op in crops} == set(range(21))


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((50, 100), (32, 64)),
        ((100, 50), (64, 32)),
        ((3, 2), (64, 43)),
        ((1, 500), (1, 64)),
        ((500, 1), (64, 1)),
        ((9, 9), (64, 64)),
    ],
)
def test_longest_max_size(size: tuple, wanted: tuple) -> None:
    assert train({"longest_max_size": 64}, images.made("noise", *size, 3)).shape[:2] == wanted


@each_backend
def test_a_field_of_displacements_is_made_once_for_a_whole_sample(name: str) -> None:
    displacement._kept.cache_clear()
    image = images.made("noise", 40, 60, 3)
    sample = {"image": image, "mask": image[..., 0], "boxes": [[5, 5, 20, 20]], "keypoints": [[9, 9]]}
    spec = {"backend": name, "targets": {"boxes": "xyxy"}, "image": [{"elastic": {"alpha": 30}}]}
    found = Pipeline.from_spec(spec).train(sample, 3)
    assert displacement._kept.cache_info().misses == 1
    displacement._kept.cache_clear()
    assert np.array_equal(Pipeline.from_spec(spec).train(image, 3), found["image"])
    ys, xs = displacement.sources(ops.elastic(Scene(9, 9), 5.0, 2.0, 1), 9, 9)
    assert not ys.flags.writeable and not xs.flags.writeable


@each_backend
def test_pixel_dropout_hits_each_pixel_alone(name: str) -> None:
    white = np.full((100, 120, 3), 255, np.uint8)
    found = train({"pixel_dropout": {"fraction": 0.2, "fill": [9, 8, 7], "p": 1}}, white, backend=name)
    hit = (found == (9, 8, 7)).all(axis=2)
    assert ((found == 255).all(axis=2) | hit).all() and hit.mean() == pytest.approx(0.2, abs=0.02)
    beside = (hit[:, 1:] & hit[:, :-1]).mean()
    assert beside == pytest.approx(0.04, abs=0.01)  # independent of its neighbor
    values = train({"pixel_dropout": {"fraction": 0.2, "per_channel": True, "p": 1}}, white, backend=name) == 0
    assert np.allclose(values.mean(axis=(0, 1)), 0.2, atol=0.02)
    assert (values[..., 0] & values[..., 1]).mean() == pytest.approx(0.04, abs=0.01)


def test_pixel_dropout_in_random_colors_frames_and_normalized_images() -> None:
    image = np.full((30, 40, 3), 77, np.uint8)
    step = {"pixel_dropout": {"fraction": 0.5, "mode": "random", "p": 1}}
    found = [train(step, image, index) for index in range(6)]
    colors = [{*map(tuple, one[(one != 77).any(axis=2)].tolist())} for one in found]
    assert all(len(one) == 1 for one in colors) and len(set.union(*colors)) == 6
    pair = Pipeline.from_spec([step]).train({"image": [image, image]}, 0)["image"]
    assert ((pair[0] != 77).any(axis=2) != (pair[1] != 77).any(axis=2)).any()  # noise of each frame
    after = Pipeline.from_spec(
        [{"normalize": {"mean": 0.5, "std": 0.25}}, {"pixel_dropout": {"fraction": 1.0, "p": 1}}]
    )
    assert (after.train(image, 0) == 0.0).all()


def test_perspective_zoom_enlarges_a_quadrilateral_near_the_corners() -> None:
    """What the corners of the result show: half-normal fractions of the sides, on average 0.8 deviations inward."""
    height, width = 60, 100
    shown = []
    for (op,) in drawn({"perspective_zoom": {"scale": [0.1, 0.1]}}, (height, width), 500):
        a, b, c, d, e, f, g, h = op.matrix
        for x, y in ((0, 0), (width, 0), (width, height), (0, height)):
            depth = g * x + h * y + 1
            u, v = (a * x + b * y + c) / depth, (d * x + e * y + f) / depth
            shown.append((abs(u - x) / width, abs(v - y) / height))
            assert 0 <= u <= width and 0 <= v <= height
    inward = np.array(shown)
    assert inward.max() < 0.32 and np.allclose(inward.mean(axis=0), 0.1 * math.sqrt(2 / math.pi), atol=0.004)
    assert np.allclose((inward**2).mean(axis=0), 0.01, atol=0.001)


def test_perspective_zoom_twice_enlarges_from_the_top_left_corner() -> None:
    """By 100 columns over the length of the longer of the upper and the lower side, a whole number; rows likewise."""
    once, again = (
        drawn({"perspective_zoom": {"scale": [0.2, 0.2], "twice": twice}}, (60, 100), 50) for twice in (False, True)
    )

    def shown(op: Any, x: float, y: float) -> Any:
        a, b, c, d, e, f, g, h = op.matrix
        return np.array([a * x + b * y + c, d * x + e * y + f]) / (g * x + h * y + 1)

    for (one,), (two,) in zip(once, again, strict=True):
        corners = [shown(one, x, y) for x, y in ((0, 0), (100, 0), (100, 60), (0, 60))]
        top, right, bottom, left = (int(np.hypot(*(corners[n] - corners[n - 3]))) for n in range(4))
        for x, y in ((0, 0), (100, 0), (100, 60), (37, 21)):
            assert np.allclose(shown(two, x, y), shown(one, x * max(top, bottom) / 100, y * max(left, right) / 60))
    with pytest.raises(SpecError, match="contradict"):
        Pipeline.from_spec([{"perspective_zoom": {"fit": True, "twice": True}}])
    for version, arguments in (("2.0.8", {"twice": True}), ("1.3.1", {})):
        node = {"__class_fullname__": "Perspective", "scale": [0.1, 0.1], "p": 1.0}
        found = augreg.from_albumentations({"__version__": version, "transform": node})
        expected = {"scale": [0.1, 0.1], "fit": False, **arguments, "interpolation": "bilinear", "p": 1.0}
        assert found.spec["image"] == [{"perspective_zoom": expected}] and not found.report


def test_perspective_zoom_that_fits_shows_the_whole_image() -> None:
    """The corners of the image touch all four sides of the frame, and none lies beyond; even at the largest scale."""
    height, width = 60, 100
    corners = np.array([[0.0, 0], [width, 0], [width, height], [0, height]])
    for scale in (0.05, 0.3, 1.0):
        pipe = Pipeline.from_spec([{"perspective_zoom": {"scale": [scale, scale], "fit": True}}])
        for index in range(60):
            sample = {"image": np.zeros((height, width, 3), np.uint8), "keypoints": corners}
            moved = pipe.train(sample, index)["keypoints"]
            assert np.allclose(moved.min(axis=0), 0, atol=1e-6), (scale, index)
            assert np.allclose(moved.max(axis=0), (width, height), atol=1e-6)
            edges = np.roll(moved, -1, axis=0) - moved
            turns = edges[:, 0] * np.roll(edges, -1, axis=0)[:, 1] - edges[:, 1] * np.roll(edges, -1, axis=0)[:, 0]
            assert (turns > 0).all()  # convex, and not mirrored


def test_gamma_is_drawn_uniformly_where_its_spacing_is_linear() -> None:
    """From 0.5 to 2.5: the mean is 1.5, and that of logarithms, which is 1 / log(5) times 2, is 1.243."""
    for spacing, mean in (("linear", 1.5), ("log", 2.0 / math.log(5.0))):
        ops_drawn = drawn({"gamma": {"gamma": [0.5, 2.5], "spacing": spacing}}, (4, 4), 2000)
        amounts = [op.stages[0].amount for (op,) in ops_drawn]
        assert min(amounts) < 0.52 and max(amounts) > 2.45 and np.mean(amounts) == pytest.approx(mean, abs=0.05)
    plain, later = Pipeline.from_spec(["gamma"]), Pipeline.from_spec([{"gamma": {"spacing": "log"}}])
    assert plain.fingerprint == later.fingerprint


@each_backend
def test_defocus_by_hand(name: str) -> None:
    """A disk of radius 2 has 13 pixels; a Gaussian of 0.5 pixels leaves 1 and two times e^-2 of a row of three."""
    dot = np.zeros((15, 15, 1), np.float32)
    dot[7, 7] = 1.0
    sharp = train({"defocus": {"radius": 2, "edge": [0.01, 0.01]}}, dot, backend=name)[..., 0]
    assert np.count_nonzero(sharp > 1e-6) == 13 and np.allclose(sharp[sharp > 1e-6], 1 / 13, atol=1e-6)
    assert sharp[7, 9] > 0.07 and sharp[8, 9] < 1e-6  # 2 away, and sqrt(5)
    soft = train({"defocus": {"radius": 2, "edge": [0.5, 0.5]}}, dot, backend=name)[..., 0]
    beside = math.exp(-2) / (1 + 2 * math.exp(-2))
    assert soft.sum() == pytest.approx(1.0, abs=1e-5)
    assert soft[7, 10] == pytest.approx(beside * (1 - 2 * beside) / 13, abs=1e-6)  # from the tip of the disk alone
    assert soft[7, 7] == pytest.approx(1 / 13, abs=1e-6)  # all around it is the disk


def test_holes_in_a_grid_by_hand() -> None:
    """Cells of 10x15 pixels have holes of 6x9; on 43x64 pixels there are larger ones, three and four times."""
    white = np.full((40, 60, 3), 255, np.uint8)
    fixed = {"cells": [4, 4], "ratio": 0.6, "offset": "fixed", "shift": [2, 5], "p": 1}
    found = train({"grid_holes": fixed}, white)[..., 0] == 0
    wanted = np.zeros((10, 15), bool)
    wanted[2:8, 5:14] = True
    assert np.array_equal(found, np.tile(wanted, (4, 4)))
    cells = [op for one in drawn({"grid_holes": {**fixed, "shift": [0, 0]}}, (43, 61), 30) for op in one]
    assert {(op.height, op.width) for op in cells} == {(6, 9)} and len(cells) == 30 * 16
    tops = {tuple(op.top for op in cells[16 * number : 16 * number + 16 : 4]) for number in range(30)}
    assert tops == {(0, 10, 21, 32), (0, 11, 21, 32), (0, 11, 22, 32), (0, 11, 22, 33)}


def test_offsets_of_holes_in_a_grid() -> None:
    each = [op for one in drawn({"grid_holes": {"unit": [20, 20]}}, (60, 80), 60) for op in one]
    assert len(each) in range(60 * 12 // 4, 60 * 12)  # applied half of the time
    assert {op.top % 20 for op in each} == {*range(11)} == {op.left % 20 for op in each}
    for one in drawn({"grid_holes": {"unit": [20, 20], "offset": "all", "p": 1}}, (60, 80), 20):
        assert len({(op.top % 20, op.left % 20) for op in one}) == 1 and len(one) == 12
    units = {len(one) for one in drawn({"grid_holes": {"unit": [20, 30], "p": 1}}, (60, 60), 60)}
    assert units == {4, 9}
    with pytest.raises(SpecError, match="give one of them"):
        Pipeline.from_spec([{"grid_holes": {"unit": 9, "cells": 3}}])
