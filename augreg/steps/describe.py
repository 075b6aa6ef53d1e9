"""Descriptions of transforms and regularizers in words, for `augreg show` and for the Markdown reference.

They are made from the class: its docstring, the annotations and defaults of its fields, and its `TransformInfo`. So a
new class needs no other documentation, and nothing here needs an array library.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, NamedTuple

from msgspec import Meta

from augreg.steps import suggestions
from augreg.steps.declare import RULES, Kind
from augreg.steps.fields import Ordered, Shorthand, convert_one, hints, plain, plain_default, required
from augreg.steps.step import Step

__all__ = [
    "ABOUT",
    "CHILDREN",
    "COMMON",
    "Argument",
    "arguments",
    "chance",
    "example",
    "flow",
    "in_words",
    "line",
    "markdown",
    "meaning",
    "reference",
    "rule",
    "sections",
    "summary",
    "takes",
]

CHILDREN = ("rotate", "solarize", "saturation")
"""The steps inside containers in examples: three that are easy to tell apart."""

_WORDS = {int: "integer", float: "number", str: "text", bool: "true or false", type(None): "null", Step: "step"}


class Argument(NamedTuple):
    """An argument, in words."""

    name: str
    takes: str
    default: str


def summary(cls: type) -> str:
    """The first line of the docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def arguments(cls: Any) -> list[Argument]:
    """The arguments of a class in their order; a spec may give the first one without its name."""
    return [
        Argument(f.name, takes(hints(cls)[f.name]), "required" if required(f) else in_words(plain(plain_default(f))))
        for f in fields(cls)
        if f.init
    ]


def takes(hint: Any) -> str:
    """What an annotation takes, in words, with its bounds and its short form."""
    metadata = getattr(hint, "__metadata__", ())
    bare = hint.__origin__ if metadata else hint
    bounds = "".join(_bounds(item) for item in metadata if isinstance(item, Meta))
    origin, parts = typing.get_origin(bare), typing.get_args(bare)
    notes = [item for item in metadata if isinstance(item, str)]
    short = next((item for item in metadata if isinstance(item, Shorthand)), None)
    if short is not None:
        text = short.words + _each(parts)
        if any(isinstance(item, Ordered) for item in metadata) and not notes:
            number = 2 if "integer" in short.words else 0.5
            text += f"; {number} means {in_words(short.expand(number))}"
    elif origin in (typing.Union, types.UnionType):
        text = ", or ".join(takes(part) for part in parts)
    elif origin is Literal:
        text = " or ".join(filter(None, [", ".join(map(in_words, parts[:-1])), in_words(parts[-1])]))
    elif origin is tuple and parts[-1:] != (...,):
        text = f"[{', '.join(takes(part) for part in parts)}]"
    elif origin in (tuple, list):
        text = f"list of {_WORDS.get(getattr(parts[0], '__origin__', parts[0]), 'value')}s{_each(parts)}"
    else:
        text = _WORDS.get(bare, "mapping" if origin in (dict, Mapping) or bare is dict else "anything") + bounds
    return "; ".join([text, *notes])


def _each(parts: Sequence[Any]) -> str:
    """The bounds of each item of a list, or ""."""
    metas = [item for item in getattr(parts[0], "__metadata__", ()) if isinstance(item, Meta)] if parts else []
    text = "".join(_bounds(meta) for meta in metas)
    return f", each{text}" if text else ""


def _bounds(meta: Meta) -> str:
    if meta.ge is not None and meta.le is not None:
        return f" from {_limit(meta.ge)} to {_limit(meta.le)}"
    limits = (("at least", meta.ge), ("above", meta.gt), ("at most", meta.le), ("below", meta.lt))
    text = " and ".join(f"{word} {_limit(limit)}" for word, limit in limits if limit is not None)
    return f" {text}" if text else ""


def _limit(value: float) -> str:
    return "2^63 - 1" if value == 2**63 - 1 else f"{value:g}"


