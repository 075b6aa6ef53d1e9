"""Whether training mirrors or turns images whose class would change: by names of transforms, or by the images."""

from __future__ import annotations

from typing import Any

from augreg.doctor.contents import named_flips
from augreg.doctor.draws import COMPARED, Draws
from augreg.doctor.findings import Findings, shortened
from augreg.doctor.labels import sided

__all__ = ["examine"]


def examine(classes: list[str], transforms: list[Any], draws: Draws | None, where: str, findings: Findings) -> None:
    """Report classes that a flip turns into another, if there are flips in `transforms` (a dataset, a pipeline)."""
    names, sure = sided(classes)
    if not classes:
        findings.unchecked(f"{where}: labels that a flip would make wrong; the class names are not known")
        return
    findings.checked(f"{where}: names of {len(classes)} classes, for labels that a flip would make wrong")
    if not names:
        return
    named = sorted({name for thing in transforms for name in named_flips(thing)})
    mirrored = _mirrored(draws) if draws is not None and not named else []
    if not named and not mirrored:
        return
    shown = shortened([repr(name) for name in names], 6)
    flips = (
        f"the transforms include {', '.join(named)}"
        if named
        else f"{len(mirrored)} samples, made twice, gave two images that mirror each other"
    )
    findings.add(
        "flips against labels",
        "warning" if sure else "note",
        where,
        f"{flips}, and the classes {shown} {'have' if sure else 'may have'} another meaning in a mirrored image",
        "a mirrored or turned image keeps its label, which is then wrong, so the network learns the opposite of what "
        "these images show",
        "remove the flip, or swap the labels together with the image",
        mirrored,
    )


def _mirrored(draws: Draws) -> list[Any]:
    """The keys whose two draws are mirror images, if there are at least three.

    As a control, most pairs of draws must be either the same or mirrored, as a flip leaves them. Under rotations or
    shifts a few pairs of images that are nearly symmetric may look mirrored by chance, but most are neither.
    """
    alike = [row.likeness for row in draws.rows[:COMPARED]]
    keys = [row.key for row in draws.rows if row.likeness == "mirrored"]
    decided = sum(each is not None for each in alike)
    return keys if len(keys) >= 3 and 2 * decided >= len(alike) else []
