"""The names of albumentations 1, which its dicts and YAML files have, as those of albumentations 2.

A renamed argument keeps its meaning. Where a transform of version 1 does something else than that of version 2, the
report says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from augreg.importers.albumentations_versions import as_of_version

__all__ = ["SHOWING_FILL", "Renamed", "renamed"]

Arguments: TypeAlias = dict[str, Any]


class Renamed(NamedTuple):
    """A transform under its present name, with its present arguments, and what the report says of it."""

    name: str
    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def renamed(name: str, values: Mapping[str, Any], version: str | None = None) -> Renamed:
    """The transform of version 2 that does what a transform of version 1 does; those of version 2 are unchanged.

    `version` is that of the library that wrote the dict, if it is known.
    """
    arguments = dict(values)
    notes: list[str] = []
    if arguments.pop("always_apply", None):  # in version 1 it was stronger than p
        arguments["p"] = 1.0
    for old, new in _NAMES.get(name, {}).items():
        if old in arguments:
            arguments.setdefault(new, arguments.pop(old))
    for new, ends in _PAIRS.get(name, {}).items():
        if any(end in arguments for end in ends):
            low, high = (arguments.pop(end, None) for end in ends)
            if (low, high) != (None, None):
                arguments.setdefault(new, [high if low is None else low, low if high is None else high])
    numbers = _numbers(version)
    old_version = bool(numbers) and numbers < (2,)
    for key in ("fill", "fill_mask") if name in SHOWING_FILL else ():
        if key in arguments and arguments[key] is None:
            del arguments[key]  # None was 0
    fill = arguments.get("fill")
    if old_version and name in SHOWING_FILL and fill and isinstance(fill, int | float):
        notes.append(f"fill={fill} is for all channels here, and for the first one in version 1")
    if numbers:
        arguments["_version"] = numbers  # for translators of what earlier versions did otherwise
    if name in _CHANGED:
        name = _CHANGED[name](name, arguments, notes, old_version)
    as_of_version(name, arguments, notes, numbers)
    return Renamed(name, arguments, tuple(notes))


def _numbers(version: str | None) -> tuple[int, ...]:
    """(1, 3, 1) from 1.3.1; empty if the version is not known."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version or "")
    return tuple(int(number or 0) for number in found.groups()) if found else ()


_FILL = {"value": "fill", "mask_value": "fill_mask"}
_FILL_VALUE = {"fill_value": "fill", "mask_fill_value": "fill_mask"}
_CVAL = {"cval": "fill", "cval_mask": "fill_mask", "mode": "border_mode"}

_NAMES: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(
        ("Rotate", "SafeRotate", "ShiftScaleRotate", "ElasticTransform", "GridDistortion", "PadIfNeeded"), _FILL
    ),
    **dict.fromkeys(("CoarseDropout", "GridDropout", "ChannelDropout", "XYMasking"), _FILL_VALUE),
    **dict.fromkeys(("Affine", "PiecewiseAffine"), _CVAL),
    "OpticalDistortion": _FILL,
    "Perspective": {"pad_mode": "border_mode", "pad_val": "fill", "mask_pad_val": "fill_mask"},
    "CropAndPad": {"pad_mode": "border_mode", "pad_cval": "fill", "pad_cval_mask": "fill_mask"},
    "AdvancedBlur": {"sigmaX_limit": "sigma_x_limit", "sigmaY_limit": "sigma_y_limit"},
    "RandomCropNearBBox": {"cropping_box_key": "cropping_bbox_key"},
}
"""Arguments by class that only have another name now."""

SHOWING_FILL = (
    "Rotate", "SafeRotate", "ShiftScaleRotate", "ElasticTransform", "GridDistortion", "PadIfNeeded",
    "OpticalDistortion", "Affine", "Perspective", "CropAndPad", "Pad",
)  # fmt: skip
"""Transforms that show the fill beyond the border of the image."""

