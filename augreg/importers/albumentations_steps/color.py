"""Translators of albumentations transforms of color, of channels and of the range of pixel values."""

from __future__ import annotations

import math
from collections.abc import Mapping

from augreg.importers.albumentations_steps.arguments import DERIVED, plain, probability
from augreg.importers.translation import (
    ONE_MEAN,
    Parameters,
    Steps,
    Translation,
    Translator,
    UnsupportedError,
    numbers,
    pair,
)

__all__ = ["TRANSLATORS"]


def _color_jitter(params: Parameters, walk: Translation) -> Steps:
    ranges = {key: params.take(key) for key in ("brightness", "contrast", "saturation", "hue")}
    hues = _turns(*pair(ranges["hue"])) if isinstance(ranges["hue"], list) else [ranges["hue"]]
    if len(hues) == 1:
        return [{"color_jitter": {**ranges, "hue": hues[0], **probability(params)}}]
    # hues beyond half a circle are those of the other side
    jitters = [{"color_jitter": {**ranges, "hue": hue}} for hue in hues]
    return [{"one_of": {"steps": jitters, "weights": [high - low for low, high in hues], **probability(params)}}]


def _turns(low: float, high: float) -> list[list[float]]:
    """The parts of a range of turns of the color circle, each between half a turn to either side."""
    cuts = [low, *(turn + 0.5 for turn in range(math.floor(low) - 1, math.ceil(high) + 1) if low < turn + 0.5 < high)]
    parts = []
    for first, last in zip(cuts, [*cuts[1:], high], strict=True):
        turn = round((first + last) / 2.0)
        parts.append([max(-0.5, first - turn), min(0.5, last - turn)])
    return parts


def _brightness_contrast(params: Parameters, walk: Translation) -> Steps:
    params.only("ensure_safe_range", False, why="results are clipped")
    of = "white" if params.take("brightness_by_max", True) else "mean"
    added = params.take("brightness_limit", [-0.2, 0.2])
    # its contrast multiplies the pixel values, which is called brightness here
    factor = [max(0.0, 1.0 + end) for end in params.take("contrast_limit", [-0.2, 0.2])]
    if any(added):
        return [{"multiply_add": {"factor": factor, "add": added, "of": of, **probability(params)}}]
    return [{"brightness": {"factor": factor, **probability(params)}}]


def _hue(params: Parameters, walk: Translation) -> Steps:
    keys = {
        "hue": ("hue_shift_limit", 180.0),
        "saturation": ("sat_shift_limit", 255.0),
        "value": ("val_shift_limit", 255.0),
    }
    # OpenCV's hue has 180 steps
    shifts = {key: [end / whole for end in pair(params.take(limit))] for key, (limit, whole) in keys.items()}
    if not any(shifts["saturation"] + shifts["value"]):
        return [{"hue": {"shift": shifts["hue"], **probability(params)}}]
    return [{"hsv_shift": {**shifts, **probability(params)}}]


def _gray(params: Parameters, walk: Translation) -> Steps:
    why = "an image keeps its channels; `channels: gray` reads files and PIL images as gray"
    params.only("num_output_channels", 3, why=why)
    params.only("method", "weighted_average", why="grayscale is the luma")
    return [{"grayscale": probability(params)}]


def _posterize(params: Parameters, walk: Translation) -> Steps:
    bits = params.take("num_bits")
    if any(isinstance(part, list) for part in bits) or len(bits) != 2:
        raise UnsupportedError(f"num_bits={bits}: all channels keep the same number of bits")
    return [{"posterize": {"bits": bits, **probability(params)}}]


def _solarize(params: Parameters, walk: Translation) -> Steps:
    return [
        {"solarize": {"threshold": [255.0 * end for end in params.take("threshold_range")], **probability(params)}}
    ]


def _equalize(params: Parameters, walk: Translation) -> Steps:
    params.ignore("mode")
    params.note("equalize follows Pillow here, which differs slightly from both modes of albumentations")
    params.only("by_channels", True)
    params.only("mask", None)
    params.ignore("mask_params")
    return [{"equalize": probability(params)}]


def _auto_contrast(params: Parameters, walk: Translation) -> Steps:
    params.only("ignore", None)
    if params.take("method", "cdf") == "cdf":
        params.lose("method='cdf', which equalizes, is not kept: auto_contrast stretches the range, as 'pil'")
    else:
        params.note("auto_contrast follows Pillow: values differ from those of method='pil' by up to 2")
    return [{"auto_contrast": {"cutoff": params.take("cutoff", 0.0), **probability(params)}}]


