"""How single transforms of albumentations are said in a spec, a function a class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from augreg.importers.translation import Given, LeftOutError, Rule, Step, Translation, numbers, pair

__all__ = ["STEPS"]

_WAYS = {0: "nearest", 1: "bilinear", 2: "bicubic"}  # OpenCV's numbers
_BORDERS = {0: "constant", 1: "edge", 2: "symmetric", 4: "reflect"}


def _p(given: Given) -> dict[str, Any]:
    given.ignore("always_apply")
    return {"p": given.take("p", 0.5)}


def _how(given: Given) -> str:
    """The word for OpenCV's interpolation."""
    value = given.take("interpolation", 1)
    given.ignore("mask_interpolation")  # masks are read at the nearest pixel
    if value in _WAYS:
        return _WAYS[value]
    given.note(f"interpolation={value} became bilinear")
    return "bilinear"


def _resampled(given: Given) -> dict[str, Any]:
    """Interpolation, not antialiased, as OpenCV shrinks."""
    area = given.take("interpolation", 1) == 3 or given.take("area_for_downscale") is not None
    if area:
        given.ignore("interpolation", "mask_interpolation")
        given.note("INTER_AREA became bilinear with antialias, which comes nearest")
        return {"interpolation": "bilinear"}
    return {"interpolation": _how(given), "antialias": False}


def _fill(given: Given) -> dict[str, Any]:
    given.only("fill_mask", 0.0, 0, None, why="`targets: {mask_fill: ..}` says it for the whole spec")
    value = given.take("fill", 0)
    if isinstance(value, str):
        raise LeftOutError(f"fill={value!r}: a fill is a color")
    return {} if value in (None, 0, 0.0, [0, 0, 0], [0.0, 0.0, 0.0]) else {"fill": numbers(value)}


def _constant(given: Given) -> dict[str, Any]:
    given.only("border_mode", 0, why="what is outside is filled")
    return _fill(given)


def _padded(given: Given) -> dict[str, Any]:
    mode = given.take("border_mode", 0)
    if mode not in _BORDERS:
        raise LeftOutError(f"border_mode={mode}")
    return {"mode": _BORDERS[mode], **_fill(given)}


def _plain(name: str) -> Rule:
    return lambda given, walk: [{name: _p(given)}]


def _crop(name: str) -> Rule:
    def rule(given: Given, walk: Translation) -> list[Step]:
        size = [given.take("height"), given.take("width")]
        if not given.take("pad_if_needed", False):
            given.note("an image that is smaller is padded here, and an error there")
        if name == "center_crop":
            given.note("where the sides differ by an odd number, the middle may be a pixel further here")
        given.ignore("pad_position", "border_mode")
        return [{name: {"size": size, **_fill(given), **_p(given)}}]

    return rule


def _random_resized_crop(given: Given, walk: Translation) -> list[Step]:
    arguments = {"size": given.take("size"), "scale": given.take("scale"), "ratio": given.take("ratio")}
    return [{"random_resized_crop": {**arguments, **_resampled(given), **_p(given)}}]


def _resize(given: Given, walk: Translation) -> list[Step]:
    return [{"resize": {"size": [given.take("height"), given.take("width")], **_resampled(given), **_p(given)}}]


def _by_side(name: str, argument: str) -> Rule:
    def rule(given: Given, walk: Translation) -> list[Step]:
        size = given.take("max_size")
        given.only("max_size_hw", None)
        if not isinstance(size, int):
            raise LeftOutError(f"max_size={size}: a side is one number")
        if argument == "shorter":
            given.note("the longer side is rounded down here, and to the nearest there")
        return [{name: {argument: size, **_resampled(given), **_p(given)}}]

    return rule


def _pad(given: Given, walk: Translation) -> list[Step]:
    value = given.take("padding", 0)
    x, y = value if isinstance(value, list) and len(value) == 2 else (value, value)
    left, top, right, bottom = value if isinstance(value, list) and len(value) == 4 else (x, y, x, y)
    return [{"pad": {"padding": [top, bottom, left, right], **_padded(given), **_p(given)}}]


def _refused(why: str) -> Rule:
    def refuse(given: Given, walk: Translation) -> list[Step]:
        raise LeftOutError(why)

    return refuse


def _rotate(given: Given, walk: Translation) -> list[Step]:
    given.only("crop_border", False, why="an image keeps its size")
    given.ignore("rotate_method")  # of boxes
    arguments = {"degrees": given.take("limit"), "interpolation": _how(given), **_constant(given)}
    return [{"rotate": {**arguments, **_p(given)}}]


