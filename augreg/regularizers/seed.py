"""The argument `seed` of regularizers that draw, and the settings of a layer that is already there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

__all__ = ["Seed", "check_settings"]

Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)] | None
"""With a seed, what is drawn depends on it and on the module's name; without, on torch's generator."""


def check_settings(rule: Any, where: str, layer: str, number: str, settings: Mapping[str, Any]) -> None:
    """Raise ValueError unless a layer that is already there has the settings of a rule, whose seed is not given."""
    for name, value in settings.items():
        if getattr(rule, name) != value or rule.seed is not None:
            raise ValueError(
                f"{where} a {layer}, of which only {number} can be set; write {name}: {value}, its own value, and "
                "leave seed out"
            )
