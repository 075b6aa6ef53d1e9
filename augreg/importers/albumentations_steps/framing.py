"""Translators of albumentations transforms that change the size: crops, resizes and padding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps.arguments import (
    DERIVED,
    before,
    fill,
    keep_mask_fill,
    note_bicubic,
    note_mirrored_rows,
    padded,
    probability,
)
from augreg.importers.translation import Parameters, Steps, Translation, Translator, UnsupportedError, pair

__all__ = ["TRANSLATORS"]

_AREA, _LINEAR_EXACT = 3, 5
_EXACT = 6  # OpenCV's INTER_NEAREST_EXACT, which is at centers
_RESIZED = {
    0: "nearest_floor", 1: "bilinear", 2: "bicubic", _AREA: "area", 4: "lanczos4", _LINEAR_EXACT: "bilinear",
    _EXACT: "nearest",
}  # fmt: skip

_KEEPING_RATIO = ("LongestMaxSize", "RandomScale", "SmallestMaxSize")


def _resampled(params: Parameters, walk: Translation) -> dict[str, Any]:
    """The interpolation of a resize, without antialiasing, as in OpenCV, whose nearest pixel is that of a corner."""
    masks = params.take("mask_interpolation", 0)
    if masks == 0:
        walk.options.setdefault("targets", {})["nearest"] = "floor"
    elif masks != _EXACT:
        params.lose(f"mask_interpolation={masks} is not kept: masks are resized by the nearest pixel")
    value, shrinking = params.take("interpolation", 1), params.take("area_for_downscale")
    if shrinking is not None and value != _AREA:
        params.lose(f"area_for_downscale={shrinking!r} is not kept: the interpolation is the same for every size")
    if value not in _RESIZED:
        params.lose(f"interpolation={value} became bilinear")
        value = 1
    note_bicubic(params, value)
    if value == _AREA and params.name not in _KEEPING_RATIO:
        params.note(
            "where one side grows and the other shrinks, INTER_AREA interpolates there, and here it is a mean"
        )
    antialias = {"antialias": False} if _RESIZED[value] not in ("area", "lanczos4", "nearest") else {}
    return {"interpolation": _RESIZED[value], **antialias}


def _crop(name: str) -> Translator:
    def translator(params: Parameters, walk: Translation) -> Steps:
        size = [params.take("height"), params.take("width")]
        if not params.take("pad_if_needed", False):
            params.ignore("pad_position", "border_mode", "fill_mask")
            params.note("a smaller image is padded here, and is an error in albumentations")
        else:
            params.only("pad_position", "center", why="a smaller image is padded evenly")
            if name == "random_crop" and params.values.get("border_mode", 0):
                return [{name: {"size": size, **padded(params), **probability(params)}}]
            params.only("border_mode", 0, why="a smaller image is padded with fill")
            keep_mask_fill(params)
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
    arguments: dict[str, Any] = {"without_boxes": "shrink"}
    if erosion := params.take("erosion_rate", 0.0):
        arguments["erosion"] = erosion
        if before(params, 2):
            arguments["erode"] = "boxes"
    if params.name != "BBoxSafeRandomCrop":
        arguments = {"size": [params.take("height"), params.take("width")], **arguments, **_resampled(params, walk)}
    return [{"crop_around_boxes": {**arguments, **probability(params)}}]


def _crop_box(params: Parameters, walk: Translation) -> Steps:
    left, top, right, bottom = (params.take(key) for key in ("x_min", "y_min", "x_max", "y_max"))
    if params.take("pad_if_needed", False):
        params.lose("a smaller image is padded at the bottom and on the right here")
    else:
        params.note("a smaller image is padded here, and is an error in albumentations")
    params.ignore("pad_position", "border_mode", "fill_mask")
    size = [bottom - top, right - left]
    return [{"crop_box": {"size": size, "top": top, "left": left, **fill(params), **probability(params)}}]


def _by_side(name: str, argument: str) -> Translator:
    def translator(params: Parameters, walk: Translation) -> Steps:
        sizes, sides = params.take("max_size"), params.take("max_size_hw")
        if sizes is None:
            if not sides or sides[0] != sides[1]:
                raise UnsupportedError(f"max_size_hw={sides}: the two have to be the same")
            sizes = sides[0]
        rest = {**({"rounding": "nearest"} if argument == "shorter" else {}), **_resampled(params, walk)}
        if not isinstance(sizes, list):
            return [{name: {argument: sizes, **rest, **probability(params)}}]
        each = [{name: {argument: size, **rest, "p": 1.0}} for size in sizes]
        return [{"one_of": {"steps": each, **probability(params)}}]

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
    params.ignore("always_apply", *DERIVED["PadIfNeeded"])
    return [{"pad_to": {"size": sides, "divisor": divisors, **options, "p": params.take("p", 1.0)}}]


def _crop_and_pad(params: Parameters, walk: Translation) -> Steps:
    note_mirrored_rows(params, walk)
    pixels, fractions = params.take("px"), params.take("percent")
    ranges = _edges(fractions) if pixels is None else _edges(pixels, upto=1)
    edges = dict(zip(("top", "right", "bottom", "left"), ranges, strict=True))
    color = params.values.get("fill")
    if isinstance(color, list | tuple) and not params.values.get("border_mode"):
        raise UnsupportedError(f"fill={color}: one of its grays is drawn")
    one = isinstance(pixels or fractions, list) and len(pixels or fractions) == 2
    options = {
        **({} if pixels is None else {"unit": "pixels"}),
        **({} if params.take("sample_independently", True) or not one else {"together": True}),
        **({} if params.take("keep_size", True) else {"keep_size": False}),
    }
    return [{"move_edges": {**edges, **options, **_resampled(params, walk), **padded(params), **probability(params)}}]


def _edges(value: Any, upto: int = 0) -> list[list[float]]:
    """The ranges of the four edges; those of pixels end before their second number."""
    if not isinstance(value, list):
        return [[value, value]] * 4
    if len(value) == 2:
        return [[value[0], value[1] - upto]] * 4
    if any(isinstance(each, list) and len(each) != 2 for each in value):
        raise UnsupportedError(f"{value}: one of several amounts is drawn")
    return [[each[0], each[1] - upto] if isinstance(each, list) else [each, each] for each in value]


def _from_borders(params: Parameters, walk: Translation) -> Steps:
    edges = {edge: params.take(f"crop_{edge}", 0.1) for edge in ("top", "bottom", "left", "right")}
    return [{"crop_edges": {**edges, **probability(params)}}]


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
    "CropAndPad": _crop_and_pad,
    "RandomCropFromBorders": _from_borders,
    "PadIfNeeded": _pad_if_needed,
}
"""The translators by class name."""
