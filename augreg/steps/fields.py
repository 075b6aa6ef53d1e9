"""The kinds of arguments that steps take, and how a given value becomes one of them.

A field's annotation is its whole declaration: the type, its bounds (msgspec.Meta) and, where people
are used to one, the short way of writing it (`Short`). Every value is checked against it once, when a step
is made, and stored in its canonical form: pairs for ranges and sizes, tuples for colors.
"""

from __future__ import annotations

import difflib
import functools
import math
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from augreg.errors import Problem

__all__ = [
    "Colors",
    "Counts",
    "Degrees",
    "Factor",
    "Fill",
    "Interpolation",
    "PadMode",
    "Padding",
    "Probability",
    "Range",
    "Size",
    "Std",
    "SymmetricRange",
    "convert",
    "nearest",
    "plain",
]


class Shorthand(NamedTuple):
    """A short form: a function from what people write to the canonical form, and a word for help texts."""

    expand: Callable[[Any], Any]
    word: str


class Ordered(NamedTuple):
    """A pair whose first number must not exceed its second."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _around(center: float, value: Any, floor: float = -math.inf) -> Any:
    if not _is_number(value):
        return value
    if value < 0:
        raise ValueError(f"a bare number is how far to go from {center:g}, and must not be negative, got {value!r}")
    return [max(floor, center - value), center + value]


def _twice(value: Any) -> Any:
    return [value, value] if _is_number(value) else value


def _color(value: Any) -> Any:
    if isinstance(value, str):
        return [float(round(255 * level)) for level in _named(MEANS, value)]
    return [value] if _is_number(value) else value


def _named(table: Mapping[str, Sequence[float]], value: Any) -> Any:
    if isinstance(value, str):
        if value not in table:
            raise ValueError(f"no data set of this name is known, got {value!r}{nearest(value, table)}")
        return list(table[value])
    return [value] if _is_number(value) else value


# Channel statistics on the 0..1 scale, as published with each data set or model.
MEANS: Mapping[str, tuple[float, ...]] = {
    "imagenet": (0.485, 0.456, 0.406),
    "cifar10": (0.4914, 0.4822, 0.4465),
    "cifar100": (0.5071, 0.4865, 0.4409),
    "svhn": (109.9 / 255, 109.7 / 255, 113.8 / 255),
    "mnist": (0.1307,),
    "fashion_mnist": (0.2860,),
    "clip": (0.48145466, 0.4578275, 0.40821073),
    "half": (0.5,),
}
STDS: Mapping[str, tuple[float, ...]] = {
    "imagenet": (0.229, 0.224, 0.225),
    "cifar10": (0.2470, 0.2435, 0.2616),
    "cifar100": (0.2673, 0.2564, 0.2762),
    "svhn": (50.1 / 255, 50.6 / 255, 50.8 / 255),
    "mnist": (0.3081,),
    "fashion_mnist": (0.3530,),
    "clip": (0.26862954, 0.26130258, 0.27577711),
    "half": (0.5,),
}

_Pair: TypeAlias = tuple[float, float]

Range: TypeAlias = Annotated[_Pair, Ordered(), Shorthand(_twice, "number or [low, high]")]
"""A range to draw from; a bare number is that number always."""
Degrees: TypeAlias = Annotated[_Pair, Ordered(), Shorthand(functools.partial(_around, 0.0), "number or [low, high]")]
"""A range of angles; a bare 30 means [-30, 30]."""
SymmetricRange: TypeAlias = Annotated[
    _Pair, Ordered(), Shorthand(functools.partial(_around, 0.0), "number or [low, high]")
]
"""A range of signed amounts; a bare 0.3 means [-0.3, 0.3]."""
Factor: TypeAlias = Annotated[
    tuple[Annotated[float, Meta(ge=0, le=1000)], Annotated[float, Meta(ge=0, le=1000)]],
    Ordered(),
    Shorthand(functools.partial(_around, 1.0, floor=0.0), "number or [low, high]"),
]
"""A range of factors; a bare 0.4 means [0.6, 1.4], and never below 0."""
Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
_Side: TypeAlias = Annotated[int, Meta(ge=1, le=65536)]
Size: TypeAlias = Annotated[tuple[_Side, _Side], Shorthand(_twice, "integer or [height, width]")]
"""(height, width); a bare number is both."""
Counts: TypeAlias = Annotated[
    tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]],
    Ordered(),
    Shorthand(_twice, "integer or [low, high]"),
]
"""A range of whole numbers; a bare number is that number always."""
_Width: TypeAlias = Annotated[int, Meta(ge=0, le=65536)]
Padding: TypeAlias = Annotated[
    tuple[_Width, _Width, _Width, _Width],
    Shorthand(lambda value: [value] * 4 if _is_number(value) else value, "integer or [top, bottom, left, right]"),
]
"""Border widths (top, bottom, left, right); a bare number is all four."""
Fill: TypeAlias = Annotated[
    Annotated[tuple[float, ...], Meta(min_length=1, max_length=64)],
    Shorthand(_color, "number, one number a channel, or the name of a data set for its mean color"),
]
"""What to paint, on the 0..255 scale (after normalize: in normalized units)."""
Colors: TypeAlias = Annotated[
    Annotated[tuple[Annotated[float, Meta(ge=0, le=1)], ...], Meta(min_length=1, max_length=64)],
    Shorthand(functools.partial(_named, MEANS), f"number, one number a channel, or one of {', '.join(MEANS)}"),
]
"""Channel means on the 0..1 scale, by numbers or by the name of a data set."""
Std: TypeAlias = Annotated[
    Annotated[tuple[Annotated[float, Meta(ge=1e-6, le=1)], ...], Meta(min_length=1, max_length=64)],
    Shorthand(functools.partial(_named, STDS), f"number, one number a channel, or one of {', '.join(STDS)}"),
]
"""Channel standard deviations on the 0..1 scale."""
Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic"]
PadMode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric"]


def nearest(name: object, known: Iterable[str]) -> str:
    """A `; did you mean 'x'?` for a misspelt name, or nothing."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def plain(value: Any) -> Any:
    """Plain data of what may be a NumPy scalar, a foreign mapping or a tuple: dicts, lists, numbers, strings.

    Values of no plain kind are returned as they are, for the check against the annotation to refuse.
    """
    if value is None or isinstance(value, bool | str | bytes):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # an array, of whatever library
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return value


