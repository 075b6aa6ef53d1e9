"""A spec as lines of YAML in its short form, a line for each step, and the difference of two specs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

from augreg.pipeline import Pipeline
from augreg.spec.options import SECTIONS

__all__ = ["diff", "written"]

_OPTIONS = ("version", "seed", "output", "channels", "backend", "approximate")


def written(pipe: Pipeline) -> list[str]:
    """The lines of a spec. Arguments that have their defaults are left out."""
    data = pipe.to_spec()
    lines = []
    for section in SECTIONS:
        steps = data.get(section, [])
        if steps:
            lines.append(f"{section}:")
        for step, made in zip(steps, getattr(pipe.spec, section), strict=True):
            lines.append(f"  - {_step(step, made)}")
    options = [name for name in data if name not in (*SECTIONS, *_OPTIONS)]
    return [*lines, *(f"{name}: {_flow(data[name])}" for name in options)]


def diff(before: Sequence[str], after: Sequence[str]) -> str:
    """The lines that differ, with one line around each, headings of hunks left out."""
    lines = difflib.unified_diff(before, after, "before", "after", n=1, lineterm="")
    return "\n".join(line if not line.startswith("@@") else "..." for line in lines)


def _step(data: dict[str, Any], made: Any) -> str:
    (name, arguments), *_ = data.items()
    plain = type(made.transform)
    kept = dict(arguments)
    for field in plain.__dataclass_fields__.values():
        if field.name in kept and getattr(made.transform, field.name) == field.default:
            del kept[field.name]
    if "at" in kept:
        kept["at"] = _pattern(kept["at"])
    own_p = "p" in plain.__dataclass_fields__
    if not own_p and kept.get("p") == plain.__augreg__.p:
        del kept["p"]
    return f"{name}: {_flow(kept)}" if kept else name


def _pattern(at: Any) -> Any:
    """The pattern alone, of a list with one pattern of names."""
    if isinstance(at, list) and len(at) == 1 and set(at[0]) <= {"name", "type"} and not at[0].get("type"):
        return at[0]["name"]
    return at


def _flow(value: Any) -> str:
    """YAML in flow style, which is JSON with bare keys and words."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:g}"
    return value if isinstance(value, str) and value.isidentifier() else json.dumps(value)
