"""What the rules for patches look at: the task, its spec, its model, its optimizer and the curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from augreg.recipe.batches import training_batches
from augreg.recipe.patches.dropout_places import DropoutPlace, dropout_places
from augreg.recipe.result import Result
from augreg.recipe.task import Task
from augreg.recipe.training import start

__all__ = ["Situation", "situation"]

_SAMPLES = 4


@dataclass(frozen=True)
class Situation:
    """`spec` is canonical plain data, and None if the task has none. `updates` is how many the curves are of.

    `decoupled`: whether the weight decay is AdamW's.
    """

    task: Task
    spec: Mapping[str, Any] | None
    state: str
    gap: float
    epochs: int
    updates: int
    places: tuple[DropoutPlace, ...]
    classes: int | None
    learning_rate: float
    weight_decay: float
    decoupled: bool

    def steps(self, section: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """The index, the name and the arguments of each step of a section."""
        steps: Sequence[Mapping[str, Any]] = (self.spec or {}).get(section, ())
        for index, step in enumerate(steps):
            for name, arguments in step.items():
                yield index, name, dict(arguments)

    def before(self) -> dict[str, Any]:
        """The spec and the numbers that a patch of this task changes."""
        numbers = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay, "epochs": self.epochs}
        return {**(self.spec or {"image": []}), **numbers}


def situation(task: Task, curves: Result) -> Situation:
    """What there is to know about a task and the result of `curves`. Generators are the caller's to keep."""
    training = start(task)
    training.model.eval()
    batch = training.moved(training_batches(task, clean=True).few(_SAMPLES))
    outputs: list[Any] = []
    places = dropout_places(training.model, lambda: outputs.append(training.outputs(batch[0])))
    group = training.optimizer.param_groups[0]
    several = training.problem(outputs[0]) == "classes"
    return Situation(
        task=task,
        spec=None if task.pipe is None else task.pipe.to_spec(),
        state=str(curves.evidence["state"]),
        gap=float(curves.evidence.get("gap") or 0.0),
        epochs=int(curves.evidence["epochs"]),
        updates=int(curves.evidence["epochs"]) * len(training_batches(task)),
        places=places,
        classes=int(outputs[0].shape[1]) if several and outputs[0].ndim > 1 else None,
        learning_rate=float(group["lr"]),
        weight_decay=max(float(each.get("weight_decay", 0.0)) for each in training.optimizer.param_groups),
        decoupled=bool(group.get("decoupled_weight_decay", type(training.optimizer).__name__ == "AdamW")),
    )
