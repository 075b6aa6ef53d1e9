"""Translators of albumentations transforms that move pixels and keep the size: affine maps, grids and elastic."""

from __future__ import annotations

from collections.abc import Mapping

from augreg.importers.albumentations_steps.arguments import (
    beyond,
    interpolation,
    note_mirrored_rows,
    note_shrunk_rows,
    plain,
    probability,
    symmetric,
)
from augreg.importers.translation import Parameters, Steps, Translation, Translator, pair

__all__ = ["TRANSLATORS"]


def _rotate(params: Parameters, walk: Translation) -> Steps:
    params.only("crop_border", False, why="the image keeps its size")
    note_mirrored_rows(params, walk)
    note_shrunk_rows(params, walk)
    arguments = {"degrees": params.take("limit"), "interpolation": interpolation(params), **beyond(params)}
    return [{"rotate": {**arguments, **probability(params)}}]


def _perspective(params: Parameters, walk: Translation) -> Steps:
    params.only("keep_size", True, why="the image keeps its size")
    fit = params.take("fit_output", False)
    if not fit:
        params.lose(
            "albumentations enlarges the result once more, from its top left corner, by the side of the image over "
            "that of the quadrilateral"
        )
    arguments = {"scale": pair(params.take("scale", [0.05, 0.1])), "fit": fit}
    options = {"interpolation": interpolation(params), **beyond(params), **probability(params)}
    return [{"perspective_zoom": {**arguments, **options}}]


def _elastic(params: Parameters, walk: Translation) -> Steps:
    params.only("approximate", False)
    params.only("same_dxdy", False)
    params.ignore("keypoint_remapping_method")
    noise = "normal" if params.take("noise_distribution", "gaussian") == "gaussian" else "uniform"
    params.note(
        "within 2 sigma of the border, displacements are larger in albumentations, which repeats its noise there"
    )
    options = {"interpolation": interpolation(params), **beyond(params), **probability(params)}
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
    "Perspective": _perspective,
    "ElasticTransform": _elastic,
    "GridDistortion": _grid,
}
"""The translators by class name."""
