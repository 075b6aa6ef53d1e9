"""Specs back to plain data, and the fingerprint of that data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from augreg.spec.options import SECTIONS, Options, Spec
from augreg.steps import schedules
from augreg.steps.fields import plain
from augreg.steps.step import Step

__all__ = ["fingerprint", "unparse"]

# Options that are written only if they are not the default: specs from before they existed keep their fingerprints.
_LATER = ("targets", "classes", "max_pixels")


def unparse(spec: Spec) -> dict[str, Any]:
    """The canonical plain data of a spec: every default written out, ready for JSON."""
    options = {
        field.name: plain(value)
        for field in fields(Options)
        if (value := getattr(spec.options, field.name)) != field.default or field.name not in _LATER
    }
    sections = {name: [_unparse_step(step) for step in getattr(spec, name)] for name in SECTIONS}
    return {**options, **{name: steps for name, steps in sections.items() if steps or name == "image"}}


def _unparse_step(step: Step) -> dict[str, Any]:
    info = step.transform.__augreg__
    arguments: dict[str, Any] = {}
    for field in fields(step.transform):
        value = getattr(step.transform, field.name)
        if field.name == "steps" and info.container:
            arguments["steps"] = [_unparse_step(child) for child in value]
        else:
            arguments[field.name] = plain(value)
    if info.kind not in ("regularizer", "loss"):
        arguments["p"] = step.p
    if step.test is not None:
        arguments["test"] = step.test if isinstance(step.test, str) else [_unparse_step(child) for child in step.test]
    if step.uid is not None:
        arguments["uid"] = step.uid
    arguments.update((key, schedules.to_data(value)) for key, value in step.schedules)
    return {step.name: arguments}


def fingerprint(data: Mapping[str, Any]) -> str:
    """The sha256 of the plain data of a spec, as hexadecimal digits."""
    data = {**data, "decode": "exact"}  # once an option, and hashed ever since: docs/decisions/019-decode.md
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
