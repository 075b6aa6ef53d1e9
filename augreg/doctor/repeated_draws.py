"""Checks that random draws are not repeated between workers or between epochs.

The streams of samples that two workers (or one worker in two epochs) make are compared by Fisher's exact test. Each
stream makes the sample of each key four times. The first two give pairs across the streams (same key, same position
in the stream), the other two give pairs within a stream (same key, different positions). If the streams are
independent, both kinds of pairs are equal equally often; if one repeats the other, pairs across are equal more often.
A finding requires a probability below 1e-6.
"""

from __future__ import annotations

import traceback
from math import comb
from typing import Any, NamedTuple

from augreg.doctor import constant_draws
from augreg.doctor.draws import Draws, rekeyed
from augreg.doctor.findings import Findings, last_line, shortened
from augreg.doctor.isolation import GLOBAL_NAMES
from augreg.doctor.limits import TimeLimit
from augreg.doctor.probing import Subject, spread
from augreg.doctor.workers import Keep, Seen, worker_streams

__all__ = ["examine", "repeats"]

_ERROR = 1e-6
_KEYS = 24
_MOST_WORKERS = 4
_SAME_SAMPLES = "collated from the same samples"
_ONLY_SOME = "the images differ, but some of their random numbers are the same"

_REMEDY = (
    "do not keep a generator in the dataset. Create one for each sample, np.random.default_rng([seed, epoch, "
    "index]), with the epoch from the sampler, as augreg.data.Augmented does; or use torch's random functions, which "
    "the DataLoader seeds for each worker and each epoch; or create the generator in a worker_init_fn from "
    "torch.initial_seed()"
)

_LIBRARY_REMEDIES = {
    "albumentations": "albumentations' Compose keeps its generators, and workers that are forked get copies of them: "
    "call set_random_seed(torch.initial_seed() % 2**32) of the Compose in a worker_init_fn, and do not give it a "
    "fixed seed",
}


class _Table(NamedTuple):
    """The samples of one stream: rows with one sample for each key, in groups of four rows."""

    keys: int
    cells: list[Seen]

    def at(self, row: int, key: int, collated: bool) -> bytes | None:
        cell = self.cells[row * self.keys + key]
        return cell.collated if collated else cell.image


def repeats(one: _Table, two: _Table, collated: bool = False) -> tuple[bool, int, int]:
    """Whether one stream repeats the other; the number of equal pairs across them, and of all such pairs."""
    rows = len(one.cells) // one.keys
    across, within = [], []
    for row in range(0, rows - 3, 4):
        for key in range(one.keys):
            across += [one.at(row + n, key, collated) == two.at(row + n, key, collated) for n in (0, 1)]
            within += [table.at(row + 2, key, collated) == table.at(row + 3, key, collated) for table in (one, two)]
    return tail(sum(across), len(across), sum(within), len(within)) < _ERROR, sum(across), len(across)


def _same_streams(one: _Table, two: _Table, draws: Draws, collated: bool) -> list[str]:
    """The generators that pass through the same states in both streams, and never through one state twice.

    A generator that is seeded for each sample returns to the same states, since the keys return. They are those of
    the dataset and the global ones that samples advance or, if `collated`, those of the collate_fn.
    """
    moved = draws.counts("moved")
    first, second = ([cell.states for cell in table.cells if cell.states is not None] for table in (one, two))
    names = [name for name in first[0] if all(name in states for states in (*first, *second))] if first else []
    same = []
    for name in names:
        if name.startswith("collate_fn") is not collated or (name in GLOBAL_NAMES and name not in moved):
            continue
        states = [each[name] for each in first]
        if len(set(states)) == len(states) > 1 and states == [each[name] for each in second]:
            same.append(name)
    return sorted(same, key=len)  # the generator of a Compose before those of its steps


def _cause(subject: Subject, names: list[str], streams: str) -> tuple[str, str]:
    """What to add to `seen` about the generators that repeat, and the remedy."""
    if not names:
        return "", _REMEDY
    seen = f"; the same states in {streams}: {shortened(names, 3)}"
    init = subject.loader.worker_init_fn
    if init is not None and any(name in GLOBAL_NAMES for name in names):
        name = getattr(getattr(init, "func", init), "__qualname__", type(init).__name__)
        seeded = " and ".join(name for name in names if name in GLOBAL_NAMES)
        return f"{seen}, which the worker_init_fn {name} seeds", (
            "remove the worker_init_fn, since torch seeds random, numpy.random and torch for every worker and epoch; "
            f"or seed {seeded} with torch.initial_seed() % 2**32. np.random.get_state()[1][0] + worker_id, a recipe "
            "for old versions of torch, is the same number in every epoch"
        )
    known = next(
        (text for library, text in _LIBRARY_REMEDIES.items() if any(f" in {library}' " in name for name in names)), ""
    )
    return seen, known or _REMEDY


