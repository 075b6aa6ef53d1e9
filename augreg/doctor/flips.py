"""Whether training mirrors or turns images: by the pipeline, by the transforms' names, or by the images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.findings import Findings
from augreg.doctor.labels import sided

if TYPE_CHECKING:
    from augreg.doctor.draws import Draws

__all__ = ["examine", "named_flips", "named_normalizations", "parts"]

_OURS = ("horizontal_flip", "vertical_flip", "rot90", "d4")
_THEIRS = re.compile(
    r"(horizontal|vertical)_?flip|transpose$|^d4$|rot(ate|ation)?_?90|^h(orizontal)?_?flip|^flip$", re.I
)
_HOLDERS = (
    "transform",
    "transforms",
    "augment",
    "augmentation",
    "augmentations",
    "dataset",
    "steps",
    "side",
    "pipeline",
)
_LEAVES = (str, bytes, int, float, type, np.ndarray)
_MOST = 500


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


def parts(thing: Any) -> Iterator[Any]:
    """A dataset or pipeline, what it wraps, and the transforms in it, each once."""
    waiting: list[Any] = [thing]
    seen: dict[int, Any] = {}
    while waiting and len(seen) < _MOST:
        part = waiting.pop()
        if part is None or isinstance(part, _LEAVES) or type(part).__name__ == "Test" or id(part) in seen:
            continue
        seen[id(part)] = part
        if isinstance(part, list | tuple):
            waiting += part[:_MOST]
            continue
        yield part
        held = vars(part) if hasattr(part, "__dict__") else {}
        waiting += [held.get(name) for name in _HOLDERS]
        waiting += [getattr(part, name, None) for name in ("steps", "transforms")]  # properties, or of the class
        waiting += [value for name, value in held.items() if name in ("_pipeline", "_modules")]
        waiting += list(part.values()) if isinstance(part, dict) else []


def named_flips(thing: Any) -> Iterator[str]:
    """The names of the flips and turns among the transforms, ours and others', that are ever applied."""
    for part in parts(thing):
        name = getattr(part, "name", None)
        if hasattr(part, "transform") and name in _OURS:  # a step of ours
            if getattr(part, "p", 1.0) > 0:
                yield str(name)
        elif hasattr(part, "__augreg__"):
            continue  # the step that holds it has been told
        elif _THEIRS.search(type(part).__name__.removeprefix("Random")) and getattr(part, "p", 0.5) > 0:
            yield type(part).__name__


def named_normalizations(thing: Any) -> list[tuple[Any, Any]]:
    """The (mean, std) of every Normalize among the transforms."""
    found = []
    for part in parts(thing):
        mean, std = getattr(part, "mean", None), getattr(part, "std", None)
        if (
            "normalize" in type(part).__name__.lower()
            and isinstance(mean, list | tuple)
            and len(mean) == len(std or ())
        ):
            found.append((tuple(mean), tuple(std or ())))
    return found


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
