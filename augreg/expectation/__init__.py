"""The expectation of a model's predictions over image views and model noise, and how far fast rules are from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.expectation.batch_norm import (
        BatchNormTable as BatchNormTable,
        LayerShift as LayerShift,
        batch_norm_shift as batch_norm_shift,
        recalibrate_batch_norm as recalibrate_batch_norm,
    )
    from augreg.expectation.noise import (
        NoiseReport as NoiseReport,
        NoiseSource as NoiseSource,
        drawing as drawing,
        find_noise as find_noise,
        kept as kept,
    )

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "batch_norm": ("BatchNormTable", "LayerShift", "batch_norm_shift", "recalibrate_batch_norm"),
        "noise": ("NoiseReport", "NoiseSource", "drawing", "find_noise", "kept"),
    },
    needs="torch",
)
