"""Says in words what a transform or a regularizer takes and does: for `augreg show`, and for the Markdown reference.

Everything is read from the class: its docstring, the annotations and defaults of its fields, and its mark. So a
new one has its page without another line, and none of this needs an array library.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Literal, NamedTuple

import yaml
from msgspec import Meta

from augreg.steps.declare import RULES, Kind
from augreg.steps.fields import Ordered, Shorthand, convert_one, hints, plain, required
from augreg.steps.step import Step

__all__ = [
    "CHILDREN",
    "Argument",
    "arguments",
    "chance",
    "example",
    "flow",
    "line",
    "markdown",
    "rule",
    "sections",
    "summary",
    "takes",
]

CHILDREN = ("rotate", "solarize", "saturation")
"""What containers hold in examples: three steps that are easily told apart."""


_WORDS = {int: "integer", float: "number", str: "text", bool: "true or false", type(None): "nothing", Step: "step"}


class Argument(NamedTuple):
    """An argument, in words."""

    name: str
    takes: str
    default: str


def summary(cls: type) -> str:
    """The first line of the docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def arguments(cls: Any) -> list[Argument]:
    """The arguments of a class in their order; the first is the one that a bare value stands for."""
    found = []
    for field in fields(cls):
        if not field.init:
            continue
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        said = "required" if required(field) else _said(plain(default))
        found.append(Argument(field.name, takes(hints(cls)[field.name]), said))
    return found


def takes(hint: Any) -> str:
    """What an annotation takes, in plain words, with its bounds and its short form."""
    marks = getattr(hint, "__metadata__", ())
    bare = hint.__origin__ if marks else hint
    bounds = "".join(_bounds(mark) for mark in marks if isinstance(mark, Meta))
    origin, parts = typing.get_origin(bare), typing.get_args(bare)
    notes = [mark for mark in marks if isinstance(mark, str)]
    short = next((mark for mark in marks if isinstance(mark, Shorthand)), None)
    if short is not None:
        said = short.word + _each(parts)
        if any(isinstance(mark, Ordered) for mark in marks) and not notes:
            bare_value = 2 if "integer" in short.word else 0.5
            said += f"; {bare_value} means {_said(short.expand(bare_value))}"
    elif origin in (typing.Union, types.UnionType):
        said = ", or ".join(takes(part) for part in parts)
    elif origin is Literal:
        said = " or ".join(filter(None, [", ".join(map(_said, parts[:-1])), _said(parts[-1])]))
    elif origin is tuple and parts[-1:] != (...,):
        said = f"[{', '.join(takes(part) for part in parts)}]"
    elif origin in (tuple, list):
        said = f"list of {_WORDS.get(getattr(parts[0], '__origin__', parts[0]), 'value')}s{_each(parts)}"
    else:
        said = _WORDS.get(bare, "mapping" if origin in (dict, Mapping) or bare is dict else "anything") + bounds
    return "; ".join([said, *notes])


def _each(parts: Sequence[Any]) -> str:
    """The bounds that hold for each member of a list, if there are any."""
    metas = [mark for mark in getattr(parts[0], "__metadata__", ()) if isinstance(mark, Meta)] if parts else []
    said = "".join(_bounds(meta) for meta in metas)
    return f", each{said}" if said else ""


def _bounds(meta: Meta) -> str:
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge:g} to {meta.le:g}"
    limits = (("at least", meta.ge), ("above", meta.gt), ("at most", meta.le), ("below", meta.lt))
    said = " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)
    return f" {said}" if said else ""


