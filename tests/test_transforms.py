"""What the transforms draw: the distributions that their papers give, and what is done of them at test time."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import images
import numpy as np
import pytest

from augreg import Pipeline
from augreg.errors import SpecError
from augreg.execution.sampling import Entry
from augreg.ops import Move, Normalize, Op, Pad, Paint, Resize, Scene
from augreg.rng import address_of
from augreg.transforms.batch import Mosaic, ResizeMix
from augreg.transforms.erasing import Cutout
from augreg.transforms.geometry import RandomResizedCrop
from augreg.transforms.warps import Perspective


def draws(spec: list, size: tuple[int, int], count: int) -> Iterator[list[Entry]]:
    """What the steps of a spec draw for `count` images of this size; no pixel is touched."""
    pipe = Pipeline.from_spec({"seed": 20, "image": spec})
    for index in range(count):
        yield pipe.train.plan(size, index=index).entries


def drawn(step: Any, size: tuple[int, int], count: int) -> Iterator[list[Op]]:
    """The ops of a spec's only step."""
    for entries in draws([step], size, count):
        yield entries[0].ops


def sigmas(mean: float, wanted: float, deviation: float, count: int) -> float:
    """How far a mean of `count` draws is from what is wanted, in its own deviations."""
    return abs(mean - wanted) / (deviation / math.sqrt(count))


FAR = 5.0  # a mean is further off than five sigmas once in two million times


class Script:
    """Replaces a cursor, and draws the given integers."""

    def __init__(self, *integers: int) -> None:
        self.next = iter(integers)

    def integers(self, stop: int) -> int:
        found = next(self.next)
        assert 0 <= found < stop
        return found


class Lowest:
    """Replaces a cursor; every uniform draw is the low end."""

    def uniform(self, low: float, high: float) -> float:
        return low

    def integers(self, stop: int) -> int:
        return 0


class Highest(Lowest):
    """Replaces a cursor; every uniform draw is the high end."""

    def uniform(self, low: float, high: float) -> float:
        return high


# Cutout: DeVries and Taylor 2017


def _hidden(side: int, size: tuple[int, int], y: int, x: int) -> tuple[int, int, int, int] | None:
    """Top, left, bottom and right of what a cutout with this center hides."""
    found = Cutout(side).sample(Script(y, x), Scene(*size))
    if not found:
        return None
    (box,) = found
    return box.top, box.left, box.top + box.height, box.left + box.width


