"""Checks of labels: range and type, whether they stay the same, and whether a flip would make them wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.samples import label_rows
from augreg.doctor.statistics import LoaderStatistics

__all__ = ["class_names", "examine", "sided", "stay"]

_IGNORED = -100  # what torch's losses ignore by default


def class_names(dataset: Any, classes: Sequence[str] | None = None) -> list[str]:
    """The class names: `classes` if given, else `.classes` of the dataset or of a dataset that it wraps, else []."""
    if classes is not None:
        return [str(name) for name in classes]
    for _ in range(10):
        features = getattr(dataset, "features", None)  # of Hugging Face datasets
        label = getattr(features, "get", lambda name: None)("label")
        for names in (getattr(dataset, "classes", None), getattr(label, "names", None)):
            if isinstance(names, list | tuple) and names:
                return [str(name) for name in names]
        dataset = getattr(dataset, "dataset", None)
        if dataset is None:
            break
    return []


def examine(statistics: LoaderStatistics, where: str, classes: int | None, findings: Findings) -> None:
    """Report labels that a loss cannot use. `classes` is the number of classes, if known."""
    not_finite: list[str] = []
    fractions: list[str] = []
    outside: list[str] = []
    widths = set()
    for place, labels in statistics.labels:
        rows = label_rows(labels)
        if rows is None:
            continue
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            not_finite.append(place)
        elif rows.ndim >= 2 and not (rows.ndim == 2 and rows.shape[1] == 1):
            if rows.ndim == 2 and rows.dtype.kind == "f":
                widths.add(rows.shape[1])
            continue
        elif rows.dtype.kind == "f" and (rows != np.round(rows)).any():
            fractions.append(place)
        else:
            ids = rows.ravel()
            wrong = (ids < 0) & (ids != _IGNORED)
            if classes is not None:
                wrong |= ids >= classes
            outside += [f"{place}: {value}" for value in ids[wrong]]
    _report_values(where, classes, not_finite, fractions, outside, findings)
    if classes is not None and any(count != classes for count in widths):
        findings.add(
            "label width",
            "fault",
            where,
            f"soft labels have {sorted(widths)} columns, and there are {classes} classes",
            "each column is the weight of one class",
            "give soft labels one column for each class",
        )


def _report_values(
    where: str,
    classes: int | None,
    not_finite: list[str],
    fractions: list[str],
    outside: list[str],
    findings: Findings,
) -> None:
    if not_finite:
        findings.add(
            "labels not finite",
            "fault",
            where,
            f"labels of {len(not_finite)} batches contain NaN or infinity",
            "the loss, and then every weight, becomes NaN",
            "check how the labels are read or mixed",
            not_finite,
        )
    if outside:
        expected = f"0 to {classes - 1}" if classes is not None else "0 or more"
        findings.add(
            "labels out of range",
            "fault",
            where,
            f"{len(outside)} labels are outside {expected}",
            "cross-entropy raises an error for them, or on a GPU a device assertion far from the cause; often "
            "classes are counted from 1",
            "count from 0; use -100 for images that the loss should ignore",
            outside,
        )
    if fractions:
        findings.add(
            "fractional labels",
            "note" if classes is None else "fault",
            where,
            f"labels of {len(fractions)} batches are fractional numbers, one for each image",
            "correct for regression; meaningless as class ids",
            "for classes use int64 ids, or one column for each class",
            fractions,
        )


def stay(draws: Draws, where: str, findings: Findings) -> None:
    """Report samples that have another label when they are made again."""
    changed = [row.key for row in draws.rows if row.relabeled]
    if changed:
        findings.add(
            "labels change",
            "fault",
            where,
            f"{len(changed)} of {len(draws.rows)} samples have another label when they are made again",
            "a network cannot learn labels that change while the image stays",
            "read image and label by the same index; look for code that shuffles, or lists files, again at every "
            "call",
            changed,
        )


_OPPOSITES = {"left": "right", "right": "left"}
_TURNS = {"clockwise", "counterclockwise", "anticlockwise", "cw", "ccw"}
_WRITTEN = {"arrow", "arrows", "letter", "letters", "text", "digit", "digits"}
_NUMBERS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}


def sided(names: Iterable[str]) -> tuple[list[str], bool]:
    """The class names that are wrong for a mirrored image, and whether that is certain or only a hint.

    Certain: a name with left or right whose counterpart is a class too, clockwise, or a set of single letters or
    digits (at least two, and at least half of the classes). A hint: left, right, arrow, letter, text or digit in a
    name.
    """
    names = list(names)
    words = {name: _words(name) for name in names}
    known = {tuple(parts) for parts in words.values()}
    sure = [
        name
        for name, parts in words.items()
        if set(parts) & _TURNS
        or (set(parts) & set(_OPPOSITES) and tuple(_OPPOSITES.get(word, word) for word in parts) in known)
    ]
    signs = [name for name, parts in words.items() if _is_sign(parts)]
    if len(signs) >= max(2, len(words) / 2):
        sure += signs
    if sure:
        return sure, True
    hints = [name for name, parts in words.items() if set(parts) & ({"left", "right"} | _WRITTEN)]
    return hints, False


def _words(name: str) -> list[str]:
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    split = re.sub(r"(?i)(counter|anti)[ _-]clockwise", r"\1clockwise", split)
    return re.findall(r"[a-z]+|\d+", split.lower())


def _is_sign(words: list[str]) -> bool:
    """Whether a name means one letter or digit: `7`, `b`, `7 - seven`, `digit 7`."""
    rest = [word for word in words if word not in _NUMBERS | _WRITTEN]
    return all(len(word) == 1 for word in rest) and bool(rest or set(words) & _NUMBERS)
