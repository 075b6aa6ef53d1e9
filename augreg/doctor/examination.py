"""The examination of loaders: runs every check and collects the findings."""

from __future__ import annotations

import functools
import importlib.util
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from augreg.doctor import (
    batch_mixing,
    boxes,
    class_order,
    contents,
    flips,
    labels,
    masks,
    pixel_values,
    randomness,
    repeated_draws,
    sharing,
    streams,
    train_validation,
)
from augreg.doctor.draws import Draws, Make
from augreg.doctor.findings import Findings, Report, guarded, raised_by_doctor
from augreg.doctor.limits import NotReturned, Progress, Watch
from augreg.doctor.probing import Subject, preserve_state
from augreg.doctor.statistics import LoaderStatistics, measure
from augreg.doctor.unwrapping import given_loaders, named_sides
from augreg.doctor.workers import Unreadable
from augreg.pipeline import Pipeline

__all__ = ["loader"]

_IGNORED_BY_TORCH = -100  # by its losses, if they are told no other
_FAILED = 8  # samples that raise, one after the other from the first, before no more are made


def loader(
    train: Any = None,
    validation: Any = None,
    *,
    test: Any = None,
    samples: int = 256,
    epochs: int = 2,
    pipeline: Any = None,
    classes: Sequence[str] | None = None,
    ignore_index: int | Sequence[int] = (),
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run samples through data loaders and report what is wrong with them.

    `train`, `validation` and `test` are torch DataLoaders over any dataset with any transforms, wrappers of them
    (timm's, accelerate's, Fabric's, WebLoader), lists or mappings of loaders, or a CombinedLoader; `train` alone may
    be a Lightning DataModule, or a mapping with the names `train`, `validation` (`val`, `valid`) and `test`. Any
    other iterable of batches is accepted too, but fewer checks apply to it. About `samples` images of each loader are
    measured and made again, some of them in several workers over `epochs` epochs. `pipeline` is an augreg pipeline or
    spec that the training loop applies by itself, if there is one. `classes` are the class names, by default
    `dataset.classes`. `ignore_index` are the labels that the loss ignores, besides -100. Each loader gets its part of
    `time_limit`, in seconds; what remains is reported as not checked, and the report is not ok. A sample that is made
    in this process is waited for. `progress` is called with what is being done, how much is done, and how much there
    is. Samples are made in worker processes only or, for a loader without workers, by a copy of the dataset; the
    state of generators, samplers and datasets is restored. An exception in a loader becomes a finding. Raises
    TypeError or ValueError for invalid arguments, and ImportError if torch is not installed.
    """
    _check_options(samples, epochs, classes, time_limit)
    findings, watch = Findings(), Watch(time_limit, progress)
    sides = {"train": train, "validation": validation, "test": test}
    if validation is None and test is None:
        read = functools.partial(named_sides, train)
        named: dict[str, Any] | None = guarded(findings, "train", "calling the hooks of the data module", read)
        sides = named or sides
        if not findings.report().ok:
            return findings.report()
    _check_sides(sides)
    subjects = [
        Subject(given, watch)
        for side, value in sides.items()
        if value is not None
        for given in given_loaders(value, side)
    ]
    if not subjects:
        raise ValueError(f"nothing to examine: {type(train).__name__} returns no loader")
    ignored = (_IGNORED_BY_TORCH, *((ignore_index,) if isinstance(ignore_index, int) else ignore_index))
    pipe = pipeline if pipeline is None or isinstance(pipeline, Pipeline) else Pipeline.from_spec(pipeline)
    measured: dict[str, LoaderStatistics] = {}
    with preserve_state(subjects):
        for number, subject in enumerate(subjects):
            work = functools.partial(_examine, subject, samples, epochs, pipe, classes, ignored, measured, findings)
            with watch.part(0.9 / (len(subjects) - number)):
                guarded(findings, subject.where, "examining the loader", work, watch)
        _compare(subjects, measured, classes, findings, watch)
    return findings.report()


def _examine(
    subject: Subject,
    samples: int,
    epochs: int,
    pipe: Pipeline | None,
    classes: Sequence[str] | None,
    ignored: tuple[int, ...],
    measured: dict[str, LoaderStatistics],
    findings: Findings,
) -> None:
    """Run all checks of one loader; its statistics are added to `measured`."""
    where = subject.where
    names = labels.class_names(subject.dataset, classes)
    count = len(names) or None
    with subject.watch.part(0.6):
        made = _draws(subject, samples, epochs, findings)
    if subject.side == "train":
        if pipe is None and not subject.plain:
            batch_mixing.unapplied(subject, findings)
        flips.examine(names, [subject.dataset, pipe], made, where, findings)
    skip = made.index_places if made is not None else frozenset()
    guarded(findings, where, "set_epoch", lambda: subject.set_epoch(subject.first_epoch))
    unreadable = made is not None and bool(made.unreadable)
    work = functools.partial(measure, subject, samples, findings, skip, unreadable)
    statistics = guarded(findings, where, "iterating the loader", work, subject.watch)
    if statistics is not None:
        measured[where] = statistics
        normalizations = contents.named_normalizations(subject.dataset) + contents.named_normalizations(pipe)
        pixel_values.examine(statistics, where, normalizations, findings)
        labels.examine(statistics, where, count, ignored, findings, made)
        boxes.examine(statistics.targets.boxes, where, count, findings)
        masks.examine(statistics.targets.masks, where, count, ignored, findings)
    else:
        findings.unchecked(f"{where}: pixel values, labels, boxes and masks, since the pass over the loader failed")
    if made is not None and made.rows:
        order = functools.partial(class_order.examine, subject, made, statistics, count, findings)
        guarded(findings, where, "comparing the order of keys", order, subject.watch)
    _report_shared(subject, findings)


def _compare(
    subjects: list[Subject],
    measured: dict[str, LoaderStatistics],
    classes: Sequence[str] | None,
    findings: Findings,
    watch: Watch,
) -> None:
    """Compare each training loader with each other loader."""
    trains = [subject for subject in subjects if subject.side == "train"]
    others = [subject for subject in subjects if subject.side != "train"]
    for train, other in itertools.product(trains, others):
        where = "both" if (train.where, other.where) == ("train", "validation") else f"{train.where}, {other.where}"
        if watch.over:
            findings.unchecked(f"{where}: whether they match: {watch.message}")
            continue
        one, two = measured.get(train.where), measured.get(other.where)
        if one is not None and two is not None:
            train_validation.examine(one, two, where, (train.where, other.where), findings)
        pair = [contents.named_normalizations(each.dataset) for each in (train, other)]
        train_validation.named(pair[0], pair[1], where, (train.where, other.where), findings)
        share = functools.partial(sharing.examine, train, other, measured, where, classes is None, findings)
        guarded(findings, where, "comparing the datasets", share, watch)


def _check_sides(sides: Mapping[str, Any]) -> None:
    if all(side is None for side in sides.values()):
        raise ValueError("nothing to examine: pass a train loader, a validation loader, or both")
    for name, side in sides.items():
        if _is_dataset(side):
            raise TypeError(
                f"{name} must be a DataLoader, got the dataset {type(side).__name__}: DataLoader(dataset, ..)"
            )
        if side is not None and not hasattr(side, "__iter__"):
            raise TypeError(f"{name} must be a DataLoader or an iterable of batches, got {type(side).__name__}")


def _check_options(samples: int, epochs: int, classes: Any, time_limit: Any) -> None:
    if importlib.util.find_spec("torch") is None:
        raise ImportError("the doctor of loaders needs torch: pip install 'augreg[torch]'")
    for name, number in (("samples", samples), ("epochs", epochs)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")
    if time_limit is not None and (isinstance(time_limit, bool) or not time_limit > 0):
        raise ValueError(f"time_limit must be a number of seconds above 0, or None, got {time_limit!r}")
    if isinstance(classes, str):
        raise TypeError(f"classes must be a list of names, got the string {classes!r}")


def _is_dataset(side: Any) -> bool:
    """Whether this is a dataset with indices, of torch or of Hugging Face, and no loader."""
    from torch.utils.data import Dataset, IterableDataset

    hugging_face = type(side).__module__.startswith("datasets.") and hasattr(side, "with_transform")
    return hugging_face or (isinstance(side, Dataset) and not isinstance(side, IterableDataset))


def _draws(subject: Subject, samples: int, epochs: int, findings: Findings) -> Draws | None:
    """Make samples several times, here and in workers; None if no sample can be requested by its key."""
    where, watch = subject.where, subject.watch
    if subject.plain:
        findings.unchecked(f"{where}: randomness; a {type(subject.loader).__name__} is no DataLoader over a dataset")
        return None
    if subject.iterable:
        guarded(findings, where, "reading the stream", functools.partial(streams.examine, subject, findings), watch)
        return None
    read = functools.partial(subject.keys, samples)
    keys = guarded(findings, where, "reading keys from the sampler", read, watch)
    if not keys:
        if keys is not None:
            findings.unchecked(f"{where}: everything; the sampler yields no keys")
        return None
    made = _made(subject, keys, findings)
    if made is None or not made.rows:
        findings.unchecked(
            f"{where}: random draws, generators and the order of classes, since samples could not be made"
        )
        return made
    if not any(row.has_image for row in made.rows):
        findings.unchecked(f"{where}: randomness; no image was recognized in the samples of the dataset")
        return made
    randomness.global_generators(subject, made, findings)
    labels.stay(made, where, findings)
    if subject.side != "train":
        randomness.validation(subject, made, findings)
        return made
    if len(made.rows) + len(made.unreadable) < len(keys):
        findings.limited(where, "draws in workers and over epochs", watch)
        return made
    keys = [row.key for row in made.rows]
    batch_mixing.hard_labels(subject, made.mixes, findings)
    work = functools.partial(repeated_draws.examine, subject, made, keys, epochs, findings)
    guarded(findings, where, f"making samples in {subject.workers} workers", work, watch)
    if subject.wants_epoch:
        _report_set_epoch(subject, made, findings)
    return made


def _made(subject: Subject, keys: list[Any], findings: Findings) -> Draws | None:
    """Make the samples of keys one by one; as many as the time limit allows, or None if that fails or gives none."""
    made = Draws(asked=len(keys))
    work = Make(keys, subject.first_epoch, subject.keyed, subject.batched)

    def collect() -> Draws:
        for result in subject.apart(work, [*keys, keys[0]], f"{subject.where}: samples, one by one"):
            if isinstance(result, dict):
                vars(made).update(result)
            elif isinstance(result, Unreadable):
                made.unreadable.append(result)
                if len(made.unreadable) >= _FAILED and not made.rows:
                    break
            else:
                made.rows.append(result)
        return made

    def waited() -> Draws:
        try:
            return collect()
        except NotReturned as late:
            _report_hanging(subject, late, len(made.rows), findings)
            raise

    doing = f"making {len(keys)} samples one by one"
    finished = guarded(findings, subject.where, doing, waited, subject.watch)
    _report_unreadable(subject, made, findings)
    if finished is None and not (subject.watch.over and made.rows) and not made.unreadable:
        return None
    subject.sets_dataset_epoch = not subject.keyed and bool(made.rows)
    return made


def _report_unreadable(subject: Subject, made: Draws, findings: Findings) -> None:
    """Report the samples that raised an exception, which are then left out of the examination."""
    if not made.unreadable:
        return
    text = made.unreadable[0].error
    keys = [each.key for each in made.unreadable]
    if raised_by_doctor(text):
        findings.unchecked(f"{subject.where}: samples {keys[:8]}, which the doctor could not examine: {text[-300:]}")
        return
    count = len(made.rows) + len(keys)
    findings.unchecked(f"{subject.where}: draws of {len(keys)} samples that raised an exception")
    findings.error(subject.where, f"{len(keys)} of {count} samples raised an exception, the first", text, keys)


def _report_hanging(subject: Subject, late: NotReturned, done: int, findings: Findings) -> None:
    """Report a sample that took very long, and had not returned when the time was over."""
    where, seconds = subject.where, f"{late.seconds:.1f} s"
    findings.unchecked(f"{where}: the sample {late.key!r}, which had not returned after {seconds}")
    if late.hangs:
        findings.add(
            "a sample did not return",
            "warning",
            where,
            f"the sample {late.key!r} had not returned after {seconds}, when the time was over; each of the {done} "
            f"before it took at most {late.slowest:.2g} s, in which it was made several times",
            "training waits for it, without a message; a sample may wait for a lock, a network or a process, or loop",
            "make this sample alone, dataset[key], and interrupt it: the traceback shows what it waits for",
            [late.key],
        )


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
        "of its open files may have changed: create the dataset again before training"
    )