def _said(value: Any) -> str:
    """A plain value as a spec would write it, floats to six digits."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    if isinstance(value, float):  # thirds need not be written out
        return f"{value:.4g}"
    if isinstance(value, dict):  # a selection of modules: a bare name where it is one
        given = {key: item for key, item in value.items() if item not in ([], None)}
        if list(given) == ["name"]:
            return _said(given["name"])
        return f"{{{', '.join(f'{key}: {_said(item)}' for key, item in given.items())}}}"
    return f"[{', '.join(map(_said, value))}]" if isinstance(value, list) else str(value)


def sections(cls: Any) -> str:
    """The sections of a spec that it may stand in, in words."""
    return " or ".join(cls.__augreg__.sections)


def chance(cls: Any) -> float | None:
    """The chance that it is applied where a spec does not say; None for what takes no `p` as a step."""
    mark = cls.__augreg__
    return None if mark.sections[0] in ("model", "loss") else mark.p


def rule(cls: Any) -> tuple[str, str]:
    """The test-time rule in words, and the quantity for which it gives the exact expectation."""
    mark = cls.__augreg__
    said = RULES[mark.rule]
    if mark.sections == ("loss",):
        return f"{mark.rule} (training only)", mark.exact or "nothing"
    if mark.rule == "same":
        unless = "" if chance(cls) is None else "; left out where p is below 1"
        return f"same ({said}{unless})", mark.exact or "everything: nothing is random"
    return f"{mark.rule} ({said})", mark.exact or "nothing"


def example(cls: Any) -> Any:
    """Arguments that show what it does: children for a container, else the middle of its previews."""
    mark = cls.__augreg__
    if mark.container:
        return list(CHILDREN)
    return dict(mark.preview[len(mark.preview) // 2]) if mark.preview else {}


def line(name: str, cls: Any) -> str:
    """The step as a spec writes it: with its example, else with its first default as a hint of what to change."""
    given = example(cls)
    taken = [field for field in fields(cls) if field.init]
    if isinstance(given, dict):
        for field in taken:
            if required(field):
                given.setdefault(field.name, f"<{takes(hints(cls)[field.name])}>")
        if not given and not cls.__augreg__.preview and taken and taken[0].default is not None:
            given = {taken[0].name: _short(hints(cls)[taken[0].name], taken[0].default)}
    return f"- {flow(name)}: {flow(given)}" if given else f"- {flow(name)}"


def _short(hint: Any, value: Any) -> Any:
    """The same value in fewer characters: 30 for 30.0 where that makes no difference."""
    value = plain(value)
    shorter = _whole(value)
    return shorter if repr(convert_one(hint, shorter)) == repr(convert_one(hint, value)) else value


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def flow(value: Any) -> str:
    """Plain data as YAML on one line."""
    text: str = yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


_INTRODUCTION = """\
# Transforms and regularizers

Made from the classes themselves by `augreg list --markdown --built-in > docs/transforms.md`.

Every step of the `image` section also takes `p`, the chance that it is applied, `test`, which overrides its test-time
rule (`off`, a rule's name, or steps), and `uid`, a name for its stream of random numbers. The steps of the `batch`
section, under Mixing, take `p` and `uid`; those of `model` and `loss` have no arguments in common. The steps under
Choose hold others, of `image` or of `batch`. A bare value stands for the first argument, and a
[schedule](schedules.md) of the epoch may stand wherever a number does."""
_ABOUT = {
    "mixing": "For the `batch` section: images of a batch become parts of each other, and so do their labels.",
    "regularizer": "For the `model` section: attached to the modules that `at` selects.",
    "loss": "For the `loss` section: added to the loss, or done to its target or to the weights.",
}


def markdown(transforms: Mapping[str, Any]) -> str:
    """The reference of these transforms and regularizers as a Markdown page, by kind and name."""
    lines = [_INTRODUCTION]
    for kind in typing.get_args(Kind):
        of_kind = {name: cls for name, cls in transforms.items() if cls.__augreg__.kind == kind}
        if of_kind:
            lines += ["", f"## {kind.capitalize()}"]
        if of_kind and kind in _ABOUT:
            lines += ["", _ABOUT[kind]]
        for name, cls in of_kind.items():
            lines += ["", *_section(name, cls)]
    return "\n".join(lines) + "\n"


def _section(name: str, cls: Any) -> list[str]:
    lines = [f"### `{name}`", "", inspect.getdoc(cls) or "", ""]
    rows = arguments(cls)
    if rows:
        lines += ["| argument | takes | default |", "| --- | --- | --- |"]
        lines += [f"| `{row.name}` | {_cell(row.takes)} | {_cell(row.default)} |" for row in rows]
        lines.append("")
    said, exact = rule(cls)
    p = chance(cls)
    told = [] if p is None else [f"Default p: {p:g}."]
    told.append(f"Test-time rule: {said}.")
    if cls.__augreg__.kind != "loss":
        told.append(f"Exact for: {exact}.")
    lines += [" ".join(told), ""]
    return [*lines, "```yaml", line(name, cls), "```"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
