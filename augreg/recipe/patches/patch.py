"""A patch: changes of a spec, of numbers of the optimizer and of the epochs, each with its reason."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from augreg.pipeline import Pipeline
from augreg.recipe.patches.diff import diff, written
from augreg.recipe.patches.regularized_model import regularized_model
from augreg.recipe.task import Task
from augreg.registry.registry import Registry
from augreg.spec.options import SECTIONS

__all__ = ["Change", "Patch"]

Action = Literal["insert", "replace", "remove", "set"]
_TASK = ("learning_rate", "weight_decay", "epochs")


@dataclass(frozen=True)
class Change:
    """One change, and the reason for it.

    `place` is a section and an index, such as "image[1]": `value` is inserted before this step, replaces it, or the
    step is removed. Or it is what is set to the number `value`: `classes` of the spec, `learning_rate`,
    `weight_decay`, or `epochs`.
    """

    place: str
    action: Action
    value: Any
    reason: str

    @property
    def section(self) -> str:
        """The section of the spec; "" for a number."""
        return self.place.partition("[")[0] if self.action != "set" else ""

    @property
    def index(self) -> int:
        """The index in the section, of the spec without the patch."""
        return int(self.place.partition("[")[2].rstrip("]"))


@dataclass(frozen=True)
class Patch:
    """Changes of a spec and a task. It prints as a diff with the reasons.

    `before` has the spec that it was made for, and the numbers of the task, for the diff; `registry` the classes of
    its steps, if there are some that are not installed: they are no part of `as_dict`.
    `notes` has what to do that no patch can: a bigger model, more data.
    """

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    before: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    registry: Registry | None = dataclasses.field(default=None, compare=False, repr=False)

    def __bool__(self) -> bool:
        """Whether there is anything to change."""
        return bool(self.changes)

    def apply(self, spec: Any = None) -> Any:
        """The spec with the changes, as canonical plain data; a pipeline for a pipeline.

        Raises SpecError if the changes do not fit. Numbers that are no part of a spec are left to `apply_to`.
        """
        pipe = spec if isinstance(spec, Pipeline) else Pipeline.from_spec({"image": []} if spec is None else spec)
        data = pipe.to_spec()
        for section in SECTIONS:
            steps = list(_changed(data.get(section, []), [each for each in self.changes if each.section == section]))
            if steps or section in data:
                data[section] = steps
        data |= {each.place: each.value for each in self._numbers() if each.place not in _TASK}
        patched = Pipeline.from_spec(data, pipe.registry)
        return patched if isinstance(spec, Pipeline) else patched.to_spec()

    def apply_to(self, task: Task) -> Task:
        """The task with the changes. `epochs` belongs to a run: see `epochs_of`.

        A task without a spec has no images that could be augmented, and its model is regularized where it is made.
        """
        own = ("learning_rate", "weight_decay")
        numbers = {each.place: each.value for each in self._numbers() if each.place in own}
        if task.pipe is not None:
            return task.replace(spec=self.apply(task.pipe), **numbers)
        if any(each.section in ("image", "batch", "loss") for each in self.changes):
            raise ValueError("the task has no spec: give it one, and images as pipe.train takes them")
        steps = [each.value for each in self.changes if each.section == "model"]
        if steps:
            task = task.replace(model=regularized_model(task.model, steps))
        return task.replace(**numbers)

    def epochs_of(self, epochs: int) -> int:
        """How many epochs to train instead of so many."""
        return next((int(each.value) for each in self.changes if each.place == "epochs"), epochs)

    def only(self, *numbers: int) -> Patch:
        """The patch with these of its changes alone; to number classes is kept, because mixing needs it."""
        kept = [each for number, each in enumerate(self.changes) if number in numbers or each.place == "classes"]
        return dataclasses.replace(self, changes=tuple(kept))

    def show(self) -> str:
        """The changes as a diff of the spec, in its short form, and of the numbers of the task."""
        before = dict(self.before)
        numbers = {name: before.pop(name) for name in _TASK if name in before}
        after = {**numbers, **{each.place: each.value for each in self._numbers() if each.place in _TASK}}
        pipe = Pipeline.from_spec(before or {"image": []}, self.registry)
        return diff([*written(pipe), *_lines(numbers)], [*written(self.apply(pipe)), *_lines(after)])

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "changes": [dataclasses.asdict(each) for each in self.changes],
            "notes": list(self.notes),
            "before": dict(self.before),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Patch:
        """The patch that `as_dict` gave these data for."""
        return cls(tuple(Change(**each) for each in data["changes"]), tuple(data["notes"]), data["before"])

    def __str__(self) -> str:
        lines = [self.show()] if self.changes else ["nothing to change"]
        for text in (*(f"{each.place}: {each.reason}" for each in self.changes), *self.notes):
            lines += textwrap.wrap(text, 100, subsequent_indent="  ")
        return "\n".join(lines)

    def _numbers(self) -> Iterator[Change]:
        return (each for each in self.changes if each.action == "set")


def _changed(steps: Sequence[Any], changes: Sequence[Change]) -> Iterable[Any]:
    """The steps of a section with its changes, whose indices are those of the section before."""
    for index in range(len(steps) + 1):
        here = [each for each in changes if min(each.index, len(steps)) == index]
        yield from (each.value for each in here if each.action == "insert")
        replaced = [each for each in here if each.action in ("replace", "remove")]
        if replaced:
            yield from (each.value for each in replaced if each.action == "replace")
        elif index < len(steps):
            yield steps[index]


def _lines(numbers: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {value:g}" if isinstance(value, float) else f"{name}: {value}" for name, value in numbers.items()
    ]
