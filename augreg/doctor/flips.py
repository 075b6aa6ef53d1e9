"""Whether training mirrors or turns images: by the pipeline, by the transforms' names, or by the images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.contents import named_flips
from augreg.doctor.draws import Draws
from augreg.doctor.findings import Findings
from augreg.doctor.labels import sided

__all__ = ["examine"]


def examine(classes: list[str], transforms: list[Any], draws: Draws | None, where: str, notebook: Findings) -> None:
    """Take down classes that a flip makes wrong, if there are flips. `transforms` are a dataset, a pipeline."""
    names, sure = sided(classes)
    if not classes:
        notebook.unchecked(f"{where}: labels that a flip would break, since the names of the classes are not known")
        return
    notebook.checked(f"{where}: names of {len(classes)} classes, for labels that a flip would break")
    if not names:
        return
    named = [name for thing in transforms for name in named_flips(thing)]
    mirrored = _mirrored(draws) if draws is not None and not named else []
    if not named and not mirrored:
        return
    shown = ", ".join(repr(name) for name in names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    how = (
        f"the transforms have {', '.join(sorted(set(named)))}"
        if named
        else (f"{len(mirrored)} samples came out once as they are and once mirrored")
    )
    notebook.found(
        "flips against labels",
        "warning" if sure else "note",
        where,
        f"{how}, and of the classes {shown} {'mean' if sure else 'may mean'} something else in a mirror",
        "a mirrored or turned image keeps its label, which is then wrong: these classes' images teach the "
        "opposite of what they show",
        "leave out the flip; or swap the labels along with it",
        mirrored,
    )


def _mirrored(draws: Draws) -> list[Any]:
    """The keys whose two draws are mirror images, if there are three or more.

    Such draws correlate above 0.8 when one is mirrored, and at least 0.2 less as they are.
    """
    found = []
    for row in draws.rows:
        one, two = row.first, row.again
        if one is None or two is None:
            continue
        straight, mirrored = _correlation(one, two), _correlation(one, two[:, ::-1])
        if mirrored > 0.8 and straight < mirrored - 0.2:
            found.append(row.key)
    return found if len(found) >= 3 else []


def _correlation(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    if one.shape != two.shape:
        return 0.0
    scale = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / scale if scale > 0 else 0.0