@functools.cache
def hints(cls: type) -> dict[str, Any]:
    """The resolved annotations of a dataclass's fields."""
    return typing.get_type_hints(cls, include_extras=True)


def _marks(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__metadata__", ())


def _union(hint: Any) -> tuple[Any, ...]:
    """The parts of a union."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()


def shorthand_of(hint: Any) -> Shorthand | None:
    """The short form that an annotation, or what it may be besides None, declares."""
    return next(
        (mark for part in (hint, *_union(hint)) for mark in _marks(part) if isinstance(mark, Shorthand)), None
    )


def required(field: Field[Any]) -> bool:
    """Whether a dataclass field has no default."""
    return field.default is MISSING and field.default_factory is MISSING


def unreadable(hint: Any) -> str:
    """Why an annotation cannot be used, if so: msgspec 0.22 crashes on a union of a bounded number and a tuple."""
    parts = _union(hint)
    bounded = any(_marks(part) and typing.get_origin(part.__origin__) is None for part in parts)
    arrays = any(typing.get_origin(getattr(part, "__origin__", part)) in (tuple, list) for part in parts)
    arrays = arrays or any(typing.get_origin(part) in (tuple, list) for part in parts)
    return (
        "a union of a bounded number and a tuple cannot be read; take a pair with a short form"
        if bounded and arrays
        else ""
    )


def convert_one(hint: Any, value: Any) -> Any:
    """`value` as the annotation says; raises ValueError with `at` paths in msgspec's manner."""
    try:
        value = plain(value)
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"cannot be read: {error}") from None
    given = [part for part in _union(hint) if part is not type(None)]
    if len(given) == 1 and value is not None:  # `X | None`: the marks are those of X
        hint = given[0]
    problem = _not_finite(value)
    if problem:
        raise ValueError(problem)
    short = shorthand_of(hint)
    try:
        if short is not None:
            value = short.expand(value)
        converted = msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise ValueError(_reword(str(error), hint, value)) from None
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"cannot be read: {error}") from None
    if any(isinstance(mark, Ordered) for mark in _marks(hint)) and converted[0] > converted[1]:
        raise ValueError(f"expected [low, high] with low <= high, got {list(converted)!r}")
    return converted


def _reword(message: str, hint: Any, value: Any) -> str:
    """A message of msgspec in the words of specs, behind the place within the value (and a NUL) if there is one."""
    text = message[0].lower() + message[1:]
    text, _, where = text.partition(" - at `$")
    where = where.rstrip("`")
    short, words = shorthand_of(hint), _words(hint)
    if text.startswith("invalid enum value") and words:
        return f"expected {', '.join(map(str, words))}, got {_shown(value)}{nearest(value, map(str, words))}"
    if short and not where and text.startswith("expected `array`, got"):
        return f"expected {short.word}, got {_shown(value)}"
    text = re.sub(r"\barray\b", "list", re.sub(r"\bobject\b", "mapping", text.replace("`", "")))
    if not where:  # then the value is what was given: show it rather than its type
        text = f"{text.partition(', got ')[0]}, got {_shown(value)}"
    text += f" (takes {short.word})" if short else ""
    return f"{where}\0{text}" if where else text


def _words(hint: Any) -> tuple[Any, ...]:
    """The values that a Literal allows."""
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _not_finite(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, got {value!r}"
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return f"expected a number of at most 64 bits, got {_shown(value)}"
    if isinstance(value, tuple | list):
        return next((problem for item in value if (problem := _not_finite(item))), "")
    return ""


def convert(
    cls: type, name: str, arguments: Mapping[str, Any], path: str, partial: bool = False
) -> tuple[dict[str, Any], list[Problem]]:
    """The arguments of a step, checked and canonical, and everything that is wrong with them.

    `name` is the step's name and `path` its place, both for messages. Defaults are not filled in; a required
    argument may be missing only if `partial`. A class may have a
    classmethod `complete(arguments)` that fills in what follows from what was given.
    """
    known = {field.name: field for field in fields(cls) if field.init}
    complete = getattr(cls, "complete", None)
    if complete is not None:
        arguments = complete(dict(arguments))
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in arguments.items():
        if key not in known:
            hint = nearest(key, known) or _takes(known)
            problems.append(Problem(f"{path}.{key}", f"{name} has no field {key!r}{hint}"))
            continue
        try:
            values[key] = convert_one(hints(cls)[key], value)
        except ValueError as error:
            where, _, message = str(error).rpartition("\0")
            problems.append(Problem(f"{path}.{key}{where}", message))
    for key, field in known.items():
        if required(field) and key not in arguments and not partial:
            problems.append(Problem(path, f"{name} needs {key!r}"))
    return values, problems


def _takes(known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f"; it takes {names}" if names else "; it takes no arguments"
