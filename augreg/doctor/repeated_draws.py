"""Whether random draws are drawn anew: from sample to sample, in every worker, and in every epoch.

Two streams of draws are compared by Fisher's exact test. Each key is drawn four times by each stream. From the first
two rows come pairs across the streams (same key, same place in the stream), from the others pairs within a
stream (same key, other place). Where the streams are independent, both kinds of pairs are equal equally often; where
one repeats the other, pairs across are equal more often. A finding needs a probability below 1e-6.
"""

from __future__ import annotations

import traceback
from math import comb
from typing import Any, NamedTuple

from augreg.doctor.draws import Draws, rekeyed
from augreg.doctor.findings import Findings, last_line
from augreg.doctor.probing import Keep, Seen, Subject, worker_streams

__all__ = ["examine", "repeats"]

_ERROR = 1e-6
_KEYS = 24
_MOST_WORKERS = 4
_FROM_SAME = "made by the collate_fn of the same samples"

_REMEDY = (
    "do not keep a generator in the dataset. Draw by a key: np.random.default_rng([seed, epoch, index]), with the "
    "epoch coming from the sampler; or use torch's functions, which the DataLoader seeds anew for each worker and "
    "each epoch; or make the generator in a worker_init_fn from torch.initial_seed(). "
    "augreg.data.Augmented does the first"
)


class _Table(NamedTuple):
    """What one stream made: rows of as many samples as there are keys, four rows to a group."""

    keys: int
    cells: list[Seen]

    def at(self, row: int, key: int, collated: bool) -> bytes | None:
        cell = self.cells[row * self.keys + key]
        return cell.collated if collated else cell.image


def repeats(one: _Table, two: _Table, collated: bool = False) -> tuple[bool, int, int]:
    """Whether one stream repeats the other; how many of how many pairs across them are equal."""
    rows = len(one.cells) // one.keys
    across, within = [], []
    for row in range(0, rows - 3, 4):
        for key in range(one.keys):
            across += [one.at(row + n, key, collated) == two.at(row + n, key, collated) for n in (0, 1)]
            within += [table.at(row + 2, key, collated) == table.at(row + 3, key, collated) for table in (one, two)]
    return tail(sum(across), len(across), sum(within), len(within)) < _ERROR, sum(across), len(across)


