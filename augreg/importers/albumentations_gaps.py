"""What becomes of a transform of albumentations that has no native form: a step of the plugin, if it is installed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_remarks import note_hidden_rows
from augreg.importers.albumentations_steps.arguments import DERIVED, before
from augreg.importers.translation import Parameters, Steps, Translation, UnsupportedError

__all__ = ["step_of_the_plugin"]

_PREFIX = "albumentations/"
_HIDING = ("CoarseDropout", "Erasing", "FrequencyMasking", "TimeMasking", "XYMasking")


def step_of_the_plugin(params: Parameters, walk: Translation) -> Steps:
    """The step `albumentations/Name` of the plugin augreg-albumentations. Raises UnsupportedError without one."""
    if "transforms" in params or "functions" in params:  # a container or a Lambda
        raise UnsupportedError("")
    name = _PREFIX + params.name
    if name not in walk.registry:
        if any(known.startswith(_PREFIX) for known in walk.registry):
            raise UnsupportedError("the plugin augreg-albumentations does not have it either")
        raise UnsupportedError("the plugin augreg-albumentations, which has most transforms, is not installed")
    params.ignore(*DERIVED.get(params.name, ()))
    if params.name in _HIDING:
        note_hidden_rows(params, walk)
    if before(params, 2):
        _compare_with_version_1(params)
    known = [field.name for field in dataclasses.fields(walk.registry[name])]
    return [{name: {key: params.take(key) for key in (*known, "p") if key in params}}]


def _compare_with_version_1(params: Parameters) -> None:
    """Say what the step, which is that of version 2, does otherwise than version 1."""
    if params.name == "Spatter":
        params.note("version 1 painted darker drops than version 2")
    if params.name == "Affine" and _is_sheared(params.values.get("shear")):
        params.lose("version 1 shears in another order and direction than version 2")


def _is_sheared(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_sheared, value.values()))
    return any(value) if isinstance(value, list | tuple) else bool(value)
