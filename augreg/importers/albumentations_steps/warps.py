"""Translators of albumentations transforms that move pixels and keep the size: affine maps and perspectives."""

from __future__ import annotations

from collections.abc import Mapping

from augreg.importers.albumentations_steps.arguments import (
    before,
    beyond,
    interpolation,
    note_mirrored_rows,
    note_shrunk_rows,
    plain,
    probability,
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
    fit, color = params.take("fit_output", False), params.values.get("fill")
    if isinstance(color, int | float) and color and not before(params, 2):
        params.note(f"fill={color} is for all channels here, and for the first one in albumentations")
    arguments = {"scale": pair(params.take("scale", [0.05, 0.1])), "fit": fit}
    if not fit and not before(params, 2):
        arguments["twice"] = True
    options = {"interpolation": interpolation(params), **beyond(params), **probability(params)}
    return [{"perspective_zoom": {**arguments, **options}}]


TRANSLATORS: Mapping[str, Translator] = {
    "HorizontalFlip": plain("horizontal_flip"),
    "VerticalFlip": plain("vertical_flip"),
    "D4": plain("d4"),
    "SquareSymmetry": plain("d4"),
    "Transpose": plain("transpose"),
    "RandomRotate90": plain("rot90"),
    "Rotate": _rotate,
    "Perspective": _perspective,
}
"""The translators by class name."""
