"""@transform, @batch_transform, @regularizer: make a class a frozen dataclass, check it, attach a `TransformInfo`.

The decorators change nothing but the class: importing a module registers nothing.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, cast, dataclass_transform

from augreg.errors import Problem, SpecError
from augreg.steps.fields import convert, hints, required, unreadable
from augreg.steps.signatures import annotated_names, parameter_names
from augreg.steps.step import Step, as_step, check_arguments
from augreg.steps.wording import wrong_arguments

__all__ = ["RULES", "Kind", "Rule", "Section", "TransformInfo", "batch_transform", "regularizer", "transform"]

Section = Literal["image", "batch", "model", "loss"]
Kind = Literal["geometry", "color", "texture", "erasing", "normalize", "choose", "mixing", "regularizer", "loss"]
ImageKind = Literal["geometry", "color", "texture", "erasing", "normalize", "choose"]
ImageRule = Literal["same", "identity", "center", "mean_parameter", "children"]
ModelRule = Literal["same", "identity", "scale", "moment_match"]
Rule = Literal[ImageRule, ModelRule]

RULES: Mapping[str, str] = {
    "same": "applied as in training: it draws no random numbers",
    "identity": "left out",
    "center": "the center of the range that training draws from",
    "mean_parameter": "applied with the mean of the drawn numbers",
    "children": "each child follows its own rule; its p is multiplied by the container's",
    "scale": "multiplied by the probability of being kept",
    "moment_match": "the mean of the activation's output for a Gaussian with the same mean and variance",
}


@dataclass(frozen=True)
class TransformInfo:
    """What a registry and a pipeline know about a transform or a regularizer besides its fields.

    The decorators set it as the class attribute `__augreg__`.
    """

    name: str
    kind: Kind
    p: float
    rule: Rule
    exact: str
    preview: tuple[Mapping[str, Any], ...]
    container: bool

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections of a spec that it can be used in; containers take image steps or batch steps."""
        if self.container:
            return ("image", "batch")
        return (_SECTIONS.get(self.kind, "image"),)


# Names that a spec or augreg takes for its own: arguments that steps have in common, and hooks of the class.
_STEP_ARGUMENTS: Mapping[str, str] = {
    "p": "the probability that a step is applied",
    "test": "what a step does at test time",
    "uid": "the name of a step's random numbers",
}
_HOOKS = ("check", "complete", "functions")
_HOOKS_OF: Mapping[str, tuple[str, ...]] = {
    "image": ("sample", "sample_columns", "expect", "quadrature"),
    "batch": ("sample",),
    "model": ("attach", "test_rule", "test_exact"),
    "loss": ("penalty", "constrain", "target", "term"),
}

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

    Its method `sample(self, rng, scene)` draws random numbers and returns ops, or steps for the pipeline to sample
    next, or a tuple of both; () leaves the image unchanged. It is pure: it keeps no state and reads no pixels.

    `kind` is what it does to an image: geometry, color, texture, erasing, normalize or choose. `p` is the
    probability that it is applied if a spec does not say. `rule` is its test-time rule: `same`, `identity`,
    `center` or `mean_parameter`, or `children` for containers; these three need a method `expect(self, scene, p)`,
    which returns the same kinds of results as `sample`. `exact` names the quantity for which the rule gives the exact
    expectation. `preview` lists arguments from weak to strong for the gallery; without it the gallery sweeps every
    random number through its range.

    A method `quadrature(self, scene)` may return (weight, result) pairs, whose weights sum to one: a few results that
    test-time views use in place of draws. Without it they use all results of `sample`, if these are few.

    Raises SpecError if the class has no docstring, no `sample(self, rng, scene)`, a field without an
    annotation, or a default that its own annotation refuses.
    """

    def decorate(cls: _Class) -> _Class:
        where = _qualified_name(cls)
        _check_method(cls, where, "a transform", "sample", ["self", "rng", "scene"], "ops")
        if rule in ("center", "mean_parameter", "children") and not callable(getattr(cls, "expect", None)):
            raise SpecError(where, f"the rule {rule!r} needs a method expect(self, scene, p) that returns ops")
        container = kind == "choose" and any("steps" in annotated_names(base) for base in cls.__mro__)
        return _declare(cls, where, TransformInfo(name, kind, p, rule, exact, preview, container))

    return decorate


@dataclass_transform(frozen_default=True)
def batch_transform(
    name: str, *, p: float = 1.0, preview: tuple[Mapping[str, Any], ...] = ()
) -> Callable[[_Class], _Class]:
    """Make a class a transform that mixes the images of a batch, with this name.

    It belongs in the `batch` section and is left out at test time. `p` is the probability that it is applied if a
    spec does not say, and `preview` lists arguments from weak to strong. Raises SpecError if the class has no
    docstring, no `sample(self, rng, count, scene)` that returns blends, a field without an annotation, or a default
    that its own annotation refuses.
    """

    def decorate(cls: _Class) -> _Class:
        where = _qualified_name(cls)
        _check_method(cls, where, "a batch transform", "sample", ["self", "rng", "count", "scene"], "blends")
        return _declare(cls, where, TransformInfo(name, "mixing", p, "identity", "", preview, False))

    return decorate


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

    In the model section it has `attach(self, site)`, which is called for each module that its field `at` selects.
    In the loss section it has one or more of `penalty(self, model)`, which returns a number to add to the loss,
    `constrain(self, model)`, which changes the weights after each optimizer step, `target(self, probabilities)`,
    which makes the target softer, and `term(self, logits)`, which is added to each sample's loss. `rule` is the
    test-time rule and `exact` the quantity for which it is exact. Raises SpecError if the class has none of these
    methods, no docstring, a field without an annotation, or a default that its own annotation refuses.
    """

    def decorate(cls: _Class) -> _Class:
        where = _qualified_name(cls)
        if section == "model":
            _check_method(cls, where, "a regularizer", "attach", ["self", "site"], "nothing")
        else:
            present = [method for method in _LOSS_METHODS if callable(getattr(cls, method, None))]
            for method in present or _LOSS_METHODS:
                _check_method(cls, where, "a loss step", method, _LOSS_METHODS[method], "a tensor")
        kind: Kind = "regularizer" if section == "model" else "loss"
        return _declare(cls, where, TransformInfo(name, kind, 1.0, rule, exact, preview, False))

    return decorate


