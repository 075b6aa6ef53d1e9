"""Step 7: what to change, by the curves, as a patch of the spec and the task; and whether it helps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from augreg.recipe.charts import Chart
from augreg.recipe.patches.advised import advised_patch
from augreg.recipe.patches.effect import Effect, measure_patch
from augreg.recipe.patches.patch import Change, Patch
from augreg.recipe.result import Result, Verdict
from augreg.recipe.task import Task

__all__ = ["advice"]


def advice(
    task: Task,
    curves: Result,
    *,
    measure: bool = True,
    seeds: int | Sequence[int] = 3,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """The patch for the result of `curves`, and with `measure` what it does to the validation metric.

    `evidence["patch"]` is the patch as plain data: `Patch.from_dict(..)` makes it, and `apply_to(task)` follows it.
    `evidence["diff"]` shows it, and `evidence["effect"]` has the numbers of the measurement. Other arguments are
    those of `measure_patch`.
    """
    patch = advised_patch(task, curves)
    effect = None
    if patch and measure and task.validation is not None:
        effect = measure_patch(
            task, patch, int(curves.evidence["epochs"]), seeds=seeds, folder=folder, progress=progress
        )
    verdict, summary, action = _verdict(patch, effect, str(curves.evidence["state"]))
    evidence: dict[str, Any] = {"state": curves.evidence["state"], "patch": patch.as_dict()}
    if patch:
        evidence["diff"] = patch.show()
        evidence["reasons"] = [f"{each.place}: {each.reason}" for each in patch.changes]
    evidence["notes"] = list(patch.notes)
    if effect is not None:
        evidence["effect"] = effect.as_dict()
    return Result("advice", verdict, summary, evidence, (), action, () if effect is None else (_chart(effect),))


def _verdict(patch: Patch, effect: Effect | None, state: str) -> tuple[Verdict, str, str]:
    if not patch:
        return "pass", f"nothing to change in the spec: the curves say {state}", "; ".join(patch.notes) or "stop here"
    what = ", ".join(dict.fromkeys(map(_named, patch.changes)))
    if effect is None:
        return "warning", f"{what}: not measured", "apply the patch, and compare: measure_patch(..)"
    summary = f"{what}: {effect}"
    if effect.answer == "helped":
        return "pass", summary, "apply the patch: patch.apply(spec), or patch.apply_to(task)"
    instead = "keep the task as it is" if effect.answer == "hurt" else "measure with more seeds"
    return "warning", summary, f"{instead}, or try the changes one by one: patch.only(0)"


def _named(change: Change) -> str:
    """A change in two words, such as "insert dropout" or "set epochs"."""
    value = change.value
    step = next(iter(value)) if isinstance(value, Mapping) else value if isinstance(value, str) else change.place
    return f"{change.action} {step if change.section else change.place}"


def _chart(effect: Effect) -> Chart:
    seeds = tuple(map(float, range(1, len(effect.before) + 1)))
    sides = {"without the patch": effect.before, "with the patch": effect.after}
    lines = {name: tuple(None if math.isnan(each) else each for each in side) for name, side in sides.items()}
    return Chart(seeds, lines, "seed", "validation metric", points=tuple(lines))
