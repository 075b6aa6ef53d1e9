"""Translators of albumentations transforms of light and weather: shadows, fog, snow and the flare of the sun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps.arguments import probability
from augreg.importers.translation import Parameters, Steps, Translation, Translator, UnsupportedError, numbers

__all__ = ["TRANSLATORS"]


def _shadow(params: Parameters, walk: Translation) -> Steps:
    darkness = params.take("shadow_intensity_range", [0.5, 0.5])
    arguments: dict[str, Any] = {
        "count": params.take("num_shadows_limit", [1, 2]),
        "corners": params.take("shadow_dimension", 5),
        "darkness": darkness,
        "area": params.take("shadow_roi", [0.0, 0.5, 1.0, 1.0]),
    }
    if "_of" in params:  # in earlier versions
        arguments |= {"of": params.take("_of"), "overlap": "once"}
    return [{"shadow": {**arguments, **probability(params)}}]


def _fog(params: Parameters, walk: Translation) -> Steps:
    arguments = {"intensity": params.take("fog_coef_range", [0.3, 1.0]), "opacity": params.take("alpha_coef", 0.08)}
    return [{"fog": {**arguments, **probability(params)}}]


def _snow(params: Parameters, walk: Translation) -> Steps:
    if params.take("method", "bleach") != "bleach":
        raise UnsupportedError("only method='bleach' is possible")
    arguments = {
        "point": params.take("snow_point_range", [0.1, 0.3]), "factor": params.take("brightness_coeff", 2.5),
    }  # fmt: skip
    return [{"snow": {**arguments, **probability(params)}}]


def _sun_flare(params: Parameters, walk: Translation) -> Steps:
    if params.take("method", "overlay") != "overlay":
        raise UnsupportedError("only method='overlay' is possible")
    color = numbers(params.take("src_color", [255, 255, 255]))
    arguments: dict[str, Any] = {
        "area": params.take("flare_roi", [0.0, 0.0, 1.0, 0.5]),
        "radius": params.take("src_radius", 400),
        "fill": color[:1] if len({*color}) == 1 else color,
        "angle": [360.0 * end for end in params.take("angle_range", [0.0, 1.0])],
        "circles": params.take("num_flare_circles_range", [6, 10]),
    }
    if "_strength" in params:
        arguments["strength"] = params.take("_strength")
    return [{"sun_flare": {**arguments, **probability(params)}}]


_DENSITIES = {"drizzle": 0.25, "heavy": 1.0, "torrential": 2.0, "default": 1 / 3}


def _rain(params: Parameters, walk: Translation) -> Steps:
    params.only("drop_width", 1, why="drops are one pixel wide")
    color, blur = numbers(params.take("drop_color", [200, 200, 200])), params.take("blur_value", 7)
    arguments: dict[str, Any] = {
        "slant": params.take("slant_range", [-10.0, 10.0]),
        "density": _DENSITIES[params.take("rain_type", "default")],
        "fill": color[:1] if len({*color}) == 1 else color,
        "blur": blur | 1,
        "brightness": params.take("brightness_coefficient", 0.7),
    }
    if blur % 2 == 0:
        params.note(f"blur_value={blur} is {blur | 1} here: the side has to be odd")
    if (length := params.take("drop_length")) is not None:
        arguments["length"] = length
    return [{"rain": {**arguments, **probability(params)}}]


TRANSLATORS: Mapping[str, Translator] = {
    "RandomShadow": _shadow,
    "RandomFog": _fog,
    "RandomRain": _rain,
    "RandomSnow": _snow,
    "RandomSunFlare": _sun_flare,
}
"""The translators by class name."""
