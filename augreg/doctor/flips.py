"""Whether training mirrors or turns images whose class would change: by names of transforms, or by the images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.contents import named_flips
from augreg.doctor.draws import Draws
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

    Such draws correlate above 0.8 if one is mirrored, and at least 0.2 less otherwise.
    """
    keys = []
    for row in draws.rows:
        one, two = row.first, row.again
        if one is None or two is None:
            continue
        straight, mirrored = _correlation(one, two), _correlation(one, two[:, ::-1])
        if mirrored > 0.8 and straight < mirrored - 0.2:
            keys.append(row.key)
    return keys if len(keys) >= 3 else []


def _correlation(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    if one.shape != two.shape:
        return 0.0
    scale = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / scale if scale > 0 else 0.0
