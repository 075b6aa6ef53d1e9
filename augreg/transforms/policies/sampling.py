"""Sampling one op of a policy: its magnitude, its sign and its interpolation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from augreg import ops
from augreg.errors import ImageError
from augreg.transforms.policies.dialects import Dialect, InterpolationMode, op_argument

if TYPE_CHECKING:
    from augreg.columns.records import Scenes
    from augreg.ops import Interpolation, Op, PixelValues, Scene
    from augreg.rng import Cursor

__all__ = ["UNIFORM", "build_op", "check_channels", "check_magnitude_noise", "noisy_magnitude", "sample_op"]

UNIFORM: Final = 100.0
"""A standard deviation above this means a magnitude uniform from 0, as in timm."""


def check_channels(policy: Any, scene: Scene | Scenes) -> None:
    """Raise ImageError unless the image is gray or RGB, even where no op that needs color was drawn."""
    if scene.colors not in (1, 3):
        name = policy.__augreg__.name
        raise ImageError(f"{name} needs a gray or RGB image, and this one has {scene.channels} channels")


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
    sign = rng.sign() if rule is not None and rule.signed else 1
    interpolation = interpolation or dialect.interpolation
    if interpolation == "random":
        interpolation = "bicubic" if rng.sign() > 0 else "bilinear"
    argument = op_argument(dialect.argument_rules, name, magnitude, sign, scene)
    return build_op(name, argument, scene, interpolation, dialect.fill if fill is None else fill)


def build_op(
    name: str, argument: float, scene: Scene, interpolation: Interpolation, fill: PixelValues
) -> tuple[Op, ...]:
    """The op of this name with its argument; an empty tuple for identity."""
    make = _MAKERS[name]
    return () if make is None else (make(argument, scene, interpolation, fill),)


Maker = Callable[[float, "Scene", "Interpolation", "PixelValues"], "Op"]


def _statistic(name: str) -> Maker:
    op = ops.Lookup((ops.ImageStatistic(name),), label=name.replace("_", " "))
    return lambda *_: op


_BY_KIND: Final[dict[str, Maker | None]] = {
    "identity": None,
    "shear_x": lambda argument, scene, *how: ops.shear(scene, argument, 0.0, *how),
    "shear_y": lambda argument, scene, *how: ops.shear(scene, 0.0, argument, *how),
    "translate_x": lambda argument, scene, *how: ops.translate(scene, argument, 0.0, *how),
    "translate_y": lambda argument, scene, *how: ops.translate(scene, 0.0, argument, *how),
    "rotate": lambda argument, scene, *how: ops.rotate(scene, argument, *how),
    "auto_contrast": _statistic("auto_contrast"),
    "equalize": _statistic("equalize"),
    "contrast": lambda argument, *_: ops.image_statistic("contrast", argument),
    "color": lambda argument, *_: ops.enhance("gray", argument, "color"),
    "desaturate": lambda argument, *_: ops.enhance("gray", argument, "color"),
    "sharpness": lambda argument, *_: ops.enhance("smooth", argument, "sharpness"),
    "gaussian_blur": lambda argument, *_: ops.gaussian_blur(argument),
    "brightness": lambda argument, *_: ops.point_function("brightness", argument),
    "invert": lambda argument, *_: ops.point_function("invert", argument),
    "solarize": lambda argument, *_: ops.point_function("solarize", argument),
    "solarize_add": lambda argument, *_: ops.point_function("solarize_add", argument),
    "posterize": lambda argument, *_: ops.point_function("posterize", argument),  # 0 bits give black
}
_MAKERS: Final = {
    **_BY_KIND,
    **{f"posterize_{kind}": _BY_KIND["posterize"] for kind in ("increasing", "original", "tpu")},
    **{f"{name}_increasing": _BY_KIND[name] for name in ("solarize", "contrast", "color", "brightness", "sharpness")},
}
