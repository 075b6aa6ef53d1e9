"""Checks of the order and the number of classes: training sorted by class, and one label for all samples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.probing import Subject
from augreg.doctor.samples import label_rows
from augreg.doctor.statistics import LoaderStatistics

__all__ = ["examine"]

_COMPARED = 256  # keys of two epochs
_ENOUGH = 16  # labels from which an order or a single class is judged


def examine(
    subject: Subject, draws: Draws, statistics: LoaderStatistics | None, classes: int | None, findings: Findings
) -> None:
    """Report an unshuffled training set, above all one that is sorted by class, and samples of one class only.

    The labels are those of the keys that were drawn, which are spread over the epoch.
    """
    labels = [] if draws.index_places else [row.label for row in draws.rows if row.label is not None]
    if len(labels) < max(_ENOUGH, len(draws.rows)):
        if subject.side == "train":
            findings.unchecked(
                f"{subject.where}: the order of classes, which needs {_ENOUGH} labels that are classes"
            )
        return
    _one_label(subject, labels, len(draws.rows) == draws.asked, classes, findings)
    if subject.side == "train":
        _order(subject, labels, statistics, findings)


def _one_label(
    subject: Subject, labels: Sequence[int | str], complete: bool, classes: int | None, findings: Findings
) -> None:
    findings.checked(
        f"{subject.where}: whether {len(labels)} samples, spread over an epoch, have more than one label"
    )
    if len(set(labels)) > 1:
        return
    known = classes is not None and classes > 1
    findings.add(
        "one label",
        "warning" if known and complete and len(labels) >= _ENOUGH else "note",
        subject.where,
        f"all of {len(labels)} samples, spread over an epoch, have the label {labels[0]!r}"
        + (f", and there are {classes} classes" if known else ""),
        "a classifier learns to answer this class for every image",
        "check how the labels are read: a list that is overwritten in a loop, or a path without the class "
        "folder. (If the label is only a placeholder, ignore this.)",
    )


def _order(
    subject: Subject, labels: Sequence[int | str], statistics: LoaderStatistics | None, findings: Findings
) -> None:
    orders = []
    for epoch in (subject.first_epoch, subject.first_epoch + 1):
        subject.set_epoch(epoch)
        orders.append(_without_epoch(subject, subject.order(_COMPARED)))
    subject.set_epoch(subject.first_epoch)
    findings.checked(f"{subject.where}: the order of {len(orders[0])} keys in two epochs")
    if orders[0] != orders[1] or len(set(orders[0])) < 2:
        return
    where = subject.where
    if _grouped(labels) and _batches_grouped(statistics):
        findings.add(
            "sorted by class",
            "fault",
            where,
            f"the keys have the same order in both epochs, and {len(labels)} samples, spread over an epoch, are "
            f"sorted by their labels: {len(set(labels))} different ones, each in one run",
            "a batch holds one or a few classes, so the network learns each batch to answer one class, and "
            "forgets the others",
            "DataLoader(.., shuffle=True), or a sampler that shuffles",
        )
    else:
        findings.add(
            "not shuffled",
            "note",
            where,
            f"the first {len(orders[0])} keys have the same order in both epochs",
            "every epoch has the same batches, which most often trains a little worse than batches that change",
            "DataLoader(.., shuffle=True), unless the order is intended",
        )


def _without_epoch(subject: Subject, keys: list[str]) -> list[str]:
    return [key.partition(",")[2] for key in keys] if subject.keyed else keys


def _grouped(labels: Sequence[int | str]) -> bool:
    """Whether equal labels stand together, which is no chance: several of each, or all of many in ascending order."""
    distinct = len(set(labels))
    runs = 1 + sum(one != two for one, two in itertools.pairwise(labels))
    if distinct < 2 or runs != distinct:
        return False
    if len(labels) >= 3 * distinct:
        return True
    return distinct >= _ENOUGH and list(labels) == sorted(labels, key=str if isinstance(labels[0], str) else None)


def _batches_grouped(statistics: LoaderStatistics | None) -> bool:
    """Whether the labels of the pass, in their order, stand together as well, most of them beside an equal one."""
    if statistics is None:
        return False
    labels: list[float] = []
    for _, given, _ in statistics.labels:
        rows = label_rows(given)
        if rows is None or rows.ndim != 1:
            return False
        labels += rows.tolist()
    runs = 1 + sum(one != two for one, two in itertools.pairwise(labels))
    return len(labels) >= _ENOUGH and runs == len(set(labels)) and runs <= len(labels) / 2
