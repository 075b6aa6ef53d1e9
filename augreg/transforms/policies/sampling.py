"""Sampling one op of a policy: its magnitude, its sign and its interpolation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from augreg import ops
from augreg.transforms.policies.dialects import Dialect, InterpolationMode, op_argument

if TYPE_CHECKING:
    from augreg.ops import Interpolation, Op, PixelValues, Scene
    from augreg.rng import Cursor

__all__ = ["UNIFORM", "build_op", "check_magnitude_noise", "noisy_magnitude", "sample_op"]

UNIFORM: Final = 100.0
"""A standard deviation above this means a magnitude uniform from 0, as in timm."""


def check_magnitude_noise(dialect: str, m_std: float | None) -> None:
    """Raise ValueError if the magnitude is noisy in a dialect other than timm."""
    if m_std and dialect != "timm":
        raise ValueError(f"m_std, the noise of m, needs dialect: timm; leave it out for dialect {dialect}")


def noisy_magnitude(rng: Cursor, magnitude: float, m_std: float, max_magnitude: float = 10.0) -> float:
    """A magnitude with timm's noise, clipped to 0 and the maximum.

    The noise is normal with standard deviation `m_std`; above 100, the magnitude is uniform from 0 to `magnitude`.
    """
    if m_std > UNIFORM:
        magnitude = rng.uniform(0.0, magnitude)
    elif m_std:
        magnitude = rng.normal(magnitude, m_std)
    return min(max_magnitude, max(0.0, magnitude))


def sample_op(
    rng: Cursor,
    scene: Scene,
    dialect: Dialect,
    name: str,
    magnitude: float,
    interpolation: InterpolationMode | None,
    fill: PixelValues | None,
) -> tuple[Op, ...]:
    """The op of this name at this magnitude, with a random sign and interpolation where the dialect has them.

    `interpolation` and `fill` default to those of the dialect. The tuple is empty for identity.
    """
    rule = dialect.argument_rules[name]
    sign = rng.sign() if rule and rule.signed else 1
    interpolation = interpolation or dialect.interpolation
    if interpolation == "random":
        interpolation = "bicubic" if rng.sign() > 0 else "bilinear"
    argument = op_argument(dialect.argument_rules, name, magnitude, sign, scene)
    return build_op(name, argument, scene, interpolation, dialect.fill if fill is None else fill)


def build_op(
    name: str, argument: float, scene: Scene, interpolation: Interpolation, fill: PixelValues
) -> tuple[Op, ...]:
    """The op of this name with its argument; an empty tuple for identity."""
    along = (argument, 0.0) if name.endswith("_x") else (0.0, argument)
    match name.partition("_increasing")[0]:
        case "identity":
            return ()
        case "shear_x" | "shear_y":
            return (ops.shear(scene, *along, interpolation, fill),)
        case "translate_x" | "translate_y":
            return (ops.translate(scene, *along, interpolation, fill),)
        case "rotate":
            return (ops.rotate(scene, argument, interpolation, fill),)
        case "auto_contrast" | "equalize" as statistic:
            return (ops.Lookup((ops.ImageStatistic(statistic),), label=statistic.replace("_", " ")),)
        case "contrast":
            return (ops.image_statistic("contrast", argument),)
        case "color" | "desaturate":
            return (ops.enhance("gray", argument, "color"),)
        case "sharpness":
            return (ops.enhance("smooth", argument, "sharpness"),)
        case "gaussian_blur":
            return (ops.gaussian_blur(argument),)
        case "posterize" | "posterize_original" | "posterize_tpu":
            return (ops.point_function("posterize", argument),)  # 0 bits give black
        case function:
            return (ops.point_function(function, argument),)
