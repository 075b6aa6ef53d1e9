"""Translators of albumentations transforms that bend the image: lenses, grids, elastic deformations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps.arguments import (
    DERIVED,
    before,
    interpolation,
    note_mirrored_rows,
    padded,
    probability,
)
from augreg.importers.translation import Parameters, Steps, Translation, Translator, pair

__all__ = ["TRANSLATORS"]

_GAUSSIAN_DIVIDED = (2, 0, 3)
"""The first version that divides its normal noise by the largest value, and repeats it beyond the border."""
_GRID_WITHOUT_REST = (1, 4, 18)
_BY_DISTANCE = (1, 4, 19)
"""The first versions whose last band is like the others, and whose PiecewiseAffine weights by distance."""
_CUT_AT_RANDOM = (1, 4, 3)
_FLOOR = (1, 4, 15)
_WINDOW = 17  # the side of the kernel of `approximate`


def _options(params: Parameters) -> dict[str, Any]:
    """What is shown beyond the border, and how pixels are interpolated."""
    params.ignore("keypoint_remapping_method")
    options = {"interpolation": interpolation(params), **padded(params)}
    if options["mode"] == "constant":
        del options["mode"]
    return options


def _note_mirrored_boxes(params: Parameters, walk: Translation) -> None:
    """Say what becomes of boxes where the border shows a mirror image, which version 1 found by drawing them."""
    if walk.has_rows and before(params, 2) and params.values.get("border_mode") in (1, 2, 3, 4):
        params.note(
            "where the border shows a part of a box again, the box of albumentations 1 encloses that part too, and "
            "here it does not"
        )


def _optical(params: Parameters, walk: Translation) -> Steps:
    model = params.take("mode", "camera")
    arguments = {"k": pair(params.take("distort_limit", [-0.05, 0.05])), "model": model}
    shift = params.take("shift_limit")
    if shift and max(map(abs, shift)) > 0.5:  # it is rounded to whole pixels: a smaller one is 0
        arguments["shift"] = shift
    _note_mirrored_boxes(params, walk)
    return [{"optical_distortion": {**arguments, **_options(params), **probability(params)}}]


def _grid(params: Parameters, walk: Translation) -> Steps:
    end = "free"
    if params.take("normalized", True):
        end = "fit"
    elif before(params, *_GRID_WITHOUT_REST):
        end = "rest"
    _note_mirrored_boxes(params, walk)
    arguments = {"bands": params.take("num_steps", 5), "limit": pair(params.take("distort_limit")), "end": end}
    return [{"grid_stretch": {**arguments, "overlap": True, **_options(params), **probability(params)}}]


def _piecewise(params: Parameters, walk: Translation) -> Steps:
    scale, absolute = pair(params.take("scale", [0.03, 0.05])), params.take("absolute_scale", False)
    arguments: dict[str, Any] = {
        key: [max(2, end) for end in pair(params.take(name, 4))] for key, name in _NODES.items()
    }
    if before(params, *_BY_DISTANCE):
        arguments |= {"scale": scale, "unit": "pixels" if absolute else "sides"}
        params.note("pixel values are rounded to the nearest integer here, and down in albumentations 1")
    else:
        arguments |= {
            "scale": [end / 3.0 for end in scale], "unit": "pixels" if absolute else "shorter", "between": "distance",
        }  # fmt: skip
    return [{"piecewise_affine": {**arguments, **_options(params), **probability(params)}}]


_NODES = {"rows": "nb_rows", "columns": "nb_cols"}


def _elastic(params: Parameters, walk: Translation) -> Steps:
    normal = params.take("noise_distribution", "gaussian") == "gaussian"
    alpha = pair(params.take("alpha", 1.0))
    if normal and before(params, *_GAUSSIAN_DIVIDED):  # smoothed noise of the same deviation is nearly the same
        normal, alpha = False, [math.sqrt(3.0) * end for end in alpha]
    arguments = {"alpha": alpha, "sigma": params.take("sigma", 50.0), "noise": "normal" if normal else "uniform"}
    if not before(params, *_GAUSSIAN_DIVIDED):
        arguments["edges"] = "repeat"
    if params.take("approximate", False):
        arguments["window"] = _WINDOW
    if params.take("same_dxdy", False):
        arguments["same"] = True
    _note_mirrored_boxes(params, walk)
    options, p = _options(params), probability(params)
    distance = params.take("alpha_affine", 0.0)
    if not distance:
        return [{"elastic": {**arguments, **options, **p}}]
    first = {"affine_points": {"distance": abs(float(distance)), "swapped": True, **options}}
    return [{"sequential": {"steps": [first, {"elastic": {**arguments, **options}}], **p}}]


def _safe_rotate(params: Parameters, walk: Translation) -> Steps:
    note_mirrored_rows(params, walk)
    params.ignore("rotate_method", *DERIVED["SafeRotate"])
    arguments = {"degrees": pair(params.take("limit")), "sides": "ceil" if before(params, *_FLOOR) else "floor"}
    return [{"safe_rotate": {**arguments, **_options(params), **probability(params)}}]


def _perspective_of_imgaug(params: Parameters, walk: Translation) -> Steps:
    params.only("keep_size", True, why="the image keeps its size")
    params.note(
        "images are interpolated once here and twice by imgaug, which makes them less sharp; masks show the nearest "
        "pixel here, and imgaug mixes their values"
    )
    scale = params.take("scale", [0.05, 0.1])
    return [{"perspective_zoom": {"scale": scale, **probability(params)}}]


def _shuffle(params: Parameters, walk: Translation) -> Steps:
    if walk.has_rows:
        params.note(
            "a box that is cut apart is drawn around all of its parts here; albumentations makes one for each part"
        )
    cuts = {"cuts": "even"} if before(params, *_CUT_AT_RANDOM) else {}
    return [{"grid_shuffle": {"grid": params.take("grid", [3, 3]), **cuts, **probability(params)}}]


TRANSLATORS: Mapping[str, Translator] = {
    "OpticalDistortion": _optical,
    "GridDistortion": _grid,
    "PiecewiseAffine": _piecewise,
    "ElasticTransform": _elastic,
    "SafeRotate": _safe_rotate,
    "RandomGridShuffle": _shuffle,
    "IAAPerspective": _perspective_of_imgaug,
}
"""The translators by class name."""
