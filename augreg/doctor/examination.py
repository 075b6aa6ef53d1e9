"""The examination of loaders: every check in turn, each finding taken down."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from augreg.doctor import agreement, contents, draws, flips, labels, mixtures, pixel_values, randomness, sources
from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings, Report, guarded
from augreg.doctor.measures import Measures, measure
from augreg.doctor.probing import Subject, preserve_state

__all__ = ["loader"]


def loader(
    train: Any = None,
    validation: Any = None,
    *,
    samples: int = 256,
    epochs: int = 2,
    pipeline: Any = None,
    classes: Sequence[str] | None = None,
) -> Report:
    """Run samples through your own loaders and report what is wrong with them.

    `train` and `validation` are torch DataLoaders over any dataset with any transforms, or anything else that gives
    batches, of which less can be told. About `samples` images are measured and made again, a few of them in several
    workers over `epochs` epochs. `pipeline` is an augreg pipeline or spec that the loop applies by itself, if there
    is one. `classes` are the names of the classes, else `dataset.classes`. Samples are made in workers only or, of a
    loader without workers, by a copy of the dataset; generators, samplers and datasets are left as they were. What a
    loader raises becomes a finding. Raises TypeError or ValueError for arguments that cannot be, and ImportError
    where torch is missing.
    """
    _check(train, validation, samples, epochs, classes)
    notebook = Findings()
    sides = [
        Subject(given, where) for given, where in ((train, "train"), (validation, "validation")) if given is not None
    ]
    found: dict[str, Measures] = {}
    pipe = _pipeline(pipeline)
    with preserve_state(sides):
        for subject in sides:
            names = labels.class_names(subject.dataset, classes)
            made = _draws(subject, samples, epochs, notebook)
            if subject.where == "train":
                if pipe is None and not subject.plain:
                    mixtures.unapplied(subject, notebook)
                flips.examine(names, [subject.dataset, pipe], made, subject.where, notebook)
            measures = _measures(subject, samples, notebook)
            if measures is not None:
                found[subject.where] = measures
                given = contents.named_normalizations(subject.dataset) + contents.named_normalizations(pipe)
                pixel_values.examine(measures, subject.where, given, notebook)
                labels.examine(measures, subject.where, len(names) or None, notebook)
            _tell_shared(subject, notebook)
        if len(found) == 2:
            agreement.examine(found["train"], found["validation"], notebook)
    return notebook.report()


def _check(train: Any, validation: Any, samples: int, epochs: int, classes: Any) -> None:
    if train is None and validation is None:
        raise ValueError("there is nothing to examine: give a train loader, a validation loader, or both")
    for name, given in (("train", train), ("validation", validation)):
        if given is not None and not hasattr(given, "__iter__"):
            raise TypeError(f"{name} is expected to be a DataLoader, or to give batches, got {type(given).__name__}")
    for name, number in (("samples", samples), ("epochs", epochs)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} is an integer from 1, got {number!r}")
    if isinstance(classes, str):
        raise TypeError(f"classes is a list of names, got the string {classes!r}")
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ImportError("the doctor of loaders needs torch: pip install 'augreg[torch]'") from error


def _pipeline(given: Any) -> Any:
    if given is None or hasattr(given, "to_spec"):
        return given
    from augreg.pipeline import Pipeline

    return Pipeline.from_spec(given)


def _draws(subject: Subject, samples: int, epochs: int, notebook: Findings) -> Draws | None:
    """Make samples again and again, here and in workers; None where none can be asked for."""
    where = subject.where
    if subject.plain:
        notebook.unchecked(f"{where}: randomness; a {type(subject.loader).__name__} is no DataLoader over a dataset")
        return None
    if subject.iterable:
        guarded(notebook, where, "reading the stream", functools.partial(sources.stream, subject, notebook))
        return None
    keys = guarded(notebook, where, "asking the sampler for keys", functools.partial(subject.keys, samples))
    if not keys:
        if keys is not None:
            notebook.unchecked(f"{where}: everything; the sampler gives nothing")
        return None
    made = _made(subject, keys, notebook)
    if made is None:
        return None
    sources.global_generators(subject, made, notebook)
    labels.stay(made, where, notebook)
    if where == "validation":
        sources.validation(subject, made, notebook)
        return made
    mixtures.hard_labels(subject, made.mixes, notebook)
    work = functools.partial(randomness.examine, subject, made, keys, epochs, notebook)
    guarded(notebook, where, f"making samples in {subject.workers} workers", work)
    if subject.wants_epoch:
        _tell_epoch(subject, made, notebook)
    return made


def _made(subject: Subject, keys: list[Any], notebook: Findings) -> Draws | None:
    whole = subject.loader.batch_size is not None or subject.loader.batch_sampler is not None
    work = functools.partial(draws.make, keys=keys, epoch=subject.first_epoch, keyed=subject.keyed, whole=whole)
    doing = f"making samples one by one, keys {keys[0]!r} and on,"
    made: Draws | None = guarded(notebook, subject.where, doing, functools.partial(subject.apart, work, keys[0]))
    subject.tell_dataset = made is not None and not subject.keyed
    return made


def _tell_epoch(subject: Subject, made: Draws, notebook: Findings) -> None:
    """Say that a loop must call set_epoch; and if all the dataset's draws hang on it, say that."""
    if made.move_on and not made.vary and not subject.keyed:
        seen = (
            f"the sampler gives plain indices, and all {len(made.rows)} images stay bit-equal until set_epoch is "
            "called on the dataset, as the doctor did"
        )
        why = "a loop that does not call it trains on the same images in every epoch"
        remedy = (
            "call dataset.set_epoch(epoch) before each epoch; or let the sampler yield (epoch, index), as "
            "augreg.data.EpochSampler does"
        )
    else:
        seen = "the sampler or the dataset has set_epoch, which the doctor called before each epoch"
        why = "a loop that does not call it repeats the first epoch, in its order or in its images"
        remedy = "call set_epoch(epoch) before each epoch, unless your framework does"
    notebook.found("set_epoch", "note", subject.where, seen, why, remedy)


def _tell_shared(subject: Subject, notebook: Findings) -> None:
    """Say so if work in this process could not be done on full copies."""
    if subject.plain or subject.workers or not subject.here.shared:
        return
    notebook.unchecked(
        f"{subject.where}: the dataset by a full copy, which it refuses ({subject.here.shared}); files and "
        "generators that it holds may have moved on: make it anew before you train"
    )


def _measures(subject: Subject, samples: int, notebook: Findings) -> Measures | None:
    guarded(notebook, subject.where, "set_epoch", lambda: subject.set_epoch(subject.first_epoch))
    found: Measures | None = guarded(
        notebook, subject.where, "going through the loader", lambda: measure(subject, samples, notebook)
    )
    return found
