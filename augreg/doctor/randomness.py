"""Which global generators samples use, and whether validation is random."""

from __future__ import annotations

from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.probing import Subject

__all__ = ["global_generators", "validation"]


def global_generators(subject: Subject, draws: Draws, findings: Findings) -> None:
    """Report samples that draw from, or seed, `random`, `numpy.random` or torch's generator."""
    seeded = draws.counts("seeded")
    if seeded:
        names = ", ".join(f"{name} ({count} of {len(draws.rows)} samples)" for name, count in seeded.items())
        findings.add(
            "seeds a global generator",
            "warning",
            subject.where,
            f"making a sample seeds a global generator with a fixed number: {names}",
            "all other code in the process that draws from it repeats its draws with every sample: dropout, "
            "shuffling, the initialization of weights, other transforms",
            "create a generator for each sample: rng = np.random.default_rng([seed, epoch, index])",
        )
    moved = {name: count for name, count in draws.counts("moved").items() if name not in seeded}
    if moved:
        names = ", ".join(f"{name} ({count} of {len(draws.rows)} samples)" for name, count in moved.items())
        dependent = [row.key for row in draws.rows if row.by_globals]
        findings.add(
            "global generators",
            "note",
            subject.where,
            f"making a sample draws from global generators: {names}; {len(dependent)} images depend on their states",
            "torch seeds them in every worker and for every epoch (random, torch, and numpy.random since torch 1.9), "
            "so draws are not repeated; but a sample depends on the number of workers and on all samples before it, "
            "so an image cannot be reproduced alone, nor after a resume",
            "nothing, if that is acceptable; otherwise seed a generator by (seed, epoch, index), as Augmented does",
            dependent,
        )
    if not draws.counts("moved"):
        findings.checked(f"{subject.where}: making {len(draws.rows)} samples does not draw from global generators")


def validation(subject: Subject, draws: Draws, findings: Findings) -> None:
    """Report validation images that differ when they are made again."""
    random = [row.key for row in draws.rows if row.varies or row.moves_on]
    findings.checked(f"{subject.where}: {len(draws.rows)} images are made again and compared")
    if random:
        findings.add(
            "random validation",
            "fault",
            subject.where,
            f"{len(random)} of {len(draws.rows)} images differ when they are made again",
            "validation metrics change from run to run, and are measured on images unlike those at test time; the "
            "epoch with the best metric may be the one with the easiest draws",
            "use deterministic transforms for validation: resize, center crop, normalize. With augreg, "
            "Augmented(dataset, pipe.test)",
            random,
        )
