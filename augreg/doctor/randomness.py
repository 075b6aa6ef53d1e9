"""Where random numbers come from, whether validation has any, and what can be told of streams."""

from __future__ import annotations

from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.probing import Subject

__all__ = ["global_generators", "validation"]


def global_generators(subject: Subject, draws: Draws, findings: Findings) -> None:
    """Whether making a sample reads, moves or seeds `random`, `numpy.random` or torch's generator."""
    if draws.seeded:
        names = ", ".join(f"{name} ({count} of {len(draws.rows)} samples)" for name, count in draws.seeded.items())
        findings.add(
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
        findings.add(
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
        findings.checked(f"{subject.where}: no global generator is moved by making {len(draws.rows)} samples")


def validation(subject: Subject, draws: Draws, findings: Findings) -> None:
    """Whether validation images are the same whenever they are made."""
    random = [row.key for row in draws.rows if row.varies or row.moves_on]
    findings.checked(f"{subject.where}: {len(draws.rows)} images, made again, are compared with themselves")
    if random:
        findings.add(
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
