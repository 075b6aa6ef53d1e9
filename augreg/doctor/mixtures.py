"""Whether batches are mixed: images of which labels must tell, and a batch section that nobody applies."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, Literal

from augreg.doctor.contents import parts
from augreg.doctor.findings import Findings
from augreg.doctor.images import digest, label_rows, split
from augreg.doctor.isolation import seed_globals
from augreg.doctor.probing import Subject
from augreg.pipeline import Pipeline

__all__ = ["Mixes", "hard_labels", "mixes", "unapplied"]

Mixes = Literal["hard", "soft"] | None
"""What labels mixed images have; None where nothing was seen to be mixed, or there are no labels."""

_TRIALS = 12
_SIZE = 4


def mixes(collate_fn: Any, samples: list[Any]) -> Mixes:
    """Whether a collate_fn mixes images, and whether the labels tell of it. Moves the global generators.

    An image is mixed if it changes with the other samples of its batch, all generators being in the same states.
    Labels tell of it if there is anything with fractions beside the images: weights of classes, or a share.
    """
    import torch

    if collate_fn is torch.utils.data.default_collate or len(samples) < 2 * _SIZE - 1:
        return None
    try:
        twins = [_twin(collate_fn) for _ in range(3)]  # a generator that it keeps goes on in each alike
        for trial in range(_TRIALS):
            start = trial % len(samples)
            batches = _made(twins, samples[start:] + samples[:start], trial)
            if _mixed(batches):
                return _labels_of(batches[0])
    except Exception:  # the pass over the loader tells of it
        return None
    return None


def _twin(collate_fn: Any) -> Any:
    """A copy, but of the method of a dataset: that would be a copy of all its images."""
    owner = getattr(collate_fn, "__self__", None)
    return collate_fn if hasattr(owner, "__getitem__") else copy.deepcopy(collate_fn)


def _made(twins: list[Any], samples: list[Any], seed: int) -> list[Any]:
    """One batch, the same again, and its first sample among others."""
    first, rest, others = samples[:1], samples[1:_SIZE], samples[_SIZE : 2 * _SIZE - 1]
    made = []
    for twin, batch in zip(twins, (first + rest, first + rest, first + others), strict=True):
        seed_globals(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.append(twin(copy.deepcopy(batch)))
    return made


def _mixed(batches: list[Any]) -> bool:
    """Whether the first image is the same in the first two batches, and another in the third."""
    images = [split(batch, batch=True).image for batch in batches]
    if any(image is None or len(image) != _SIZE for image in images):
        return False
    one, again, other = (image[0] for image in images)
    return digest(one) == digest(again) != digest(other) and one.shape == other.shape


def _labels_of(batch: Any) -> Mixes:
    """`soft` if anything beside the images has fractions, else `hard` if there are whole numbers, one an image."""
    images = split(batch, batch=True).image
    waiting, found = [batch], set()
    while waiting:
        part = waiting.pop()
        if part is images:
            continue
        rows = None if isinstance(part, Mapping) else label_rows(part)
        if hasattr(part, "dense") or isinstance(part, float) or (rows is not None and rows.dtype.kind == "f"):
            return "soft"
        if rows is not None:
            found.add(rows.size == _SIZE and rows.dtype.kind in "iu")
        elif isinstance(part, Mapping | list | tuple):
            waiting += part.values() if isinstance(part, Mapping) else part
    return "hard" if True in found else None


def hard_labels(subject: Subject, found: Mixes, notebook: Findings) -> None:
    """Take down mixed images whose labels do not tell of it."""
    if found is not None:
        notebook.checked(f"{subject.where}: labels of mixed images")
    if found == "hard":
        notebook.found(
            "mixed images, hard labels",
            "warning",
            subject.where,
            "images change with the other samples of their batch, and there are only whole numbers beside them",
            "an image that shows two classes is trained as one of them: noise in the labels",
            "mix the labels too: one column of weights a class, or both labels and the share. augreg's pipe.collate "
            "gives SoftLabels, if it knows which part is the label: Augmented(.., names={'label': 'target'}). (If "
            "the collate_fn normalizes by the batch and mixes nothing, this is as it should be.)",
        )


def unapplied(subject: Subject, notebook: Findings) -> None:
    """Take down a pipeline with a batch section, in a loader that only stacks."""
    import torch

    if subject.loader.collate_fn is not torch.utils.data.default_collate:
        return
    held = [part for part in parts(subject.dataset) if isinstance(part, Pipeline) and part.spec.batch]
    if held:
        notebook.found(
            "batch section not applied",
            "note",
            subject.where,
            "the dataset's pipeline has a batch section; the loader's collate_fn is torch's own, not pipe.collate",
            "torch's own only stacks the images: the loader mixes nothing",
            "give the DataLoader collate_fn=pipe.collate, unless your loop calls pipe.batch itself",
        )