def _affine(given: Given, walk: Translation) -> list[Step]:
    given.only("fit_output", False, why="an image keeps its size")
    given.only("balanced_scale", False)
    given.ignore("rotate_method")
    scale, keep = given.take("scale"), given.take("keep_ratio", False)
    if scale["x"] != scale["y"]:
        given.note(f"scale={scale}: that of x is taken for both axes")
    elif not keep and scale["x"][0] != scale["x"][1]:
        given.note("keep_ratio=False draws a scale for each axis; one is drawn for both here")
    shear, rotate = given.take("shear"), given.take("rotate")
    if any(rotate) and any(shear["x"] + shear["y"]):
        given.note("it shears after it has rotated; here it is the other way round")
    arguments = {
        "degrees": rotate,
        "translate": _moves(given),
        "scale": scale["x"],
        "shear_x": [0.0 - shear["x"][1], 0.0 - shear["x"][0]],  # the other way round
        "shear_y": [0.0 - shear["y"][1], 0.0 - shear["y"][0]],
        "interpolation": _how(given),
    }
    return [{"affine": {**arguments, **_constant(given), **_p(given)}}]


def _moves(given: Given) -> list[float]:
    """[vertical, horizontal]: the largest moves as shares."""
    pixels = given.take("translate_px")
    if pixels and any(pixels["x"] + pixels["y"]):
        given.note(f"translate_px={pixels} is not kept: moves are shares of the sides")
    shares = given.take("translate_percent")
    return [_symmetric(given, shares[key], f"translate_percent[{key!r}]") for key in "yx"] if shares else [0.0, 0.0]


def _symmetric(given: Given, limits: list[float], name: str) -> float:
    largest = max(map(abs, limits))
    if not math.isclose(limits[0], -limits[1]):
        given.note(f"{name}={limits} became [-{largest:g}, {largest:g}]: it is as likely to either side")
    return largest


def _shift_scale_rotate(given: Given, walk: Translation) -> list[Step]:
    given.ignore("rotate_method")
    moves = [_symmetric(given, given.take(key), key) for key in ("shift_limit_y", "shift_limit_x")]
    scale = [1.0 + end for end in given.take("scale_limit")]
    arguments = {
        "degrees": given.take("rotate_limit"), "translate": moves, "scale": scale, "shear_x": 0,
        "interpolation": _how(given), **_constant(given),
    }  # fmt: skip
    return [{"affine": {**arguments, **_p(given)}}]


def _color_jitter(given: Given, walk: Translation) -> list[Step]:
    ranges = {key: given.take(key) for key in ("brightness", "contrast", "saturation", "hue")}
    return [{"color_jitter": {**ranges, **_p(given)}}]


def _brightness_contrast(given: Given, walk: Translation) -> list[Step]:
    given.only("ensure_safe_range", False)
    given.ignore("brightness_by_max")
    added = given.take("brightness_limit")
    if any(added):
        given.note(f"brightness_limit={added} is not kept: nothing adds one number to all levels")
    # what it calls contrast multiplies the levels, which is called brightness here
    factor = [1.0 + end for end in given.take("contrast_limit")]
    return [{"brightness": {"factor": factor, **_p(given)}}]


def _hue(given: Given, walk: Translation) -> list[Step]:
    for key in ("sat_shift_limit", "val_shift_limit"):
        given.only(key, [0.0, 0.0], [0, 0], why="saturation and value are multiplied here, not shifted")
    # OpenCV counts 180 steps in a full circle
    return [{"hue": {"shift": [end / 180.0 for end in given.take("hue_shift_limit")], **_p(given)}}]


def _gray(given: Given, walk: Translation) -> list[Step]:
    given.only("num_output_channels", 3)
    given.only("method", "weighted_average", why="it is the luma")
    return [{"grayscale": _p(given)}]


def _posterize(given: Given, walk: Translation) -> list[Step]:
    bits = given.take("num_bits")
    if any(isinstance(part, list) for part in bits) or len(bits) != 2:
        raise LeftOutError(f"num_bits={bits}: all channels keep the same bits")
    return [{"posterize": {"bits": bits, **_p(given)}}]


def _solarize(given: Given, walk: Translation) -> list[Step]:
    return [{"solarize": {"threshold": [255.0 * end for end in given.take("threshold_range")], **_p(given)}}]


