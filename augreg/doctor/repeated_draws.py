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

from augreg.doctor.draws import Draws, rekeyed
from augreg.doctor.findings import Findings, last_line
from augreg.doctor.probing import Keep, Seen, Subject, worker_streams

__all__ = ["examine", "repeats"]

_ERROR = 1e-6
_KEYS = 24
_MOST_WORKERS = 4
_SAME_SAMPLES = "collated from the same samples"

_REMEDY = (
    "do not keep a generator in the dataset. Create one for each sample, np.random.default_rng([seed, epoch, "
    "index]), with the epoch from the sampler, as augreg.data.Augmented does; or use torch's random functions, which "
    "the DataLoader seeds for each worker and each epoch; or create the generator in a worker_init_fn from "
    "torch.initial_seed()"
)


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


def tail(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """Fisher's exact test, one-sided: the probability of at least `hits` of `count`, given the sum of both."""
    total = hits + other_hits
    ways = sum(
        comb(count, n) * comb(other_count, total - n) for n in range(hits, min(count, total) + 1) if total - n >= 0
    )
    return ways / comb(count + other_count, total) if count else 1.0


def examine(subject: Subject, draws: Draws, keys: list[Any], epochs: int, findings: Findings) -> None:
    """Make samples in workers and over epochs, and report what repeats. For a map-style training set."""
    keys = keys[:_KEYS]
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
    raw = draws.raw if len(draws.raw) == 2 and subject.loader.batch_size is not None else None
    collate_fn = subject.loader.collate_fn if workers else subject.here.collate_fn
    probe, batches = subject.probe(workers, Keep(collate_fn if raw else None, raw))
    rows = 4 * -(-_KEYS // len(keys))
    tables = []
    for epoch in range(subject.first_epoch, subject.first_epoch + epochs):
        subject.set_epoch(epoch)
        batch = [rekeyed(key, epoch) for key in keys] if subject.keyed else keys
        batches[:] = [batch for _ in range(rows) for _ in range(max(1, workers))]  # workers get batches alternately
        tables.append([_Table(len(keys), stream) for stream in worker_streams(probe, workers)])
    return tables


def _compare_workers(subject: Subject, draws: Draws, tables: list[_Table], findings: Findings) -> None:
    """Compare every worker of one epoch with the first."""
    several = subject.workers > 1
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
    condition = "" if several else f"the loader has num_workers={subject.workers}; but with 2, "
    for collated, check, what in (
        (False, "workers repeat draws", "images"),
        (True, "workers repeat batch draws", f"batches, {_SAME_SAMPLES},"),
    ):
        for number, table in enumerate(tables[1:], 1):
            repeated, equal, count = repeats(tables[0], table, collated)
            if repeated:
                findings.add(
                    check,
                    "fault" if several else "warning",
                    subject.where,
                    f"{condition}{equal} of {count} {what} of workers 0 and {number} are bit-equal at the same "
                    "position of their streams, while those of one worker differ between positions",
                    f"every worker draws the same random numbers: {max(2, subject.workers)} workers make only "
                    f"1/{max(2, subject.workers)} as many different images as they should",
                    _REMEDY,
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
    repeated = [] if subject.keyed and not draws.vary else _repeated(pairs, collated=False)
    if repeated:
        _report_epochs(subject, "epochs repeat draws", "images", repeated[0], findings)
    batches = _repeated(pairs, collated=True)
    if batches:
        _report_epochs(subject, "epochs repeat batch draws", f"batches, {_SAME_SAMPLES},", batches[0], findings)
    if not (draws.vary or draws.move_on or changed):
        _report_constant(subject, draws, findings)


def _repeated(pairs: list[tuple[_Table, _Table]], collated: bool) -> list[tuple[int, int]]:
    """For each pair of streams that repeat one another, the number of equal samples and of all samples."""
    results = [repeats(one, two, collated) for one, two in pairs]
    return [(equal, count) for repeated, equal, count in results if repeated]


def _report_epochs(subject: Subject, check: str, what: str, equal: tuple[int, int], findings: Findings) -> None:
    findings.add(
        check,
        "fault",
        subject.where,
        f"{equal[0]} of {equal[1]} {what} are bit-equal at the same position of a worker's stream in two epochs, "
        "while those of one epoch differ between positions",
        "every epoch draws the same random numbers: a generator is seeded with a fixed number at the start of each "
        "epoch, or workers start each epoch with a copy of the same generator",
        _REMEDY,
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


def _report_constant(subject: Subject, draws: Draws, findings: Findings) -> None:
    count = len(draws.rows)
    sources = [*draws.seeded, *(["numpy.random.default_rng(seed)"] if draws.seeds_generators else [])]
    keys = [row.key for row in draws.rows]
    if sources:
        findings.add(
            "frozen draws",
            "warning",
            subject.where,
            f"all {count} images are bit-equal every time they are made, in all epochs, although random generators "
            f"are seeded for them ({', '.join(sources)})",
            "a seed that depends on the index but not on the epoch augments an image in the same way in every epoch. "
            "(If the random numbers only create the image, as in a synthetic dataset, ignore this.)",
            "include the epoch in the seed: np.random.default_rng([seed, epoch, index]); and do not seed global "
            "generators in a dataset",
            keys,
        )
    else:
        findings.add(
            "no augmentation",
            "note",
            subject.where,
            f"all {count} images are bit-equal every time they are made, in all epochs",
            "no random numbers are drawn for a sample",
            "nothing, if this is intended",
            keys,
        )
