"""Errors of conversion in the words of specs: msgspec's own name its types and not the key of a mapping."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from augreg.steps.other_names import VALUES, argument
from augreg.steps.sizes import check_size
from augreg.steps.suggestions import flow, nearest, plain_name

__all__ = [
    "brief",
    "check_inside",
    "choice",
    "example",
    "reword",
    "shortened",
    "split_error",
    "takes",
    "wrong_arguments",
]


def brief(value: Any) -> str:
    """A value for a message, shortened."""
    try:
        check_size(value)
        text = repr(value)
    except Exception:  # it is very large, or an object of another library, which may raise anything
        text = f"<{type(value).__name__}>"
    return shortened(text)


def shortened(text: str, most: int = 80) -> str:
    """A text of at most `most` letters; a longer one ends with three dots."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def split_error(error: ValueError) -> tuple[str, str]:
    """The path within the value and the message of an error of `convert_one`."""
    where, _, message = str(error).rpartition("\0")
    return where, message


def reword(message: str, hint: Any, value: Any, words: str | None) -> str:
    """A message of msgspec in the words of specs, after the path within the value and a NUL if there is a path.

    `words` is what the argument takes, if it has a short form.
    """
    text = message[0].lower() + message[1:]
    text, _, where = text.partition(" - at `$")
    where = where.rstrip("`")
    choices = [str(one) for one in typing.get_args(hint)] if typing.get_origin(hint) is Literal else []
    if choices:
        return f"expected {', '.join(choices)}, got {brief(value)}{choice(value, choices)}"
    if words and not where and text.startswith("expected `array`, got"):
        return f"expected {words}, got {brief(value)}"
    text = re.sub(r"\barray\b", "list", re.sub(r"\bobject\b", "mapping", text.replace("`", "")))
    found, inner = _at(value, where)
    if found:  # show what is wrong rather than its type
        text = f"{text.partition(', got ')[0]}, got {brief(inner)}"
    text += f" (takes {words})" if words else ""
    return f"{where}\0{text}" if where else text


def choice(value: Any, choices: Sequence[str]) -> str:
    """The hint for a value that is none of the choices: a similar one, or what another library's means here."""
    other = VALUES.get(plain_name(value), ()) if isinstance(value, str) and len(value) < 40 else ()
    found = next((one for one in other if one in choices), None)
    return f"; did you mean {found!r}?" if found else nearest(value, choices)


def _at(value: Any, where: str) -> tuple[bool, Any]:
    """Whether a path such as `[0][2]` leads to something in a value, and what that is."""
    if not re.fullmatch(r"(\[\d+\])*", where):
        return False, None
    for index in map(int, re.findall(r"\d+", where)):
        if not isinstance(value, list | tuple) or index >= len(value):
            return False, None
        value = value[index]
    return True, value


def wrong_arguments(cls: Any, known: Iterable[str], given: Iterable[str], count: int) -> str:
    """Why a class of steps does not take `count` arguments in order and the `given` ones by name; "" if it does."""
    known, name = list(known), cls.__name__
    for key in given:
        if key in known:
            continue
        if key in ("p", "test", "uid"):
            return f"{name} has no argument {key!r}: it belongs to the step, augreg.Step({name}(..), {key}=..)"
        hint = argument(key, known) or nearest(key, known) or takes(known)
        return f"{name} has no argument {key!r}{hint}"
    if count > len(known):
        most = f"at most {len(known)}: {', '.join(known)}" if known else "none"
        return f"{name} got {count} arguments, and takes {most}; for p, there is augreg.Step({name}(..), p=..)"
    return ""


def takes(known: Iterable[str]) -> str:
    """The hint for an argument that does not exist: those that do."""
    names = ", ".join(known)
    return f"; it takes {names}" if names else "; it takes no arguments"


def example(cls: Any, key: str) -> str:
    """An example of a required argument, from the previews of its class."""
    previews = getattr(getattr(cls, "__augreg__", None), "preview", ())
    shown = [preview[key] for preview in previews if key in preview]
    return f", such as {flow({key: shown[0]})}" if shown else ""


def check_inside(hint: Any, value: Any, convert: Callable[[Any, Any], Any]) -> None:
    """Raise ValueError for the first key or value in a mapping that `convert` refuses; its path names the key."""
    if not isinstance(value, Mapping):
        return
    parts = typing.get_args(hint) if typing.get_origin(hint) is types.UnionType else ()
    hint = next((part for part in parts if typing.get_origin(part) is dict), hint)
    bare = hint.__origin__ if hasattr(hint, "__metadata__") else hint
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        known = typing.get_type_hints(bare, include_extras=True)
        for key in value:
            if key not in known:
                hint = nearest(key, known) or f"; it takes {', '.join(known)}"
                raise ValueError(f"there is no field {brief(key)}{hint}")
        try:
            msgspec.convert(value, bare)
        except msgspec.ValidationError as error:
            if " - at " not in str(error):  # what the class itself says of its fields together
                raise ValueError(str(error)) from None
        for key, item in value.items():
            _check_item(key, known[key], item, convert)
    elif typing.get_origin(bare) is dict:
        of_keys, of_values = typing.get_args(bare)
        for key, item in value.items():
            try:
                convert(of_keys, key)
            except ValueError:
                hint = "" if isinstance(key, str) else f"; did you mean {str(key)!r}?"
                raise ValueError(f"its keys are names, got {brief(key)}{hint}") from None
            _check_item(key, of_values, item, convert)


def _check_item(key: Any, hint: Any, item: Any, convert: Callable[[Any, Any], Any]) -> None:
    try:
        convert(hint, item)
    except ValueError as error:
        where, message = split_error(error)
        shown = key if isinstance(key, str) and len(key) <= 80 else brief(key)
        raise ValueError(f".{shown}{where}\0{message}") from None
