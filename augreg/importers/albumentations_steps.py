"""Translators of single albumentations transforms, one function for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from augreg.importers.translation import Parameters, Steps, Translation, Translator, UnsupportedError, numbers, pair

__all__ = ["STEP_TRANSLATORS", "UNSUPPORTED"]

_INTERPOLATIONS = {0: "nearest", 1: "bilinear", 2: "bicubic"}  # OpenCV's constants
_BORDERS = {0: "constant", 1: "edge", 2: "symmetric", 3: "wrap", 4: "reflect"}


def _p(params: Parameters) -> dict[str, Any]:
    params.ignore("always_apply")
    return {"p": params.take("p", 0.5)}


def _interpolation(params: Parameters) -> str:
    """The name of an OpenCV interpolation."""
    value = params.take("interpolation", 1)
    params.ignore("mask_interpolation")  # masks are always sampled with nearest
    if value in _INTERPOLATIONS:
        return _INTERPOLATIONS[value]
    params.note(f"interpolation={value} became bilinear")
    return "bilinear"


def _resampled(params: Parameters) -> dict[str, Any]:
    """The interpolation of a resize, without antialiasing, as in OpenCV."""
    area = params.take("interpolation", 1) == 3 or params.take("area_for_downscale") is not None
    if area:
        params.ignore("interpolation", "mask_interpolation")
        params.note("INTER_AREA became bilinear with antialias, the most similar")
        return {"interpolation": "bilinear"}
    return {"interpolation": _interpolation(params), "antialias": False}


def _fill(params: Parameters) -> dict[str, Any]:
    params.only("fill_mask", 0.0, 0, None, why="`targets: {mask_fill: ..}` sets it for the whole spec")
    value = params.take("fill", 0)
    if isinstance(value, str):
        raise UnsupportedError(f"fill={value!r}: the fill has to be a color")
    return {} if value in (None, 0, 0.0, [0, 0, 0], [0.0, 0.0, 0.0]) else {"fill": numbers(value)}


def _padded(params: Parameters) -> dict[str, Any]:
    mode = params.take("border_mode", 0)
    if mode not in _BORDERS:
        raise UnsupportedError(f"border_mode={mode}")
    return {"mode": _BORDERS[mode], **_fill(params)}


def _beyond(params: Parameters) -> dict[str, Any]:
    """What a warp shows beyond the border."""
    options = _padded(params)
    if options["mode"] == "constant":
        del options["mode"]
    return options


def _plain(name: str) -> Translator:
    return lambda params, walk: [{name: _p(params)}]


def _crop(name: str) -> Translator:
    def translator(params: Parameters, walk: Translation) -> Steps:
        size = [params.take("height"), params.take("width")]
        if not params.take("pad_if_needed", False):
            params.note("a smaller image is padded here, and is an error in albumentations")
        if name == "center_crop":
            params.note("where the sides differ by an odd number, the crop may start one pixel later here")
        params.ignore("pad_position", "border_mode")
        return [{name: {"size": size, **_fill(params), **_p(params)}}]

    return translator


def _random_resized_crop(params: Parameters, walk: Translation) -> Steps:
    arguments = {"size": params.take("size"), "scale": params.take("scale"), "ratio": params.take("ratio")}
    return [{"random_resized_crop": {**arguments, **_resampled(params), **_p(params)}}]


def _resize(params: Parameters, walk: Translation) -> Steps:
    return [{"resize": {"size": [params.take("height"), params.take("width")], **_resampled(params), **_p(params)}}]


def _by_side(name: str, argument: str) -> Translator:
    def translator(params: Parameters, walk: Translation) -> Steps:
        size = params.take("max_size")
        params.only("max_size_hw", None)
        if not isinstance(size, int):
            raise UnsupportedError(f"max_size={size}: only a single integer is possible")
        if argument == "shorter":
            params.note("the longer side is rounded down here, and to the nearest integer in albumentations")
        return [{name: {argument: size, **_resampled(params), **_p(params)}}]

    return translator


def _pad(params: Parameters, walk: Translation) -> Steps:
    value = params.take("padding", 0)
    x, y = value if isinstance(value, list) and len(value) == 2 else (value, value)
    left, top, right, bottom = value if isinstance(value, list) and len(value) == 4 else (x, y, x, y)
    return [{"pad": {"padding": [top, bottom, left, right], **_padded(params), **_p(params)}}]


def _rotate(params: Parameters, walk: Translation) -> Steps:
    params.only("crop_border", False, why="the image keeps its size")
    params.ignore("rotate_method")  # concerns boxes only
    arguments = {"degrees": params.take("limit"), "interpolation": _interpolation(params), **_beyond(params)}
    return [{"rotate": {**arguments, **_p(params)}}]


def _affine(params: Parameters, walk: Translation) -> Steps:
    params.only("fit_output", False, why="the image keeps its size")
    params.only("balanced_scale", False)
    params.ignore("rotate_method")
    scale, keep = params.take("scale"), params.take("keep_ratio", False)
    if scale["x"] != scale["y"]:
        params.note(f"scale={scale}: the scale of x is used for both axes")
    elif not keep and scale["x"][0] != scale["x"][1]:
        params.note("keep_ratio=False draws a scale for each axis; here, one is drawn for both")
    shear, rotate = params.take("shear"), params.take("rotate")
    if any(rotate) and any(shear["x"] + shear["y"]):
        params.note("albumentations rotates first and then shears; here the order is reversed")
    arguments = {
        "degrees": rotate,
        "translate": _translate(params),
        "scale": scale["x"],
        "shear_x": [0.0 - shear["x"][1], 0.0 - shear["x"][0]],  # the signs are opposite
        "shear_y": [0.0 - shear["y"][1], 0.0 - shear["y"][0]],
        "interpolation": _interpolation(params),
    }
    return [{"affine": {**arguments, **_beyond(params), **_p(params)}}]


def _translate(params: Parameters) -> list[float]:
    """[vertical, horizontal]: the largest translations as fractions of the sides."""
    pixels = params.take("translate_px")
    if pixels and any(pixels["x"] + pixels["y"]):
        params.note(f"translate_px={pixels} is not kept: translations are fractions of the sides")
    limits = params.take("translate_percent")
    return [_symmetric(params, limits[key], f"translate_percent[{key!r}]") for key in "yx"] if limits else [0.0, 0.0]


def _symmetric(params: Parameters, limits: list[float], name: str) -> float:
    largest = max(map(abs, limits))
    if not math.isclose(limits[0], -limits[1]):
        params.note(f"{name}={limits} became [-{largest:g}, {largest:g}]: the range has to be symmetric")
    return largest


def _shift_scale_rotate(params: Parameters, walk: Translation) -> Steps:
    params.ignore("rotate_method")
    translate = [_symmetric(params, params.take(key), key) for key in ("shift_limit_y", "shift_limit_x")]
    scale = [1.0 + end for end in params.take("scale_limit")]
    arguments = {
        "degrees": params.take("rotate_limit"), "translate": translate, "scale": scale, "shear_x": 0,
        "interpolation": _interpolation(params), **_beyond(params),
    }  # fmt: skip
    return [{"affine": {**arguments, **_p(params)}}]


def _color_jitter(params: Parameters, walk: Translation) -> Steps:
    ranges = {key: params.take(key) for key in ("brightness", "contrast", "saturation", "hue")}
    return [{"color_jitter": {**ranges, **_p(params)}}]


def _brightness_contrast(params: Parameters, walk: Translation) -> Steps:
    params.only("ensure_safe_range", False, why="results are clipped")
    of = "white" if params.take("brightness_by_max", True) else "mean"
    added = params.take("brightness_limit", [-0.2, 0.2])
    # its contrast multiplies the pixel values, which is called brightness here
    factor = [max(0.0, 1.0 + end) for end in params.take("contrast_limit", [-0.2, 0.2])]
    if any(added):
        return [{"multiply_add": {"factor": factor, "add": added, "of": of, **_p(params)}}]
    return [{"brightness": {"factor": factor, **_p(params)}}]


def _hue(params: Parameters, walk: Translation) -> Steps:
    for key in ("sat_shift_limit", "val_shift_limit"):
        params.only(key, [0.0, 0.0], [0, 0], why="saturation and value can be multiplied, but not shifted")
    # OpenCV's hue has 180 steps
    return [{"hue": {"shift": [end / 180.0 for end in params.take("hue_shift_limit")], **_p(params)}}]


def _gray(params: Parameters, walk: Translation) -> Steps:
    params.only("num_output_channels", 3)
    params.only("method", "weighted_average", why="grayscale is the luma")
    return [{"grayscale": _p(params)}]


def _posterize(params: Parameters, walk: Translation) -> Steps:
    bits = params.take("num_bits")
    if any(isinstance(part, list) for part in bits) or len(bits) != 2:
        raise UnsupportedError(f"num_bits={bits}: all channels keep the same number of bits")
    return [{"posterize": {"bits": bits, **_p(params)}}]


def _solarize(params: Parameters, walk: Translation) -> Steps:
    return [{"solarize": {"threshold": [255.0 * end for end in params.take("threshold_range")], **_p(params)}}]


def _equalize(params: Parameters, walk: Translation) -> Steps:
    params.ignore("mode")
    params.note("equalize follows Pillow here, which differs slightly from both modes of albumentations")
    params.only("by_channels", True)
    params.only("mask", None)
    params.ignore("mask_params")
    return [{"equalize": _p(params)}]


def _auto_contrast(params: Parameters, walk: Translation) -> Steps:
    params.only("ignore", None)
    params.ignore("method")
    params.note("auto_contrast follows Pillow here, which differs slightly from both methods of albumentations")
    return [{"auto_contrast": {"cutoff": params.take("cutoff", 0.0), **_p(params)}}]


def _blur(params: Parameters, walk: Translation) -> Steps:
    params.only("blur_limit", [0, 0], 0, why="the size of the kernel follows from sigma")
    return [{"gaussian_blur": {"sigma": pair(params.take("sigma_limit")), **_p(params)}}]


def _motion_blur(params: Parameters, walk: Translation) -> Steps:
    params.only("allow_shifted", False, why="the line is centered on the pixel")
    params.only("direction_range", [0.0, 0.0], [0, 0], why="the line is centered on the pixel")
    low, high = params.take("angle_range", [0.0, 360.0])
    # its angle is clockwise
    arguments = {"length": pair(params.take("blur_limit")), "angle": [0.0 - high, 0.0 - low]}
    return [{"motion_blur": {**arguments, **_p(params)}}]


def _median(params: Parameters, walk: Translation) -> Steps:
    return [{"median_blur": {"size": pair(params.take("blur_limit")), **_p(params)}}]


def _normalize(params: Parameters, walk: Translation) -> Steps:
    kind, white = params.take("normalization", "standard"), params.take("max_pixel_value", 255.0)
    if kind != "standard" or white != 255:
        raise UnsupportedError(
            f"normalization={kind!r} with max_pixel_value={white}: only 'standard' with 255 is possible"
        )
    if params.take("p", 1.0) != 1:
        params.note("p is 1 here: normalize is always applied")
    params.ignore("always_apply")
    return [{"normalize": {"mean": numbers(params.take("mean")), "std": numbers(params.take("std"))}}]


def _to_float(params: Parameters, walk: Translation) -> Steps:
    params.only("max_value", None, 255, 255.0)
    params.ignore("p")
    return [{"normalize": {"mean": 0.0, "std": 1.0}}]


def _coarse_dropout(params: Parameters, walk: Translation) -> Steps:
    holes = params.take("num_holes_range")
    sides = [*params.take("hole_height_range"), *params.take("hole_width_range")]
    if len({*sides}) > 1 or holes[0] != holes[1]:
        raise UnsupportedError("only a fixed number of squares of one size is possible, with cutout")
    params.note("its holes are inside the image; those of cutout may be clipped by the border")
    return [{"cutout": {"size": sides[0], "holes": holes[0], **_fill(params), **_p(params)}}]


def _erasing(params: Parameters, walk: Translation) -> Steps:
    low, high = params.take("ratio")
    value = params.take("fill", 0)
    modes = {"random": "pixel", "random_uniform": "random"}
    params.only("fill_mask", None, 0, why="masks are not erased")
    options = {"mode": modes[value]} if isinstance(value, str) and value in modes else _fill(params)
    # its ratio is width / height, drawn uniformly; ours is height / width, drawn log-uniformly
    params.note("here, the aspect ratio is drawn log-uniformly, and areas that do not fit are drawn again")
    return [{"random_erasing": {"area": params.take("scale"), "ratio": [1 / high, 1 / low], **options, **_p(params)}}]


def _elastic(params: Parameters, walk: Translation) -> Steps:
    params.only("approximate", False)
    params.only("same_dxdy", False)
    params.ignore("keypoint_remapping_method")
    alpha = params.take("alpha", 1.0)
    if params.take("noise_distribution", "gaussian") == "gaussian":
        alpha *= math.sqrt(3.0)  # uniform noise with the same standard deviation
        params.note("noise_distribution='gaussian' became uniform noise with the same standard deviation")
    options = {"interpolation": _interpolation(params), **_beyond(params), **_p(params)}
    return [{"elastic": {"alpha": pair(alpha), "sigma": params.take("sigma", 50.0), **options}}]


def _grid(params: Parameters, walk: Translation) -> Steps:
    params.ignore("keypoint_remapping_method", "normalized", "border_mode", "fill", "fill_mask")
    params.note("here, every node of the grid moves separately; in albumentations, whole rows and columns move")
    limit = _symmetric(params, params.take("distort_limit"), "distort_limit")
    arguments = {"cells": pair(params.take("num_steps", 5)), "limit": limit, "interpolation": _interpolation(params)}
    return [{"grid_distortion": {**arguments, **_p(params)}}]


def _gauss_noise(params: Parameters, walk: Translation) -> Steps:
    params.only("mean_range", [0.0, 0.0], [0, 0], why="the noise has mean 0")
    params.only("per_channel", True)
    params.only("noise_scale_factor", 1.0, 1)
    return [{"gaussian_noise": {"std": params.take("std_range"), **_p(params)}}]


def _jpeg(params: Parameters, walk: Translation) -> Steps:
    if params.take("compression_type", "jpeg") != "jpeg":
        raise UnsupportedError("only JPEG is possible")
    params.note("Pillow encodes here, and OpenCV in albumentations")
    return [{"jpeg": {"quality": params.take("quality_range"), **_p(params)}}]


def _downscale(params: Parameters, walk: Translation) -> Steps:
    modes = params.take("interpolation_pair") or {"upscale": 0, "downscale": 3}
    if modes["downscale"] != 3:
        params.note(f"interpolation_pair['downscale']={modes['downscale']} became bilinear with antialias")
    enlarge = _INTERPOLATIONS.get(modes["upscale"], "bicubic")
    arguments = {"scale": params.take("scale_range"), "interpolation": enlarge}
    return [{"downscale": {**arguments, **_p(params)}}]


def _clahe(params: Parameters, walk: Translation) -> Steps:
    params.note("it equalizes the luma here, and the lightness of LAB in albumentations")
    return [{"clahe": {"clip": params.take("clip_limit"), "tiles": params.take("tile_grid_size"), **_p(params)}}]


def _gamma(params: Parameters, walk: Translation) -> Steps:
    params.note("gamma is drawn log-uniformly here")
    return [{"gamma": {"gamma": [end / 100.0 for end in params.take("gamma_limit")], **_p(params)}}]


def _rgb_shift(params: Parameters, walk: Translation) -> Steps:
    limits = [params.take(f"{channel}_shift_limit") for channel in "rgb"]
    params.ignore("approximation", "noise_params", "noise_type", "spatial_mode")  # derived from the limits
    if any(limit != limits[0] for limit in limits):
        raise UnsupportedError(f"limits {limits}: all channels need the same limit")
    return [{"rgb_shift": {"shift": limits[0], **_p(params)}}]


def _channel_drop(params: Parameters, walk: Translation) -> Steps:
    arguments = {"count": params.take("channel_drop_range"), "fill": float(params.take("fill", 0.0))}
    return [{"channel_drop": {**arguments, **_p(params)}}]


def _pad_if_needed(params: Parameters, walk: Translation) -> Steps:
    sides = [params.take(f"min_{side}") or 1 for side in ("height", "width")]
    divisors = [params.take(f"pad_{side}_divisor") or 1 for side in ("height", "width")]
    options = {"position": params.take("position", "center"), **_padded(params)}
    params.ignore("always_apply", "padding")  # `padding` follows from the others
    return [{"pad_to": {"size": sides, "divisor": divisors, **options, "p": params.take("p", 1.0)}}]


STEP_TRANSLATORS: Mapping[str, Translator] = {
    "HorizontalFlip": _plain("horizontal_flip"), "VerticalFlip": _plain("vertical_flip"), "D4": _plain("d4"),
    "SquareSymmetry": _plain("d4"), "RandomRotate90": _plain("rot90"), "RandomCrop": _crop("random_crop"),
    "CenterCrop": _crop("center_crop"), "RandomResizedCrop": _random_resized_crop, "Resize": _resize,
    "SmallestMaxSize": _by_side("resize", "shorter"), "LongestMaxSize": _by_side("longest_max_size", "longer"),
    "Pad": _pad, "PadIfNeeded": _pad_if_needed, "Rotate": _rotate, "Affine": _affine,
    "ShiftScaleRotate": _shift_scale_rotate, "ElasticTransform": _elastic, "GridDistortion": _grid,
    "ColorJitter": _color_jitter, "RandomBrightnessContrast": _brightness_contrast, "HueSaturationValue": _hue,
    "ToGray": _gray, "InvertImg": _plain("invert"), "Posterize": _posterize, "Solarize": _solarize,
    "Equalize": _equalize, "AutoContrast": _auto_contrast, "GaussianBlur": _blur, "MotionBlur": _motion_blur,
    "MedianBlur": _median, "Normalize": _normalize, "ToFloat": _to_float, "CoarseDropout": _coarse_dropout,
    "Erasing": _erasing, "GaussNoise": _gauss_noise, "ImageCompression": _jpeg, "Downscale": _downscale,
    "CLAHE": _clahe, "RandomGamma": _gamma, "RGBShift": _rgb_shift, "ChannelShuffle": _plain("channel_shuffle"),
    "ChannelDropout": _channel_drop,
}  # fmt: skip
"""The translators by class name, without containers."""

UNSUPPORTED: Mapping[str, str] = {}
