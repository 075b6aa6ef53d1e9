"""Every built-in transform, with each kind of arguments, draws for many images what it draws for each alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn_columns import boxes_of, compare
from msgspec.structs import replace

import augreg
from augreg.columns.philox import addresses_of
from augreg.columns.records import Scenes
from augreg.columns.seen_boxes import seen_boxes
from augreg.errors import SpecError
from augreg.execution import sampling_columns
from augreg.execution.sampling_columns import one_by_one
from augreg.ops import Scene

N = 400
BUILT_IN = {
    name: cls
    for name, cls in augreg.Registry.installed().section("image").items()
    if cls.__module__.startswith("augreg.transforms")
}
JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.3, "hue": 0.1}}
MORE: dict[str, list[Any]] = {
    "affine": [
        {"degrees": 0, "scale": [1, 1], "translate": [0, 0], "shear_x": 0},
        {"fill": [1, 2, 3], "shear_x": [-80, 80], "shear_y": [-45, 45], "interpolation": "bicubic"},
        {"degrees": 0, "shear_x": [45, 45], "shear_y": [45, 45]},  # singular
        {"mode": "reflect"},
    ],
    "affine_per_axis": [
        {"scale_y": [0.5, 2], "scale_x": [1.5, 3], "balanced": True, "unit": "truncated", "shear_x": 40},
        {"unit": "pixels", "translate_y": [-3, 9], "translate_x": [2, 2], "shear_x": [45, 45], "fit": True},
        {"degrees": 0, "shear_x": [45, 45], "shear_y": [45, 45], "fit": True, "scale_y": 2},  # singular
        {"scale_y": [0.01, 0.5], "scale_x": 0.01, "degrees": 180, "fit": True},
    ],
    "aug_mix": [
        {"depth": 2, "dialect": "timm", "width": 2}, {"dialect": "timm", "m_std": 1.5, "width": 1},
        {"dialect": "torchvision", "severity": 4, "ops": ["rotate", "invert"]}, {"alpha": 0.4}, {"alpha": 3.0},
        {"alpha": 0.01, "width": 6},
    ],
    "box_blur": [{"size": [1, 9]}],
    "channel_drop": [{"count": [1, 2], "fill": 300 / 7}],
    "clahe": [{"clip": [1, 3], "tiles": [3, 20]}],
    "crop_around_boxes": [
        {"erosion": 0.4}, {"erosion": 0.3, "erode": "boxes", "without_boxes": "shrink"},
        {"erosion": 1.0}, {"erosion": 1.0, "without_boxes": "shrink"}, {"erosion": 0.5, "erode": "boxes", "size": 9},
    ],
    "crop_box": [{"size": [40, 90], "top": 30, "left": 7, "fill": 9}],
    "crop_border": [{"pixels": 0}, {"pixels": 3}],
    "crop_edges": [{"top": 1, "bottom": 0, "left": 0.5, "right": 0.5}],
    "move_edges": [
        {"top": [-1, 0], "bottom": [-0.7, 2], "left": 0, "right": -0.5, "keep_size": False}, {"together": True},
        {"unit": "pixels", "top": [-9, 7], "bottom": [0, 3], "left": -400, "right": 0, "mode": "edge"},
        {"unit": "pixels", "top": [-2, 2], "bottom": 0, "left": 0, "right": 0, "together": True, "fill": 9},
    ],
    "crop_or_pad": [{"size": [40, 150], "position": "random", "mode": "reflect"}, {"size": 1, "position": "random"}],
    "downscale": [
        {"scale": [0.001, 1.0], "interpolation": "bicubic"}, {"shrink": "nearest_floor", "antialias": False},
    ],
    "affine_points": [{"distance": 0}, {"distance": 300, "swapped": True, "mode": "wrap"}],
    "elastic": [{"noise": "normal", "mode": "wrap"}, {"edges": "repeat"}, {"window": 9, "same": True}],
    "grid_shuffle": [{"grid": [5, 2], "cuts": "even"}],
    "grid_stretch": [{"end": "free", "overlap": True, "mode": "reflect"}],
    "optical_distortion": [{"model": "camera", "shift": [-9, 4]}, {"model": "fisheye", "k": 2}],
    "piecewise_affine": [
        {"rows": [2, 6], "columns": [3, 9], "unit": "pixels", "scale": [1, 9]},
        {"between": "distance", "unit": "shorter"},
    ],
    "safe_rotate": [{"degrees": [90, 90]}, {"sides": "floor"}, {"sides": "ceil", "mode": "edge"}],
    "defocus": [{"radius": [1, 4], "edge": [0.01, 3]}],
    "gamma": [{"spacing": "linear"}],
    "gaussian_noise": [{"per": "pixel", "uniform": "variance"}],
    "gaussian_blur": [{"size": [1, 6]}, {"sigma": 0, "size": [3, 5]}, {"sigma": [0.5, 0.5], "size": 5}],
    "grid_holes": [
        {"offset": "all", "unit": [7, 60]}, {"offset": "fixed", "shift": [5, 90], "cells": [3, 4], "mode": "random"},
        {"ratio": 0.9, "mode": "pixel", "cells": [1, 70]},
    ],
    "grid_mask": [{"unit": [0.1, 0.12], "ratio": 0.9, "fill": 7}, {"unit": 1, "ratio": 0.001}],
    "holes": [
        {"count": [0, 5], "height": [0, 0.05], "width": [0, 0.1], "mode": "random"},
        {"count": [1, 3], "height": [1, 40], "width": [7, 7], "pixels": True, "mode": "pixel"},
        {"count": 0}, {"height": [0, 0.02], "width": [0, 0.02], "mode": "pixel", "count": [2, 4]},
    ],
    "iou_crop": [
        {"overlaps": [0.9, 1.0], "tries": 3}, {"overlaps": [0.0, 0.2, 1], "scale": [0.01, 1], "ratio": [0.1, 9]},
    ],
    "letterbox": [{"size": [1, 2]}, {"size": [3, 400], "interpolation": "lanczos"}],
    "longest_max_size": [{"longer": 1}],
    "lightness_noise": [{"grain": "coarse"}],
    "motion_blur": [
        {"direction": [-1, 1], "shift": 0.5}, {"length": [1, 3], "shift": 1.0}, {"direction": [1, 1], "length": 5},
    ],
    "multiply_add": [{"of": "mean", "add": [-2, 3]}, {"factor": [1, 1]}],
    "multiplicative_noise": [{"per": "image"}, {"per": "pixel"}, {"per": "channel", "factor": [0, 3]}],
    "normalize": [{"mean": [0.5, 0.4, 0.3], "std": 0.2}],
    "one_of": [
        {"steps": [JITTER, "horizontal_flip", {"sequential": ["invert", {"hue": {"p": 0.5}}]}]},
        {"steps": ["equalize", "auto_contrast"], "weights": [0, 2]},
    ],
    "oriented_blur": [{"size": [1, 5], "sigma_x": 0, "power": [1, 2], "noise": [1, 1]}],
    "pad": [{"padding": [0, 1, 2, 3], "mode": "edge"}, {"padding": 0}],
    "pad_to": [
        {"size": [70, 200], "position": "random"}, {"divisor": [32, 7], "position": "random", "mode": "wrap"},
        *({"size": 150, "position": position} for position in ("bottom_left", "top_right", "bottom_right")),
    ],
    "perspective": [
        {"distortion": 0.0}, {"distortion": 0.999, "interpolation": "nearest", "fill": 300, "mode": "edge"},
    ],
    "rand_augment": [
        {"dialect": "timm"}, {"ops": ["rotate", "invert", "color", "equalize"], "weights": [0.1, 2, 0.3, 0], "n": 3},
    ],
    "perspective_zoom": [
        {"scale": [0, 1], "fit": True, "interpolation": "nearest", "mode": "wrap"}, {"scale": 1, "fill": 9},
        {"scale": 0.1, "twice": True},
    ],
    "pixel_dropout": [{"mode": "random"}, {"per_channel": True, "fill": [1, 2, 300], "fraction": 0.3}],
    "rain": [{"length": 7, "density": 2, "slant": 3}],
    "rgb_shift": [{"green": [0, 9], "blue": [3, 3]}],
    "random_sized_crop": [
        {"size": [9, 7], "height": [1, 40], "ratio": 0.01}, {"size": 9, "height": [30, 300], "ratio": 1.7},
    ],
    "random_crop": [{"size": [31, 70], "padding": [0, 3, 2, 0], "mode": "reflect"}],
    "random_shorter": [{"shorter": [1, 40], "interpolation": "area"}],
    "random_scale": [{"fit": [20, 90]}, {"scale": [0.01, 2], "interpolation": "nearest_floor", "antialias": False}],
    "random_order": [{"steps": [{"brightness": 0.4}, {"brightness": 0.1}, {"sharpness": {"p": 0.5}}]}],
    "random_resized_crop": [{"size": 9, "scale": [0.7, 1.0], "ratio": [0.05, 20]}],
    "resize": [
        {"shorter": 31, "interpolation": "nearest_floor"}, {"size": [7, 300], "antialias": False},
        {"shorter": 31, "rounding": "nearest"},
    ],
    "center_crop": [{"size": [31, 18], "rounding": "down"}],
    "resize_keep_ratio": [
        {"size": [40, 70], "scale": [0.2, 3.0], "ratio": [0.5, 2.0], "scale_p": 0.6, "ratio_p": 0.7},
        {"size": [200, 3], "longest": 0.3, "ratio": [0.5, 2.0]},
    ],
    "resize_within": [{"shorter": 80, "longer": 80}, {"longer": 1}],
    "rotate": [
        {"degrees": [90, 90]}, {"degrees": [-180, -180]}, {"degrees": [0, 0]}, {"degrees": [-90, -90], "fill": 9},
        {"degrees": [-1e-17, -1e-17]}, {"degrees": [-360, 360], "interpolation": "nearest"}, {"degrees": [450, 450]},
        {"degrees": [90, 91], "mode": "symmetric"},
    ],
    "safe_crop": [{"size": 9, "ratio": [0.05, 20]}, {"size": 9, "scale": 1}, {"size": 9, "scale": [0.001, 0.01]}],
    "sequential": [{"steps": [{"rotate": 180}, {"posterize": {"p": 0.3}}, JITTER]}, {"steps": []}],
    "shadow": [
        {"count": [0, 3], "overlap": "once", "of": "lightness"}, {"area": [0.3, 1, 0.3, 1], "corners": 3},
        {"count": 0}, {"count": [0, 1], "darkness": [0, 1]},
    ],
    "some_of": [
        {"steps": ["solarize", JITTER, "vertical_flip", "invert"], "count": [1, 3]},
        {"steps": ["solarize", "invert"], "count": 2}, {"steps": ["invert"], "count": 0},
    ],
    "sun_flare": [
        {"strength": 0.5, "radius": 5, "circles": [1, 3]}, {"angle": [30, 40], "area": [0.5, 0.5, 0.5, 0.5]},
    ],
    "translate_x": [{"amount": 0}],
}  # fmt: skip


def variants(name: str) -> list[Any]:
    """The defaults, unless something has to be given; what the documentation shows; and those above."""
    found: list[Any] = [{}, *BUILT_IN[name].__augreg__.preview, *MORE.get(name, [])]
    try:
        augreg.Pipeline([name])
    except SpecError:
        del found[0]
    return found


SIZES = np.random.default_rng(7).integers(1, 300, (2, N))
SIZES[:, ::3] = np.array([[32, 224, 40], [32, 224, 60]])[:, np.arange(len(SIZES[0, ::3])) % 3]  # a few often
SEEN = Scenes(*SIZES, Scene(0, 0), seen_boxes(boxes_of(SIZES, 7)))


def scenes(count: int, first: int, **common: Any) -> Scenes:
    """Of some sizes more than once; most images have boxes."""
    taken = SEEN.taken(np.arange(first, first + count) % N)
    return replace(taken, common=Scene(0, 0, epoch=2, **common))


KINDS: list[dict[str, Any]] = [
    {"channels": channels, "dtype": dtype} for channels in (1, 3) for dtype in ("uint8", "float32")
]


@pytest.mark.parametrize("name", BUILT_IN)
def test_hundreds_of_images_have_the_ops_of_each_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sampling_columns, "_sampled")  # none of them is sampled image by image
    cases = [(arguments, kind) for arguments in variants(name) for kind in KINDS]
    different = set()
    for number, (arguments, kind) in enumerate(cases):
        steps = augreg.Pipeline([{name: arguments}], seed=3).steps
        assert one_by_one(steps) == []
        count = -(-N // len(cases))
        found = compare(steps, scenes(count, number * count, **kind), addresses_of(number, range(count), 2))
        different.update(map(str, found))
    assert len(different) > 1 or name in ("auto_contrast", "equalize", "grayscale", "invert", "normalize")


MAKE_STEPS = {"color_jitter", "one_of", "random_order", "sequential", "some_of", "three_augment", "timm_policy"}


@pytest.mark.parametrize("name", sorted(BUILT_IN.keys() - MAKE_STEPS))
def test_ops_that_are_drawn_one_by_one_are_gathered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_columns, "by_columns", lambda transform: False)
    arguments = variants(name)
    for number, kind in enumerate(KINDS):
        steps = augreg.Pipeline([{name: arguments[-1 - number % len(arguments)]}], seed=3).steps
        compare(steps, scenes(25, number, **kind), addresses_of(number, range(25), 2))


POLICIES = {name for name, cls in BUILT_IN.items() if "policies" in cls.__module__}


@pytest.mark.parametrize("name", sorted(BUILT_IN.keys() - POLICIES))
def test_alpha_and_many_channels(name: str) -> None:
    for channels, alpha in ((4, True), (5, False)):
        steps = augreg.Pipeline([{name: variants(name)[-1]}], seed=3).steps
        compare(steps, scenes(10, channels, channels=channels, alpha=alpha), addresses_of(1, range(10), 2))
