"""Datasets that are streams: whether workers repeat one another, and whether validation passes differ."""

from __future__ import annotations

from augreg.doctor.findings import Findings
from augreg.doctor.probing import Keep, SeededAlike, Seen, Subject, worker_streams

__all__ = ["examine"]

_ENOUGH = 20  # distinct images that two streams must share before they are called the same
_TAKEN = 32


def examine(subject: Subject, findings: Findings) -> None:
    """What can be told of a dataset that is a stream: whether workers, and passes, give the same samples."""
    where = subject.where
    findings.unchecked(
        f"{where}: randomness of single samples; the dataset is a stream, so that none can be asked for twice"
    )
    workers = min(max(2, subject.workers), 4)
    found = _streams(subject, workers, alike=False)
    alike = _streams(subject, workers, alike=True)
    for number, other in enumerate(found[1:], 1):
        count = min(len(found[0]), len(other))
        equal = _repeats(found[0], other, "image")
        if equal or (_repeats(found[0], other, "label") and _repeats(alike[0], alike[number], "image")):
            condition = "" if subject.workers > 1 else f"the loader has num_workers={subject.workers}; but with two, "
            how = "" if equal else " (by their labels; and bit-equal, once all workers draw from the same seed)"
            findings.add(
                "workers repeat the stream",
                "fault" if subject.workers > 1 else "warning",
                where,
                f"{condition}workers 0 and {number} give the same {count} samples in the same order{how}",
                f"each sample comes {workers} times in an epoch, often in neighboring batches",
                "divide the work in __iter__ by torch.utils.data.get_worker_info(): "
                "itertools.islice(samples, info.id, None, info.num_workers)",
            )
            break
    findings.checked(f"{where}: the first {len(found[0])} samples of {workers} workers' streams are compared")
    _passes(subject, findings)


def _streams(subject: Subject, workers: int, alike: bool) -> list[list[Seen]]:
    """The beginnings of the workers' streams; `alike` with the same states of the global generators in each."""
    probe, _ = subject.probe(workers, Keep())
    if alike:
        probe.worker_init_fn = SeededAlike(probe.worker_init_fn)
    return worker_streams(probe, workers, workers * _TAKEN)


def _repeats(one: list[Seen], two: list[Seen], what: str) -> bool:
    """Whether two streams agree as far as they go, and are not too short or too uniform to tell."""
    pairs = [(getattr(a, what), getattr(b, what)) for a, b in zip(one, two, strict=False)]
    distinct = {seen.image for seen in one[: len(pairs)]}
    return len(distinct) >= _ENOUGH and all(a == b for a, b in pairs)


def _passes(subject: Subject, findings: Findings) -> None:
    """Two passes of one worker, or of this process: a validation stream should be the same in both."""
    if subject.where != "validation":
        return
    workers = min(subject.workers, 1)
    probe, _ = subject.probe(workers, Keep())
    one, two = ([seen.image for seen in worker_streams(probe, workers, _TAKEN)[0]] for _ in range(2))
    if one != two:
        differing = sum(a != b for a, b in zip(one, two, strict=False))
        findings.add(
            "validation stream differs",
            "note",
            subject.where,
            f"of the first {len(one)} samples, {differing} differ in two passes",
            "they are augmented, which validation should not be, or in another order, which does no harm",
            "make sure that only the order is random",
        )