def tail(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """Fisher's exact test, one-sided: the probability of at least `hits` of `count`, given the sum of both."""
    total = hits + other_hits
    ways = sum(
        comb(count, n) * comb(other_count, total - n) for n in range(hits, min(count, total) + 1) if total - n >= 0
    )
    return ways / comb(count + other_count, total) if count else 1.0


def examine(subject: Subject, draws: Draws, keys: list[Any], epochs: int, findings: Findings) -> None:
    """Make samples in workers and over epochs, and report what repeats. For a map-style training set."""
    keys = spread(keys, _KEYS)
    count = min(subject.workers, _MOST_WORKERS)
    tables = _tables(subject, draws, keys, epochs, count)
    _compare_epochs(subject, draws, tables, findings)
    if count > 1:
        _compare_workers(subject, draws, tables[0], findings)
        findings.checked(f"{subject.where}: draws of {count} workers in {epochs} epochs, {len(keys)} samples each")
        return
    findings.checked(f"{subject.where}: draws in {epochs} epochs, {len(keys)} samples each")
    try:
        tables = _tables(subject, draws, keys, 1, 2)
    except TimeLimit:
        raise
    except Exception as error:
        findings.unchecked(
            f"{subject.where}: draws in two workers, since making samples there failed: {last_line(error)}"
        )
        traceback.clear_frames(error.__traceback__)  # the frames keep loader iterators, and so workers, alive
        return
    _compare_workers(subject, draws, tables[0], findings)
    findings.checked(f"{subject.where}: draws as they would be in 2 workers")


def _tables(subject: Subject, draws: Draws, keys: list[Any], epochs: int, workers: int) -> list[list[_Table]]:
    """The samples of each worker in each epoch: the same keys in the same order, so that streams can be compared."""
    raw = draws.raw if len(draws.raw) == 2 and subject.batched else None
    collate_fn = subject.loader.collate_fn if workers else subject.here.collate_fn
    probe, batches = subject.probe(workers, Keep(collate_fn if raw else None, raw))
    rows = 4 * -(-_KEYS // len(keys))
    tables = []
    for epoch in range(subject.first_epoch, subject.first_epoch + epochs):
        subject.set_epoch(epoch)
        batch = [rekeyed(key, epoch) for key in keys] if subject.keyed else keys
        batches[:] = [batch for _ in range(rows) for _ in range(max(1, workers))]  # workers get batches alternately
        doing = f"{subject.where}: epoch {epoch}, {workers} workers"
        total = len(batches) if subject.batched else len(batches) * len(keys)
        streams = worker_streams(probe, workers, subject.watch, doing, total=total)
        tables.append([_Table(len(keys), stream) for stream in streams])
    return tables


def _compare_workers(subject: Subject, draws: Draws, tables: list[_Table], findings: Findings) -> None:
    """Compare every worker of one epoch with the first."""
    if subject.keyed:
        again = [row.key for row in draws.rows if row.varies]
        cells = tables[0].cells
        elsewhere = sum(any(t.cells[n].image != cell.image for t in tables) for n, cell in enumerate(cells))
        if again or elsewhere:
            findings.add(
                "not determined by the key",
                "warning",
                subject.where,
                f"images of one key (epoch, index) differ: {len(again)} of {len(draws.rows)} when made again in "
                f"one process, {elsewhere} of {len(cells)} between workers",
                "with such keys a sample should be the same in every process; some transform draws random numbers "
                "that do not depend on the key",
                "find the transform that keeps a generator, or uses a global one, and create a generator from the "
                "key",
                again,
            )
        if not again:
            return
    _compare_images(subject, draws, tables, findings)


def _compare_images(subject: Subject, draws: Draws, tables: list[_Table], findings: Findings) -> None:
    several = subject.workers > 1
    condition = "" if several else f"the loader has num_workers={subject.workers}; but with 2, "
    for collated, check, what in (
        (False, "workers repeat draws", "images"),
        (True, "workers repeat batch draws", f"batches, {_SAME_SAMPLES},"),
    ):
        for number, table in enumerate(tables[1:], 1):
            repeated, equal, count = repeats(tables[0], table, collated)
            names = _same_streams(tables[0], table, draws, collated)
            repeated = repeated or bool(names and not collated and draws.vary and equal == count)
            if repeated or (names and not collated):
                cause, remedy = _cause(subject, names, f"workers 0 and {number}")
                seen = (
                    f"{equal} of {count} {what} of workers 0 and {number} are bit-equal at the same position of "
                    "their streams, while those of one worker differ between positions"
                    if repeated
                    else _ONLY_SOME
                )
                findings.add(
                    check,
                    "fault" if several and repeated else "warning",
                    subject.where,
                    f"{condition}{seen}{cause}",
                    f"every worker draws the same random numbers: {max(2, subject.workers)} workers make only "
                    f"1/{max(2, subject.workers)} as many different images as they should",
                    remedy,
                )
                break


def _compare_epochs(subject: Subject, draws: Draws, tables: list[list[_Table]], findings: Findings) -> None:
    """Compare the later epochs with the first, worker by worker."""
    if len(tables) < 2:
        findings.unchecked(f"{subject.where}: whether epochs differ, which needs epochs=2 or more")
        return
    pairs = [(one, two) for later in tables[1:] for one, two in zip(tables[0], later, strict=True)]
    changed = any(a.image != b.image for one, two in pairs for a, b in zip(one.cells, two.cells, strict=True))
    if draws.move_on and not draws.vary and not changed:
        findings.add(
            "epoch does not reach workers",
            "fault",
            subject.where,
            "the images change after set_epoch in the process of the dataset; in the workers all "
            f"{len(tables[0][0].cells)} are bit-equal in both epochs",
            "persistent workers keep the copy of the dataset that they started with, and do not see an attribute "
            "that is set later, so every epoch has the same images",
            "let the sampler yield (epoch, index), as augreg.data.EpochSampler does; or keep the epoch in shared "
            "memory (a multiprocessing.Value); or persistent_workers=False",
        )
        return
    if subject.keyed:
        _compare_key_epochs(subject, findings)
    repeated = [] if subject.keyed and not draws.vary else _repeated(pairs, draws, collated=False)
    if repeated:
        _report_epochs(subject, "epochs repeat draws", "images", repeated[0], findings)
    batches = _repeated(pairs, draws, collated=True)
    if batches:
        _report_epochs(subject, "epochs repeat batch draws", f"batches, {_SAME_SAMPLES},", batches[0], findings)
    if constant_draws.cached(subject, draws, changed, findings):
        return
    if not (draws.vary or draws.move_on or changed):
        made = {cell.collated for epoch in tables for table in epoch for cell in table.cells}
        constant_draws.report(subject, draws, made, findings)


class _Repeated(NamedTuple):
    """Two streams that repeat one another.

    `images` is whether whole images are repeated, `equal` of `total`, and `names` the generators that repeat.
    """

    images: bool
    equal: int
    total: int
    names: list[str]


def _repeated(pairs: list[tuple[_Table, _Table]], draws: Draws, collated: bool) -> list[_Repeated]:
    """Those of the pairs of streams that repeat one another, those with equal images first."""
    results = [(*repeats(one, two, collated), _same_streams(one, two, draws, collated)) for one, two in pairs]
    found = [
        _Repeated(repeated or bool(names and not collated and draws.vary and equal == count), equal, count, names)
        for repeated, equal, count, names in results
    ]
    return sorted(
        (each for each in found if each.images or (each.names and not collated)), key=lambda each: not each.images
    )


def _report_epochs(subject: Subject, check: str, what: str, result: _Repeated, findings: Findings) -> None:
    cause, remedy = _cause(subject, result.names, "two epochs")
    seen = (
        f"{result.equal} of {result.total} {what} are bit-equal at the same position of a worker's stream in two "
        "epochs, while those of one epoch differ between positions"
        if result.images
        else _ONLY_SOME
    )
    findings.add(
        check,
        "fault" if result.images else "warning",
        subject.where,
        f"{seen}{cause}",
        "every epoch draws the same random numbers: a generator is seeded with a fixed number at the start of each "
        "epoch, or workers start each epoch with a copy of the same generator",
        remedy,
    )


def _compare_key_epochs(subject: Subject, findings: Findings) -> None:
    """Report if `set_epoch` does not change the epoch of the keys."""
    epochs = []
    for epoch in (subject.first_epoch, subject.first_epoch + 1):
        subject.set_epoch(epoch)
        epochs.append(subject.keys(1)[0][0])
    if epochs[0] == epochs[1]:
        findings.add(
            "epoch does not change",
            "fault",
            subject.where,
            f"the sampler yields (epoch, index), and the epoch is {epochs[0]} in both passes",
            "every epoch has the same images",
            "use a sampler with set_epoch, such as augreg.data.EpochSampler, and call it before each epoch",
        )
