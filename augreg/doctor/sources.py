"""Where random numbers come from, whether validation has any, and what can be told of streams."""

from __future__ import annotations

from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.probing import Keep, SeededAlike, Seen, Subject, streams

__all__ = ["global_generators", "stream", "validation"]

_ENOUGH = 20  # distinct images that two streams must share before they are called the same
_TAKEN = 32


def global_generators(subject: Subject, draws: Draws, notebook: Findings) -> None:
    """Whether making a sample reads, moves or seeds `random`, `numpy.random` or torch's generator."""
    if draws.seeded:
        names = ", ".join(f"{name} ({count} of {len(draws.rows)} samples)" for name, count in draws.seeded.items())
        notebook.found(
            "seeds a global generator",
            "warning",
            subject.where,
            f"making a sample puts a global generator into a fixed state: {names}",
            "everything else in the process that draws from it starts over with every sample: dropout, shuffling, "
            "the initial weights, other transforms",
            "seed a generator of the call's own: rng = np.random.default_rng([seed, epoch, index])",
        )
    moved = {name: count for name, count in draws.moved.items() if name not in draws.seeded}
    if moved:
        names = ", ".join(f"{name} ({count} of {len(draws.rows)} samples)" for name, count in moved.items())
        decided = [row.key for row in draws.rows if row.by_globals]
        notebook.found(
            "global generators",
            "note",
            subject.where,
            f"making a sample draws from global generators: {names}; {len(decided)} images follow their state",
            "torch seeds them in every worker and for every epoch (random, torch, and numpy.random since torch 1.9), "
            "so the draws are fresh; but a sample depends on the number of workers and on the order of all samples "
            "before it, so that no image can be made again alone or after a resume",
            "nothing, if that is acceptable; otherwise draw by a key (seed, epoch, index), as Augmented does",
            decided,
        )
    if not draws.moved:
        notebook.checked(f"{subject.where}: no global generator is moved by making {len(draws.rows)} samples")


def validation(subject: Subject, draws: Draws, notebook: Findings) -> None:
    """Whether validation images are the same whenever they are made."""
    random = [row.key for row in draws.rows if row.varies or row.moves_on]
    notebook.checked(f"{subject.where}: {len(draws.rows)} images, made again, are compared with themselves")
    if random:
        notebook.found(
            "random validation",
            "fault",
            subject.where,
            f"{len(random)} of {len(draws.rows)} images differ when they are made again",
            "the validation figure changes from run to run, and is measured on images that are not those of the "
            "test; choosing the best epoch by it picks lucky draws",
            "give validation the deterministic transforms: resize, center crop, normalize. With augreg, "
            "Augmented(dataset, pipe.test)",
            random,
        )


def stream(subject: Subject, notebook: Findings) -> None:
    """What can be told of a dataset that is a stream: whether workers, and passes, give the same samples."""
    where = subject.where
    notebook.unchecked(
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
            notebook.found(
                "workers repeat the stream",
                "fault" if subject.workers > 1 else "warning",
                where,
                f"{condition}workers 0 and {number} give the same {count} samples in the same order{how}",
                f"each sample comes {workers} times in an epoch, often in neighboring batches",
                "divide the work in __iter__ by torch.utils.data.get_worker_info(): "
                "itertools.islice(samples, info.id, None, info.num_workers)",
            )
            break
    notebook.checked(f"{where}: the first {len(found[0])} samples of {workers} workers' streams are compared")
    _passes(subject, notebook)


def _streams(subject: Subject, workers: int, alike: bool) -> list[list[Seen]]:
    """The beginnings of the workers' streams; `alike` with the same states of the global generators in each."""
    probe, _ = subject.probe(workers, Keep())
    if alike:
        probe.worker_init_fn = SeededAlike(probe.worker_init_fn)
    return streams(probe, workers, workers * _TAKEN)


def _repeats(one: list[Seen], two: list[Seen], what: str) -> bool:
    """Whether two streams agree as far as they go, and are not too short or too uniform to tell."""
    pairs = [(getattr(a, what), getattr(b, what)) for a, b in zip(one, two, strict=False)]
    distinct = {seen.image for seen in one[: len(pairs)]}
    return len(distinct) >= _ENOUGH and all(a == b for a, b in pairs)


def _passes(subject: Subject, notebook: Findings) -> None:
    """Two passes of one worker, or of this process: a validation stream should be the same in both."""
    if subject.where != "validation":
        return
    workers = min(subject.workers, 1)
    probe, _ = subject.probe(workers, Keep())
    one, two = ([seen.image for seen in streams(probe, workers, _TAKEN)[0]] for _ in range(2))
    if one != two:
        differing = sum(a != b for a, b in zip(one, two, strict=False))
        notebook.found(
            "validation stream differs",
            "note",
            subject.where,
            f"of the first {len(one)} samples, {differing} differ in two passes",
            "they are augmented, which validation should not be, or in another order, which does no harm",
            "make sure that only the order is random",
        )
