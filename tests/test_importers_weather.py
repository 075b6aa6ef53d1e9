"""Transforms of albumentations that change pixel values: shadows, fog, snow, flares, noise and a turned blur."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import augreg


def imported(name: str, version: str = "2.0.8", **arguments: Any) -> tuple[Any, tuple[str, ...]]:
    """The steps of one transform, and the report."""
    values = {"__class_fullname__": name, "p": 0.5, **arguments}
    found = augreg.from_albumentations({"__version__": version, "transform": values})
    augreg.Pipeline.from_spec(found.spec)
    return found.spec["image"], found.report


SHADOW = {"num_shadows_limit": [1, 5], "shadow_dimension": 6, "shadow_intensity_range": [0.4, 0.92],
          "shadow_roi": [0.0, 0.1, 1.0, 0.9]}  # fmt: skip
FLARE = {"flare_roi": [0.0, 0.0, 1.0, 0.5], "angle_range": [0.25, 0.5], "num_flare_circles_range": [6, 10],
         "src_radius": 300, "src_color": [255, 255, 255], "method": "overlay"}  # fmt: skip
STEPS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("RandomShadow", SHADOW,
     {"shadow": {"count": [1, 5], "corners": 6, "darkness": [0.4, 0.92], "area": [0.0, 0.1, 1.0, 0.9]}}),
    ("RandomFog", {"fog_coef_range": [0.3, 0.7], "alpha_coef": 0.1},
     {"fog": {"intensity": [0.3, 0.7], "opacity": 0.1}}),
    ("RandomSnow", {"snow_point_range": [0.1, 0.2], "brightness_coeff": 2.0, "method": "bleach"},
     {"snow": {"point": [0.1, 0.2], "factor": 2.0}}),
    ("RandomSunFlare", FLARE,
     {"sun_flare": {"area": [0.0, 0.0, 1.0, 0.5], "radius": 300, "fill": [255.0], "angle": [90.0, 180.0],
                    "circles": [6, 10]}}),
    ("RandomSunFlare", {**FLARE, "src_color": [255, 200, 100]},
     {"sun_flare": {"area": [0.0, 0.0, 1.0, 0.5], "radius": 300, "fill": [255.0, 200.0, 100.0],
                    "angle": [90.0, 180.0], "circles": [6, 10]}}),
    ("RandomRain", {"slant_range": [-3, 5], "drop_length": 9, "drop_width": 1, "drop_color": [9, 8, 7],
                    "blur_value": 3, "brightness_coefficient": 0.9, "rain_type": "heavy"},
     {"rain": {"slant": [-3, 5], "density": 1.0, "fill": [9.0, 8.0, 7.0], "blur": 3, "brightness": 0.9,
               "length": 9}}),
    ("ToSepia", {}, {"sepia": {}}),
    ("RandomToneCurve", {"scale": 0.3, "per_channel": False}, {"tone_curve": {"scale": 0.3}}),
    ("RGBShift", {"r_shift_limit": [-20, 20], "g_shift_limit": [0.1, 0.2], "b_shift_limit": [-20, 20]},
     {"rgb_shift": {"shift": [-20, 20], "green": [25.5, 51.0]}}),
    ("ISONoise", {"intensity": [0.1, 0.4], "color_shift": [0.0, 0.1]},
     {"lightness_noise": {"intensity": [0.1, 0.4], "hue": [0.0, 0.1], "grain": "coarse"}}),
    ("MultiplicativeNoise", {"multiplier": [0.5, 2.0], "per_channel": False, "elementwise": False},
     {"multiplicative_noise": {"factor": [0.5, 2.0], "per": "image"}}),
    ("MultiplicativeNoise", {"multiplier": [0.5, 2.0], "per_channel": True, "elementwise": False},
     {"multiplicative_noise": {"factor": [0.5, 2.0], "per": "channel"}}),
    ("MultiplicativeNoise", {"multiplier": [0.5, 2.0], "per_channel": False, "elementwise": True},
     {"multiplicative_noise": {"factor": [0.5, 2.0], "per": "pixel"}}),
    ("MultiplicativeNoise", {"multiplier": [0.5, 2.0], "per_channel": True, "elementwise": True},
     {"multiplicative_noise": {"factor": [0.5, 2.0], "per": "value"}}),
    ("AdvancedBlur", {"blur_limit": [3, 9], "sigma_x_limit": [0.2, 1.0], "sigma_y_limit": [0.3, 2.0],
                      "rotate_limit": [-10, 90], "beta_limit": [0.5, 4.0], "noise_limit": [0.9, 1.1]},
     {"oriented_blur": {"size": [3, 9], "angle": [-90, 10], "sigma_x": [0.2, 1.0], "sigma_y": [0.3, 2.0],
                        "power": [0.5, 4.0], "noise": [0.9, 1.1]}}),
    ("GaussNoise", {"std_range": [0.1, 0.2], "mean_range": [0.0, 0.0], "per_channel": False, "noise_scale_factor": 1},
     {"gaussian_noise": {"std": [0.1, 0.2], "per": "pixel"}}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_nothing_is_lost(number: int) -> None:
    name, arguments, step = STEPS[number]
    ((key, options),) = step.items()
    assert imported(name, **arguments) == ([{key: {**options, "p": 0.5}}], ())


def test_holes_in_a_grid_and_their_earlier_versions() -> None:
    given = {"ratio": 0.4, "unit_size_range": [20, 60], "shift_xy": [5, 9], "random_offset": True}
    step = {"ratio": 0.4, "unit": [20, 59], "p": 0.5}
    assert imported("GridDropout", fill=0.0, **given) == ([{"grid_holes": step}], ())
    fixed = imported("GridDropout", fill="random", holes_number_xy=[4, 7], **{**given, "random_offset": False})
    options = {"offset": "fixed", "shift": [9, 5], "mode": "pixel", "p": 0.5}
    assert fixed == ([{"grid_holes": {"ratio": 0.4, "cells": [4, 7], **options}}], ())
    old = {"ratio": 0.4, "unit_size_min": 20, "unit_size_max": 60, "shift_x": 0, "shift_y": 0, "fill_value": 0}
    steps, report = imported("GridDropout", "1.3.1", random_offset=True, **old)
    assert steps[0]["grid_holes"]["unit"] == [20, 60]
    assert steps[0]["grid_holes"]["offset"] == "all" and "all cells had one size" in report[0]
    assert imported("GridDropout", "1.3.1", **old)[0][0]["grid_holes"]["offset"] == "fixed"
    steps, report = imported("GridDropout", "1.3.1", holes_number_x=3, holes_number_y=5)
    assert steps[0]["grid_holes"]["cells"] == [5, 3] and len(report) == 1
    assert "were squares" in imported("GridDropout", "1.3.1", ratio=0.3)[1][1]


def test_other_methods_are_left_out() -> None:
    for name, method in (("RandomSnow", "texture"), ("RandomSunFlare", "physics_based")):
        steps, report = imported(name, method=method)
        assert steps == [] and "is possible" in report[0] and "left out" in report[0]


def test_shadows_of_earlier_versions() -> None:
    """What their sources do: half of the lightness; half of the values; times the intensity; 1 less the intensity."""
    old = {"num_shadows_lower": 1, "num_shadows_upper": 3, "shadow_dimension": 5, "shadow_roi": [0, 0.5, 1, 1]}
    wanted = {"count": [1, 3], "corners": 5, "area": [0, 0.5, 1, 1], "darkness": [0.5, 0.5], "p": 0.5}
    for version, of in (("1.3.1", "lightness"), ("1.4.8", "values")):
        steps, report = imported("RandomShadow", version, **old)
        assert steps == [{"shadow": {**wanted, "of": of, "overlap": "once"}}] and report == ()
    for version, darkness in (("1.4.18", [0.2, 0.7]), ("1.4.24", [0.3, 0.8])):
        steps, report = imported("RandomShadow", version, **{**SHADOW, "shadow_intensity_range": [0.3, 0.8]})
        assert steps[0]["shadow"]["darkness"] == pytest.approx(darkness) and report == ()
        assert "overlap" not in steps[0]["shadow"]


def test_noise_and_weather_of_earlier_versions() -> None:
    for version, grain in (("1.3.1", "fine"), ("1.4.18", "fine"), ("1.4.19", "coarse"), ("2.0.8", "coarse")):
        steps, report = imported("ISONoise", version, intensity=[0.1, 0.5], color_shift=[0.01, 0.05])
        assert steps[0]["lightness_noise"]["grain"] == grain and report == ()
    for version, said in (("1.3.1", "one size"), ("1.4.24", "painted once"), ("2.0.4", "painted once")):
        steps, report = imported("RandomFog", version, fog_coef_range=[0.3, 0.4])
        assert len(steps) == len(report) == 1 and said in report[0] and "is not kept" in report[0]
    assert (
        "rain of this version is not kept" in imported("RandomRain", "1.3.1", slant_lower=-10, slant_upper=10)[1][0]
    )
    limits = {f"{channel}_shift_limit": [-1.0, 1.0] for channel in "rgb"}
    for version, shift in (("1.3.1", [-1.0, 1.0]), ("1.4.22", [-255.0, 255.0])):
        assert imported("RGBShift", version, **limits) == ([{"rgb_shift": {"shift": shift, "p": 0.5}}], ())
    assert imported("RandomFog", "2.0.5", fog_coef_range=[0.3, 0.4])[1] == ()
    steps, report = imported("RandomSunFlare", "1.3.1", **FLARE)
    assert steps[0]["sun_flare"]["strength"] == 1.0 and "elsewhere on the line" in report[0]
    assert imported("RandomSunFlare", "1.4.22", **FLARE)[0][0]["sun_flare"]["strength"] == 1.0
    assert "strength" not in imported("RandomSunFlare", "1.4.23", **FLARE)[0][0]["sun_flare"]


def test_variances_of_version_1() -> None:
    steps, report = imported("GaussNoise", "1.3.1", var_limit=[65.025, 260.1], mean=0, per_channel=True)
    (step,) = steps
    std = step["gaussian_noise"].pop("std")
    assert std == pytest.approx([0.0316228, 0.0632456], rel=1e-5) and report == ()
    assert step == {"gaussian_noise": {"uniform": "variance", "p": 0.5}}


def test_hues_beyond_half_a_turn() -> None:
    """0.6 of a turn is -0.4: a sixth of the draws of [-0.6, 0.6] are beyond half a turn."""
    ranges = {"brightness": [0.8, 1.2], "contrast": [1.0, 1.0], "saturation": [1.0, 1.0]}
    ((choice,), report) = imported("ColorJitter", "1.3.1", hue=[-0.6, 0.6], **ranges)
    steps = [step["color_jitter"] for step in choice["one_of"]["steps"]]
    assert [step["hue"] for step in steps] == [pytest.approx(hue) for hue in ([0.4, 0.5], [-0.5, 0.5], [-0.5, -0.4])]
    assert choice["one_of"]["weights"] == pytest.approx([0.1, 1.0, 0.1]) and choice["one_of"]["p"] == 0.5
    assert all(step["brightness"] == [0.8, 1.2] for step in steps) and report == ()
    ((jitter,), report) = imported("ColorJitter", hue=[0.1, 0.5], **ranges)
    assert jitter["color_jitter"]["hue"] == [0.1, 0.5] and report == ()


def test_normalization_by_least_and_largest_values() -> None:
    """By hand: 50 and 150 are 0 and 1, and 75 a quarter, rounded down to 63 of 255."""
    values = {"mean": [0.4], "std": [0.2], "max_pixel_value": 255.0, "normalization": "min_max_per_channel", "p": 1.0}
    steps, report = imported("Normalize", **values)
    assert "rounded down to 255ths" in report[0]
    image = np.array([50, 75, 150], np.uint8).reshape(1, 3, 1)
    found = augreg.Pipeline.from_spec({"image": steps, "output": "numpy"}).test(image)
    assert np.allclose(found, np.array([0, 63 / 255, 1]).reshape(1, 1, 3))
    steps, report = imported("Normalize", **{**values, "normalization": "image"})
    assert steps == [] and "normalization='image'" in report[0]
