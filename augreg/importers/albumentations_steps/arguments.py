"""Arguments that many transforms of albumentations share: probability, interpolation, fill and border."""

from __future__ import annotations

import math
from typing import Any

from augreg.importers.translation import Parameters, Translation, Translator, UnsupportedError, numbers

__all__ = [
    "DERIVED",
    "INTERPOLATIONS",
    "at_corners",
    "before",
    "beyond",
    "fill",
    "interpolation",
    "keep_mask_fill",
    "mask_fill",
    "note_bicubic",
    "note_mirrored_rows",
    "note_shrunk_rows",
    "padded",
    "plain",
    "probability",
    "symmetric",
]

_BICUBIC = 2
INTERPOLATIONS = {0: "nearest", 1: "bilinear", _BICUBIC: "bicubic"}  # OpenCV's constants
_BORDERS = {0: "constant", 1: "edge", 2: "symmetric", 3: "wrap", 4: "reflect"}


DERIVED = {
    "SafeRotate": (
        "balanced_scale", "fit_output", "keep_ratio", "rotate", "scale", "shear", "translate_percent", "translate_px",
    ),
    **dict.fromkeys(
        ("FrequencyMasking", "TimeMasking"),
        ("fill", "fill_mask", "mask_x_length", "mask_y_length", "num_masks_x", "num_masks_y"),
    ),
    "PadIfNeeded": ("padding",),
    "RGBShift": ("approximation", "noise_params", "noise_type", "spatial_mode"),
}  # fmt: skip
"""Attributes in a dict that follow from the arguments, by class."""


def before(params: Parameters, *version: int) -> bool:
    """Whether the library that wrote the transform is known to be older than this version."""
    known = params.values.get("_version")
    return known is not None and tuple(known) < version


def probability(params: Parameters) -> dict[str, Any]:
    """The argument `p`."""
    params.ignore("always_apply")
    return {"p": params.take("p", 0.5)}


def interpolation(params: Parameters) -> str:
    """The name of an OpenCV interpolation of a map that keeps the size."""
    value = params.take("interpolation", 1)
    params.only("mask_interpolation", 0, why="masks are sampled by the nearest pixel")
    note_bicubic(params, value)
    if value in INTERPOLATIONS:
        return INTERPOLATIONS[value]
    if value == 3:  # OpenCV's maps take bilinear for INTER_AREA
        return "bilinear"
    near = "bicubic" if value == 4 else "bilinear"
    params.lose(f"interpolation={value} became {near}")
    return near


def note_bicubic(params: Parameters, value: int) -> None:
    """Say that OpenCV's bicubic kernel is another one."""
    if value == _BICUBIC:
        params.note(
            "bicubic is a little sharper here, with a slope of -1 as in Pillow's warps, than in OpenCV, where it is "
            "-0.75; `backend: opencv` gives the values of OpenCV"
        )


def at_corners(name: str) -> str:
    """The interpolation of a resize, where the nearest pixel is at the corner."""
    return "nearest_floor" if name == "nearest" else name


def fill(params: Parameters) -> dict[str, Any]:
    """The argument `fill`, unless it is black."""
    value = params.take("fill", 0)
    if isinstance(value, str):
        raise UnsupportedError(f"fill={value!r}: the fill has to be a color")
    return {} if value in (None, 0, 0.0, [0, 0, 0], [0.0, 0.0, 0.0]) else {"fill": numbers(value)}


def padded(params: Parameters) -> dict[str, Any]:
    """What padding shows: the arguments `mode` and `fill`."""
    mode = params.take("border_mode", 0)
    if mode not in _BORDERS:
        raise UnsupportedError(f"border_mode={mode}")
    if mode == 0:
        keep_mask_fill(params)
    else:
        params.ignore("fill_mask")
    return {"mode": _BORDERS[mode], **fill(params)}


def keep_mask_fill(params: Parameters) -> None:
    """Report what masks show where the image shows its fill, unless it is that of the whole spec."""
    if mask_fill(params.take("fill_mask")) != params.mask_fill:
        shown = f"fill_mask={params.values.get('fill_mask', 0)}"
        params.lose(f"{shown} is not kept: `targets: {{mask_fill: {params.mask_fill}}}` is for the whole spec")


def mask_fill(value: Any) -> int | None:
    """The value that masks show, 0 for None; None if there is no single one."""
    each = {*numbers(list(value))} if isinstance(value, list | tuple) else {0.0 if value is None else float(value)}
    return int(each.pop()) if len(each) == 1 and min(each).is_integer() else None


def beyond(params: Parameters) -> dict[str, Any]:
    """What a map shows beyond the border: the arguments `mode`, unless it is constant, and `fill`."""
    options = padded(params)
    if options["mode"] == "constant":
        del options["mode"]
    return options


def note_shrunk_rows(params: Parameters, walk: Translation) -> None:
    """Say that boxes enclose their turned corners."""
    if params.take("rotate_method", "largest_box") != "largest_box" and walk.has_rows:
        params.lose("rotate_method='ellipse' is not kept: a box encloses its turned corners")


def note_mirrored_rows(params: Parameters, walk: Translation) -> None:
    """Say what becomes of boxes and keypoints where the border shows a mirror image."""
    if walk.has_rows and params.values.get("border_mode") in (2, 4):
        params.note(
            "where the border shows a mirror image, albumentations adds the mirrored boxes and keypoints, augreg none"
        )


def plain(name: str) -> Translator:
    """The translator of a transform whose only argument is `p`."""
    return lambda params, walk: [{name: probability(params)}]


def symmetric(params: Parameters, limits: list[float], name: str) -> float:
    """The largest value of a range that has to be symmetric."""
    largest = max(map(abs, limits))
    if not math.isclose(limits[0], -limits[1]):
        params.lose(f"{name}={limits} became [-{largest:g}, {largest:g}]: the range has to be symmetric")
    return largest