@pytest.mark.parametrize(
    ("side", "width", "length", "whole"),
    [(16, 32, 14.0, 17 / 32), (8, 32, 7.5, 25 / 32), (20, 32, 16.875, 13 / 32), (112, 224, 98.0, 113 / 224)],
)
def test_cutout_hides_the_papers_area_on_average(side: int, width: int, length: float, whole: float) -> None:
    """Over all centers, exactly: 16 on 32 hides 14 x 14 on average, .1914 of the image and not a quarter."""
    step = 1 if width == 32 else 3
    lengths = [_hidden(side, (width, width), y, width // 2) for y in range(width)]
    down = [box[2] - box[0] for box in lengths]
    assert sum(down) / width == length
    assert sum(one == side for one in down) / width == whole
    # and the two directions are drawn apart
    for y, x in itertools.product(range(0, width, step), repeat=2):
        top, left, bottom, right = _hidden(side, (width, width), y, x)
        assert (bottom - top, right - left) == (down[y], down[x])


def test_the_mean_area_of_cutout_16_on_32() -> None:
    boxes = [_hidden(16, (32, 32), y, x) for y in range(32) for x in range(32)]
    areas = [(bottom - top) * (right - left) for top, left, bottom, right in boxes]
    assert sum(areas) / len(areas) / 32**2 == 0.19140625


def test_the_border_clips_a_cutout() -> None:
    assert _hidden(16, (32, 32), 0, 0) == (0, 0, 8, 8)
    assert _hidden(16, (32, 32), 31, 31) == (23, 23, 32, 32)
    assert _hidden(16, (32, 40), 16, 20) == (8, 12, 24, 28)
    assert _hidden(5, (32, 32), 10, 10) == (8, 8, 12, 12)  # an odd side hides one less
    assert _hidden(2, (32, 32), 10, 10) == (9, 9, 11, 11)


def test_cutout_draws_its_center_over_all_pixels() -> None:
    rows = Counter(box.top + box.height for (box,) in drawn({"cutout": {"size": 16}}, (32, 32), 4000))
    # centers 24..31 end at the border
    assert set(rows) == set(range(8, 33))
    assert sigmas(rows[32] / 4000, 8 / 32 + 1 / 32, math.sqrt(9 * 23) / 32, 4000) < FAR


def test_cutout_as_a_fraction_and_with_several_holes() -> None:
    for boxes in drawn({"cutout": {"size": 0.25, "holes": 3}}, (40, 60), 50):
        assert len(boxes) == 3
        assert max(box.height for box in boxes) <= 10
    assert all(box.fill == (9.0,) for (box,) in drawn({"cutout": {"size": 4, "fill": 9}}, (8, 8), 20))


# Random erasing: Zhong et al. 2017


def test_random_erasing_keeps_area_and_aspect() -> None:
    count = 4000
    boxes = [found[0] for found in drawn({"random_erasing": {"p": 1}}, (200, 300), count) if found]
    assert len(boxes) > 0.999 * count
    areas = np.array([box.height * box.width for box in boxes]) / 60000
    assert areas.min() > 0.02 - 0.003
    assert areas.max() < 1 / 3 + 0.003
    aspects = np.log([box.height / box.width for box in boxes])
    assert np.abs(aspects).max() < -math.log(0.3) + 0.05
    assert all(0 < box.height < 200 and 0 < box.width < 300 for box in boxes)
    assert all(0 <= box.top <= 200 - box.height and 0 <= box.left <= 300 - box.width for box in boxes)
    # boxes of all places: the mean of the relative offset is a half
    offsets = np.array([box.top / (200 - box.height) for box in boxes])
    assert sigmas(offsets.mean(), 0.5, offsets.std(), len(boxes)) < FAR


def test_random_erasing_takes_area_and_aspect_uniformly_where_all_fit() -> None:
    """Small boxes are never refused, so the draws show as they are: the area uniform, the aspect's logarithm too."""
    count = 3000
    step = {"random_erasing": {"p": 1, "area": [0.02, 0.08]}}
    boxes = [found[0] for found in drawn(step, (600, 600), count)]
    areas = np.array([box.height * box.width for box in boxes]) / 360000
    aspects = np.log([box.height / box.width for box in boxes])
    assert sigmas(areas.mean(), 0.05, 0.06 / math.sqrt(12), count) < FAR
    assert sigmas(aspects.mean(), 0.0, -2 * math.log(0.3) / math.sqrt(12), count) < FAR
    assert aspects.std() == pytest.approx(-2 * math.log(0.3) / math.sqrt(12), rel=0.05)


def test_random_erasing_gives_up_where_nothing_fits() -> None:
    """A box must be smaller than the image in both directions; after ten tries nothing is done."""
    assert not any(drawn({"random_erasing": {"p": 1, "area": [1, 1]}}, (50, 50), 100))


def test_random_erasing_fills_as_its_mode_says() -> None:
    after = {"normalize": {"mean": 0.5, "std": 0.5}}
    step = {"random_erasing": {"p": 1, "mode": "random"}}
    colors = [found[0].fill for found in drawn(step, (60, 60), 500)]
    values = np.array(colors)
    assert values.shape == (500, 3)
    assert values.min() >= 0
    assert values.max() <= 255
    assert (values == values.astype(int)).all()
    assert sigmas(values.mean(), 127.5, 256 / math.sqrt(12), 1500) < FAR
    normal = np.array([entries[1].ops[0].fill for entries in draws([after, step], (60, 60), 500)])
    assert sigmas(normal.mean(), 0.0, 1.0, 1500) < FAR
    assert normal.std() == pytest.approx(1.0, abs=0.1)
    boxes = [found[0] for found in drawn({"random_erasing": {"p": 1, "mode": "pixel"}}, (60, 60), 100)]
    assert {box.noise for box in boxes} == {"uniform"}
    assert len({box.key for box in boxes}) == 100
    constant = [found[0] for found in drawn({"random_erasing": {"p": 1, "fill": 17}}, (60, 60), 100)]
    assert {box.fill for box in constant} == {(17.0,)}


# Random resized crop: Szegedy et al. 2014


class Tries:
    """Replaces a cursor: it passes draws on, and counts the tries by their uniforms."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.uniforms = rng, 0

    def uniform(self, low: float, high: float) -> float:
        self.uniforms += 1
        return float(self.rng.uniform(low, high))

    def integers(self, stop: int) -> int:
        return int(self.rng.integers(stop))


@pytest.mark.parametrize(
    ("size", "first_try", "fallback", "area", "root"),
    [
        ((224, 224), 0.862, 0.0, 0.480, 0.669),
        ((375, 500), 0.743, 0.0, 0.433, 0.635),
        ((300, 900), 0.281, 0.0365, 0.216, 0.455),
        ((100, 1000), 0.025, 0.781, 0.097, 0.311),
    ],
)
def test_random_resized_crop_accepts_as_often_and_as_much(
    size: tuple[int, int], first_try: float, fallback: float, area: float, root: float
) -> None:
    """The mean area is .43 of a 375x500 image, not .54: the larger boxes are refused more often."""
    rng = np.random.default_rng(4)
    count = 12000
    first, fallen, areas = 0, 0, []
    for _ in range(count):
        tries = Tries(rng)
        move, _ = RandomResizedCrop((224, 224)).sample(tries, Scene(*size))
        first += tries.uniforms == 2
        fraction = move.height * move.width / (size[0] * size[1])
        if tries.uniforms == 20 and (move.top, move.left) == _center(move, size):
            fallen += 1
        else:
            areas.append(fraction)
    assert first / count == pytest.approx(
        first_try, abs=0.0005 + FAR * math.sqrt(first_try * (1 - first_try) / count)
    )
    assert fallen / count == pytest.approx(fallback, abs=0.0008 + FAR * math.sqrt(fallback * (1 - fallback) / count))
    assert np.mean(areas) == pytest.approx(area, abs=0.0006 + FAR * np.std(areas) / math.sqrt(len(areas)))
    assert np.mean(np.sqrt(areas)) == pytest.approx(root, abs=0.0006 + FAR * np.std(areas) / math.sqrt(len(areas)))


def _center(move: Move, size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] - move.height) // 2, (size[1] - move.width) // 2


def test_random_resized_crop_through_the_pipeline() -> None:
    count = 4000
    areas = []
    for move, resize in drawn({"random_resized_crop": 224}, (375, 500), count):
        assert (resize.height, resize.width, resize.antialias) == (224, 224, True)
        assert 0 <= move.top <= 375 - move.height
        assert 0 <= move.left <= 500 - move.width
        assert 3 / 4 - 0.02 < move.width / move.height < 4 / 3 + 0.02
        areas.append(move.height * move.width / 375 / 500)
    assert min(areas) > 0.08 - 0.002
    assert np.mean(areas) == pytest.approx(0.433, abs=0.0006 + FAR * np.std(areas) / math.sqrt(count))


def test_random_resized_crop_takes_a_box_as_wide_as_the_image_at_any_height() -> None:
    """Half the area at 4:1 is 20 x 5 of 20 x 10: it fits at the tops 0 to 5."""
    step = {"random_resized_crop": {"size": 8, "scale": [0.5, 0.5], "ratio": [4, 4]}}
    crops = [move for move, _ in drawn(step, (10, 20), 100)]
    assert {(crop.height, crop.width, crop.left) for crop in crops} == {(5, 20, 0)}
    assert {crop.top for crop in crops} == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((100, 1000), (0, (1000 - 133) // 2, 100, 133)),  # too wide: as wide as 4:3 allows
        ((1000, 100), ((1000 - 133) // 2, 0, 133, 100)),  # too tall
        ((90, 100), (0, 0, 90, 100)),  # within the ratios: the whole image
    ],
)
def test_random_resized_crop_falls_back_to_the_center(size: tuple[int, int], box: tuple) -> None:
    """After ten tries that do not fit, the largest central box within the ratios."""

    class Largest(Lowest):
        def uniform(self, low: float, high: float) -> float:
            self.calls = getattr(self, "calls", 0) + 1
            # the area is the whole, and the aspect is far from the image's
            return 1.0 if self.calls % 2 else (high if size[0] > size[1] else low)

    move, _ = RandomResizedCrop((32, 32), scale=(1.0, 1.0)).sample(Largest(), Scene(*size))
    assert (move.top, move.left, move.height, move.width) == box


def test_random_crop_of_a_padded_image_reaches_both_ends() -> None:
    """Padding 4 leaves nine offsets, 0 to 8, in each direction, all as likely and drawn apart."""
    count = 8100
    found = Counter()
    for border, move in drawn({"random_crop": {"size": 32, "padding": 4}}, (32, 32), count):
        assert (border.top, border.bottom, border.left, border.right) == (4, 4, 4, 4)
        found[move.top, move.left] += 1
    assert set(found) == set(itertools.product(range(9), range(9)))
    assert _chi_square(found.values(), count / 81) < 155.0  # 80 degrees of freedom, p = 1e-6


def _chi_square(counts: Any, wanted: float) -> float:
    return sum((count - wanted) ** 2 / wanted for count in counts)


def test_random_crop_pads_what_is_too_small_evenly() -> None:
    for border, move in drawn({"random_crop": 20}, (15, 30), 20):
        assert (border.top, border.bottom, border.left, border.right) == (2, 3, 0, 0)
        assert (move.height, move.width, move.top) == (20, 20, 0)


# Colors


def test_color_jitter_does_its_four_in_every_order() -> None:
    count = 4800
    spec = {"color_jitter": {"brightness": 0.3, "contrast": 0.2, "saturation": 0.1, "hue": 0.05}}
    orders = Counter(tuple(entry.name for entry in entries[1:]) for entries in draws([spec], (8, 8), count))
    assert set(orders) == set(itertools.permutations(("brightness", "contrast", "saturation", "hue")))
    assert _chi_square(orders.values(), count / 24) < 71.0  # 23 degrees of freedom, p = 1e-6


def test_color_jitter_draws_each_within_its_range() -> None:
    spec = {"color_jitter": {"brightness": 0.3, "contrast": 0.2, "saturation": 0.1, "hue": 0.05}}
    seen: dict[str, list[float]] = {"brightness": [], "contrast": [], "saturation": [], "hue": []}
    for entries in draws([spec], (8, 8), 1500):
        for entry in entries[1:]:
            seen[entry.name].append(_amount(entry.ops[0]))
    for name, (center, reach) in {
        "brightness": (1.0, 0.3),
        "contrast": (1.0, 0.2),
        "saturation": (1.0, 0.1),
        "hue": (0.0, 0.05),
    }.items():
        _uniform(seen[name], center - reach, center + reach)


def test_color_jitter_leaves_out_what_is_off() -> None:
    for entries in draws([{"color_jitter": {"contrast": 0.4}}], (8, 8), 20):
        assert [entry.name for entry in entries] == ["color_jitter", "contrast"]


def _amount(op: Op) -> float:
    """The one number of a color op."""
    if hasattr(op, "stages"):
        return op.stages[0].amount
    return op.shift if hasattr(op, "shift") else op.factor if hasattr(op, "factor") else op.amount


def _uniform(values: list[float], low: float, high: float) -> None:
    """That they look drawn uniformly from a range: all within it, near both ends, with its mean and deviation."""
    found = np.array(values)
    width = high - low
    assert found.min() >= low
    assert found.max() <= high
    assert found.min() < low + 0.02 * width
    assert found.max() > high - 0.02 * width
    assert sigmas(found.mean(), (low + high) / 2, width / math.sqrt(12), len(found)) < FAR
    assert found.std() == pytest.approx(width / math.sqrt(12), rel=0.06)


def _angle(op: Op) -> float:
    return math.degrees(math.atan2(op.matrix[3], op.matrix[0]))


@pytest.mark.parametrize(
    ("step", "read", "low", "high"),
    [
        ({"brightness": {"factor": [0.2, 1.0]}}, _amount, 0.2, 1.0),
        ({"multiply_add": {"factor": 0.2}}, lambda op: op.stages[0].amount[0], 0.8, 1.2),
        ({"multiply_add": {"add": [-0.1, 0.3], "of": "mean"}}, lambda op: op.stages[0].amount[1], -0.1, 0.3),
        ({"contrast": 0.4}, _amount, 0.6, 1.4),
        ({"saturation": {"factor": [0.0, 3.0]}}, _amount, 0.0, 3.0),
        ({"sharpness": {"factor": [0.1, 1.9]}}, _amount, 0.1, 1.9),
        ({"hue": 0.5}, _amount, -0.5, 0.5),
        ({"solarize": {"threshold": [0, 256]}}, _amount, 0.0, 256.0),
        ({"solarize_add": {"amount": [0, 110]}}, _amount, 0.0, 110.0),
        ({"gaussian_blur": {"sigma": [0.1, 2.0]}}, _amount, 0.1, 2.0),
        ({"rotate": 30}, _angle, -30.0, 30.0),
        ({"shear_x": 0.3}, lambda op: op.matrix[1], -0.3, 0.3),
        ({"shear_y": 0.3}, lambda op: op.matrix[3], -0.3, 0.3),
        ({"translate_x": 0.25}, lambda op: -op.matrix[2], -20.0, 20.0),  # of a width of 80
        ({"translate_y": 0.25}, lambda op: -op.matrix[5], -10.0, 10.0),  # of a height of 40
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_range_is_drawn_from_uniformly(step: dict, read: Callable[[Op], float], low: float, high: float) -> None:
    _uniform([read(found[0]) for found in drawn(step, (40, 80), 1500)], low, high)


def test_posterize_draws_whole_bits() -> None:
    bits = Counter(_amount(found[0]) for found in drawn({"posterize": {"bits": [4, 8]}}, (8, 8), 2000))
    assert set(bits) == {4.0, 5.0, 6.0, 7.0, 8.0}
    assert _chi_square(bits.values(), 400) < 33.4  # 4 degrees of freedom, p = 1e-6


def test_affine_keeps_within_its_ranges() -> None:
    step = {"affine": {"degrees": 15, "translate": [0.1, 0.2], "scale": [0.8, 1.25], "shear_x": 0, "shear_y": 0}}
    angles, zooms, downs, rights = [], [], [], []
    for (op,) in drawn(step, (40, 80), 1500):
        inverse = np.array([op.matrix[:3], op.matrix[3:6], (0, 0, 1)])
        forward = np.linalg.inv(inverse)
        zooms.append(math.sqrt(np.linalg.det(forward[:2, :2])))
        angles.append(math.degrees(math.atan2(forward[0, 1], forward[0, 0])))
        center = forward @ (40, 20, 1)
        rights.append(center[0] - 40)
        downs.append(center[1] - 20)
    _uniform(angles, -15, 15)
    _uniform(zooms, 0.8, 1.25)
    _uniform(downs, -4, 4)
    _uniform(rights, -16, 16)


@pytest.mark.parametrize(
    ("given", "matrix"),
    [
        # the output at (x, y) shows the input at (a x + b y + c, d x + e y + f), on an image 80 wide and 40 high
        (
            {"degrees": [90, 90]},
            (0, -1, 60, 1, 0, -20),
        ),  # the top right corner is read from below the image
        ({"shear_x": [45, 45]}, (1, -1, 20, 0, 1, 0)),  # lower rows go right
        ({"shear_y": [45, 45]}, (1, 0, 0, -1, 1, 40)),  # right columns go down
        ({"degrees": [90, 90], "shear_x": [45, 45]}, (-1, -1, 100, 1, 0, -20)),  # sheared, then rotated
        ({"scale": [2, 2]}, (0.5, 0, 20, 0, 0.5, 10)),
        ({"shear_x": [45, 45], "shear_y": [45, 45]}, (1, 0, 0, 0, 1, 0)),  # singular: nothing but the translation
    ],
)
def test_affine_is_the_map_that_its_docstring_describes(given: dict, matrix: tuple) -> None:
    still = {"degrees": 0, "translate": [0, 0], "scale": 1, "shear_x": 0, "shear_y": 0}
    ((op,),) = drawn({"affine": {**still, **given}}, (40, 80), 1)
    assert op.matrix[:6] == pytest.approx(matrix, abs=1e-9)


def test_affine_rotates_counter_clockwise_as_rotate_does() -> None:
    image = images.made("noise", 20, 20, 3)
    still = {"translate": [0, 0], "scale": 1, "shear_x": 0, "interpolation": "nearest"}
    pipe = Pipeline.from_spec([{"affine": {"degrees": [90, 90], **still}}])
    assert np.array_equal(pipe.train(image, index=0), np.rot90(image))


def test_perspective_moves_every_corner_inward() -> None:
    """By half of half the side: the image, 12 wide and 8 high, appears between (3, 2) and (9, 6)."""
    op = Perspective(distortion=0.5).sample(Highest(), Scene(8, 12))
    assert op.matrix == pytest.approx((2, 0, -6, 0, 2, -4, 0, 0), abs=1e-9)


def test_some_of_draws_every_pair_and_keeps_the_order_given() -> None:
    steps = ["invert", {"solarize": 128}, {"posterize": 4}]
    pairs = Counter(
        tuple(entry.name for entry in entries[1:])
        for entries in draws([{"some_of": {"steps": steps, "count": 2}}], (8, 8), 600)
    )
    assert set(pairs) == set(itertools.combinations(("invert", "solarize", "posterize"), 2))
    assert _chi_square(pairs.values(), 200) < 27.6  # 2 degrees of freedom, p = 1e-6


@pytest.mark.parametrize("cls", [Mosaic, ResizeMix])
def test_patches_reach_both_ends_of_each_axis(cls: type) -> None:
    """Crops of 4 pixels for mosaic's cells, and images of 4 pixels for resizemix, begin at 0 to 4 of 8."""
    given = {"center": (0.5, 0.5)} if cls is Mosaic else {"scale": (0.5, 0.5), "per": "element", "pairing": "roll"}
    paste = cls(**given).sample(address_of(0, 0).cursor(0), 200, Scene(8, 8))
    boxes = [patch.source_box if cls is Mosaic else patch.box for patch in paste.patches]
    for axis in (0, 1):
        assert {box[axis] for box in boxes} == {0, 1, 2, 3, 4}


# The chance p

STEPS: dict[str, dict] = {
    "horizontal_flip": {},
    "vertical_flip": {},
    "center_crop": {"size": 9},
    "random_crop": {"size": 9},
    "random_resized_crop": {"size": 9},
    "resize": {"size": 9},
    "pad": {"padding": 1},
    "rotate": {},
    "affine": {},
    "shear_x": {},
    "shear_y": {},
    "translate_x": {},
    "translate_y": {},
    "perspective": {},
    "brightness": {},
    "contrast": {},
    "multiply_add": {},
    "pad_to": {"divisor": 32},
    "saturation": {},
    "sharpness": {},
    "hue": {},
    "color_jitter": {"brightness": 0.4},
    "grayscale": {},
    "invert": {},
    "posterize": {},
    "solarize": {},
    "solarize_add": {},
    "auto_contrast": {},
    "equalize": {},
    "cutout": {"size": 8},
    "random_erasing": {},
    "gaussian_blur": {},
}


@pytest.mark.parametrize("name", STEPS)
def test_never_at_0_always_at_1_and_as_often_as_p_says(name: str) -> None:
    size = (30, 40)
    never = list(draws([{name: {**STEPS[name], "p": 0}}], size, 60))
    assert not any(entries[0].applied or entries[0].ops or entries[1:] for entries in never)
    always = list(draws([{name: {**STEPS[name], "p": 1}}], size, 60))
    assert all(entries[0].applied and (entries[-1].ops or name == "random_erasing") for entries in always)
    count, p = 600, 0.3
    sometimes = [{name: {**STEPS[name], "p": p, "test": "off"}}]
    times = sum(entries[0].applied for entries in draws(sometimes, size, count))
    assert _chance_of_so_far_off(times, count, p) > 1e-6


def _chance_of_so_far_off(times: int, count: int, p: float) -> float:
    """The probability that a binomial count is at least as far from its mean."""
    off = abs(times - count * p)
    return math.fsum(
        math.comb(count, k) * p**k * (1 - p) ** (count - k) for k in range(count + 1) if abs(k - count * p) >= off
    )


@pytest.mark.parametrize("name", ["horizontal_flip", "vertical_flip", "perspective", "random_erasing"])
def test_flips_perspective_and_erasing_have_even_odds(name: str) -> None:
    times = sum(entries[0].applied for entries in draws([name], (30, 40), 1000))
    assert _chance_of_so_far_off(times, 1000, 0.5) > 1e-6


def test_steps_of_one_spec_draw_independently() -> None:
    pairs = Counter(
        (entries[0].applied, entries[1].applied)
        for entries in draws(["horizontal_flip", "vertical_flip"], (8, 8), 2000)
    )
    assert _chi_square(pairs.values(), 500) < 30.7  # 3 degrees of freedom, p = 1e-6


# Sizes


@pytest.mark.parametrize(
    ("size", "crop", "offset"),
    [
        ((10, 10), 4, (3, 3)),
        ((11, 13), 4, (4, 4)),  # 3.5 and 4.5 both go to 4: half to even
        ((256, 341), 224, (16, 58)),  # 58.5 goes to 58
        ((256, 343), 224, (16, 60)),  # 59.5 goes to 60
        ((7, 7), 7, (0, 0)),
    ],
)
def test_center_crop_rounds_its_offset_half_to_even(size: tuple, crop: int, offset: tuple) -> None:
    ((move,),) = drawn({"center_crop": crop}, size, 1)
    assert (move.top, move.left) == offset
    assert (move.height, move.width) == (crop, crop)


def test_center_crop_pads_what_is_too_small() -> None:
    """The odd pixel goes below and to the right."""
    pipe = Pipeline.from_spec([{"center_crop": {"size": [6, 5], "fill": 9}}])
    image = images.made("noise", 3, 8, 1)
    found = pipe.train(image, index=0)
    assert found.shape == (6, 5, 1)
    assert np.array_equal(found[1:4], image[:, 2:7])
    assert (found[[0, 4, 5]] == 9).all()


@pytest.mark.parametrize(
    ("size", "shorter", "wanted"),
    [
        ((375, 500), 256, (256, 341)),  # 341.33
        ((500, 375), 256, (341, 256)),
        ((333, 500), 224, (224, 336)),  # 336.34
        ((480, 640), 255, (255, 340)),
        ((100, 199), 50, (50, 99)),  # 99.5, cut and not rounded
        ((64, 64), 32, (32, 32)),
        ((7, 1000), 3, (3, 428)),
    ],
)
def test_resize_scales_the_shorter_side_and_cuts_the_longer(size: tuple, shorter: int, wanted: tuple) -> None:
    ((resize,),) = drawn({"resize": shorter}, size, 1)
    assert (resize.height, resize.width) == wanted
    assert wanted == tuple(shorter if side == min(size) else int(shorter * max(size) / min(size)) for side in size)


# What is done at test time


def _test_ops(spec: list, size: tuple[int, int] = (40, 60)) -> list[Op]:
    return [op for entry in Pipeline.from_spec(spec).test.plan(size).entries for op in entry.ops]


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpness"])
def test_a_factor_becomes_its_mean(name: str) -> None:
    """In [0.2, 1.0] it is 0.6; applied half the time, and else 1, it is 0.8."""
    (op,) = _test_ops([{name: {"factor": [0.2, 1.0]}}])
    assert _amount(op) == pytest.approx(0.6)
    (op,) = _test_ops([{name: {"factor": [0.2, 1.0], "p": 0.5}}])
    assert _amount(op) == pytest.approx(0.8)
    assert _test_ops([{name: {"factor": [0.2, 1.0], "p": 0}}]) == []


def test_a_container_hands_its_p_down() -> None:
    """Done half the time is done half the time, whether the step says so or what holds it."""
    (op,) = _test_ops([{"sequential": {"steps": [{"brightness": {"factor": [0.2, 1.0], "p": 0.5}}], "p": 0.5}}])
    assert _amount(op) == pytest.approx(1 + 0.25 * (0.6 - 1))
    (op,) = _test_ops([{"color_jitter": {"brightness": [0.2, 1.0], "p": 0.5}}])
    assert _amount(op) == pytest.approx(0.8)
    assert _test_ops([{"random_order": {"steps": ["invert", "equalize"], "p": 0.5}}]) == []


def test_grayscale_becomes_a_loss_of_saturation() -> None:
    (op,) = _test_ops([{"grayscale": {"p": 0.2}}])
    assert _amount(op) == pytest.approx(0.8)
    (op,) = _test_ops(["grayscale"])
    assert _amount(op) == 0.0


@pytest.mark.parametrize(
    "name",
    ["horizontal_flip", "rotate", "affine", "shear_x", "translate_y", "perspective", "hue", "posterize",
     "solarize_add", "cutout", "random_erasing", "gaussian_blur"],
)  # fmt: skip
def test_what_has_no_expected_image_is_left_out(name: str) -> None:
    assert _test_ops([{name: STEPS[name]}]) == []


def test_crops_become_the_center() -> None:
    """224 comes from a shorter side of 256, as 0.875 says; a crop of a padded image from the image itself."""
    resize, move = _test_ops([{"random_resized_crop": 224}], (375, 500))
    assert isinstance(resize, Resize)
    assert (resize.height, resize.width) == (256, 341)
    assert (move.top, move.left, move.height, move.width) == (16, 58, 224, 224)
    (move,) = _test_ops([{"random_crop": {"size": 32, "padding": 4}}], (32, 32))
    assert (move.top, move.left, move.height, move.width) == (0, 0, 32, 32)


@pytest.mark.parametrize("name", ["resize", "center_crop", "pad", "invert", "auto_contrast", "equalize"])
def test_what_is_not_random_is_done_the_same(name: str) -> None:
    spec = [{name: STEPS[name]}]
    ((wanted),) = drawn(spec[0], (40, 60), 1)
    assert _test_ops(spec) == wanted
    if name in ("resize", "center_crop", "pad"):  # they change the size, so the spec has to say what to do
        with pytest.raises(SpecError, match=f"{name} changes the image's size"):
            _test_ops([{name: {**STEPS[name], "p": 0.5}}])
    else:
        assert _test_ops([{name: {**STEPS[name], "p": 0.5}}]) == []


@pytest.mark.parametrize(
    "step",
    [
        {"brightness": {"factor": [0.2, 1.0]}},
        {"brightness": {"factor": [0.5, 1.5], "p": 0.5}},
        {"contrast": {"factor": [0.2, 1.0]}},
        {"contrast": {"factor": [0.4, 1.3], "p": 0.4}},
        {"saturation": {"factor": [0.0, 1.0]}},
        {"saturation": {"factor": [0.5, 1.4], "p": 0.7}},
        {"sharpness": {"factor": [0.0, 1.0], "p": 0.5}},
        {"grayscale": {"p": 0.3}},
    ],
    ids=lambda step: f"{next(iter(step))} {next(iter(step.values()))}",
)
def test_the_test_image_is_the_mean_of_the_train_images(step: dict) -> None:
    """Pixel by pixel, where no draw clips: the image stays between 60 and 160, and factors below 1.5."""
    y, x = np.mgrid[:6, :8][..., None]
    image = (60 + (y * 17 + x * 29 + np.arange(3) * 37) % 101).astype(np.float32) / np.float32(255)
    pipe = Pipeline.from_spec({"seed": 3, "image": [step]})
    count = 3000
    found = np.stack([pipe.train(image, index=index) for index in range(count)]).astype(np.float64)
    assert found.min() > 0.0
    assert found.max() < 1.0
    error = found.std(axis=0) / math.sqrt(count)
    away = np.abs(found.mean(axis=0) - pipe.test(image))
    assert (away <= FAR * error + 1e-6).all()
    assert away.max() < 0.02  # and the errors are small enough to see a wrong rule


def test_on_bytes_the_mean_is_right_within_1() -> None:
    image = (60 + np.arange(48 * 3) % 101).reshape(6, 8, 3).astype(np.uint8)
    pipe = Pipeline.from_spec({"seed": 3, "image": [{"brightness": {"factor": [0.2, 1.0]}}]})
    found = np.mean([pipe.train(image, index=index) for index in range(3000)], axis=0)
    assert np.abs(found - pipe.test(image)).max() < 1.0 + 1e-9


def test_where_a_factor_clips_the_mean_parameter_is_not_the_mean() -> None:
    """What `explain` says: exact only for pixel values that no drawn factor clips."""
    image = np.full((4, 4, 3), 0.9, np.float32)
    pipe = Pipeline.from_spec({"seed": 3, "image": [{"brightness": {"factor": [0.5, 1.5]}}]})
    found = np.mean([pipe.train(image, index=index) for index in range(1000)])
    assert pipe.test(image).mean() - found > 0.05
    assert "clips" in pipe.test.explain()


def test_the_ops_of_an_imagenet_recipe() -> None:
    """In the order of the spec, with the sizes that each leaves."""
    spec = [{"random_resized_crop": 224}, {"horizontal_flip": {"p": 1}}, {"normalize": "imagenet"}, {"cutout": 64}]
    (entries,) = draws(spec, (375, 500), 1)
    kinds = [type(op) for entry in entries for op in entry.ops]
    assert kinds == [Move, Resize, Move, Normalize, Paint]
    assert [type(op) for op in _test_ops(spec, (375, 500))] == [Resize, Move, Move, Normalize]
    ((border, move),) = drawn({"random_crop": {"size": 32, "padding": 4}}, (32, 32), 1)
    assert isinstance(border, Pad)
    assert isinstance(move, Move)


# Holes


def test_holes_are_drawn_uniformly() -> None:
    """The number, the sides rounded down, and the positions, each over all that fit; on 10 x 6 pixels."""
    step = {"holes": {"count": [0, 2], "height": [0.2, 0.5], "width": [0.5, 0.5], "p": 1.0}}
    found = list(drawn(step, (10, 6), 6000))
    counts = Counter(len(boxes) for boxes in found)
    assert all(abs(counts[count] / 6000 - 1 / 3) < 0.03 for count in (0, 1, 2))
    every = [box for boxes in found for box in boxes]
    heights = Counter(box.height for box in every)
    assert {*heights} == {2, 3, 4} and {box.width for box in every} == {3}  # 5 has probability 0
    assert all(abs(heights[height] / len(every) - 1 / 3) < 0.03 for height in heights)
    lefts = Counter(box.left for box in every)
    tops = Counter(box.top for box in every if box.height == 4)
    assert {*lefts} == {*range(4)} and {*tops} == {*range(7)}
    assert all(abs(number / len(every) - 1 / 4) < 0.03 for number in lefts.values())
    assert all(abs(number / sum(tops.values()) - 1 / 7) < 0.03 for number in tops.values())


def test_holes_in_pixels_are_limited_by_the_image() -> None:
    step = {"holes": {"count": 1, "height": [3, 5], "width": [50, 90], "pixels": True, "p": 1.0}}
    every = [box for boxes in drawn(step, (10, 6), 600) for box in boxes]
    heights = Counter(box.height for box in every)
    assert {*heights} == {3, 4, 5} and min(heights.values()) > 150
    assert {(box.width, box.left) for box in every} == {(6, 0)}
    tiny = {"holes": {"count": 1, "height": 0.1, "width": 0.9, "p": 1.0}}
    assert not any(drawn(tiny, (9, 9), 3))  # 0.9 pixels are none


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": [10, 20]}, r"height must be from 0 to 1, .* say `pixels: true`"),
        ({"width": [-0.1, 0.2]}, "width must be between 0 and 1"),
        ({"pixels": True}, "height must be whole numbers of pixels from 1 on"),
        ({"pixels": True, "height": [1, 2], "width": [1, 2.5]}, "width must be whole numbers of pixels"),
        ({"count": [1, 65]}, "count must be between 0 and 64"),
    ],
)
def test_holes_check_their_sides(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Pipeline.from_spec([{"holes": arguments}])


def test_shifts_of_saturation_and_value_by_hand() -> None:
    """(200, 100, 50) has saturation 150/200; at 0.75 - 0.25 its smallest channel is half its largest."""
    image = np.array([[[200, 100, 50], [80, 80, 80], [0, 0, 0], [255, 255, 255]]], np.uint8)
    still: dict[str, Any] = {"hue": 0, "saturation": 0, "value": 0}

    def shifted(**arguments: Any) -> list[list[int]]:
        spec = [{"hsv_shift": {**still, **arguments}}]
        return Pipeline.from_spec(spec).train(image, index=0)[0].tolist()

    assert shifted() == image[0].tolist()
    assert shifted(saturation=[-0.25, -0.25])[0] == [200, 133, 100]  # the middle one stays at a third of the way
    assert shifted(saturation=[0.9, 0.9]) == [[200, 67, 0], [80] * 3, [0] * 3, [255] * 3]  # clipped; gray stays gray
    assert shifted(value=[0.2, 0.2]) == [[251, 126, 63], [131] * 3, [51] * 3, [255] * 3]
    assert shifted(hue=[1 / 3, 1 / 3])[0] == [50, 200, 100]
    with pytest.raises(SpecError, match="did you mean"):
        Pipeline.from_spec([{"hsv_shift": {"saturation": 30}}])