def tail(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """Fisher's exact test, one-sided: how likely at least `hits` of `count` are, given the sum of both."""
    total = hits + other_hits
    ways = sum(
        comb(count, n) * comb(other_count, total - n) for n in range(hits, min(count, total) + 1) if total - n >= 0
    )
    return ways / comb(count + other_count, total) if count else 1.0


def examine(subject: Subject, draws: Draws, keys: list[Any], epochs: int, findings: Findings) -> None:
    """Draw in workers and over epochs, and take down what repeats. For a map-style training set."""
    keys = keys[:_KEYS]
    count = min(subject.workers, _MOST_WORKERS)
    tables = _tables(subject, draws, keys, epochs, count)
    _epochs(subject, draws, tables, findings)
    if count > 1:
        _workers(subject, draws, tables[0], findings)
        findings.checked(f"{subject.where}: draws of {count} workers in {epochs} epochs, {len(keys)} samples each")
        return
    findings.checked(f"{subject.where}: draws in {epochs} epochs, {len(keys)} samples each")
    try:
        tables = _tables(subject, draws, keys, 1, 2)
    except Exception as error:
        findings.unchecked(f"{subject.where}: draws in two workers, which failed: {last_line(error)}")
        traceback.clear_frames(error.__traceback__)  # they hold iterators, whose workers should end now
        return
    _workers(subject, draws, tables[0], findings)
    findings.checked(f"{subject.where}: draws as they would be in 2 workers")


def _tables(subject: Subject, draws: Draws, keys: list[Any], epochs: int, workers: int) -> list[list[_Table]]:
    """What each worker made in each epoch: the same keys in the same order, so that streams can be compared."""
    raw = draws.raw if len(draws.raw) == 2 and subject.loader.batch_size is not None else None
    collate_fn = subject.loader.collate_fn if workers else subject.here.collate_fn
    probe, batches = subject.probe(workers, Keep(collate_fn if raw else None, raw))
    rows = 4 * -(-_KEYS // len(keys))
    found = []
    for epoch in range(subject.first_epoch, subject.first_epoch + epochs):
        subject.set_epoch(epoch)
        asked = [rekeyed(key, epoch) for key in keys] if subject.keyed else keys
        batches[:] = [asked for _ in range(rows) for _ in range(max(1, workers))]  # the workers take turns
        found.append([_Table(len(keys), stream) for stream in worker_streams(probe, workers)])
    return found


def _workers(subject: Subject, draws: Draws, tables: list[_Table], findings: Findings) -> None:
    """Compare every worker of one epoch with the first."""
    real = subject.workers > 1
    if subject.keyed:
        again = [row.key for row in draws.rows if row.varies]
        cells = tables[0].cells
        elsewhere = sum(any(t.cells[n].image != cell.image for t in tables) for n, cell in enumerate(cells))
        if again or elsewhere:
            findings.add(
                "not by key",
                "warning",
                subject.where,
                f"images of one key (epoch, index) differ: {len(again)} of {len(draws.rows)} when made again in "
                f"one process, {elsewhere} of {len(cells)} between workers",
                "the sampler gives a key so that a sample is the same wherever it is made; something in the dataset "
                "draws from another source",
                "find the transform that keeps a generator, or uses a global one, and draw by the key instead",
                again,
            )
        if not again:
            return
    condition = "" if real else f"the loader has num_workers={subject.workers}; but with two, "
    for collated, check, what in (
        (False, "workers repeat draws", "images"),
        (True, "workers repeat batch draws", f"batches, {_FROM_SAME},"),
    ):
        for number, table in enumerate(tables[1:], 1):
            repeated, equal, count = repeats(tables[0], table, collated)
            if repeated:
                findings.add(
                    check,
                    "fault" if real else "warning",
                    subject.where,
                    f"{condition}workers 0 and {number} made {equal} of {count} {what} bit-equal at the same place "
                    "of their streams, while one worker makes different ones at different places",
                    f"every worker goes through the same random numbers: {max(2, subject.workers)} workers draw "
                    f"1/{max(2, subject.workers)} of the variety that they seem to",
                    _REMEDY,
                )
                break


def _epochs(subject: Subject, draws: Draws, tables: list[list[_Table]], findings: Findings) -> None:
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
            "where set_epoch is called on the dataset itself the images change; in the workers all "
            f"{len(tables[0][0].cells)} are bit-equal in both epochs",
            "persistent workers hold the copy of the dataset that they were started with, and never see an attribute "
            "that is set later: every epoch has the same images",
            "let the sampler yield (epoch, index), as augreg.data.EpochSampler does; or keep the epoch in shared "
            "memory (a multiprocessing.Value); or persistent_workers=False",
        )
        return
    if subject.keyed:
        _standing_epoch(subject, findings)
    repeated = [] if subject.keyed and not draws.vary else _repeated(pairs, collated=False)
    if repeated:
        _tell_epochs(subject, "epochs repeat draws", "images", repeated[0], findings)
    batches = _repeated(pairs, collated=True)
    if batches:
        _tell_epochs(subject, "epochs repeat batch draws", f"batches, {_FROM_SAME},", batches[0], findings)
    if not (draws.vary or draws.move_on or changed):
        _nothing_varies(subject, draws, findings)


def _repeated(pairs: list[tuple[_Table, _Table]], collated: bool) -> list[tuple[int, int]]:
    """Of the pairs of streams that repeat one another, how many samples of how many are equal."""
    results = [repeats(one, two, collated) for one, two in pairs]
    return [(equal, count) for repeated, equal, count in results if repeated]


def _tell_epochs(subject: Subject, check: str, what: str, seen: tuple[int, int], findings: Findings) -> None:
    findings.add(
        check,
        "fault",
        subject.where,
        f"{seen[0]} of {seen[1]} {what} are bit-equal at the same place of a worker's stream in two epochs, while "
        "one epoch has different ones at different places",
        "every epoch goes through the same random numbers: they are seeded with a fixed number at the start of each "
        "epoch, or workers start each epoch from one and the same copy of a generator",
        _REMEDY,
    )


def _standing_epoch(subject: Subject, findings: Findings) -> None:
    """Whether the keys' epoch follows `set_epoch`."""
    found = []
    for epoch in (subject.first_epoch, subject.first_epoch + 1):
        subject.set_epoch(epoch)
        found.append(subject.keys(1)[0][0])
    if found[0] == found[1]:
        findings.add(
            "epoch stands still",
            "fault",
            subject.where,
            f"the sampler yields (epoch, index), and the epoch is {found[0]} in the first pass and in the second",
            "every epoch has the same images",
            "use a sampler with set_epoch, such as augreg.data.EpochSampler, and call it before each epoch",
        )


def _nothing_varies(subject: Subject, draws: Draws, findings: Findings) -> None:
    count = len(draws.rows)
    sources = [*draws.seeded, *(["numpy.random.default_rng(seed)"] if draws.seeds_generators else [])]
    keys = [row.key for row in draws.rows]
    if sources:
        findings.add(
            "frozen draws",
            "warning",
            subject.where,
            f"all {count} images are bit-equal whenever they are made, in any epoch, although random numbers are "
            f"seeded and drawn for them ({', '.join(sources)})",
            "a seed that knows the index but not the epoch gives each image one augmentation for ever. (If the "
            "numbers only make the image itself, as in a synthetic set, this is as it should be.)",
            "let the seed depend on the epoch too: np.random.default_rng([seed, epoch, index]); and do not seed "
            "global generators in a dataset",
            keys,
        )
    else:
        findings.add(
            "no augmentation",
            "note",
            subject.where,
            f"all {count} images are bit-equal whenever they are made, in any epoch",
            "nothing is drawn at random for a sample; that is fine if it is meant",
            "nothing, if it is meant",
            keys,
        )
