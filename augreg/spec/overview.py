"""A spec as tables: its steps with the arguments that differ from their defaults, and their test-time rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from augreg import notebook
from augreg.spec.options import SECTIONS, Options, Spec
from augreg.steps import schedules
from augreg.steps.fields import plain, plain_default, required
from augreg.steps.rules import fixed_rule_and_exactness
from augreg.steps.step import Step, children

__all__ = ["overview", "rule_rows"]

_LONGEST = 200  # characters of an argument


def overview(spec: Spec, title: str, fingerprint: str) -> str:
    """HTML with the steps of all sections, and below them the options that differ from their defaults."""
    rows = [row for section in SECTIONS for row in _rows(getattr(spec, section), section)]
    for group in spec.views:
        shown = [("geometry", group.geometry), ("draws", group.draws), ("patches", plain(group.patches))]
        said = ", ".join(_written(name, value) for name, value in shown if value is not None)
        rows += [(f"view {', '.join(group.names)}", "", said), *_rows(group.steps, "")]
    options = [(field.name, getattr(spec.options, field.name), field.default) for field in fields(Options)]
    changed = [_written(name, plain(value)) for name, value, default in options if value != default]
    notes = [", ".join(changed)] if changed else []
    return notebook.table(title, ("section", "step", "arguments"), rows, [*notes, f"fingerprint {fingerprint[:12]}"])


def _rows(steps: Iterable[Step], section: str, depth: int = 0) -> Iterator[tuple[str, str, str]]:
    for number, step in enumerate(steps):
        shown = section if number == depth == 0 else ""
        yield shown, "  " * depth + step.name, ", ".join(_arguments(step))
        yield from _rows(children(step.transform), section, depth + 1)


def _arguments(step: Step) -> Iterator[str]:
    scheduled = dict(step.schedules)
    for field in fields(step.transform):
        if field.name == "steps" and children(step.transform):
            continue
        value = plain(getattr(step.transform, field.name))
        if field.name not in scheduled and (required(field) or value != plain(plain_default(field))):
            yield _written(field.name, value)
    if "p" not in scheduled and step.p != step.transform.__augreg__.p:
        yield _written("p", step.p)
    for name, schedule in scheduled.items():
        yield _written(name, schedules.to_data(schedule))
    if isinstance(step.test, str):
        yield _written("test", step.test)
    elif step.test is not None:
        yield _written("test", [each.name for each in step.test])
    if step.uid is not None:
        yield _written("uid", step.uid)


def _written(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else repr(value).replace("'", "")
    return f"{name}: {text if len(text) <= _LONGEST else text[:_LONGEST] + '..'}"


def rule_rows(steps: Iterable[Step], section: str, depth: int = 0) -> list[tuple[str, str, str]]:
    """The steps of a section other than `image`, as `explain` shows them: name, test-time rule, exact for."""
    rows = []
    for step in steps:
        rule, exact = fixed_rule_and_exactness(step.transform)
        if section != "model":  # neither batches nor losses exist at test time
            rule += " (training only)"
        rows.append((f"{'  ' * depth}{section}: {step.name}", rule, exact))
        rows += rule_rows(children(step.transform), section, depth + 1)
    return rows
