"""Translators of single albumentations transforms, one function for each class, without containers."""

from __future__ import annotations

from collections.abc import Mapping

from augreg.importers.albumentations_steps import (
    affine,
    color,
    distortions,
    framing,
    functions,
    texture,
    warps,
    weather,
)
from augreg.importers.translation import Translator

__all__ = ["STEP_TRANSLATORS", "UNSUPPORTED"]

STEP_TRANSLATORS: Mapping[str, Translator] = {
    **framing.TRANSLATORS, **warps.TRANSLATORS, **affine.TRANSLATORS, **distortions.TRANSLATORS, **color.TRANSLATORS,
    **texture.TRANSLATORS, **functions.TRANSLATORS, **weather.TRANSLATORS,
}  # fmt: skip
"""The translators by class name, without containers."""

UNSUPPORTED: Mapping[str, str] = {
    "CropNonEmptyMaskIfExists": "no crop depends on a mask; `safe_crop` keeps the boxes of a sample",
    "Mosaic": "`mosaic` is a step of the section `batch` (docs/mixing.md)",
    "OverlayElements": "`copy_paste` in the section `batch` pastes the objects of other images (docs/mixing.md)",
    "ToRGB": "say `channels: rgb` in the spec, for all images",
}
"""Why a class has no equivalent, by class name."""
