"""Dialects: what the magnitude of a policy means in the authors' code, in torchvision and in timm.

The same policy trains differently in different code bases. A dialect fixes every choice of one code base: which
argument an op gets for a magnitude, whether the sign of that argument is random, how geometric ops interpolate, and
with which color they fill. `paper` is the code of the authors; `torchvision` and `timm` are those libraries.
docs/policies.md compares the dialects in a table.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from augreg.ops import Scene
from augreg.ops.scene import PixelValues

__all__ = [
    "DIALECTS",
    "GEOMETRY",
    "ArgumentRule",
    "ArgumentRules",
    "Dialect",
    "InterpolationMode",
    "check_entry",
    "op_argument",
]

InterpolationMode: TypeAlias = Literal["nearest", "bilinear", "bicubic", "random"]
"""How geometric ops interpolate; `random` draws bilinear or bicubic for every op."""


class ArgumentRule(NamedTuple):
    """How a magnitude becomes the argument of an op.

    `compute` takes the magnitude, the sign (1 or -1) and a side of the image in pixels: the width for ops along x,
    the height for all others. `signed` is True where the sign is random; elsewhere it is always 1.
    """

    compute: Callable[[float, int, int], float]
    signed: bool = False


ArgumentRules: TypeAlias = Mapping[str, ArgumentRule | None]
"""The ops of a dialect by name; None for an op without a magnitude."""


class Dialect(NamedTuple):
    """What magnitudes mean for one transform in one code base, and its defaults.

    Magnitudes go from 0 to `max_magnitude`, and must be integers if `integer_magnitudes`. `ops` are the names that
    a transform draws from where the user names none, and each op drawn is applied with `probability`.
    """

    argument_rules: ArgumentRules
    max_magnitude: float
    integer_magnitudes: bool
    interpolation: InterpolationMode
    fill: PixelValues
    ops: tuple[str, ...] = ()
    probability: float = 1.0


def op_argument(rules: ArgumentRules, name: str, magnitude: float, sign: int, scene: Scene) -> float:
    """The argument of an op: a factor, degrees, pixels to the right or down, bits, a pixel value, or a sigma."""
    rule = rules[name]
    side = scene.width if name.endswith("_x") else scene.height
    return rule.compute(magnitude, sign, side) + 0.0 if rule else 0.0  # + 0.0 makes 0 of -0


def check_entry(dialect: Dialect, name: str, magnitude: float, where: str) -> None:
    """Raise ValueError for an op or a magnitude that the dialect does not have; the message starts with `where`."""
    if name not in dialect.argument_rules:
        others = [other for (_, other), candidate in DIALECTS.items() if name in candidate.argument_rules]
        hint = f"; dialect: {others[0]} has it" if others else f"; it has {', '.join(dialect.argument_rules)}"
        raise ValueError(f"{where} has no op {name!r}{hint}")
    if dialect.argument_rules[name] is None:
        return
    if magnitude > dialect.max_magnitude or (dialect.integer_magnitudes and magnitude != int(magnitude)):
        kind = "integer magnitudes" if dialect.integer_magnitudes else "magnitudes"
        raise ValueError(f"{where} has {kind} from 0 to {dialect.max_magnitude:g}, got {magnitude:g} for {name}")


GEOMETRY: Final = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
"""The ops that interpolate and fill."""
_ENHANCERS: Final = ("contrast", "color", "brightness", "sharpness")
_AUGMIX: Final = (*GEOMETRY, "auto_contrast", "equalize", "solarize", "posterize")
_FOURTEEN: Final = ("identity", *_AUGMIX, *_ENHANCERS)


def _rules(
    shear: ArgumentRule,
    translate: ArgumentRule,
    rotate: ArgumentRule,
    solarize: ArgumentRule,
    posterize: ArgumentRule,
    factor: ArgumentRule,
) -> ArgumentRules:
    """The rules of the ops that every dialect has."""
    return {
        "identity": None, "auto_contrast": None, "invert": None, "equalize": None,
        "shear_x": shear, "shear_y": shear, "translate_x": translate, "translate_y": translate, "rotate": rotate,
        "solarize": solarize, "posterize": posterize,
        **dict.fromkeys(_ENHANCERS, factor),
    }  # fmt: skip


def _bits(value: float) -> float:
    return min(8.0, max(0.0, value))


# paper: magnitude m gives m / parts of the range, so of the ten magnitudes 0..9 the last gives nine tenths. Pixels
# and degrees are truncated to integers. Enhancers have no sign and change nothing at 5 of 10.


def _paper(
    parts: int,
    shear: float,
    translate: Callable[[int], float],
    degrees: float,
    bits: tuple[int, int],
    factor: tuple[float, float],
) -> ArgumentRules:
    least, most = bits
    start, span = factor
    return _rules(
        ArgumentRule(lambda m, sign, _: sign * (m * shear / parts), signed=True),
        # the authors sample the input at x + pixels, which moves the image to the left
        ArgumentRule(lambda m, sign, side: -sign * int(m * translate(side) / parts), signed=True),
        ArgumentRule(lambda m, sign, _: sign * int(m * degrees / parts), signed=True),
        ArgumentRule(lambda m, *_: max(0, 256 - int(m * 256 / parts))),
        ArgumentRule(lambda m, *_: _bits(most - int(m * (most - least) / parts))),
        ArgumentRule(lambda m, *_: m * span / parts + start),
    )


# torchvision: magnitudes are the indices of evenly spaced float32 numbers (torch.linspace) that include both ends of
# the range. Enhancers have a factor above or below 1.


def _float32(value: float) -> float:
    """The nearest float32."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


