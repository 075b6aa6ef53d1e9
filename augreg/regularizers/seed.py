"""The argument `seed` of regularizers that draw."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

__all__ = ["Seed"]

Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)] | None
"""With a seed, what is drawn depends on it and on the module's name; without, on torch's generator."""
