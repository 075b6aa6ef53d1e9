"""Whether labels are labels: their range and type, whether they stay, and whether a flip would make them wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.images import label_rows
from augreg.doctor.measures import Measures

__all__ = ["class_names", "examine", "sided", "stay"]

_IGNORED = -100  # what torch's losses ignore by default


def class_names(dataset: Any, given: Sequence[str] | None = None) -> list[str]:
    """The names of the classes: those given, or `.classes` of a dataset or of what it wraps; else nothing."""
    if given is not None:
        return [str(name) for name in given]
    for _ in range(10):
        found = getattr(dataset, "classes", None)
        if isinstance(found, list | tuple) and found:
            return [str(name) for name in found]
        names = getattr(getattr(getattr(dataset, "features", {}), "get", lambda _: None)("label"), "names", None)
        if names:
            return [str(name) for name in names]
        dataset = getattr(dataset, "dataset", None)
        if dataset is None:
            break
    return []


def examine(measures: Measures, where: str, classes: int | None, notebook: Findings) -> None:
    """Take down labels that a loss cannot use. `classes` is how many there are, if that is known."""
    broken: list[str] = []
    fractions: list[str] = []
    outside: list[str] = []
    width = set()
    for place, labels in measures.labels:
        rows = label_rows(labels)
        if rows is None:
            continue
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            broken.append(place)
        elif rows.ndim >= 2 and not (rows.ndim == 2 and rows.shape[1] == 1):
            if rows.ndim == 2 and rows.dtype.kind == "f":
                width.add(rows.shape[1])
            continue
        elif rows.dtype.kind == "f" and (rows != np.round(rows)).any():
            fractions.append(place)
        else:
            ids = rows.ravel()
            wrong = (ids < 0) & (ids != _IGNORED)
            if classes is not None:
                wrong |= ids >= classes
            outside += [f"{place}: {value}" for value in ids[wrong]]
    _tell(where, classes, broken, fractions, outside, notebook)
    if classes is not None and any(count != classes for count in width):
        notebook.found(
            "label width",
            "fault",
            where,
            f"soft labels have {sorted(width)} columns, and there are {classes} classes",
            "the columns are the classes",
            "make one column a class",
        )


def _tell(
    where: str, classes: int | None, broken: list[str], fractions: list[str], outside: list[str], notebook: Findings
) -> None:
    if broken:
        notebook.found(
            "labels not finite",
            "fault",
            where,
            f"labels of {len(broken)} batches have NaN or infinity",
            "the loss, and then every weight, becomes NaN",
            "look at how the labels are read or mixed",
            broken,
        )
    if outside:
        wanted = f"0 to {classes - 1}" if classes is not None else "0 or more"
        notebook.found(
            "labels out of range",
            "fault",
            where,
            f"{len(outside)} labels lie outside of {wanted}",
            "cross-entropy raises for them, or on a GPU stops the process with an assertion far from the cause; "
            "often classes are counted from 1",
            "count from 0; mark what is to be ignored by -100",
            outside,
        )
    if fractions:
        notebook.found(
            "labels not whole",
            "note" if classes is None else "fault",
            where,
            f"labels of {len(fractions)} batches are numbers with fractions, one an image",
            "right for a regression; as class ids they mean nothing",
            "for classes give int64 ids, or one column a class",
            fractions,
        )


def stay(draws: Draws, where: str, notebook: Findings) -> None:
    """Whether a sample has the same label when it is made again."""
    changed = [row.key for row in draws.rows if row.relabeled]
    if changed:
        notebook.found(
            "labels change",
            "fault",
            where,
            f"{len(changed)} of {len(draws.rows)} samples have another label when they are made again",
            "a network cannot learn labels that do not stay with their images",
            "read image and label by the same index; look for an order that is shuffled anew, or a file list that "
            "is made anew, at every call",
            changed,
        )


_SIDES = {"left": "right", "right": "left"}
_TURNS = {"clockwise", "counterclockwise", "anticlockwise", "cw", "ccw"}
_WRITTEN = {"arrow", "arrows", "letter", "letters", "text", "digit", "digits"}
_NUMBERS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}


def sided(names: Iterable[str]) -> tuple[list[str], bool]:
    """The class names that a mirrored image would belie, and whether that is sure rather than a hint.

    Sure: a name with left or right whose counterpart is a class too, clockwise, or a set of single letters or digits
    (at least two, and at least half of the classes). A hint: left, right, arrow, letter, text or digit in a name.
    """
    names = list(names)
    words = {name: _words(name) for name in names}
    known = {tuple(found) for found in words.values()}
    sure = [
        name
        for name, found in words.items()
        if set(found) & _TURNS
        or (set(found) & set(_SIDES) and tuple(_SIDES.get(word, word) for word in found) in known)
    ]
    signs = [name for name, found in words.items() if _sign(found)]
    if len(signs) >= max(2, len(words) / 2):
        sure += signs
    if sure:
        return sure, True
    hints = [name for name, found in words.items() if set(found) & ({"left", "right"} | _WRITTEN)]
    return hints, False


def _words(name: str) -> list[str]:
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    split = re.sub(r"(?i)(counter|anti)[ _-]clockwise", r"\1clockwise", split)
    return re.findall(r"[a-z]+|\d+", split.lower())


def _sign(words: list[str]) -> bool:
    """Whether a name stands for one letter or digit: `7`, `b`, `7 - seven`, `digit 7`."""
    rest = [word for word in words if word not in _NUMBERS | _WRITTEN]
    return all(len(word) == 1 for word in rest) and bool(rest or set(words) & _NUMBERS)