def _equalize(given: Given, walk: Translation) -> list[Step]:
    given.ignore("mode")
    given.note("it equalizes as Pillow does here, a little differently from either mode there")
    given.only("by_channels", True)
    given.only("mask", None)
    given.ignore("mask_params")
    return [{"equalize": _p(given)}]


def _auto_contrast(given: Given, walk: Translation) -> list[Step]:
    given.only("ignore", None)
    given.ignore("method")
    given.note("it stretches as Pillow does here, a little differently from either method there")
    return [{"auto_contrast": {"cutoff": given.take("cutoff", 0.0), **_p(given)}}]


def _blur(given: Given, walk: Translation) -> list[Step]:
    given.only("blur_limit", [0, 0], 0, why="the kernel reaches as far as sigma needs")
    return [{"gaussian_blur": {"sigma": pair(given.take("sigma_limit")), **_p(given)}}]


def _motion_blur(given: Given, walk: Translation) -> list[Step]:
    given.only("allow_shifted", False, why="the line has its middle at the pixel")
    given.only("direction_range", [0.0, 0.0], [0, 0], why="the line has its middle at the pixel")
    low, high = given.take("angle_range", [0.0, 360.0])
    # its angle counts clockwise
    arguments = {"length": pair(given.take("blur_limit")), "angle": [0.0 - high, 0.0 - low]}
    return [{"motion_blur": {**arguments, **_p(given)}}]


def _median(given: Given, walk: Translation) -> list[Step]:
    return [{"median_blur": {"size": pair(given.take("blur_limit")), **_p(given)}}]


def _normalize(given: Given, walk: Translation) -> list[Step]:
    kind, most = given.take("normalization", "standard"), given.take("max_pixel_value", 255.0)
    if kind != "standard" or most != 255:
        raise LeftOutError(
            f"normalization={kind!r} with max_pixel_value={most}: only the standard one, of 255, can be said"
        )
    if given.take("p", 1.0) != 1:
        given.note("p is 1 here: whether an image is normalized cannot be chance")
    given.ignore("always_apply")
    return [{"normalize": {"mean": numbers(given.take("mean")), "std": numbers(given.take("std"))}}]


def _to_float(given: Given, walk: Translation) -> list[Step]:
    given.only("max_value", None, 255, 255.0)
    given.ignore("p")
    return [{"normalize": {"mean": 0.0, "std": 1.0}}]


def _coarse_dropout(given: Given, walk: Translation) -> list[Step]:
    holes = given.take("num_holes_range")
    sides = [*given.take("hole_height_range"), *given.take("hole_width_range")]
    if len({*sides}) > 1 or holes[0] != holes[1]:
        raise LeftOutError("only a fixed number of squares of one size can be said, by cutout")
    given.note("its holes lie wholly inside the image; those of cutout may be clipped by the border")
    return [{"cutout": {"size": sides[0], "holes": holes[0], **_fill(given), **_p(given)}}]


def _erasing(given: Given, walk: Translation) -> list[Step]:
    low, high = given.take("ratio")
    value = given.take("fill", 0)
    modes = {"random": "pixel", "random_uniform": "random"}
    given.only("fill_mask", None, 0, why="masks are not erased")
    how = {"mode": modes[value]} if isinstance(value, str) and value in modes else _fill(given)
    # its ratio is width / height, drawn uniformly; ours is height / width, drawn on a log scale
    given.note("the aspect ratio is drawn on a log scale here, and areas that do not fit are drawn again")
    return [{"random_erasing": {"area": given.take("scale"), "ratio": [1 / high, 1 / low], **how, **_p(given)}}]


def _elastic(given: Given, walk: Translation) -> list[Step]:
    given.only("approximate", False)
    given.only("same_dxdy", False)
    given.ignore("keypoint_remapping_method")
    alpha = given.take("alpha", 1.0)
    if given.take("noise_distribution", "gaussian") == "gaussian":
        alpha *= math.sqrt(3.0)  # uniform noise of the same deviation
        given.note("noise_distribution='gaussian' became uniform noise of the same deviation")
    how = {"interpolation": _how(given), **_constant(given), **_p(given)}
    return [{"elastic": {"alpha": pair(alpha), "sigma": given.take("sigma", 50.0), **how}}]


def _grid(given: Given, walk: Translation) -> list[Step]:
    given.ignore("keypoint_remapping_method", "normalized", "border_mode", "fill", "fill_mask")
    given.note("the nodes of the grid move here, each by its own draw; there it is whole rows and columns")
    limit = _symmetric(given, given.take("distort_limit"), "distort_limit")
    arguments = {"cells": pair(given.take("num_steps", 5)), "limit": limit, "interpolation": _how(given)}
    return [{"grid_distortion": {**arguments, **_p(given)}}]


