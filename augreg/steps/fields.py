"""The types of arguments that steps take, and the conversion of values to them.

The annotation of a field declares all about it: the type, its bounds (msgspec.Meta) and a short form for what people
usually write (`Shorthand`). When a step is made, each argument is checked and converted once, and stored in its
canonical form: pairs for ranges and sizes, tuples for colors.
"""

from __future__ import annotations

import functools
import math
import os
import types
import typing
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from augreg.errors import Problem
from augreg.ops.op import Interpolation, PadMode, ResizeInterpolation
from augreg.steps import other_names
from augreg.steps.sizes import MOST_PROBLEMS, check_size
from augreg.steps.suggestions import meant, nearest
from augreg.steps.wording import brief, check_inside, example, reword, split_error, takes

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
    "ResizeInterpolation",
    "Size",
    "Std",
    "SymmetricRange",
    "brief",
    "convert",
    "convert_one",
    "defaults",
    "hints",
    "nearest",
    "plain",
    "split_error",
]


if TYPE_CHECKING:
    _T = TypeVar("_T")
    Converted: TypeAlias = _T | Any
else:

    class Converted:
        """`Converted[X]` is the annotation X. Type checkers also accept what its short form takes, as X | Any."""

        def __class_getitem__(cls, hint: Any) -> Any:
            return hint


class Shorthand(NamedTuple):
    """A short form: a function that expands it to the canonical form, and what the argument takes, in words."""

    expand: Callable[[Any], Any]
    words: str


class OneIsWhite(NamedTuple):
    """Numbers on the 0..1 scale; other libraries have these on a scale with this value of white."""

    white: float = 255.0


class Ordered(NamedTuple):
    """A pair whose first number must not exceed its second; both are at most 1e30 away from 0."""


_LARGEST = 1e30  # of a range: the distance of its ends, and squares of its numbers, are finite


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _around(center: float, value: Any, floor: float = -math.inf) -> Any:
    if not _is_number(value):
        return value
    if value < 0:
        only = "" if center + value < floor or center else f", or [{value!r}, {value!r}] for this amount alone"
        raise ValueError(
            f"a single number is the largest distance from {center:g} and must be >= 0, got {value!r}; give "
            f"{-value!r}{only}"
        )
    return [max(floor, center - value), center + value]


def _twice(value: Any) -> Any:
    return [value, value] if _is_number(value) else value


def _color(value: Any) -> Any:
    if isinstance(value, str) and value not in MEANS:
        raise ValueError(
            f"a color is a number, one number per channel, or the name of a dataset for its mean color, got "
            f"{brief(value)}{nearest(value, MEANS)}; black is 0, white 255 and red [255, 0, 0]"
        )
    if isinstance(value, str):
        return [float(round(255 * mean)) for mean in _named(MEANS, value)]
    return [value] if _is_number(value) else value


def _named(table: Mapping[str, Sequence[float]], value: Any) -> Any:
    if isinstance(value, str):
        if value not in table:
            names = nearest(value, table) or f"; known are {', '.join(table)}"
            raise ValueError(f"there are no statistics for a dataset named {value!r}{names}")
        return list(table[value])
    return [value] if _is_number(value) else value


# Channel statistics on the 0..1 scale, as published with each dataset or model.
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

_Pair: TypeAlias = Converted[tuple[float, float]]

