"""Training images that never change: cached after augmentation, seeded without the epoch, or not augmented."""

from __future__ import annotations

from collections.abc import Set

from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.probing import Subject

__all__ = ["cached", "report"]


def cached(subject: Subject, draws: Draws, changed: bool, findings: Findings) -> bool:
    """Report samples that draw random numbers when they are made first, and are the same image ever after.

    `changed` is whether images differ between two epochs, as they do if workers lose their caches with each epoch.
    """
    kept = draws.cached
    if len(kept) < 3 or 2 * len(kept) < len(draws.rows):
        return False
    names = sorted({name for row in kept for name in row.moved})
    findings.add(
        "cached draws",
        "note" if changed else "warning",
        subject.where,
        f"{len(kept)} of {len(draws.rows)} samples draw random numbers ({', '.join(names)}) when they are made "
        "first; made again, they draw none, and are the same image",
        "the dataset caches images after it has augmented them, so the augmentation of the first epoch is "
        "repeated in every later epoch"
        + (", unless worker processes end with each epoch and lose their caches, as here" if changed else "")
        + ". (If the random numbers only create the image, as in a synthetic dataset, ignore this.)",
        "cache the decoded image, and augment what comes from the cache",
        [row.key for row in kept],
    )
    return True


def report(subject: Subject, draws: Draws, collated: Set[bytes | None], findings: Findings) -> None:
    """Report a training set whose images never change: by a seed, or since nothing is drawn.

    `collated` are the digests of batches that the collate_fn made of the same samples; it may augment them.
    """
    count = len(draws.rows)
    seeded = draws.counts("seeded")
    sources = [*seeded, *(["numpy.random.default_rng(seed)"] if draws.seeds else [])]
    moved = draws.counts("moved")
    keys = [row.key for row in draws.rows]
    if sources and not (draws.seeds == "many" and not seeded):
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
    elif len(collated) > 1:
        findings.checked(f"{subject.where}: that images, which the dataset does not change, vary by the collate_fn")
    elif None in collated and _collates(subject):
        findings.unchecked(f"{subject.where}: whether the collate_fn augments images; the dataset does not")
    else:
        findings.add(
            "no augmentation",
            "note",
            subject.where,
            f"all {count} images are bit-equal every time they are made, in all epochs",
            "the samples are made of many random numbers by seeds, as a synthetic dataset is; the transforms "
            "draw none"
            if sources
            else f"random numbers are drawn ({', '.join(moved)}), but they do not change the images"
            if moved
            else "no transform changes the images at random",
            "nothing, if this is intended",
            keys,
        )


def _collates(subject: Subject) -> bool:
    """Whether the loader has a collate_fn of its own."""
    from torch.utils.data import default_collate, default_convert

    return subject.loader.collate_fn not in (default_collate, default_convert)
