"""@transform, @batch_transform, @regularizer: make a class a frozen dataclass, check its shape, and mark it.

A mark changes nothing anywhere else: importing a module registers nothing.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, cast, dataclass_transform

from augreg.errors import Problem, SpecError
from augreg.steps.fields import convert, hints, required, unreadable
from augreg.steps.step import Step, as_step

__all__ = ["RULES", "Kind", "Rule", "Section", "TransformInfo", "batch_transform", "regularizer", "transform"]

Section = Literal["image", "batch", "model", "loss"]
Kind = Literal["geometry", "color", "texture", "erasing", "normalize", "choose", "mixing", "regularizer", "loss"]
ImageKind = Literal["geometry", "color", "texture", "erasing", "normalize", "choose"]
ImageRule = Literal["same", "identity", "center", "mean_parameter", "children"]
ModelRule = Literal["same", "identity", "scale", "moment_match"]
Rule = Literal[ImageRule, ModelRule]

RULES: Mapping[str, str] = {
    "same": "done as in training: nothing is drawn",
    "identity": "left out",
    "center": "the center of what training draws from",
    "mean_parameter": "applied with the mean of the drawn numbers",
    "children": "each child by its own rule, with the p of both",
    "scale": "multiplied by the chance of being kept",
    "moment_match": "the mean after the activation, from a Gaussian of the same mean and variance",
}


@dataclass(frozen=True)
class TransformInfo:
    """What a registry and a pipeline know of a transform or a regularizer beyond its fields."""

    name: str
    kind: Kind
    p: float
    rule: Rule
    exact: str
    preview: tuple[Mapping[str, Any], ...]
    container: bool

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections of a spec that it may stand in; containers hold the steps of either kind."""
        if self.container:
            return ("image", "batch")
        return (_SECTIONS.get(self.kind, "image"),)


_SECTIONS: Mapping[str, Section] = {"mixing": "batch", "regularizer": "model", "loss": "loss"}
_Class = TypeVar("_Class", bound=type)


@dataclass_transform(frozen_default=True)
def transform(
    name: str,
    *,
    kind: ImageKind,
    p: float = 1.0,
    rule: ImageRule = "identity",
    exact: str = "",
    preview: tuple[Mapping[str, Any], ...] = (),
) -> Callable[[_Class], _Class]:
    """Make a class a transform of images with this name.

    `kind` is what it does to an image: geometry, color, texture, erasing, normalize or choose. `p` is the
    chance that it is applied where a spec does not say. `rule` is its test-time rule: `same`, `identity`,
    `center` or `mean_parameter` (these two need a method `expect(scene, p)`), `children` for containers;
    `exact` says for which quantity the rule gives the exact expectation. `preview` lists arguments from weak
    to strong for the gallery; without it the gallery sweeps every draw through its range.

    Raises SpecError when the class has no docstring, no `sample(self, rng, scene)`, a field without an
    annotation, or a default that its own annotation refuses.
    """

    def mark(cls: _Class) -> _Class:
        where = _where(cls)
        _check_method(cls, where, "a transform", "sample", ["self", "rng", "scene"], "ops")
        if rule in ("center", "mean_parameter", "children") and not callable(getattr(cls, "expect", None)):
            raise SpecError(where, f"the rule {rule!r} needs a method expect(self, scene, p) that returns ops")
        container = kind == "choose" and "steps" in inspect.get_annotations(cls)
        return _made(cls, where, TransformInfo(name, kind, p, rule, exact, preview, container))

    return mark


@dataclass_transform(frozen_default=True)
def batch_transform(
    name: str, *, p: float = 1.0, preview: tuple[Mapping[str, Any], ...] = ()
) -> Callable[[_Class], _Class]:
    """Make a class a transform that mixes the images of a batch, with this name.

    It stands in the `batch` section and is left out at test time. `p` is the chance that it is applied where a spec
    does not say, and `preview` lists arguments from weak to strong. Raises SpecError when the class has no docstring,
    no `sample(self, rng, count, scene)` that returns blends, a field without an annotation, or a default that its own
    annotation refuses.
    """

    def mark(cls: _Class) -> _Class:
        where = _where(cls)
        _check_method(cls, where, "a batch transform", "sample", ["self", "rng", "count", "scene"], "blends")
        return _made(cls, where, TransformInfo(name, "mixing", p, "identity", "", preview, False))

    return mark


_LOSS_METHODS = {
    "penalty": ["self", "model"],
    "constrain": ["self", "model"],
    "target": ["self", "probabilities"],
    "term": ["self", "logits"],
}


@dataclass_transform(frozen_default=True)
def regularizer(
    name: str,
    *,
    section: Literal["model", "loss"] = "model",
    rule: ModelRule = "identity",
    exact: str = "",
    preview: tuple[Mapping[str, Any], ...] = (),
) -> Callable[[_Class], _Class]:
    """Make a class a regularizer with this name, for the `model` or the `loss` section.

    In the model section it has `attach(self, site)`, which is called for each module that its field `at` selects;
    in the loss section one or more of `penalty(self, model)`, a number to add to the loss, `constrain(self, model)`,
    done to the weights after each step, `target(self, probabilities)`, which makes the target softer, and
    `term(self, logits)`, added to each sample's loss. `rule` is the test-time rule and `exact` the quantity for which
    it is exact. Raises SpecError when the class has none of these methods, no docstring, a field without an
    annotation, or a default that its own annotation refuses.
    """

    def mark(cls: _Class) -> _Class:
        where = _where(cls)
        if section == "model":
            _check_method(cls, where, "a regularizer", "attach", ["self", "site"], "nothing")
        else:
            present = [method for method in _LOSS_METHODS if callable(getattr(cls, method, None))]
            for method in present or _LOSS_METHODS:
                _check_method(cls, where, "a loss step", method, _LOSS_METHODS[method], "a tensor")
        kind: Kind = "regularizer" if section == "model" else "loss"
        return _made(cls, where, TransformInfo(name, kind, 1.0, rule, exact, preview, False))

    return mark


def _where(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _made(cls: _Class, where: str, mark: TransformInfo) -> _Class:
    """The class as a frozen dataclass that checks and converts its fields, with its mark."""
    _check_shape(cls, where)
    _convert_in_init(cls, mark.name)
    made = cast(_Class, dataclass(frozen=True)(cls))
    refused = [Problem(f"{where}.{key}", why) for key, hint in hints(made).items() if (why := unreadable(hint))]
    if refused:
        raise SpecError(refused)
    made.__augreg__ = mark  # type: ignore[attr-defined]
    defaults = {f.name: f.default for f in fields(made) if not required(f)}
    _, problems = convert(made, mark.name, defaults, where, partial=True)
    if problems:
        raise SpecError(problems)
    return made


def _check_method(cls: type, where: str, what: str, name: str, takes: list[str], gives: str) -> None:
    method = getattr(cls, name, None)
    if not callable(method) or list(inspect.signature(method).parameters) != takes:
        raise SpecError(where, f"{what} needs a method {name}({', '.join(takes)}) that returns {gives}")


def _check_shape(cls: type, where: str) -> None:
    if not (cls.__doc__ or "").strip():
        raise SpecError(where, "it needs a docstring; its first line is shown in lists and in the gallery")
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
