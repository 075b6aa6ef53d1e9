"""Checks of iterable datasets: whether workers repeat one another, and whether validation passes differ."""

from __future__ import annotations

from augreg.doctor.findings import Findings
from augreg.doctor.probing import Subject
from augreg.doctor.workers import Keep, SeededAlike, Seen, worker_streams

__all__ = ["examine"]

_ENOUGH = 20  # distinct images that two streams must share to count as the same
_TAKEN = 32  # batches read from each worker


def examine(subject: Subject, findings: Findings) -> None:
    """Report workers that yield the same samples, and validation passes that differ."""
    where = subject.where
    findings.unchecked(
        f"{where}: randomness of single samples; the dataset is a stream, so no sample can be requested twice"
    )
    workers = min(max(2, subject.workers), 4)
    separate = _streams(subject, workers, alike=False)
    alike = _streams(subject, workers, alike=True)
    for number, other in enumerate(separate[1:], 1):
        count = min(len(separate[0]), len(other))
        equal = _repeats(separate[0], other, "image")
        if equal or (_repeats(separate[0], other, "label") and _repeats(alike[0], alike[number], "image")):
            condition = "" if subject.workers > 1 else f"the loader has num_workers={subject.workers}; but with 2, "
            how = "" if equal else " (judged by their labels; they are bit-equal if all workers have the same seed)"
            findings.add(
                "workers repeat the stream",
                "fault" if subject.workers > 1 else "note",  # one worker yields each sample once
                where,
                f"{condition}workers 0 and {number} yield the same {count} samples in the same order{how}",
                f"each sample {'occurs' if subject.workers > 1 else 'would occur'} {workers} times in an epoch, "
                "often in adjacent batches",
                "divide the samples in __iter__ by torch.utils.data.get_worker_info(): "
                "itertools.islice(samples, info.id, None, info.num_workers)",
            )
            break
    shortest = min(len(stream) for stream in separate)
    if shortest >= _ENOUGH:
        findings.checked(f"{where}: the first {shortest} samples of {workers} workers are compared")
    else:
        findings.unchecked(
            f"{where}: whether workers repeat one another; of {workers}, one yields only {shortest} samples"
        )
    _compare_passes(subject, findings)


def _streams(subject: Subject, workers: int, alike: bool) -> list[list[Seen]]:
    """The first samples of each worker; with `alike` all workers have the same states of the global generators."""
    probe, _ = subject.probe(workers, Keep())
    if alike:
        probe.worker_init_fn = SeededAlike(probe.worker_init_fn)
    doing = f"{subject.where}: the streams of {workers} workers"
    return worker_streams(probe, workers, subject.watch, doing, workers * _TAKEN)


def _repeats(one: list[Seen], two: list[Seen], what: str) -> bool:
    """Whether two streams are equal over their common length, and have enough distinct images to judge."""
    pairs = [(getattr(a, what), getattr(b, what)) for a, b in zip(one, two, strict=False)]
    distinct = {seen.image for seen in one[: len(pairs)]}
    return len(distinct) >= _ENOUGH and all(a == b for a, b in pairs)


def _compare_passes(subject: Subject, findings: Findings) -> None:
    """Report a validation stream that differs between two passes of one worker, or of this process."""
    if subject.side == "train":
        return
    workers = min(subject.workers, 1)
    probe, _ = subject.probe(workers, Keep())
    doing = f"{subject.where}: the stream, twice"
    one, two = ([s.image for s in worker_streams(probe, workers, subject.watch, doing, _TAKEN)[0]] for _ in range(2))
    if one != two:
        differing = sum(a != b for a, b in zip(one, two, strict=False))
        findings.add(
            "validation stream differs",
            "note",
            subject.where,
            f"of the first {len(one)} samples, {differing} differ between two passes",
            "either samples are augmented, which they should not be in validation, or their order differs, which is "
            "harmless",
            "make sure that only the order differs",
        )