_SIZE = {"size": ("height", "width")}
_PAIRS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "RandomResizedCrop": _SIZE,
    "RandomSizedCrop": _SIZE,
    "ImageCompression": {"quality_range": ("quality_lower", "quality_upper")},
    "JpegCompression": {"quality_range": ("quality_lower", "quality_upper")},
    "Downscale": {"scale_range": ("scale_min", "scale_max")},
    "RandomFog": {"fog_coef_range": ("fog_coef_lower", "fog_coef_upper")},
    "RandomRain": {"slant_range": ("slant_lower", "slant_upper")},
    "RandomSnow": {"snow_point_range": ("snow_point_lower", "snow_point_upper")},
    "RandomShadow": {"num_shadows_limit": ("num_shadows_lower", "num_shadows_upper")},
    "RandomSunFlare": {
        "angle_range": ("angle_lower", "angle_upper"),
        "num_flare_circles_range": ("num_flare_circles_lower", "num_flare_circles_upper"),
    },
    "CoarseDropout": {
        "num_holes_range": ("min_holes", "max_holes"),
        "hole_height_range": ("min_height", "max_height"),
        "hole_width_range": ("min_width", "max_width"),
    },
    "GridDropout": {
        "unit_size_range": ("unit_size_min", "unit_size_max"),
        "holes_number_xy": ("holes_number_x", "holes_number_y"),
        "shift_xy": ("shift_x", "shift_y"),
    },
}
"""Two arguments by class that are one now. Where one of them is missing or None, it is the other."""


# Transforms that need more than other names: each changes the arguments, and returns the name.

_Change: TypeAlias = Callable[[str, Arguments, list[str], bool], str]


