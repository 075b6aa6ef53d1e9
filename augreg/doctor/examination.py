"""The examination of loaders: runs every check and collects the findings."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable, Sequence
from typing import Any

from augreg.doctor import (
    batch_mixing,
    contents,
    draws,
    flips,
    labels,
    pixel_values,
    randomness,
    repeated_draws,
    streams,
    train_validation,
)
from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings, Report, guarded
from augreg.doctor.probing import Subject, preserve_state
from augreg.doctor.statistics import LoaderStatistics, measure
from augreg.pipeline import Pipeline

__all__ = ["loader"]


def loader(
    train: Iterable[Any] | None = None,
    validation: Iterable[Any] | None = None,
    *,
    samples: int = 256,
    epochs: int = 2,
    pipeline: Any = None,
    classes: Sequence[str] | None = None,
) -> Report:
    """Run samples through data loaders and report what is wrong with them.

    `train` and `validation` are torch DataLoaders over any dataset with any transforms. Any other iterable of batches
    is accepted too, but fewer checks apply to it. About `samples` images are measured and made again, some of them in
    several workers over `epochs` epochs. `pipeline` is an augreg pipeline or spec that the training loop applies by
    itself, if there is one. `classes` are the class names, by default `dataset.classes`. Samples are made in worker
    processes only or, for a loader without workers, by a copy of the dataset; the state of generators, samplers and
    datasets is restored. An exception in a loader becomes a finding. Raises TypeError or ValueError for invalid
    arguments, and ImportError if torch is not installed.
    """
    _check(train, validation, samples, epochs, classes)
    findings = Findings()
    subjects = [
        Subject(side, where) for side, where in ((train, "train"), (validation, "validation")) if side is not None
    ]
    measured: dict[str, LoaderStatistics] = {}
    pipe = pipeline if pipeline is None or isinstance(pipeline, Pipeline) else Pipeline.from_spec(pipeline)
    with preserve_state(subjects):
        for subject in subjects:
            names = labels.class_names(subject.dataset, classes)
            made = _draws(subject, samples, epochs, findings)
            if subject.where == "train":
                if pipe is None and not subject.plain:
                    batch_mixing.unapplied(subject, findings)
                flips.examine(names, [subject.dataset, pipe], made, subject.where, findings)
            statistics = _measured(subject, samples, findings)
            if statistics is not None:
                measured[subject.where] = statistics
                normalizations = contents.named_normalizations(subject.dataset) + contents.named_normalizations(pipe)
                pixel_values.examine(statistics, subject.where, normalizations, findings)
                labels.examine(statistics, subject.where, len(names) or None, findings)
            _report_shared(subject, findings)
        if len(measured) == 2:
            train_validation.examine(measured["train"], measured["validation"], findings)
    return findings.report()


def _check(train: Any, validation: Any, samples: int, epochs: int, classes: Any) -> None:
    if train is None and validation is None:
        raise ValueError("nothing to examine: pass a train loader, a validation loader, or both")
    for name, side in (("train", train), ("validation", validation)):
        if side is not None and not hasattr(side, "__iter__"):
            raise TypeError(f"{name} must be a DataLoader or an iterable of batches, got {type(side).__name__}")
    for name, number in (("samples", samples), ("epochs", epochs)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")
    if isinstance(classes, str):
        raise TypeError(f"classes must be a list of names, got the string {classes!r}")
    if importlib.util.find_spec("torch") is None:
        raise ImportError("the doctor of loaders needs torch: pip install 'augreg[torch]'")


def _draws(subject: Subject, samples: int, epochs: int, findings: Findings) -> Draws | None:
    """Make samples several times, here and in workers; None if no sample can be requested by its key."""
    where = subject.where
    if subject.plain:
        findings.unchecked(f"{where}: randomness; a {type(subject.loader).__name__} is no DataLoader over a dataset")
        return None
    if subject.iterable:
        guarded(findings, where, "reading the stream", functools.partial(streams.examine, subject, findings))
        return None
    keys = guarded(findings, where, "reading keys from the sampler", functools.partial(subject.keys, samples))
    if not keys:
        if keys is not None:
            findings.unchecked(f"{where}: everything; the sampler yields no keys")
        return None
    made = _made(subject, keys, findings)
    if made is None:
        return None
    randomness.global_generators(subject, made, findings)
    labels.stay(made, where, findings)
    if where == "validation":
        randomness.validation(subject, made, findings)
        return made
    batch_mixing.hard_labels(subject, made.mixes, findings)
    work = functools.partial(repeated_draws.examine, subject, made, keys, epochs, findings)
    guarded(findings, where, f"making samples in {subject.workers} workers", work)
    if subject.wants_epoch:
        _report_set_epoch(subject, made, findings)
    return made


def _made(subject: Subject, keys: list[Any], findings: Findings) -> Draws | None:
    whole = subject.loader.batch_size is not None or subject.loader.batch_sampler is not None
    work = functools.partial(draws.make, keys=keys, epoch=subject.first_epoch, keyed=subject.keyed, whole=whole)
    doing = f"making samples one by one, from key {keys[0]!r},"
    made: Draws | None = guarded(findings, subject.where, doing, functools.partial(subject.apart, work, keys[0]))
    subject.sets_dataset_epoch = made is not None and not subject.keyed
    return made


def _report_set_epoch(subject: Subject, made: Draws, findings: Findings) -> None:
    """Report that a loop must call set_epoch, and whether all random draws of the dataset depend on it."""
    if made.move_on and not made.vary and not subject.keyed:
        seen = (
            f"the sampler yields plain indices, and all {len(made.rows)} images stay bit-equal until set_epoch is "
            "called on the dataset, as the doctor did"
        )
        why = "a loop that does not call it trains on the same images in every epoch"
        remedy = (
            "call dataset.set_epoch(epoch) before each epoch; or let the sampler yield (epoch, index), as "
            "augreg.data.EpochSampler does"
        )
    else:
        seen = "the sampler or the dataset has set_epoch, which the doctor called before each epoch"
        why = "a loop that does not call it repeats the order or the images of the first epoch"
        remedy = "call set_epoch(epoch) before each epoch, unless your framework does"
    findings.add("set_epoch", "note", subject.where, seen, why, remedy)


def _report_shared(subject: Subject, findings: Findings) -> None:
    """Report if the dataset could not be copied in full for work in this process."""
    if subject.plain or subject.workers or not subject.here.shared:
        return
    findings.unchecked(
        f"{subject.where}: a full copy of the dataset, which cannot be made ({subject.here.shared}); the positions "
        "of its open files and the states of its generators may have changed: create the dataset again before "
        "training"
    )


def _measured(subject: Subject, samples: int, findings: Findings) -> LoaderStatistics | None:
    guarded(findings, subject.where, "set_epoch", lambda: subject.set_epoch(subject.first_epoch))
    return guarded(findings, subject.where, "iterating the loader", lambda: measure(subject, samples, findings))