def _normalize(params: Parameters, walk: Translation) -> Steps:
    kind, white = params.take("normalization", "standard"), params.take("max_pixel_value", 255.0)
    if kind not in ("standard", "min_max_per_channel"):
        raise UnsupportedError(f"normalization={kind!r}: only 'standard' and 'min_max_per_channel' are possible")
    if params.take("p", 1.0) != 1:
        params.note("p is 1 here: normalize is always applied")
    params.ignore("always_apply")
    if kind == "min_max_per_channel":
        params.ignore("mean", "std")
        params.note("values are rounded down to 255ths here, and a channel of one value stays, which becomes 0 there")
        walk.normalized = True
        return ["auto_contrast", {"normalize": {"mean": [0.0], "std": [1.0]}}]
    mean, std = numbers(params.take("mean")), numbers(params.take("std"))
    if white != _WHITE or walk.floats:
        scale = white / _white(params, walk, white, mean + std)
        mean, std = ([float(f"{number * scale:.12g}") for number in values] for values in (mean, std))
    walk.normalized = True
    if len(mean) == 1 and "channels" not in walk.options:
        walk.options["channels"] = "keep"
        params.note(ONE_MEAN)
    return [{"normalize": {"mean": mean, "std": std}}]


_WHITE = 255.0
"""The largest value of bytes."""
_SIXTEEN_BITS = 65535.0


def _white(params: Parameters, walk: Translation, white: float, values: list[float]) -> float:
    """The value of white in the images that are normalized, where max_pixel_value says another one than 255."""
    if walk.floats:
        return 1.0
    if white == _SIXTEEN_BITS:
        params.note("give images of 16 bits as floats, divided by 65535")
        return white
    if white == 1 and max(values) <= 1:
        params.note(
            "max_pixel_value=1 is taken to say that images are floats from 0 to 1: bytes are divided by 255 here, "
            "and not in albumentations"
        )
        return white
    return _WHITE


def _to_float(params: Parameters, walk: Translation) -> Steps:
    """Steps take bytes as floats do: what is left is the division at the end, which the importer adds."""
    white = params.take("max_value")
    if white == _SIXTEEN_BITS:
        params.note("give images of 16 bits as floats, divided by 65535")
    elif white not in (None, _WHITE):
        raise UnsupportedError(f"max_value={white}: white is 255 in bytes, and 1 in floats")
    if params.take("p", 1.0) != 1:
        params.note("p is 1 here: images become floats always")
    walk.floats = True
    return []


def _from_float(params: Parameters, walk: Translation) -> Steps:
    """Back to bytes, which images are until they are normalized."""
    dtype, white = params.take("dtype", "uint8"), params.take("max_value")
    if not walk.floats or walk.normalized or str(dtype) != "uint8" or white not in (None, _WHITE):
        raise UnsupportedError("only images that ToFloat made of bytes become bytes again")
    params.ignore("p", "always_apply")
    walk.floats = False
    return []


def _clahe(params: Parameters, walk: Translation) -> Steps:
    params.note("it equalizes the luma here, and the lightness of LAB in albumentations")
    return [
        {"clahe": {"clip": params.take("clip_limit"), "tiles": params.take("tile_grid_size"), **probability(params)}}
    ]


def _gamma(params: Parameters, walk: Translation) -> Steps:
    arguments = {"gamma": [end / 100.0 for end in params.take("gamma_limit")], "spacing": "linear"}
    return [{"gamma": {**arguments, **probability(params)}}]


def _tone_curve(params: Parameters, walk: Translation) -> Steps:
    if params.take("per_channel", False):
        raise UnsupportedError("per_channel=True: all channels have the same curve")
    return [{"tone_curve": {"scale": params.take("scale", 0.1), **probability(params)}}]


def _rgb_shift(params: Parameters, walk: Translation) -> Steps:
    limits = [params.take(f"{channel}_shift_limit", [-20.0, 20.0]) for channel in "rgb"]
    params.ignore(*DERIVED["RGBShift"])
    if not params.take("_levels", False):  # without a number above 1, they are fractions of white
        limits = [[255.0 * end for end in pair] if max(map(abs, pair)) <= 1 else pair for pair in limits]
    names = ("shift", "green", "blue")
    arguments = {
        name: limit for name, limit in zip(names, limits, strict=True) if name == "shift" or limit != limits[0]
    }
    return [{"rgb_shift": {**arguments, **probability(params)}}]


def _channel_drop(params: Parameters, walk: Translation) -> Steps:
    arguments = {"count": params.take("channel_drop_range"), "fill": float(params.take("fill", 0.0))}
    return [{"channel_drop": {**arguments, **probability(params)}}]


TRANSLATORS: Mapping[str, Translator] = {
    "ColorJitter": _color_jitter,
    "RandomBrightnessContrast": _brightness_contrast,
    "HueSaturationValue": _hue,
    "ToGray": _gray,
    "InvertImg": plain("invert"),
    "Posterize": _posterize,
    "Solarize": _solarize,
    "Equalize": _equalize,
    "AutoContrast": _auto_contrast,
    "Normalize": _normalize,
    "ToFloat": _to_float,
    "FromFloat": _from_float,
    "CLAHE": _clahe,
    "RandomGamma": _gamma,
    "RandomToneCurve": _tone_curve,
    "RGBShift": _rgb_shift,
    "ToSepia": plain("sepia"),
    "ChannelShuffle": plain("channel_shuffle"),
    "ChannelDropout": _channel_drop,
}
"""The translators by class name."""
