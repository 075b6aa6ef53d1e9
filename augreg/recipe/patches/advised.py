"""The patch for what the curves show."""

from __future__ import annotations

from collections.abc import Iterable

from augreg.errors import AugregError
from augreg.recipe.batches import training_batches
from augreg.recipe.patches.overfitting import against_overfitting
from augreg.recipe.patches.patch import Change, Patch
from augreg.recipe.patches.situation import Situation, situation
from augreg.recipe.patches.underfitting import against_underfitting, longer
from augreg.recipe.result import Result
from augreg.recipe.state import kept
from augreg.recipe.task import Task
from augreg.recipe.training import start

__all__ = ["advised_patch"]

OVERFIT = ("overfitting", "validation loss rising")
_REFUSALS = (AugregError, TypeError, ValueError, RuntimeError)  # of images, labels and models that a step cannot take


def advised_patch(task: Task, curves: Result) -> Patch:
    """What to change, by the result of `curves` for this task. It is empty if nothing is known to help.

    Every change is tried on a batch of the task; one that its images, labels or model cannot take is left out, and
    the notes say why. The task, generators and loaders are as before at the end.
    """
    with kept(task):
        seen = situation(task, curves)
        changes: list[Change] = []
        notes: list[str] = []
        for change in _proposed(seen):
            refusal = _refusal(task, [*changes, change])
            if refusal:
                notes.append(f"left out: {change.place}: {_name(change)}: {refusal}")
            else:
                changes.append(change)
        if seen.state in OVERFIT and {each.place for each in changes} <= {"classes", "epochs"}:
            changes = []  # nothing regularizes: training longer would not help
        return Patch(
            tuple(changes), (*notes, *_notes(seen)), seen.before(), None if task.pipe is None else task.pipe.registry
        )


def _proposed(seen: Situation) -> Iterable[Change]:
    if seen.state in OVERFIT:
        return against_overfitting(seen)
    if seen.state == "underfitting":
        return against_underfitting(seen)
    if seen.state in ("still rising", "too early"):
        return [longer(seen, "the curves are still getting better")]
    if seen.state in ("spikes", "diverged"):
        return [
            Change("learning_rate", "set", seen.learning_rate / 3, f"the loss is unstable at {seen.learning_rate:g}")
        ]
    return []


def _notes(seen: Situation) -> Iterable[str]:
    if seen.state in OVERFIT:
        if seen.spec is None:
            yield "with a spec, and images as pipe.train takes them, images could be augmented and mixed"
        yield "more training data helps most; a smaller model overfits less"
    if seen.state == "underfitting":
        yield "a bigger model, with more channels or layers, fits better"
    if seen.state == "no progress":
        yield "go back to the first steps: no patch helps a model that does not train"


def _refusal(task: Task, changes: list[Change]) -> str:
    """Why a batch cannot be trained on with these changes; "" if it can."""
    try:
        patched = Patch(tuple(changes)).apply_to(task)
        training = start(patched)
        training.update(next(iter(training_batches(patched).epoch(0))))
    except _REFUSALS as error:
        return str(error).splitlines()[0]
    return ""


def _name(change: Change) -> str:
    return next(iter(change.value)) if isinstance(change.value, dict) else str(change.value)
