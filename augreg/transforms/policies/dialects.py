"""Dialects: what a magnitude means. The name of a policy hides these choices, and they change training.

A dialect is what one code base does: `paper` the authors' own code, `torchvision` and `timm` those libraries. For
each op it says which number a magnitude stands for and whether a coin decides its sign; further how geometry
interpolates and with what it fills. `docs/policies.md` has the differences in a table.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from augreg import ops
from augreg.ops import Interpolation, Op, Scene
from augreg.ops.scene import PixelValues

__all__ = ["DIALECTS", "Dialect", "Magnitude", "Space", "Way", "amount", "make"]

Way: TypeAlias = Literal["nearest", "bilinear", "bicubic", "random"]
"""An interpolation; `random` draws bilinear or bicubic for every op."""


class Magnitude(NamedTuple):
    """What an op's magnitude means: a number from the magnitude, a sign (1 or -1) and the side in pixels.

    The side is the image's width for ops along x, and its height for the others.
    """

    number: Callable[[float, int, int], float]
    signed: bool = False


Space: TypeAlias = Mapping[str, Magnitude | None]
"""The ops of a dialect; None where there is no magnitude."""


class Dialect(NamedTuple):
    """The meaning of magnitudes up to `top` (whole ones only if `whole`), and what geometry needs besides.

    `names` are the ops that are drawn from where no table says which, and `chance` is that of each.
    """

    space: Space
    top: float
    whole: bool
    interpolation: Way
    fill: PixelValues
    names: tuple[str, ...] = ()
    chance: float = 1.0


def amount(space: Space, name: str, magnitude: float, sign: int, scene: Scene) -> float:
    """The number that an op takes: a factor, an angle in degrees, pixels to the right or down, bits, or a level."""
    meaning = space[name]
    side = scene.width if name.endswith("_x") else scene.height
    return meaning.number(magnitude, sign, side) + 0.0 if meaning else 0.0  # + 0.0 makes 0 of -0


def make(name: str, number: float, scene: Scene, interpolation: Interpolation, fill: PixelValues) -> tuple[Op, ...]:
    """The op of this name with its number; none for identity."""
    match name.partition("_increasing")[0]:
        case "identity":
            return ()
        case "shear_x":
            return (ops.shear(scene, number, 0.0, interpolation, fill),)
        case "shear_y":
            return (ops.shear(scene, 0.0, number, interpolation, fill),)
        case "translate_x":
            return (ops.translate(scene, number, 0.0, interpolation, fill),)
        case "translate_y":
            return (ops.translate(scene, 0.0, number, interpolation, fill),)
        case "rotate":
            return (ops.rotate(scene, number, interpolation, fill),)
        case "auto_contrast" | "equalize" as measured:
            return (ops.Lookup((ops.ImageStatistic(measured),), label=measured.replace("_", " ")),)
        case "contrast":
            return (ops.image_statistic("contrast", number),)
        case "color" | "desaturate":
            return (ops.enhance("gray", number, "color"),)
        case "sharpness":
            return (ops.enhance("smooth", number, "sharpness"),)
        case "gaussian_blur":
            return (ops.gaussian_blur(number),)
        case "posterize" | "posterize_original" | "posterize_tpu":
            return (ops.point_function("posterize", number),)  # 0 bits are black
        case curve:
            return (ops.point_function(curve, number),)


_GEOMETRY: Final = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_ENHANCERS: Final = ("contrast", "color", "brightness", "sharpness")
_AUGMIX: Final = (*_GEOMETRY, "auto_contrast", "equalize", "solarize", "posterize")
_RANDOM: Final = ("identity", *_AUGMIX, *_ENHANCERS)


def _space(
    shear: Magnitude,
    translate: Magnitude,
    rotate: Magnitude,
    solarize: Magnitude,
    posterize: Magnitude,
    factor: Magnitude,
) -> Space:
    """The ops that every dialect has."""
    return {
        "identity": None, "auto_contrast": None, "invert": None, "equalize": None,
        "shear_x": shear, "shear_y": shear, "translate_x": translate, "translate_y": translate, "rotate": rotate,
        "solarize": solarize, "posterize": posterize,
        **dict.fromkeys(_ENHANCERS, factor),
    }  # fmt: skip


def _bits(value: float) -> float:
    return min(8.0, max(0.0, value))


# paper: a magnitude is a part of `parts`, so that of ten magnitudes the last is nine tenths of the range. Pixels and
# degrees are whole, enhancers have no sign, and 5 of 10 is where they change nothing.


def _paper(
    parts: int,
    shear: float,
    translate: Callable[[int], float],
    degrees: float,
    bits: tuple[int, int],
    factor: tuple[float, float],
) -> Space:
    least, most = bits
    start, span = factor
    return _space(
        Magnitude(lambda m, sign, _: sign * (m * shear / parts), signed=True),
        # a map that reads at x + pixels moves the image to the left
        Magnitude(lambda m, sign, side: -sign * int(m * translate(side) / parts), signed=True),
        Magnitude(lambda m, sign, _: sign * int(m * degrees / parts), signed=True),
        Magnitude(lambda m, *_: max(0, 256 - int(m * 256 / parts))),
        Magnitude(lambda m, *_: _bits(most - int(m * (most - least) / parts))),
        Magnitude(lambda m, *_: m * span / parts + start),
    )


# torchvision: the magnitudes are bins that reach both ends of the range, kept as 32-bit floats. Enhancers go from
# 1 up or down.


def _single(value: float) -> float:
    """The nearest 32-bit float."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _evenly(start: float, end: float, bins: int, index: float) -> float:
    """The number at an index of `bins` from start to end, counted from the nearer end, as a 32-bit float."""
    start, end = _single(start), _single(end)
    step = _single((end - start) / (bins - 1))
    return _single(start + step * index if index < bins // 2 else end - step * (bins - 1 - index))


def _torchvision(
    bins: int, shear: float, translate: Callable[[int], float], degrees: float, bits: tuple[int, int], factor: float
) -> Space:
    least, most = bits
    return _space(
        Magnitude(lambda m, sign, _: sign * _evenly(0.0, shear, bins, m), signed=True),
        Magnitude(lambda m, sign, side: sign * int(_evenly(0.0, translate(side), bins, m)), signed=True),
        Magnitude(lambda m, sign, _: sign * _evenly(0.0, degrees, bins, m), signed=True),
        Magnitude(lambda m, *_: _evenly(255.0, 0.0, bins, m)),
        Magnitude(lambda m, *_: most - round(m / ((bins - 1) / (most - least)))),
        Magnitude(lambda m, sign, _: 1.0 + sign * _evenly(0.0, factor, bins, m), signed=True),
    )


# timm: a magnitude is a part of 10, and most ops come in two kinds: those of the EfficientNet code, some of which get
# weaker as the magnitude grows, and `increasing` ones, which get stronger.


def _timm(translate: float, posterize: str) -> Space:
    def up(m: float) -> int:
        return int(m / 10.0 * 4)

    bits = {
        "posterize_tpu": Magnitude(lambda m, *_: _bits(up(m))),
        "posterize_increasing": Magnitude(lambda m, *_: _bits(4 - up(m))),
        "posterize_original": Magnitude(lambda m, *_: _bits(4 + up(m))),
    }
    common = _space(
        Magnitude(lambda m, sign, _: sign * (m / 10.0 * 0.3), signed=True),
        Magnitude(lambda m, sign, side: -sign * (m / 10.0 * translate) * side, signed=True),
        Magnitude(lambda m, sign, _: sign * (m / 10.0 * 30.0), signed=True),
        Magnitude(lambda m, *_: min(256, int(m / 10.0 * 256))),
        bits[posterize],
        Magnitude(lambda m, *_: m / 10.0 * 1.8 + 0.1),
    )
    increasing = Magnitude(lambda m, sign, _: max(0.1, 1.0 + sign * (m / 10.0 * 0.9)), signed=True)
    return {
        **common,
        **bits,
        **{f"{name}_increasing": increasing for name in _ENHANCERS},
        "solarize_increasing": Magnitude(lambda m, *_: 256 - min(256, int(m / 10.0 * 256))),
        "solarize_add": Magnitude(lambda m, *_: min(128, int(m / 10.0 * 110))),
        "desaturate": Magnitude(lambda m, *_: 1.0 - min(1.0, 0.5 + 0.5 * (m / 10.0))),
        "gaussian_blur": Magnitude(lambda m, *_: min(2.0, 0.1 + 1.9 * (m / 10.0))),
    }


_INCREASING: Final = (
    *_GEOMETRY, "auto_contrast", "equalize", "solarize_increasing", "posterize_increasing",
    *(f"{name}_increasing" for name in _ENHANCERS),
)  # fmt: skip

_SHARE: Final = 150.0 / 331.0
_BLACK, _GRAY = (0.0,), (128.0,)
_AUTHORS: Final = _paper(10, 0.3, lambda side: 10 / 32 * side, 30.0, (0, 4), (0.1, 1.8))

DIALECTS: Final[Mapping[tuple[str, str], Dialect]] = {
    ("auto_augment", "paper"): Dialect(_AUTHORS, 10, False, "nearest", _GRAY),
    ("auto_augment", "torchvision"): Dialect(
        _torchvision(10, 0.3, lambda side: _SHARE * side, 30.0, (4, 8), 0.9), 9, True, "nearest", _BLACK
    ),
    ("auto_augment", "timm"): Dialect(_timm(0.45, "posterize_original"), 10, False, "random", _GRAY),
    ("rand_augment", "paper"): Dialect(_AUTHORS, 30, False, "nearest", _GRAY, _RANDOM),
    ("rand_augment", "torchvision"): Dialect(
        _torchvision(31, 0.3, lambda side: _SHARE * side, 30.0, (4, 8), 0.9), 30, True, "nearest", _BLACK, _RANDOM
    ),
    ("rand_augment", "timm"): Dialect(
        _timm(0.45, "posterize_tpu"), 100, False, "random", _GRAY, (*_INCREASING, "invert", "solarize_add"), 0.5
    ),
    ("trivial_augment_wide", "paper"): Dialect(
        _paper(30, 0.99, lambda _: 32.0, 135.0, (2, 8), (0.01, 1.99)), 30, True, "nearest", _BLACK, _RANDOM
    ),
    ("trivial_augment_wide", "torchvision"): Dialect(
        _torchvision(31, 0.99, lambda _: 32.0, 135.0, (2, 8), 0.99), 30, True, "nearest", _BLACK, _RANDOM
    ),
    ("aug_mix", "paper"): Dialect(
        _paper(10, 0.3, lambda side: side / 3, 30.0, (0, 4), (0.1, 1.8)), 10, False, "bilinear", _BLACK, _AUGMIX
    ),
    ("aug_mix", "torchvision"): Dialect(
        _torchvision(10, 0.3, lambda side: side / 3.0, 30.0, (0, 4), 0.9), 10, True, "bilinear", _BLACK,
        (*_AUGMIX, *_ENHANCERS),
    ),
    ("aug_mix", "timm"): Dialect(_timm(0.3, "posterize_tpu"), 100, False, "random", _GRAY, _INCREASING),
}  # fmt: skip
"""What each transform's magnitudes mean in each dialect."""
