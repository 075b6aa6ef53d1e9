"""Translators of albumentations transforms that blur, add noise, compress or erase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_remarks import note_hidden_rows
from augreg.importers.albumentations_steps.arguments import (
    INTERPOLATIONS,
    at_corners,
    fill,
    mask_fill,
    note_bicubic,
    probability,
)
from augreg.importers.translation import Parameters, Steps, Translation, Translator, UnsupportedError, numbers, pair

__all__ = ["TRANSLATORS"]


def _blur(params: Parameters, walk: Translation) -> Steps:
    sigma, limit = pair(params.take("sigma_limit", [0.5, 3.0])), pair(params.take("blur_limit", 0))
    if not any(limit):  # the size follows from the deviation
        return [{"gaussian_blur": {"sigma": sigma, **probability(params)}}]
    if limit[0] == 0:
        params.note("where blur_limit gives 0, the size of the kernel is 1 here, and follows from sigma there")
    return [{"gaussian_blur": {"sigma": sigma, "size": [max(1, side) for side in limit], **probability(params)}}]


def _box_blur(params: Parameters, walk: Translation) -> Steps:
    return [{"box_blur": {"size": _odd(params), **probability(params)}}]


def _defocus(params: Parameters, walk: Translation) -> Steps:
    low, high = pair(params.take("alias_blur"))
    # below 0.01 pixels nothing is blurred; of 0 alone, OpenCV makes a deviation of its own
    arguments = {"radius": pair(params.take("radius")), "edge": [max(low, 0.01) if high else low, high]}
    if arguments["radius"][1] >= 8:
        params.note(
            "from a radius of 8 on, the weights of albumentations sum to more than 1, by up to 4 %, and here to 1"
        )
    return [{"defocus": {**arguments, **probability(params)}}]


def _odd(params: Parameters) -> list[int]:
    """The range of sides, from 3 on; a single number is the largest."""
    limit = params.take("blur_limit", [3, 7])
    return [max(3, int(side) | 1) for side in (limit if isinstance(limit, list) else (3, limit))]


def _motion_blur(params: Parameters, walk: Translation) -> Steps:
    low, high = params.take("angle_range", [0.0, 360.0])
    arguments: dict[str, Any] = {"length": _odd(params), "angle": [0.0 - high, 0.0 - low]}  # its angle is clockwise
    direction = params.take("direction_range", [-1.0, 1.0])
    if any(direction):
        arguments["direction"] = direction
    if params.take("allow_shifted", True):
        arguments["shift"] = 0.5
    return [{"motion_blur": {**arguments, **probability(params)}}]


def _sharpen(params: Parameters, walk: Translation) -> Steps:
    if params.take("method", "kernel") != "kernel":
        raise UnsupportedError("only method='kernel' is possible")
    params.ignore("kernel_size", "sigma")  # of the other method
    arguments = {key: params.take(key) for key in ("alpha", "lightness")}
    return [{"sharpen": {**arguments, **probability(params)}}]


def _emboss(params: Parameters, walk: Translation) -> Steps:
    arguments = {key: params.take(key) for key in ("alpha", "strength")}
    return [{"emboss": {**arguments, **probability(params)}}]


def _median(params: Parameters, walk: Translation) -> Steps:
    return [{"median_blur": {"size": _odd(params), **probability(params)}}]


def _oriented_blur(params: Parameters, walk: Translation) -> Steps:
    low, high = params.take("rotate_limit", [-90.0, 90.0])
    arguments: dict[str, Any] = {"size": _odd(params), "angle": [0.0 - high, 0.0 - low]}  # its angle is clockwise
    for axis in "xy":
        arguments[f"sigma_{axis}"] = params.take(f"sigma_{axis}_limit", [0.2, 1.0])
    arguments |= {"power": params.take("beta_limit", [0.5, 8.0]), "noise": params.take("noise_limit", [0.9, 1.1])}
    return [{"oriented_blur": {**arguments, **probability(params)}}]


def _gauss_noise(params: Parameters, walk: Translation) -> Steps:
    params.only("mean_range", [0.0, 0.0], [0, 0], why="the noise has mean 0")
    params.only("noise_scale_factor", 1.0, 1)
    arguments: dict[str, Any] = {"std": params.take("std_range", [0.2, 0.44])}
    if not params.take("per_channel", True):
        arguments["per"] = "pixel"
    if params.values.get("_uniform") == "variance" and arguments["std"][0] != arguments["std"][1]:
        arguments["uniform"] = "variance"
    return [{"gaussian_noise": {**arguments, **probability(params)}}]


def _multiplicative_noise(params: Parameters, walk: Translation) -> Steps:
    elements, channels = params.take("elementwise", False), params.take("per_channel", False)
    per = ("value" if channels else "pixel") if elements else ("channel" if channels else "image")
    factor = pair(params.take("multiplier", [0.9, 1.1]))
    return [{"multiplicative_noise": {"factor": factor, "per": per, **probability(params)}}]


def _lightness_noise(params: Parameters, walk: Translation) -> Steps:
    arguments: dict[str, Any] = {
        "intensity": params.take("intensity", [0.1, 0.5]),
        "hue": params.take("color_shift", [0.01, 0.05]),
    }
    arguments["grain"] = params.take("_grain", "coarse")
    return [{"lightness_noise": {**arguments, **probability(params)}}]


def _jpeg(params: Parameters, walk: Translation) -> Steps:
    if params.take("compression_type", "jpeg") != "jpeg":
        raise UnsupportedError("only JPEG is possible")
    params.note("Pillow encodes here, and OpenCV in albumentations")
    return [{"jpeg": {"quality": params.take("quality_range"), **probability(params)}}]


def _downscale(params: Parameters, walk: Translation) -> Steps:
    modes = params.take("interpolation_pair") or {"upscale": 0, "downscale": 0}
    names: dict[str, Any] = {}
    for key, argument in (("downscale", "shrink"), ("upscale", "interpolation")):
        known = {**INTERPOLATIONS, 3: "area", 4: "lanczos4"}
        if modes[key] not in known:
            params.lose(f"interpolation_pair[{key!r}]={modes[key]} became bicubic")
        note_bicubic(params, modes[key])
        names[argument] = at_corners(known.get(modes[key], "bicubic"))
    names["antialias"] = False
    return [{"downscale": {"scale": params.take("scale_range"), **names, **probability(params)}}]


def _coarse_dropout(params: Parameters, walk: Translation) -> Steps:
    holes = params.take("num_holes_range", [1, 2])
    height, width = params.take("hole_height_range", [0.1, 0.2]), params.take("hole_width_range", [0.1, 0.2])
    sides = {"height": height, "width": width}
    if height[1] >= 1:  # then both are pixels
        sides = {name: [max(1, int(low)), max(1, int(high))] for name, (low, high) in sides.items()}
        sides["pixels"] = True
        if height[0] < 1 or width[0] < 1:
            params.note("a side of 0 pixels became one of 1")
    elif width[1] >= 1:
        raise UnsupportedError(f"hole_height_range={height} are fractions, and hole_width_range={width} are not")
    note_hidden_rows(params, walk)
    return [{"holes": {"count": holes, **sides, **_painted(params, walk), **probability(params)}}]


def _painted(params: Parameters, walk: Translation) -> dict[str, Any]:
    """What erased pixels show."""
    shown = params.take("fill_mask")
    if shown is not None and (walk.mask_holes is None or mask_fill(shown) != walk.mask_holes):
        params.lose(f"fill_mask={shown} is not kept: `targets: {{mask_holes: ..}}` is for all holes of the spec")
    value = params.take("fill", 0)
    modes = {"random": "pixel", "random_uniform": "random"}
    if isinstance(value, str):
        _note_random_colors(params, walk)
    return {"mode": modes[value]} if isinstance(value, str) and value in modes else fill(params)


def _note_random_colors(params: Parameters, walk: Translation) -> None:
    if walk.normalized:
        params.note("after Normalize, random colors are standard normal here, and from 0 to 1 in albumentations")


def _grid_dropout(params: Parameters, walk: Translation) -> Steps:
    arguments: dict[str, Any] = {"ratio": params.take("ratio", 0.5)}
    params.ignore("random_offset")
    unit, cells = params.take("unit_size_range"), params.take("holes_number_xy")
    if cells:
        arguments["cells"] = cells  # which are its rows and columns
    elif unit:
        arguments["unit"] = [unit[0], max(unit[0], unit[1] - 1)]  # its last number is never drawn
    across, down = params.take("shift_xy", [0, 0])
    if "_offset" in params:
        arguments["offset"] = params.take("_offset")
    elif not params.take("random_offset", True):
        arguments |= {"offset": "fixed", "shift": [down, across]}
    note_hidden_rows(params, walk)
    return [{"grid_holes": {**arguments, **_painted(params, walk), **probability(params)}}]


def _pixel_dropout(params: Parameters, walk: Translation) -> Steps:
    params.only("mask_drop_value", None, why="masks are not erased")
    value = params.take("drop_value", 0)
    if value is None:
        _note_random_colors(params, walk)
    painted = {"mode": "random"} if value is None else {"fill": numbers(value)} if value not in (0, 0.0) else {}
    arguments = {"fraction": params.take("dropout_prob", 0.01), "per_channel": params.take("per_channel", False)}
    return [{"pixel_dropout": {**arguments, **painted, **probability(params)}}]


def _erasing(params: Parameters, walk: Translation) -> Steps:
    low, high = params.take("ratio")
    options = _painted(params, walk)
    note_hidden_rows(params, walk)
    # its ratio is width / height, drawn uniformly; ours is height / width, drawn log-uniformly
    params.note("here, the aspect ratio is drawn log-uniformly, and areas that do not fit are drawn again")
    arguments = {"area": params.take("scale"), "ratio": [1 / high, 1 / low], **options}
    return [{"random_erasing": {**arguments, **probability(params)}}]


TRANSLATORS: Mapping[str, Translator] = {
    "GaussianBlur": _blur,
    "Blur": _box_blur,
    "Defocus": _defocus,
    "MotionBlur": _motion_blur,
    "MedianBlur": _median,
    "Sharpen": _sharpen,
    "Emboss": _emboss,
    "CoarseDropout": _coarse_dropout,
    "GridDropout": _grid_dropout,
    "Erasing": _erasing,
    "PixelDropout": _pixel_dropout,
    "AdvancedBlur": _oriented_blur,
    "GaussNoise": _gauss_noise,
    "MultiplicativeNoise": _multiplicative_noise,
    "ISONoise": _lightness_noise,
    "ImageCompression": _jpeg,
    "Downscale": _downscale,
}
"""The translators by class name."""