@functools.lru_cache(maxsize=4096)
def _linspace(start: float, end: float, bins: int, index: float) -> float:
    """Item `index` of torch.linspace(start, end, bins), which counts from the nearer end, as float32."""
    start, end = _float32(start), _float32(end)
    step = _float32((end - start) / (bins - 1))
    return _float32(start + step * index if index < bins // 2 else end - step * (bins - 1 - index))


def _torchvision_translate(side: int) -> float:
    return 150.0 / 331.0 * side


def _torchvision(
    bins: int, shear: float, translate: Callable[[int], float], degrees: float, bits: tuple[int, int], factor: float
) -> ArgumentRules:
    least, most = bits
    return _rules(
        ArgumentRule(lambda m, sign, _: sign * _linspace(0.0, shear, bins, m), signed=True),
        ArgumentRule(lambda m, sign, side: sign * int(_linspace(0.0, translate(side), bins, m)), signed=True),
        ArgumentRule(lambda m, sign, _: sign * _linspace(0.0, degrees, bins, m), signed=True),
        ArgumentRule(lambda m, *_: _linspace(255.0, 0.0, bins, m)),
        ArgumentRule(lambda m, *_: most - round(m / ((bins - 1) / (most - least)))),
        ArgumentRule(lambda m, sign, _: 1.0 + sign * _linspace(0.0, factor, bins, m), signed=True),
    )


# timm: magnitude m gives m / 10 of the range. Most ops exist twice: as in the EfficientNet code, where some get
# weaker as the magnitude grows, and as `.._increasing`, which gets stronger.


def _timm(translate: float, posterize: str) -> ArgumentRules:
    def up(m: float) -> int:
        return int(m / 10.0 * 4)

    bits = {
        "posterize_tpu": ArgumentRule(lambda m, *_: _bits(up(m))),
        "posterize_increasing": ArgumentRule(lambda m, *_: _bits(4 - up(m))),
        "posterize_original": ArgumentRule(lambda m, *_: _bits(4 + up(m))),
    }
    common = _rules(
        ArgumentRule(lambda m, sign, _: sign * (m / 10.0 * 0.3), signed=True),
        ArgumentRule(lambda m, sign, side: -sign * (m / 10.0 * translate) * side, signed=True),
        ArgumentRule(lambda m, sign, _: sign * (m / 10.0 * 30.0), signed=True),
        ArgumentRule(lambda m, *_: min(256, int(m / 10.0 * 256))),
        bits[posterize],
        ArgumentRule(lambda m, *_: m / 10.0 * 1.8 + 0.1),
    )
    increasing = ArgumentRule(lambda m, sign, _: max(0.1, 1.0 + sign * (m / 10.0 * 0.9)), signed=True)
    return {
        **common,
        **bits,
        **{f"{name}_increasing": increasing for name in _ENHANCERS},
        "solarize_increasing": ArgumentRule(lambda m, *_: 256 - min(256, int(m / 10.0 * 256))),
        "solarize_add": ArgumentRule(lambda m, *_: min(128, int(m / 10.0 * 110))),
        "desaturate": ArgumentRule(lambda m, *_: 1.0 - min(1.0, 0.5 + 0.5 * (m / 10.0))),
        "gaussian_blur": ArgumentRule(lambda m, *_: min(2.0, 0.1 + 1.9 * (m / 10.0))),
    }


_INCREASING: Final = (
    *GEOMETRY, "auto_contrast", "equalize", "solarize_increasing", "posterize_increasing",
    *(f"{name}_increasing" for name in _ENHANCERS),
)  # fmt: skip

_BLACK, _GRAY = (0.0,), (128.0,)
_AUTHORS: Final = _paper(10, 0.3, lambda side: 10 / 32 * side, 30.0, (0, 4), (0.1, 1.8))

DIALECTS: Final[Mapping[tuple[str, str], Dialect]] = {
    ("auto_augment", "paper"): Dialect(_AUTHORS, 10, False, "nearest", _GRAY),
    ("auto_augment", "torchvision"): Dialect(
        _torchvision(10, 0.3, _torchvision_translate, 30.0, (4, 8), 0.9), 9, True, "nearest", _BLACK
    ),
    ("auto_augment", "timm"): Dialect(_timm(0.45, "posterize_original"), 10, False, "random", _GRAY),
    ("rand_augment", "paper"): Dialect(_AUTHORS, 30, False, "nearest", _GRAY, _FOURTEEN),
    ("rand_augment", "torchvision"): Dialect(
        _torchvision(31, 0.3, _torchvision_translate, 30.0, (4, 8), 0.9), 30, True, "nearest", _BLACK, _FOURTEEN
    ),
    ("rand_augment", "timm"): Dialect(
        _timm(0.45, "posterize_tpu"), 100, False, "random", _GRAY, (*_INCREASING, "invert", "solarize_add"), 0.5
    ),
    ("trivial_augment_wide", "paper"): Dialect(
        _paper(30, 0.99, lambda _: 32.0, 135.0, (2, 8), (0.01, 1.99)), 30, True, "nearest", _BLACK, _FOURTEEN
    ),
    ("trivial_augment_wide", "torchvision"): Dialect(
        _torchvision(31, 0.99, lambda _: 32.0, 135.0, (2, 8), 0.99), 30, True, "nearest", _BLACK, _FOURTEEN
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
"""The dialects by (transform, dialect)."""
