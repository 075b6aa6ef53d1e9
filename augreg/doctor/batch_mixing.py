"""Checks of batch mixing: mixed images need mixed labels, and a batch section must be applied."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, Literal

from augreg.doctor.arrays import digest
from augreg.doctor.contents import parts
from augreg.doctor.findings import Findings
from augreg.doctor.isolation import seed_globals
from augreg.doctor.probing import Subject
from augreg.doctor.samples import label_rows, split
from augreg.pipeline import Pipeline

__all__ = ["Mixes", "hard_labels", "mixes", "unapplied"]

Mixes = Literal["hard", "soft"] | None
"""The kind of labels of mixed images; None if no mixing was observed, or there are no labels."""

_TRIALS = 12
_SIZE = 4


def mixes(collate_fn: Any, samples: list[Any]) -> Mixes:
    """Whether a collate_fn mixes images, and which labels it returns then. Advances the global generators.

    An image is mixed if it changes with the other samples of its batch while all generators have the same states.
    Labels are `soft` if there are fractional numbers beside the images: class weights, or the weight of the mixture.
    """
    import torch

    if collate_fn is torch.utils.data.default_collate or len(samples) < 2 * _SIZE - 1:
        return None
    try:
        copies = [_copy(collate_fn) for _ in range(3)]  # a generator that it keeps advances equally in each
        for trial in range(_TRIALS):
            start = trial % len(samples)
            batches = _collated(copies, samples[start:] + samples[:start], trial)
            if _mixed(batches):
                return _labels_of(batches[0])
    except Exception:  # the pass over the loader reports it
        return None
    return None


def _copy(collate_fn: Any) -> Any:
    """A deep copy; a method of a dataset is returned as is, since a copy would copy all images."""
    owner = getattr(collate_fn, "__self__", None)
    return collate_fn if hasattr(owner, "__getitem__") else copy.deepcopy(collate_fn)


def _collated(copies: list[Any], samples: list[Any], seed: int) -> list[Any]:
    """One batch, the same again, and its first sample among others."""
    first, rest, others = samples[:1], samples[1:_SIZE], samples[_SIZE : 2 * _SIZE - 1]
    batches = []
    for collate, batch in zip(copies, (first + rest, first + rest, first + others), strict=True):
        seed_globals(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batches.append(collate(copy.deepcopy(batch)))
    return batches


def _mixed(batches: list[Any]) -> bool:
    """Whether the first image is the same in the first two batches, and different in the third."""
    images = [split(batch, batch=True).image for batch in batches]
    if any(image is None or len(image) != _SIZE for image in images):
        return False
    one, again, other = (image[0] for image in images)
    return digest(one) == digest(again) != digest(other) and one.shape == other.shape


def _labels_of(batch: Any) -> Mixes:
    """`soft` if there are fractions beside the images, else `hard` if there is one integer for each image."""
    images = split(batch, batch=True).image
    waiting, hard = [batch], False
    while waiting:
        part = waiting.pop()
        if part is images:
            continue
        rows = None if isinstance(part, Mapping) else label_rows(part)
        if hasattr(part, "dense") or isinstance(part, float) or (rows is not None and rows.dtype.kind == "f"):
            return "soft"
        if rows is not None:
            hard |= rows.size == _SIZE and rows.dtype.kind in "iu"
        elif isinstance(part, Mapping | list | tuple):
            waiting += part.values() if isinstance(part, Mapping) else part
    return "hard" if hard else None


def hard_labels(subject: Subject, mixed: Mixes, findings: Findings) -> None:
    """Report mixed images with labels that are not mixed."""
    if mixed is not None:
        findings.checked(f"{subject.where}: labels of mixed images")
    if mixed == "hard":
        findings.add(
            "mixed images, hard labels",
            "warning",
            subject.where,
            "images change with the other samples of their batch, and the batch has only whole numbers as labels",
            "an image that shows two classes is labeled as one of them, which adds noise to the labels",
            "mix the labels too: return one column of weights for each class, or both labels and the weight of the "
            "mixture. augreg's pipe.collate returns SoftLabels, if it knows which part is the label: "
            "Augmented(.., names={'label': 'target'}). (If the collate_fn only normalizes by statistics of the "
            "batch, ignore this.)",
        )


def unapplied(subject: Subject, findings: Findings) -> None:
    """Report a pipeline with a batch section in a loader that only stacks images."""
    import torch

    if subject.loader.collate_fn is not torch.utils.data.default_collate:
        return
    if any(isinstance(part, Pipeline) and part.spec.batch for part in parts(subject.dataset)):
        findings.add(
            "batch section not applied",
            "note",
            subject.where,
            "the dataset's pipeline has a batch section, but the loader uses torch's default collate_fn",
            "the default only stacks the images, so nothing is mixed",
            "pass collate_fn=pipe.collate to the DataLoader, unless your loop calls pipe.batch itself",
        )
