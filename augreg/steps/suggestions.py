"""What was probably meant: suggestions for names and values that a spec does not take.

A suggestion for a value is made only if the argument takes it, so an error never sends anybody to the next error.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

__all__ = ["code", "flow", "meant", "nearest", "plain_name", "readings"]

_LONGEST_NAME: Final = 200
"""The length of a name up to which similar ones are looked for."""
_MOST_ITEMS: Final = 8
"""Longer lists get no suggestion: it would not fit into a message."""
_MOST_VALUES: Final = 60
_MOST_LETTERS: Final = 120
"""Larger data is not suggested either."""
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def plain_name(name: str) -> str:
    """A name without what libraries write differently: `A.HorizontalFlip` and `horizontal_flip` become equal."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower())


def nearest(name: object, known: Iterable[str]) -> str:
    """The hint `; did you mean 'x'?` for a misspelled name; "" if no known name is similar."""
    text = name if isinstance(name, str) else repr(name)
    if len(text) > _LONGEST_NAME:
        return ""
    names = list(known)
    close = [other for other in names if plain_name(other) == plain_name(text)] or difflib.get_close_matches(
        text, names, n=1, cutoff=0.6
    )
    return f"; did you mean {close[0]!r}?" if close else ""


def meant(value: Any, takes: Callable[[Any], bool], white: float | None = None) -> str:
    """The hint `; did you mean ..?` with a similar value that `takes` accepts; "" if there is none.

    `white` is the value of white on the other scale in use, where an argument is on the 0..1 scale.
    """
    if isinstance(value, list | Mapping) and len(value) > _MOST_ITEMS:
        return ""
    for candidate, why in _candidates(value, white):
        text = code(candidate)
        if text and takes(candidate):
            return f"; did you mean {text}?{why}"
    return ""


def flow(value: Any) -> str:
    """Plain data as YAML on one line."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def code(data: Any) -> str:
    """Plain data as it stands in a spec; "" if it is too long for a message, or no plain data."""
    values, letters, waiting = 0, 0, [data]
    while waiting:
        value = waiting.pop()
        values += 1
        if isinstance(value, Mapping):
            waiting += [item for pair in list(value.items())[:_MOST_VALUES] for item in pair]
        elif isinstance(value, list | tuple):
            waiting += value[:_MOST_VALUES]
        letters += len(value) if isinstance(value, str | bytes | Mapping | list | tuple) else 1
        if values > _MOST_VALUES or letters > _MOST_LETTERS:
            return ""
    try:
        text = flow(data)
    except Exception:  # objects, or mappings of any class
        return ""
    return text if len(text) <= _MOST_LETTERS and "\n" not in text else ""


def _candidates(value: Any, white: float | None) -> Iterator[tuple[Any, str]]:
    """Similar values, the most likely first, each with a sentence of why."""
    if isinstance(value, str):
        yield from readings(value)
    elif value is None:
        yield {}, ""
    elif isinstance(value, Mapping):
        yield {key: {} if item is None else item for key, item in value.items()}, ""
    elif isinstance(value, list):
        yield from _of_list(value, white)
    elif _is_number(value):
        if float(value).is_integer():
            yield int(value), ""
        yield from _rescaled([value], white, single=True)
        yield [value, value], ""


def readings(text: str) -> Iterator[tuple[Any, str]]:
    """What a text may say as numbers or as a list, each with a sentence of why."""
    number = _read(text)
    if number is not None:
        yield number, " A number stands without quotes" if _NUMBER.fullmatch(text.strip()) else ""
    numbers = [_read(part) for part in re.split(r"\s*[x,;\s]\s*", text.strip(" []()"))[: _MOST_ITEMS + 1]]
    if 1 < len(numbers) <= _MOST_ITEMS and None not in numbers:
        yield numbers, ""
    yield [text], ""


def _of_list(items: list[Any], white: float | None) -> Iterator[tuple[Any, str]]:
    if len(items) == 1:
        yield items[0], ""
    if items and all(map(_is_number, items)):
        if all(float(item).is_integer() for item in items):
            yield list(map(int, items)), ""
        yield from _rescaled(items, white)
        if len(items) == 3 and items[0] in (1, 3):
            yield items[1:], " A size is [height, width], without channels"
        if len(items) == 2:
            if items[0] == items[1]:
                yield items[0], ""
            across, down = items
            yield [down, down, across, across], ""
        return
    read = [_read(item) if isinstance(item, str) else item for item in items]
    if None not in read:
        yield read, ""
    if items and all(isinstance(item, str) for item in items):
        if len(items) == 2:
            yield {items[0]: items[1]}, ""
        yield {item: {} for item in items}, ""
        yield dict.fromkeys(items, "mask"), ""
    if all(isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) for item in items):
        yield dict(items), ""


def _rescaled(items: list[Any], white: float | None, single: bool = False) -> Iterator[tuple[Any, str]]:
    """The numbers on the 0..1 scale, if they are percentages or on the scale of `white`."""
    largest = max(items)
    if white is not None and 2 <= largest <= white:  # less may be a slip on the 0..1 scale
        divided = [float(f"{item / white:.4g}") for item in items]
        yield divided[0] if single else divided, f" This is {flow(items[0] if single else items)} / {white:g}"
    elif 2 <= largest <= 100 and min(items) >= 0:
        shares = [item / 100 for item in items]
        percent = " and ".join(f"{item:g}" for item in items)
        yield shares[0] if single else shares, f" This is {percent} percent"


def _read(text: str) -> float | int | None:
    """The number that a text says, also as a percentage; None if it says none."""
    text = text.strip()
    if text.endswith("%"):
        share = _read(text[:-1])
        return None if share is None else share / 100
    if not _NUMBER.fullmatch(text) or len(text) > 40:
        return None
    number = float(text)
    if not math.isfinite(number):
        return None
    return int(text) if re.fullmatch(r"[-+]?\d+", text) else number


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