def _gauss_noise(given: Given, walk: Translation) -> list[Step]:
    given.only("mean_range", [0.0, 0.0], [0, 0], why="the noise has mean 0")
    given.only("per_channel", True)
    given.only("noise_scale_factor", 1.0, 1)
    return [{"gaussian_noise": {"std": given.take("std_range"), **_p(given)}}]


def _jpeg(given: Given, walk: Translation) -> list[Step]:
    if given.take("compression_type", "jpeg") != "jpeg":
        raise LeftOutError("only JPEG can be said")
    given.note("OpenCV encodes there, and Pillow here")
    return [{"jpeg": {"quality": given.take("quality_range"), **_p(given)}}]


def _downscale(given: Given, walk: Translation) -> list[Step]:
    ways = given.take("interpolation_pair") or {"upscale": 0, "downscale": 3}
    if ways["downscale"] != 3:
        given.note(f"interpolation_pair['downscale']={ways['downscale']} became bilinear with antialias")
    arguments = {"scale": given.take("scale_range"), "interpolation": _WAYS.get(ways["upscale"], "bicubic")}
    return [{"downscale": {**arguments, **_p(given)}}]


def _clahe(given: Given, walk: Translation) -> list[Step]:
    given.note("it works on the lightness of LAB there, and on the luma here")
    return [{"clahe": {"clip": given.take("clip_limit"), "tiles": given.take("tile_grid_size"), **_p(given)}}]


def _gamma(given: Given, walk: Translation) -> list[Step]:
    given.note("gamma is drawn on a log scale here")
    return [{"gamma": {"gamma": [end / 100.0 for end in given.take("gamma_limit")], **_p(given)}}]


def _rgb_shift(given: Given, walk: Translation) -> list[Step]:
    limits = [given.take(f"{channel}_shift_limit") for channel in "rgb"]
    given.ignore("approximation", "noise_params", "noise_type", "spatial_mode")  # what the limits became inside
    if any(limit != limits[0] for limit in limits):
        raise LeftOutError(f"limits {limits}: all channels have the same one here")
    return [{"rgb_shift": {"shift": limits[0], **_p(given)}}]


def _channel_drop(given: Given, walk: Translation) -> list[Step]:
    arguments = {"count": given.take("channel_drop_range"), "fill": float(given.take("fill", 0.0))}
    return [{"channel_drop": {**arguments, **_p(given)}}]


STEPS: Mapping[str, Rule] = {
    "HorizontalFlip": _plain("horizontal_flip"), "VerticalFlip": _plain("vertical_flip"), "D4": _plain("d4"),
    "SquareSymmetry": _plain("d4"), "RandomRotate90": _plain("rot90"), "RandomCrop": _crop("random_crop"),
    "CenterCrop": _crop("center_crop"), "RandomResizedCrop": _random_resized_crop, "Resize": _resize,
    "SmallestMaxSize": _by_side("resize", "shorter"), "LongestMaxSize": _by_side("longest_max_size", "longer"),
    "PadIfNeeded": _refused("what is larger keeps its size; behind LongestMaxSize, say letterbox"),
    "Pad": _pad, "Rotate": _rotate, "Affine": _affine,
    "ShiftScaleRotate": _shift_scale_rotate, "ElasticTransform": _elastic, "GridDistortion": _grid,
    "ColorJitter": _color_jitter, "RandomBrightnessContrast": _brightness_contrast, "HueSaturationValue": _hue,
    "ToGray": _gray, "InvertImg": _plain("invert"), "Posterize": _posterize, "Solarize": _solarize,
    "Equalize": _equalize, "AutoContrast": _auto_contrast, "GaussianBlur": _blur, "MotionBlur": _motion_blur,
    "MedianBlur": _median, "Normalize": _normalize, "ToFloat": _to_float, "CoarseDropout": _coarse_dropout,
    "Erasing": _erasing, "GaussNoise": _gauss_noise, "ImageCompression": _jpeg, "Downscale": _downscale,
    "CLAHE": _clahe, "RandomGamma": _gamma, "RGBShift": _rgb_shift, "ChannelShuffle": _plain("channel_shuffle"),
    "ChannelDropout": _channel_drop,
}  # fmt: skip
"""Everything but containers."""