def _qualified_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _declare(cls: _Class, where: str, info: TransformInfo) -> _Class:
    """The class as a frozen dataclass that checks and converts its fields, with its `TransformInfo`."""
    _check_shape(cls, where)
    cls.__post_init__ = _convert_fields  # type: ignore[attr-defined]
    declared = cast(_Class, dataclass(frozen=True)(cls))
    declared.__augreg__ = info  # type: ignore[attr-defined]
    declared.__init__ = _explained(declared)  # type: ignore[misc]
    if not cls.__module__.startswith("augreg."):  # tests check our own, which takes as long as all the rest
        check_declared(declared)
    return declared


def check_declared(cls: Any) -> None:
    """Raise SpecError for a class of steps with an annotation, a field or a default that a spec cannot have."""
    where, info = _qualified_name(cls), cls.__augreg__
    try:
        annotations = hints(cls)
    except NameError as error:
        why = (
            f"an annotation cannot be read: {error}; import it for the program as well, not under TYPE_CHECKING only"
        )
        raise SpecError(where, why) from None
    refused = [Problem(f"{where}.{key}", why) for key, hint in annotations.items() if (why := unreadable(hint))]
    if refused:
        raise SpecError(refused)
    _check_names(cls, where, info)
    given = {field.name: field.default for field in fields(cls) if not required(field)}
    _, problems = convert(cls, info.name, given, where, optional=annotations)
    if problems:
        raise SpecError(problems)


def _check_method(cls: type, where: str, what: str, name: str, parameters: list[str], result: str) -> None:
    method = getattr(cls, name, None)
    if not callable(method) or parameter_names(method) != parameters:
        raise SpecError(where, f"{what} needs a method {name}({', '.join(parameters)}) that returns {result}")


def _check_shape(cls: type, where: str) -> None:
    if not (cls.__doc__ or "").strip():
        raise SpecError(where, "it needs a docstring; its first line is shown in lists and in the gallery")
    annotated = annotated_names(cls)
    for key, value in vars(cls).items():
        plain_value = not (key.startswith("_") or callable(value) or hasattr(value, "__get__"))
        if plain_value and key not in annotated:
            raise SpecError(f"{where}.{key}", "a field needs an annotation, which says what values it takes")


def _check_names(cls: Any, where: str, info: TransformInfo) -> None:
    """Raise SpecError for fields whose names augreg takes for its own; they would be half taken from the class."""
    problems = []
    for field in fields(cls):
        why = ""
        # a regularizer is always applied, so its `p` is its own: `dropout: {p: 0.5}`
        if field.name in _STEP_ARGUMENTS and not (field.name == "p" and info.sections[0] in ("model", "loss")):
            why = f"a spec has {field.name!r} for {_STEP_ARGUMENTS[field.name]}"
        elif field.name in (*_HOOKS, *_HOOKS_OF[info.sections[0]]):
            why = f"augreg looks for a method or a property {field.name!r}"
        elif field.name == "steps" and not info.container:
            why = "a spec has 'steps' for the steps in a container, which is of kind 'choose'"
        if why:
            problems.append(Problem(f"{where}.{field.name}", f"{why}; give the field another name"))
    if problems:
        raise SpecError(problems)


def _explained(cls: Any) -> Callable[..., None]:
    """The `__init__` of a class of steps whose TypeErrors say which arguments there are."""
    init = cls.__init__
    known = [field.name for field in fields(cls) if field.init]

    @functools.wraps(init)
    def explained(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError:
            why = wrong_arguments(type(self), known, kwargs, len(args))
            if why:
                raise TypeError(why) from None
            raise

    return explained


def _convert_fields(self: Any) -> None:
    """`__post_init__` of a step that code creates: convert and check its arguments; `build` skips the conversion."""
    name = self.__augreg__.name
    arguments = {field.name: getattr(self, field.name) for field in fields(self)}
    if self.__augreg__.container:
        object.__setattr__(self, "steps", _steps(arguments.pop("steps"), name))
    values, problems = convert(type(self), name, arguments, name, optional=("steps",))
    if problems:
        raise SpecError(problems)
    for key, value in values.items():
        object.__setattr__(self, key, value)
    check_arguments(self, arguments)


def _steps(items: Any, name: str) -> tuple[Step, ...]:
    if isinstance(items, str | bytes) or not isinstance(items, typing.Iterable):
        raise SpecError(f"{name}.steps", f"expected a list of steps, got {items!r}")
    return tuple(as_step(item) for item in items)