Range: TypeAlias = Annotated[_Pair, Ordered(), Shorthand(_twice, "number or [low, high]")]
"""A range to draw from; a single number is used as it is."""
Degrees: TypeAlias = Annotated[_Pair, Ordered(), Shorthand(functools.partial(_around, 0.0), "number or [low, high]")]
"""A range of angles in degrees; 30 means [-30, 30]."""
SymmetricRange: TypeAlias = Annotated[
    _Pair, Ordered(), Shorthand(functools.partial(_around, 0.0), "number or [low, high]")
]
"""A range of signed amounts; 0.3 means [-0.3, 0.3]."""
Factor: TypeAlias = Annotated[
    Converted[tuple[Annotated[float, Meta(ge=0, le=1000)], Annotated[float, Meta(ge=0, le=1000)]]],
    Ordered(),
    Shorthand(functools.partial(_around, 1.0, floor=0.0), "number or [low, high]"),
]
"""A range of factors from 0 to 1000; 0.4 means [0.6, 1.4], and the low end is never below 0."""
Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
_Side: TypeAlias = Annotated[int, Meta(ge=1, le=65536)]
Size: TypeAlias = Annotated[Converted[tuple[_Side, _Side]], Shorthand(_twice, "integer or [height, width]")]
"""(height, width) in pixels; a single number is both."""
Counts: TypeAlias = Annotated[
    Converted[tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]]],
    Ordered(),
    Shorthand(_twice, "integer or [low, high]"),
]
"""A range of whole numbers to draw from; a single number is used as it is."""
_Width: TypeAlias = Annotated[int, Meta(ge=0, le=65536)]
Padding: TypeAlias = Annotated[
    Converted[tuple[_Width, _Width, _Width, _Width]],
    Shorthand(lambda value: [value] * 4 if _is_number(value) else value, "integer or [top, bottom, left, right]"),
]
"""Border widths in pixels (top, bottom, left, right); a single number is all four."""
Fill: TypeAlias = Annotated[
    Annotated[Converted[tuple[float, ...]], Meta(min_length=1, max_length=64)],
    Shorthand(_color, "number, one number per channel, or the name of a dataset for its mean color"),
]
"""A pixel value to fill with, on the 0..255 scale (after normalize: in normalized units)."""
Colors: TypeAlias = Annotated[
    Annotated[Converted[tuple[Annotated[float, Meta(ge=0, le=1)], ...]], Meta(min_length=1, max_length=64)],
    OneIsWhite(),
    Shorthand(functools.partial(_named, MEANS), f"number, one number per channel, or one of {', '.join(MEANS)}"),
]
"""Channel means on the 0..1 scale, as numbers or the name of a dataset."""
Std: TypeAlias = Annotated[
    Annotated[Converted[tuple[Annotated[float, Meta(ge=1e-6, le=1)], ...]], Meta(min_length=1, max_length=64)],
    OneIsWhite(),
    Shorthand(functools.partial(_named, STDS), f"number, one number per channel, or one of {', '.join(STDS)}"),
]
"""Channel standard deviations on the 0..1 scale, as numbers or the name of a dataset."""


def plain(value: Any) -> Any:
    """The value as dicts, lists, numbers and strings; takes NumPy values, other mappings, tuples, dataclasses, paths.

    Other values are returned unchanged, and the check against the annotation refuses them. A dataclass field may have
    another `key` in its metadata, and one that is `optional` there is written only if it is set.
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
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # an array of any library
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        members = [(field, getattr(value, field.name)) for field in fields(value)]
        members = [(field, item) for field, item in members if item or not field.metadata.get("optional")]
        return {field.metadata.get("key", field.name): plain(item) for field, item in members}
    return value


@functools.cache
def hints(cls: type) -> dict[str, Any]:
    """The resolved annotations of a dataclass's fields."""
    return typing.get_type_hints(cls, include_extras=True)


@functools.cache
def defaults(cls: type) -> dict[str, Any]:
    """The defaults of a dataclass's fields in canonical form, without those of required fields."""
    known = hints(cls)
    return {
        field.name: convert_one(known[field.name], plain_default(field))
        for field in fields(cls)
        if field.init and not required(field)
    }


def plain_default(field: Field[Any]) -> Any:
    """The default of a dataclass field as its class writes it."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _metadata(hint: Any) -> tuple[Any, ...]:
    return getattr(hint, "__metadata__", ())


def _union(hint: Any) -> tuple[Any, ...]:
    """The parts of a union."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()


def without_none(hint: Any) -> Any:
    """X for the annotation `X | None`; other annotations are returned unchanged."""
    parts = [part for part in _union(hint) if part is not type(None)]
    return parts[0] if len(parts) == 1 else hint


def shorthand_of(hint: Any) -> Shorthand | None:
    """The short form that an annotation declares, or one of the parts of a union."""
    return next(
        (item for part in (hint, *_union(hint)) for item in _metadata(part) if isinstance(item, Shorthand)), None
    )


def required(field: Field[Any]) -> bool:
    """Whether a dataclass field has no default."""
    return field.default is MISSING and field.default_factory is MISSING


def unreadable(hint: Any) -> str:
    """Why an annotation cannot be used, or "": msgspec 0.22 crashes on a union of a bounded number and a tuple."""
    parts = _union(hint)
    bounded = any(_metadata(part) and typing.get_origin(part.__origin__) is None for part in parts)
    origins = [typing.get_origin(part.__origin__ if _metadata(part) else part) for part in parts]
    message = "a union of a bounded number and a tuple is not supported; declare a pair with a Shorthand instead"
    return message if bounded and (tuple in origins or list in origins) else ""


