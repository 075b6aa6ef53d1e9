"""Checks of labels: range and type, whether they stay the same, and whether a flip would make them wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.arrays import to_array
from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.samples import label_rows
from augreg.doctor.statistics import LoaderStatistics

__all__ = ["class_names", "class_numbers", "examine", "sided", "stay", "with_wrapped"]

_ENOUGH = 6  # equal images with equal labels, for which that is no chance


def class_names(dataset: Any, classes: Sequence[str] | None = None) -> list[str]:
    """The class names: `classes` if given, else `.classes` of the dataset or of a dataset that it wraps, else []."""
    if classes is not None:
        return [str(name) for name in classes]
    for each in with_wrapped(dataset):
        features = getattr(each, "features", None)  # of Hugging Face datasets
        label = getattr(features, "get", lambda name: None)("label")
        numbers = class_numbers(each)
        ordered = sorted(numbers, key=lambda name: numbers[name])
        dense = sorted(numbers.values()) == list(range(len(numbers)))
        for names in (getattr(each, "classes", None), getattr(label, "names", None), ordered if dense else None):
            if isinstance(names, list | tuple) and names:
                return [str(name) for name in names]
    return []


def with_wrapped(dataset: Any) -> Iterator[Any]:
    """A dataset, the one that it wraps, the one that this wraps, and so on."""
    for _ in range(10):  # one may wrap itself
        if dataset is None:
            return
        yield dataset
        dataset = getattr(dataset, "dataset", None)


def class_numbers(dataset: Any) -> dict[str, int]:
    """The numbers of the classes by `class_to_idx` of a dataset or, as in timm, of its reader; empty without one."""
    for owner in (dataset, getattr(dataset, "reader", None)):
        mapping = getattr(owner, "class_to_idx", None)
        if isinstance(mapping, Mapping) and mapping:
            return {str(name): int(number) for name, number in mapping.items() if hasattr(number, "__index__")}
    return {}


def examine(
    statistics: LoaderStatistics,
    where: str,
    classes: int | None,
    ignored: Iterable[int],
    findings: Findings,
    draws: Draws | None = None,
) -> None:
    """Report labels that a loss cannot use. `classes` is the number of classes, `ignored` the ids it ignores.

    In `draws` the labels may be seen to be the indices of the samples, and so no classes.
    """
    not_finite: list[str] = []
    fractions: list[str] = []
    outside: list[str] = []
    widths = set()
    forms: Counter[str] = Counter()
    limit = None if classes is None else max(classes, 2)  # one name may stand for a class and its absence
    for place, labels, images in statistics.labels:
        rows = label_rows(labels)
        form = _form(rows, images, place in statistics.targets.recognized)
        if form is None or rows is None:
            if place not in statistics.targets.recognized:
                findings.unchecked(f"{where}: labels, whose form is not known: {_described(labels)}")
            continue
        forms[form] += images
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            not_finite.append(place)
        elif form == "columns":
            if rows.dtype.kind == "f":
                widths.add(rows.shape[1])
        elif rows.dtype.kind == "f" and (rows != np.round(rows)).any():
            fractions.append(place)
        else:
            ids = rows.ravel()
            wrong = ids < 0 if limit is None else (ids < 0) | (ids >= limit)
            outside += [f"{place}: {value}" for value in ids[wrong & ~np.isin(ids, [*ignored])]]
    for form, count in forms.items():
        range_of = "0 or more" if limit is None else f"0 to {limit - 1}"
        what = f"whole numbers of {range_of}" if form == "ids" else "finite"
        findings.checked(f"{where}: whether the labels of {count} images, {_FORMS[form]}, are {what}")
    if not statistics.labels and statistics.count and not statistics.targets.recognized:
        findings.unchecked(f"{where}: labels; none were recognized beside the images")
    if outside and draws is not None and draws.labeled_by_index:
        _report_instances(where, len(outside), limit, findings)
        outside = []
    _report_values(where, limit, not_finite, fractions, outside, findings)
    if classes is not None and any(count != limit and count != classes for count in widths):
        findings.add(
            "label width",
            "fault",
            where,
            f"soft labels have {sorted(widths)} columns, and there are {classes} classes",
            "each column is the weight of one class",
            "give soft labels one column for each class",
        )


_FORMS = {"ids": "one number for each image", "columns": "several for each image"}


def _form(rows: NDArray[Any] | None, images: int, recognized: bool) -> str | None:
    """`ids` for one number for each image, `columns` for several; None for another form."""
    if rows is None or recognized or rows.ndim > 2:
        return None
    if rows.ndim == 2 and rows.shape[1] != 1:
        return "columns" if len(rows) == images else None
    return "ids" if rows.size == images else None


def _described(labels: Any) -> str:
    array = to_array(labels)
    if array is not None:
        return f"an array of shape {array.shape}"
    inner = f" of {type(labels[0]).__name__}" if isinstance(labels, list | tuple) and labels else ""
    return f"{type(labels).__name__}{inner}"


def _report_instances(where: str, count: int, limit: int | None, findings: Findings) -> None:
    findings.add(
        "labels out of range",
        "note",
        where,
        f"the label of each sample is its index; {count} are outside 0 to {(limit or 0) - 1}",
        "correct for instance discrimination, where each image is a class of its own; otherwise cross-entropy raises "
        "an error for them",
        "nothing, if this is intended; otherwise return the class in place of the index",
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
    alone = [row.key for row in draws.rows if row.relabeled and not row.varies]
    together = sum(not row.varies and not row.relabeled for row in draws.rows)
    if changed and not alone:
        sure = together >= _ENOUGH
        findings.add(
            "labels change",
            "note" if sure else "warning",
            where,
            f"{len(changed)} of {len(draws.rows)} samples have another label when they are made again, and each of "
            "them another image too" + (f"; {together} samples with equal images have equal labels" if sure else ""),
            "the label seems to be made from the random draw, as in the prediction of rotations"
            if sure
            else "correct if the label is made from the random draw, as in the prediction of rotations; otherwise a "
            "network cannot learn labels that change while the content stays",
            "nothing, if this is intended; otherwise read image and label by the same index",
            changed,
        )
    elif changed:
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
    """Whether a name means one letter or digit: `7`, `b`, `7 - seven`, `digit 7`, and not `a1`."""
    rest = [word for word in words if word not in _NUMBERS | _WRITTEN]
    return len(rest) <= 1 and all(len(word) == 1 for word in rest) and bool(rest or set(words) & _NUMBERS)
