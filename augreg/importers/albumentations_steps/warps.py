"""Translators of albumentations transforms that move pixels and keep the size: affine maps, grids and elastic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps.arguments import (
    interpolation,
    note_mirrored_rows,
    padded,
    plain,
    probability,
    symmetric,
)
from augreg.importers.translation import Parameters, Steps, Translation, Translator, pair

__all__ = ["TRANSLATORS"]


def _beyond(params: Parameters) -> dict[str, Any]:
    """What a warp shows beyond the border."""
    options = padded(params)
    if options["mode"] == "constant":
        del options["mode"]
    return options


def _rotate(params: Parameters, walk: Translation) -> Steps:
    params.only("crop_border", False, why="the image keeps its size")
    note_mirrored_rows(params, walk)
    params.ignore("rotate_method")  # concerns boxes only
    arguments = {"degrees": params.take("limit"), "interpolation": interpolation(params), **_beyond(params)}
    return [{"rotate": {**arguments, **probability(params)}}]


def _affine(params: Parameters, walk: Translation) -> Steps:
    params.only("fit_output", False, why="the image keeps its size")
    params.only("balanced_scale", False)
    note_mirrored_rows(params, walk)
    params.ignore("rotate_method")
    scale, keep = params.take("scale"), params.take("keep_ratio", False)
    if scale["x"] != scale["y"]:
        params.lose(f"scale={scale}: the scale of x is used for both axes")
    elif not keep and scale["x"][0] != scale["x"][1]:
        params.lose("keep_ratio=False draws a scale for each axis; here, one is drawn for both")
    shear, rotate = params.take("shear"), params.take("rotate")
    if any(rotate) and any(shear["x"] + shear["y"]):
        params.lose("albumentations rotates first and then shears; here the order is reversed")
    arguments = {
        "degrees": rotate,
        "translate": _translate(params),
        "scale": scale["x"],
        "shear_x": [0.0 - shear["x"][1], 0.0 - shear["x"][0]],  # the signs are opposite
        "shear_y": [0.0 - shear["y"][1], 0.0 - shear["y"][0]],
        "interpolation": interpolation(params),
    }
    return [{"affine": {**arguments, **_beyond(params), **probability(params)}}]


def _translate(params: Parameters) -> list[float]:
    """[vertical, horizontal]: the largest translations as fractions of the sides."""
    pixels = params.take("translate_px")
    if pixels and any(pixels["x"] + pixels["y"]):
        params.lose(f"translate_px={pixels} is not kept: translations are fractions of the sides")
    limits = params.take("translate_percent")
    return [symmetric(params, limits[key], f"translate_percent[{key!r}]") for key in "yx"] if limits else [0.0, 0.0]


def _shift_scale_rotate(params: Parameters, walk: Translation) -> Steps:
    note_mirrored_rows(params, walk)
    params.ignore("rotate_method")
    translate = [symmetric(params, params.take(key), key) for key in ("shift_limit_y", "shift_limit_x")]
    scale = [1.0 + end for end in params.take("scale_limit")]
    arguments = {
        "degrees": params.take("rotate_limit"), "translate": translate, "scale": scale, "shear_x": 0,
        "interpolation": interpolation(params), **_beyond(params),
    }  # fmt: skip
    return [{"affine": {**arguments, **probability(params)}}]


def _perspective(params: Parameters, walk: Translation) -> Steps:
    params.only("keep_size", True, why="the image keeps its size")
    fit, color, first = params.take("fit_output", False), params.values.get("fill"), params.values.get("_version_1")
    if isinstance(color, int | float) and color and not first:
        params.note(f"fill={color} is for all channels here, and for the first one in albumentations")
    if not fit and not first:
        params.lose(
            "albumentations enlarges the result once more, from its top left corner, by the side of the image over "
            "that of the quadrilateral"
        )
    arguments = {"scale": pair(params.take("scale", [0.05, 0.1])), "fit": fit}
    options = {"interpolation": interpolation(params), **_beyond(params), **probability(params)}
    return [{"perspective_zoom": {**arguments, **options}}]


def _elastic(params: Parameters, walk: Translation) -> Steps:
    params.only("approximate", False)
    params.only("same_dxdy", False)
    params.ignore("keypoint_remapping_method")
    noise = "normal" if params.take("noise_distribution", "gaussian") == "gaussian" else "uniform"
    params.note(
        "within 2 sigma of the border, displacements are larger in albumentations, which repeats its noise there"
    )
    options = {"interpolation": interpolation(params), **_beyond(params), **probability(params)}
    arguments = {"alpha": pair(params.take("alpha", 1.0)), "sigma": params.take("sigma", 50.0), "noise": noise}
    return [{"elastic": {**arguments, **options}}]


def _grid(params: Parameters, walk: Translation) -> Steps:
    params.ignore("keypoint_remapping_method", "normalized", "border_mode", "fill", "fill_mask")
    params.lose("here, every node of the grid moves separately; in albumentations, whole rows and columns move")
    limit = symmetric(params, params.take("distort_limit"), "distort_limit")
    arguments = {"cells": pair(params.take("num_steps", 5)), "limit": limit, "interpolation": interpolation(params)}
    return [{"grid_distortion": {**arguments, **probability(params)}}]


TRANSLATORS: Mapping[str, Translator] = {
    "HorizontalFlip": plain("horizontal_flip"),
    "VerticalFlip": plain("vertical_flip"),
    "D4": plain("d4"),
    "SquareSymmetry": plain("d4"),
    "Transpose": plain("transpose"),
    "RandomRotate90": plain("rot90"),
    "Rotate": _rotate,
    "Affine": _affine,
    "ShiftScaleRotate": _shift_scale_rotate,
    "Perspective": _perspective,
    "ElasticTransform": _elastic,
    "GridDistortion": _grid,
}
"""The translators by class name."""