def in_words(value: Any) -> str:
    """A plain value as a spec would write it, floats to four digits."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, float):  # thirds need not be written out
        return f"{value:.4g}"
    if isinstance(value, dict):  # a selector of modules: just its name if it has nothing else
        items = {key: item for key, item in value.items() if item not in ([], None)}
        if list(items) == ["name"]:
            return in_words(items["name"])
        return f"{{{', '.join(f'{key}: {in_words(item)}' for key, item in items.items())}}}"
    return f"[{', '.join(map(in_words, value))}]" if isinstance(value, list) else str(value)


def sections(cls: Any) -> str:
    """The sections of a spec that it can be used in, in words."""
    return " or ".join(cls.__augreg__.sections)


def chance(cls: Any) -> float | None:
    """The default probability that it is applied; None for steps of `model` and `loss`, which have none."""
    info = cls.__augreg__
    return None if info.sections[0] in ("model", "loss") else info.p


def meaning(cls: Any) -> str:
    """What is done at test time, in words."""
    info = cls.__augreg__
    may_be_fixed = info.sections[0] == "image" and info.rule not in ("same", "children")
    return RULES[info.rule] + ("; as in training if nothing in it is random" if may_be_fixed else "")


def rule(cls: Any) -> tuple[str, str]:
    """The test-time rule in words, and the quantity for which it gives the exact expectation."""
    info = cls.__augreg__
    if info.sections == ("loss",):
        return f"{info.rule} (training only)", info.exact or "nothing"
    if info.rule == "same":
        unless = "" if chance(cls) is None else "; left out if p is below 1"
        return f"same ({meaning(cls)}{unless})", info.exact or "everything: nothing is random"
    return f"{info.rule} ({meaning(cls)})", info.exact or "nothing"


def example(cls: Any) -> Any:
    """Arguments that show what it does: the children of a container, or its middle preview, the weaker one of two."""
    info = cls.__augreg__
    if info.container:
        return list(CHILDREN)
    return dict(info.preview[(len(info.preview) - 1) // 2]) if info.preview else {}


def line(name: str, cls: Any) -> str:
    """The step as a line of a spec, with its example; without one, with the default of its first argument."""
    arguments = example(cls)
    known = [field for field in fields(cls) if field.init]
    if isinstance(arguments, dict):
        for field in known:
            if required(field):
                arguments.setdefault(field.name, f"<{takes(hints(cls)[field.name])}>")
        if not arguments and not cls.__augreg__.preview and known and known[0].default is not None:
            arguments = {known[0].name: _short(hints(cls)[known[0].name], known[0].default)}
    return f"- {flow(name)}: {flow(arguments)}" if arguments else f"- {flow(name)}"


def _short(hint: Any, value: Any) -> Any:
    """An equal value in fewer characters: 30 for 30.0 if the annotation makes the same of both."""
    value = plain(value)
    shorter = _whole(value)
    return shorter if repr(convert_one(hint, shorter)) == repr(convert_one(hint, value)) else value


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def flow(value: Any) -> str:
    """Plain data as YAML on one line."""
    return suggestions.flow(plain(value))


COMMON = """\
Every step of the `image` section also takes `p`, the probability that it is applied, `test`, which overrides its
test-time rule (`off`, the name of a rule, or steps), and `uid`, a name for its stream of random numbers. The steps of
the `batch` section, under Mixing, take `p` and `uid`; those of `model` and `loss` have no arguments in common. The
steps under Choose contain other steps, of `image` or of `batch`.

In a spec, a single value after the name of a step is its first argument: `rotate: 10` is `rotate: {degrees: 10}`. A
[schedule](schedules.md) of the epoch is allowed wherever a number is. An argument that is `null` is not used, or is
chosen by the step.

The test-time rule of a step says what replaces its randomness when `pipe.test`, or the model in evaluation, is used.
"Exact for" names the quantity whose mean over the random numbers the rule gives without error; "nothing" means that
the rule is only an approximation.

An image step in which nothing is random, because `p` is 1 and the arguments leave no choice (`degrees: [90, 90]`), is
applied at test time exactly as in training, whatever its rule; `test: off` leaves it out. A step that changes the
size of the image with a `p` below 1, in any epoch, needs `test`, unless a later step resizes to one size. So does a
container whose results may have several sizes. If all of its possible results have the same new size, a container
applies the first steps that it may draw at test time; `one_of` applies the step with the largest weight."""
"""What all steps have in common, in Markdown."""
ABOUT: Mapping[str, str] = {
    "mixing": "For the `batch` section: steps that mix the images of a batch, and their labels accordingly.",
    "regularizer": "For the `model` section: steps that are attached to the modules (layers) that `at` selects.",
    "loss": "For the `loss` section: steps that add to the loss, or change its target or the weights.",
}
"""The section of a kind of steps, in Markdown; the other kinds are for images."""


def markdown(transforms: Mapping[str, Any]) -> str:
    """The reference of these transforms and regularizers as a Markdown page, by kind and name."""
    lines = ["# Transforms and regularizers", "", "This page is generated: `augreg list --markdown`.", "", COMMON]
    for kind in typing.get_args(Kind):
        of_kind = {name: cls for name, cls in transforms.items() if cls.__augreg__.kind == kind}
        if of_kind:
            lines += ["", f"## {kind.capitalize()}", *(["", ABOUT[kind]] if kind in ABOUT else [])]
        for name, cls in of_kind.items():
            lines += ["", f"### `{name}`", "", *reference(name, cls)]
    return "\n".join(lines) + "\n"


def reference(name: str, cls: Any) -> list[str]:
    """What there is to know of one step, as lines of Markdown without a heading."""
    lines = [inspect.getdoc(cls) or "", ""]
    rows = arguments(cls)
    if rows:
        lines += ["| argument | takes | default |", "| --- | --- | --- |"]
        lines += [f"| `{row.name}` | {_cell(row.takes)} | {_cell(row.default)} |" for row in rows]
        lines.append("")
    rule_in_words, exact = rule(cls)
    p = chance(cls)
    sentences = [] if p is None else [f"Default p: {p:g}."]
    sentences.append(f"Test-time rule: {rule_in_words}.")
    if cls.__augreg__.kind != "loss":
        sentences.append(f"Exact for: {exact}.")
    lines += [" ".join(sentences), ""]
    return [*lines, "```yaml", line(name, cls), "```"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
