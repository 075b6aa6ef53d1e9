"""Drawing one op of a policy: its magnitude, its sign and its interpolation; and what cannot be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from augreg.transforms.policies.dialects import DIALECTS, Dialect, Way, amount, make

if TYPE_CHECKING:
    from augreg.ops import Op, PixelValues, Scene
    from augreg.rng import Cursor

__all__ = ["UNIFORM", "check_entry", "check_noise", "drawn", "noisy"]

UNIFORM: Final = 100.0
"""A deviation above it means a magnitude uniform from 0, as in timm."""


def check_entry(dialect: Dialect, name: str, magnitude: float, where: str) -> None:
    """ValueError for an op or a magnitude that the dialect does not have; `where` is what the message calls it."""
    if name not in dialect.space:
        others = [other for (_, other), one in DIALECTS.items() if name in one.space]
        hint = f"; dialect: {others[0]} has it" if others else f"; it has {', '.join(dialect.space)}"
        raise ValueError(f"{where} has no op {name!r}{hint}")
    if dialect.space[name] is None:
        return
    if magnitude > dialect.top or (dialect.whole and magnitude != int(magnitude)):
        kind = "whole magnitudes" if dialect.whole else "magnitudes"
        raise ValueError(f"{where} has {kind} from 0 to {dialect.top:g}, got {magnitude:g} for {name}")


def check_noise(name: str, m_std: float | None) -> None:
    """ValueError for noise in a dialect without it."""
    if m_std and name != "timm":
        raise ValueError(f"m_std, the noise of magnitudes, is timm's; take dialect: timm, or leave it out of {name}")


def noisy(rng: Cursor, magnitude: float, m_std: float, most: float = 10.0) -> float:
    """A magnitude as timm draws it: from a Gaussian, or uniformly, and then clipped."""
    if m_std > UNIFORM:
        magnitude = rng.uniform(0.0, magnitude)
    elif m_std:
        magnitude = rng.normal(magnitude, m_std)
    return min(most, max(0.0, magnitude))


def drawn(
    rng: Cursor,
    scene: Scene,
    dialect: Dialect,
    name: str,
    magnitude: float,
    way: Way | None,
    fill: PixelValues | None,
) -> tuple[Op, ...]:
    """The op of this name at this magnitude, with its sign and its interpolation drawn."""
    meaning = dialect.space[name]
    sign = rng.sign() if meaning and meaning.signed else 1
    way = way or dialect.interpolation
    if way == "random":
        way = "bicubic" if rng.sign() > 0 else "bilinear"
    number = amount(dialect.space, name, magnitude, sign, scene)
    return make(name, number, scene, way, dialect.fill if fill is None else fill)
