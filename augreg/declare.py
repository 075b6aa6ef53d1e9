"""@transform: makes a class a frozen dataclass, checks its shape, and marks it for a registry to find.

A mark changes nothing anywhere else: importing a module registers nothing.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, cast, dataclass_transform

from augreg.errors import Problem, SpecError
from augreg.fields import convert, hints, required, unreadable
from augreg.steps import Step, as_step

__all__ = ["RULES", "Kind", "Mark", "Rule", "transform"]

Kind = Literal["geometry", "color", "texture", "erasing", "normalize", "choose"]
Rule = Literal["same", "identity", "centre", "mean_parameter", "children"]

RULES: Mapping[str, str] = {
    "same": "done as in training: nothing is drawn",
    "identity": "left out",
    "centre": "the centre of what training draws from",
    "mean_parameter": "applied with the mean of the drawn numbers",
    "children": "each child by its own rule, with the p of both",
}


@dataclass(frozen=True)
class Mark:
    """What a registry and a pipeline know of a transform beyond its fields."""

    name: str
    kind: Kind
    p: float
    rule: Rule
    exact: str
    preview: tuple[Mapping[str, Any], ...]
    container: bool


_Class = TypeVar("_Class", bound=type)


@dataclass_transform(frozen_default=True)
def transform(
    name: str,
    *,
    kind: Kind,
    p: float = 1.0,
    rule: Rule = "identity",
    exact: str = "",
    preview: tuple[Mapping[str, Any], ...] = (),
) -> Callable[[_Class], _Class]:
    """Make a class a transform with this name.

    `kind` is what it does to a picture: geometry, color, texture, erasing, normalize or choose. `p` is the
    chance that it is applied where a spec does not say. `rule` is its test-time rule: `same`, `identity`,
    `centre` or `mean_parameter` (these two need a method `expect(scene, p)`), `children` for containers;
    `exact` says for which quantity the rule gives the exact expectation. `preview` lists arguments from weak
    to strong for the gallery; without it the gallery sweeps every draw through its range.

    Raises SpecError when the class has no docstring, no `sample(self, rng, scene)`, a field without an
    annotation, or a default that its own annotation refuses.
    """

    def mark(cls: _Class) -> _Class:
        where = f"{cls.__module__}.{cls.__qualname__}"
        _check_shape(cls, where, rule)
        _convert_in_init(cls, name)
        made = cast(_Class, dataclass(frozen=True)(cls))
        refused = [Problem(f"{where}.{key}", why) for key, hint in hints(made).items() if (why := unreadable(hint))]
        if refused:
            raise SpecError(refused)
        container = "steps" in hints(made) and kind == "choose"
        made.__augreg__ = Mark(name, kind, p, rule, exact, preview, container)  # type: ignore[attr-defined]
        defaults = {f.name: f.default for f in fields(made) if not required(f)}
        _, problems = convert(made, name, defaults, where, partial=True)
        if problems:
            raise SpecError(problems)
        return made

    return mark


def _check_shape(cls: type, where: str, rule: str) -> None:
    if not (cls.__doc__ or "").strip():
        raise SpecError(where, "a transform needs a docstring; its first line is shown in lists and in the gallery")
    sample = getattr(cls, "sample", None)
    if not callable(sample) or list(inspect.signature(sample).parameters) != ["self", "rng", "scene"]:
        raise SpecError(where, "a transform needs a method sample(self, rng, scene) that returns ops")
    if rule in ("centre", "mean_parameter", "children") and not callable(getattr(cls, "expect", None)):
        raise SpecError(where, f"the rule {rule!r} needs a method expect(self, scene, p) that returns ops")
    annotated = inspect.get_annotations(cls)
    for key, value in vars(cls).items():
        plain_value = not (key.startswith("_") or callable(value) or hasattr(value, "__get__"))
        if plain_value and key not in annotated:
            raise SpecError(f"{where}.{key}", "a field needs an annotation, which says what a spec may give")


def _convert_in_init(cls: type, name: str) -> None:
    """Check and canonicalize the fields whenever an object is made, from a spec or by hand."""
    check: Callable[[Any], None] | None = getattr(cls, "check", None)

    def __post_init__(self: Any) -> None:  # noqa: N807 - becomes the dataclass's own
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        if self.__augreg__.container:
            object.__setattr__(self, "steps", _steps(given.pop("steps"), name))
        values, problems = convert(type(self), name, given, name, partial=True)
        if problems:
            raise SpecError(problems)
        for key, value in values.items():
            object.__setattr__(self, key, value)
        if check is not None:
            try:
                check(self)
            except ValueError as error:
                raise SpecError(name, str(error)) from None

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]


def _steps(given: Any, name: str) -> tuple[Step, ...]:
    if isinstance(given, str | bytes) or not isinstance(given, typing.Iterable):
        raise SpecError(f"{name}.steps", f"expected a list of steps, got {given!r}")
    return tuple(as_step(item) for item in given)
