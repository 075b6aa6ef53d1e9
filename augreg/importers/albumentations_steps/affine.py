"""Translators of the affine maps of albumentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps.arguments import (
    before,
    beyond,
    interpolation,
    note_mirrored_rows,
    note_shrunk_rows,
    probability,
)
from augreg.importers.translation import Parameters, Steps, Translation, Translator, pair

__all__ = ["TRANSLATORS"]


def _affine(params: Parameters, walk: Translation) -> Steps:
    """The step `affine`, or where it does something else, `affine_per_axis`."""
    note_mirrored_rows(params, walk)
    note_shrunk_rows(params, walk)
    fit, scale = params.take("fit_output", False), _both(params.take("scale"), 1.0)
    shear = _both(params.take("shear"), 0.0)
    shift = {axis: [0.0, 0.0] for axis in "xy"}
    unit = "fraction" if before(params, 2) else "truncated"
    if percent := params.take("translate_percent"):
        shift = _both(percent, 0.0)
    if pixels := params.take("translate_px"):
        pixels = _both(pixels, 0)
        if any(pixels["x"] + pixels["y"]):
            shift, unit = {axis: [int(end) for end in ends] for axis, ends in pixels.items()}, "pixels"
    if fit:
        params.note("the result is as large as the moved image, and one or two pixels larger in albumentations")
    if params.take("balanced_scale", False):
        scale = {axis: [min(low, 1.0), max(high, 1.0)] for axis, (low, high) in scale.items()}
        balanced = any(low < 1.0 < high for low, high in scale.values())
    else:
        balanced = False
    together = params.take("keep_ratio", False) or scale["x"] == scale["y"] == [scale["x"][0]] * 2
    leaning = shear["x"] if before(params, 2) else _turned(shear["x"])
    maps = {"degrees": pair(params.take("rotate", 0.0)), "shear_x": leaning, "shear_y": _turned(shear["y"])}
    rest = {"interpolation": interpolation(params), **beyond(params), **probability(params)}
    old = before(params, 2)
    if together and not fit and not balanced and _as_one(params, maps, scale["x"], shift, unit):
        if old and any(maps["shear_x"]) and any(maps["shear_y"]):
            params.lose("version 1 shears vertically first; here both shears are one")
        translate = [max(map(abs, shift[axis])) for axis in "yx"]
        return [{"affine": {**maps, "translate": translate, "scale": scale["x"], **rest}}]
    if old and any(maps["shear_x"] + maps["shear_y"]):
        params.lose("version 1 shears vertically first, and horizontally after scaling; here shears are last")
    axes: dict[str, Any] = {"scale_y": scale["y"]}
    if not together:
        axes["scale_x"] = scale["x"]
    axes |= {"translate_y": shift["y"], "translate_x": shift["x"]}
    if unit != "fraction" and any(shift["x"] + shift["y"]):
        axes["unit"] = unit
    axes |= {name: True for name, on in (("balanced", balanced), ("fit", fit)) if on}
    return [{"affine_per_axis": {**maps, **axes, **rest}}]


def _as_one(
    params: Parameters, maps: Mapping[str, Any], scale: list[float], shift: Mapping[str, list[float]], unit: str
) -> bool:
    """Whether `affine` does it: with equal scales, symmetric translations, and shears before rotations or alone."""
    if any(low != -high for low, high in shift.values()) or unit == "pixels":
        return False
    if _bends(maps) and not before(params, 2):
        return False
    # a mere translation by whole pixels keeps the image sharp
    moves = any(maps["degrees"] + maps["shear_x"] + maps["shear_y"]) or scale != [1.0, 1.0]
    return moves or unit == "fraction" or not any(shift["x"] + shift["y"])


def _bends(maps: Mapping[str, Any]) -> bool:
    """Whether it makes a difference if the image is sheared first or rotated."""
    return any(maps["degrees"]) and any(maps["shear_x"] + maps["shear_y"])


def _both(value: Any, default: float) -> dict[str, list[float]]:
    """The range of each axis, from those of the two, of one, or of both together."""
    each = value if isinstance(value, Mapping) else {"x": value, "y": value}
    return {axis: pair(each[axis] if each.get(axis) is not None else default) for axis in "xy"}


def _turned(limits: list[float]) -> list[float]:
    """The range of the opposite sign: theirs leans the other way."""
    return [0.0 - limits[1], 0.0 - limits[0]]


def _shift_scale_rotate(params: Parameters, walk: Translation) -> Steps:
    note_mirrored_rows(params, walk)
    note_shrunk_rows(params, walk)
    shift = {axis: params.take(f"shift_limit_{axis}") for axis in "yx"}
    scale, degrees = [1.0 + end for end in params.take("scale_limit")], params.take("rotate_limit")
    rest = {"interpolation": interpolation(params), **beyond(params), **probability(params)}
    whole = not before(params, 2)
    moves = any(degrees) or scale != [1.0, 1.0] or not whole
    if moves and all(low == -high for low, high in shift.values()):
        translate = [max(map(abs, ends)) for ends in shift.values()]
        return [{"affine": {"degrees": degrees, "translate": translate, "scale": scale, "shear_x": 0, **rest}}]
    axes = {f"translate_{axis}": ends for axis, ends in shift.items()} | ({"unit": "truncated"} if whole else {})
    return [{"affine_per_axis": {"degrees": degrees, **axes, "scale_y": scale, **rest}}]


TRANSLATORS: Mapping[str, Translator] = {"Affine": _affine, "ShiftScaleRotate": _shift_scale_rotate}
"""The translators by class name."""
