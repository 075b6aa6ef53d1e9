"""Translators of albumentations transforms that change the size: crops, resizes and padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps.arguments import (
    at_corners,
    fill,
    interpolation,
    note_mirrored_rows,
    padded,
    probability,
)
from augreg.importers.translation import Parameters, Steps, Translation, Translator, UnsupportedError, pair

__all__ = ["TRANSLATORS"]

_EXACT = 6  # OpenCV's INTER_NEAREST_EXACT, which is at centers


def _resampled(params: Parameters, walk: Translation) -> dict[str, Any]:
    """The interpolation of a resize, without antialiasing, as in OpenCV, whose nearest pixel is that of a corner."""
    masks = params.take("mask_interpolation", 0)
    if masks == 0:
        walk.options.setdefault("targets", {})["nearest"] = "floor"
    elif masks != _EXACT:
        params.lose(f"mask_interpolation={masks} is not kept: masks are resized by the nearest pixel")
    area = params.take("interpolation", 1) == 3 or params.take("area_for_downscale") is not None
    if area:
        params.lose("INTER_AREA became bilinear with antialias, the most similar")
        return {"interpolation": "bilinear"}
    if params.take("interpolation", 1) == _EXACT:
        return {"interpolation": "nearest"}
    return {"interpolation": at_corners(interpolation(params)), "antialias": False}


def _crop(name: str) -> Translator:
    def translator(params: Parameters, walk: Translation) -> Steps:
        size = [params.take("height"), params.take("width")]
        if not params.take("pad_if_needed", False):
            params.ignore("pad_position", "border_mode")
            params.note("a smaller image is padded here, and is an error in albumentations")
        else:
            params.only("pad_position", "center", why="a smaller image is padded evenly")
            params.only("border_mode", 0, why="a smaller image is padded with fill")
        rounding = {"rounding": "down"} if name == "center_crop" else {}
        return [{name: {"size": size, **fill(params), **rounding, **probability(params)}}]

    return translator


def _random_resized_crop(params: Parameters, walk: Translation) -> Steps:
    arguments = {"size": params.take("size"), "scale": params.take("scale"), "ratio": params.take("ratio")}
    return [{"random_resized_crop": {**arguments, **_resampled(params, walk), **probability(params)}}]


def _resize(params: Parameters, walk: Translation) -> Steps:
    return [
        {
            "resize": {
                "size": [params.take("height"), params.take("width")],
                **_resampled(params, walk),
                **probability(params),
            }
        }
    ]


def _random_scale(params: Parameters, walk: Translation) -> Steps:
    scale = [1.0 + end for end in pair(params.take("scale_limit", [-0.1, 0.1]))]
    return [{"random_scale": {"scale": scale, **_resampled(params, walk), **probability(params)}}]


def _sized_crop(params: Parameters, walk: Translation) -> Steps:
    arguments = {
        "size": params.take("size"), "height": params.take("min_max_height"), "ratio": params.take("w2h_ratio", 1.0),
    }  # fmt: skip
    return [{"random_sized_crop": {**arguments, **_resampled(params, walk), **probability(params)}}]


def _around_boxes(params: Parameters, walk: Translation) -> Steps:
    for key in ("erosion_rate", "erosion_factor"):
        params.only(key, 0.0, 0, why="boxes stay whole")
    params.note("an image without boxes is cropped around its middle here, and not at all in albumentations")
    if params.name == "BBoxSafeRandomCrop":
        return [{"crop_around_boxes": probability(params)}]
    size = [params.take("height"), params.take("width")]
    return [{"crop_around_boxes": {"size": size, **_resampled(params, walk), **probability(params)}}]


def _crop_box(params: Parameters, walk: Translation) -> Steps:
    left, top, right, bottom = (params.take(key) for key in ("x_min", "y_min", "x_max", "y_max"))
    if params.take("pad_if_needed", False):
        params.lose("a smaller image is padded at the bottom and on the right here")
    else:
        params.note("a smaller image is padded here, and is an error in albumentations")
    params.ignore("pad_position", "border_mode")
    size = [bottom - top, right - left]
    return [{"crop_box": {"size": size, "top": top, "left": left, **fill(params), **probability(params)}}]


def _by_side(name: str, argument: str) -> Translator:
    def translator(params: Parameters, walk: Translation) -> Steps:
        size = params.take("max_size")
        params.only("max_size_hw", None)
        if not isinstance(size, int):
            raise UnsupportedError(f"max_size={size}: only a single integer is possible")
        rounding = {"rounding": "nearest"} if argument == "shorter" else {}
        return [{name: {argument: size, **_resampled(params, walk), **rounding, **probability(params)}}]

    return translator


def _pad(params: Parameters, walk: Translation) -> Steps:
    note_mirrored_rows(params, walk)
    value = params.take("padding", 0)
    x, y = value if isinstance(value, list) and len(value) == 2 else (value, value)
    left, top, right, bottom = value if isinstance(value, list) and len(value) == 4 else (x, y, x, y)
    return [{"pad": {"padding": [top, bottom, left, right], **padded(params), **probability(params)}}]


def _pad_if_needed(params: Parameters, walk: Translation) -> Steps:
    note_mirrored_rows(params, walk)
    sides = [params.take(f"min_{side}") or 1 for side in ("height", "width")]
    divisors = [params.take(f"pad_{side}_divisor") or 1 for side in ("height", "width")]
    options = {"position": params.take("position", "center"), **padded(params)}
    params.ignore("always_apply", "padding")  # `padding` follows from the others
    return [{"pad_to": {"size": sides, "divisor": divisors, **options, "p": params.take("p", 1.0)}}]


TRANSLATORS: Mapping[str, Translator] = {
    "RandomCrop": _crop("random_crop"),
    "RandomScale": _random_scale,
    "Crop": _crop_box,
    "RandomSizedCrop": _sized_crop,
    "BBoxSafeRandomCrop": _around_boxes,
    "RandomSizedBBoxSafeCrop": _around_boxes,
    "CenterCrop": _crop("center_crop"),
    "RandomResizedCrop": _random_resized_crop,
    "Resize": _resize,
    "SmallestMaxSize": _by_side("resize", "shorter"),
    "LongestMaxSize": _by_side("longest_max_size", "longer"),
    "Pad": _pad,
    "PadIfNeeded": _pad_if_needed,
}
"""The translators by class name."""