def convert_one(hint: Any, value: Any, suggest: bool = True) -> Any:
    """The value in the canonical form of its annotation.

    Raises ValueError; where the problem is inside the value, its message starts with the path there and a NUL. With
    `suggest` the message ends with a similar value that would do, if there is one.
    """
    try:
        check_size(value)
        value = plain(value)
    except Exception as error:  # an object of another library may raise anything
        raise ValueError(f"cannot be read: {_reason(error)}") from None
    if value is not None:  # for `X | None`, the metadata is that of X
        hint = without_none(hint)
    problem = _not_finite(value)
    if problem:
        raise ValueError(problem)
    short = shorthand_of(hint)
    given = value
    try:
        if short is not None:
            value = short.expand(value)
        converted = msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        check_inside(hint, value, functools.partial(convert_one, suggest=suggest))
        message = reword(str(error), hint, value, short.words if short else None)
        if _is_number(given) and f"got {given!r}" in message:  # a path into the expanded form is none of the spec
            message = message.rpartition("\0")[2]
        raise ValueError(message + (_meant(hint, given) if suggest else "")) from None
    except ValueError:  # a short form's own
        raise
    except Exception as error:
        raise ValueError(f"cannot be read: {_reason(error)}") from None
    if any(isinstance(item, Ordered) for item in _metadata(hint)):
        if converted[0] > converted[1]:
            low, high = converted
            hint = f"; did you mean {[high, low]!r}?" if suggest else ""
            raise ValueError(f"expected [low, high] with low <= high, got {[low, high]!r}{hint}")
        if max(map(abs, converted)) > _LARGEST:
            raise ValueError(f"expected numbers from -{_LARGEST:g} to {_LARGEST:g}, got {list(converted)!r}")
    return converted


def _meant(hint: Any, value: Any) -> str:
    """The hint with a similar value that an annotation takes."""

    def takes(candidate: Any) -> bool:
        try:
            convert_one(hint, candidate, suggest=False)
        except ValueError:
            return False
        return True

    scales = [item.white for item in _metadata(hint) if isinstance(item, OneIsWhite)]
    return meant(value, takes, scales[0] if scales else None)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError | ArithmeticError) else f"{type(error).__name__}: {error}"


def _not_finite(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, got {value!r}"
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return f"expected a number of at most 64 bits, got {brief(value)}"
    if isinstance(value, tuple | list):
        return next((problem for item in value if (problem := _not_finite(item))), "")
    return ""


_COMMON: Mapping[str | None, tuple[str, ...]] = {"image": ("p", "test", "uid"), "batch": ("p", "uid")}
"""The arguments that all steps of a section take."""


def convert(
    cls: Any, name: str, arguments: Mapping[str, Any], path: str, optional: Container[str] = ()
) -> tuple[dict[str, Any], list[Problem]]:
    """The arguments of a step in canonical form, and every problem with them.

    `name` is the step's name and `path` its location, both for messages. Defaults are not filled in; of the required
    arguments, only those in `optional` may be missing. A class may have a classmethod `complete(arguments)`, which
    fills in arguments that follow from the given ones.
    """
    known = {field.name: field for field in fields(cls) if field.init}
    common = _COMMON.get(getattr(cls, "__augreg__", None) and cls.__augreg__.sections[0], ())
    complete = getattr(cls, "complete", None)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    if complete is not None:
        try:
            arguments = complete(dict(arguments))
        except Exception as error:  # a class of a plugin may fail on a value that nobody foresaw
            problems.append(Problem(path, f"{name} cannot take these arguments: {_reason(error)}"))
    for key, value in arguments.items():
        if len(problems) >= MOST_PROBLEMS:
            break
        if key not in known:
            names = [*known, *common]
            free = [other for other in names if other not in arguments]
            hint = other_names.argument(key, free) or nearest(key, free) or takes(names)
            shown = key if isinstance(key, str) else brief(key)
            problems.append(Problem(f"{path}.{shown}", f"{name} has no field {brief(key)}{hint}"))
            continue
        try:
            values[key] = convert_one(hints(cls)[key], value)
        except ValueError as error:
            where, message = split_error(error)
            problems.append(Problem(f"{path}.{key}{where}", message))
    for key, field in known.items():
        said = any(f"did you mean {key!r}" in problem.message for problem in problems)
        if required(field) and key not in arguments and key not in optional and not said:
            problems.append(Problem(path, f"{name} needs {key!r}{example(cls, key)}"))
    return values, problems