def _jpeg(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    kind = arguments.get("compression_type", "jpeg")
    if not isinstance(kind, str):  # the number of an enumeration
        arguments["compression_type"] = "webp" if getattr(kind, "value", kind) == 1 else "jpeg"
    return "ImageCompression"


def _brightness(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    both = {"RandomBrightness": "brightness_limit", "RandomContrast": "contrast_limit"}
    limits = {key: [0.0, 0.0] for key in both.values()}
    arguments.update({**limits, both[name]: arguments.pop("limit", [-0.2, 0.2])})
    return "RandomBrightnessContrast"


def _cutout(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    count = arguments.pop("num_holes", 8)
    height, width = (arguments.pop(key, 8) for key in ("max_h_size", "max_w_size"))
    arguments |= {
        "num_holes_range": [count, count], "hole_height_range": [height] * 2, "hole_width_range": [width] * 2,
        "fill": arguments.pop("fill_value", 0),
    }  # fmt: skip
    notes.append("the holes of Cutout may reach over the border of the image, and these do not")
    return "CoarseDropout"


def _flip(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    """Horizontal, vertical or both, each as often."""
    across, down = ({"__class_fullname__": f"{way}Flip", "p": 1.0} for way in ("Horizontal", "Vertical"))
    both = {"__class_fullname__": "Sequential", "transforms": [across, down], "p": 1.0}
    arguments["transforms"] = [across, down, both]
    return "OneOf"


def _gauss_noise(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    if "var_limit" in arguments:
        low, high = _pair(arguments.pop("var_limit"), 0.0)
        arguments["std_range"] = [math.sqrt(low) / 255.0, math.sqrt(high) / 255.0]
        arguments["_uniform"] = "variance"
    if "mean" in arguments:
        arguments["mean_range"] = [end / 255.0 for end in _pair(arguments.pop("mean"))]
    return name


def _gaussian_blur(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    """Where sigma is 0, it follows from the size of the kernel, which is drawn."""
    sigma, sizes = arguments.get("sigma_limit"), arguments.get("blur_limit")
    if sigma is None or any(_pair(sigma)) or sizes is None or not any(_pair(sizes)):
        return name
    low, high = (int(side) for side in _pair(sizes, 3))
    drawn = [side if side % 2 or side == 0 else (side + 1) % (high + 1) for side in range(low, high + 1)]
    children = []
    for side in sorted({*drawn} - {0, 1}):
        blur = {"blur_limit": [side] * 2, "sigma_limit": [0.3 * ((side - 1) * 0.5 - 1) + 0.8] * 2}
        children.append({"__class_fullname__": name, **blur, "p": drawn.count(side) / len(drawn)})
    if not children or {*drawn} & {0, 1}:  # a kernel of one pixel changes nothing
        return name
    p = arguments.get("p", 0.5)
    arguments.clear()
    arguments |= {"transforms": children, "p": p}
    return "OneOf"


def _motion_blur(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    if old and "angle_range" not in arguments:
        notes.append("in version 1 its line joined two random pixels of the kernel; here it has the kernel's length")
    return name


def _elastic(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    if (old or "alpha_affine" in arguments) and "noise_distribution" not in arguments:
        arguments["noise_distribution"] = "uniform"
    return name


def _downscale(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    if "interpolation" in arguments:
        value = arguments.pop("interpolation")
        if not isinstance(value, Mapping):
            value = dict.fromkeys(("downscale", "upscale"), 0 if value is None else value)
        arguments["interpolation_pair"] = value
    return name


def _solarize(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    if "threshold" in arguments:
        threshold = arguments.pop("threshold")
        ends = threshold if isinstance(threshold, list | tuple) else (threshold, threshold)
        arguments["threshold_range"] = [end / 255.0 for end in ends]
    return name


def _gamma(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    arguments.pop("eps", None)  # it avoided a division that is no longer there
    return name


def _spatter(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    mode = arguments.get("mode")
    if isinstance(mode, list | tuple) and mode:
        if len(mode) > 1:
            notes.append(f"mode={list(mode)} became {mode[0]}: one of them is drawn in version 1")
        arguments["mode"] = mode[0]
    if isinstance(arguments.get("color"), Mapping):
        arguments["color"] = arguments["color"].get(arguments.get("mode", "rain"))
    return name


def _rain(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    if arguments.get("rain_type", "") is None:
        del arguments["rain_type"]
    return name


def _of_imgaug(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    """A transform of imgaug, which early versions had beside their own."""
    if name == "IAAPiecewiseAffine":
        arguments["interpolation"] = {0: 0, 1: 1}.get(arguments.pop("order", 1), 2)
        arguments["fill"] = arguments.pop("cval", 0)
        arguments["border_mode"] = arguments.pop("mode", "constant")
        arguments["_version"] = (0, 5)
        notes.append("masks show the nearest pixel here, and imgaug mixes their values")
        return _piecewise("PiecewiseAffine", arguments, notes, old)
    if name == "IAAAdditiveGaussianNoise":
        scale, mean = _pair(arguments.pop("scale", [2.55, 12.75]), 0.0), arguments.pop("loc", 0)
        arguments |= {"std_range": [end / 255.0 for end in scale], "mean_range": [mean / 255.0] * 2}
    return _OF_IMGAUG[name]


_OF_IMGAUG: Mapping[str, str] = {
    "IAAFliplr": "HorizontalFlip", "IAAFlipud": "VerticalFlip", "IAASharpen": "Sharpen", "IAAEmboss": "Emboss",
    "IAAPiecewiseAffine": "PiecewiseAffine", "IAAAdditiveGaussianNoise": "GaussNoise",
}  # fmt: skip


def _piecewise(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    modes = {"constant": 0, "edge": 1, "symmetric": 2, "wrap": 3, "reflect": 4}
    mode = arguments.get("border_mode")
    if isinstance(mode, str):
        arguments["border_mode"] = modes.get(mode, mode)
    arguments.pop("keypoints_threshold", None)
    if arguments.get("interpolation") == 3 and "_version" in arguments and arguments["_version"] < (1, 4, 19):
        arguments["interpolation"] = 2  # an order of scikit-image became a constant of OpenCV
    return name


def _some_of(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    """In version 1 a transform is drawn by its p, and then always applied, as by OneOf."""
    children, count = arguments.get("transforms") or (), int(arguments.get("n") or 1)
    if not old:
        return name
    if not arguments.pop("replace", True) and count > 1:
        notes.append("in version 1 transforms are drawn by their p and then always applied; here each is by its p")
        return name
    drawn = {"__class_fullname__": "OneOf", "transforms": children, "p": 1.0}
    p = arguments.get("p", 1.0)
    arguments.clear()
    arguments |= {"transforms": [drawn] * count, "p": p}
    return "Sequential"


def _padded(name: str, arguments: Arguments, notes: list[str], old: bool) -> str:
    position = arguments.get("position")
    if position is not None:  # a member of an enumeration, or its name: PositionType.TOP_LEFT
        arguments["position"] = str(getattr(position, "value", position)).rpartition(".")[2].lower()
    return name


def _pair(value: Any, low: float | None = None) -> Sequence[Any]:
    """(low, high) from a pair, or from one number, which is both ends unless `low` is given."""
    return value if isinstance(value, list | tuple) else (value if low is None else low, value)


_CHANGED: Mapping[str, _Change] = {
    "ImageCompression": _jpeg, "JpegCompression": _jpeg, "RandomBrightness": _brightness,
    "RandomContrast": _brightness, "Cutout": _cutout, "Flip": _flip, "GaussNoise": _gauss_noise,
    "GaussianBlur": _gaussian_blur, "MotionBlur": _motion_blur, "ElasticTransform": _elastic,
    "Downscale": _downscale, "Solarize": _solarize, "RandomGamma": _gamma,
    "SomeOf": _some_of, "Spatter": _spatter, "RandomRain": _rain, "PiecewiseAffine": _piecewise,
    "PadIfNeeded": _padded, **dict.fromkeys(_OF_IMGAUG, _of_imgaug),
}  # fmt: skip
