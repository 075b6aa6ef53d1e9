"""A pipeline less one step, in which all other steps draw the same numbers as before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

from augreg.spec.options import SECTIONS
from augreg.spec.pydantic_field import PydanticField
from augreg.steps.step import Step, children
from augreg.steps.suggestions import nearest

__all__ = ["LeavesOut"]


class LeavesOut(PydanticField):
    """The method `without` of a pipeline."""

    def without(self, step: str | Step) -> Self:
        """The same pipeline less one step, of any section; all other steps draw the same numbers as before.

        `step` is its path, such as `rotate#0` or `one_of#0/invert#0`, its name if only one step has it, or the `Step`
        itself; a step of views is `views/global/rotate#0`. Where the draws of others depend on it, it stays with
        `p: 0`: before another step of its name, and in a container that draws. Raises ValueError if there is no such
        step, and SpecError if the rest is no valid spec, for example because the size of the test image is no longer
        certain.
        """
        pipe: Any = self
        data = self.to_spec()
        places = [
            place
            for section in SECTIONS
            for place in _places(getattr(pipe.spec, section), data.get(section, []), section in ("image", "batch"))
        ]
        places += [
            place
            for group in pipe.spec.views
            for place in _places(group.steps, data["views"][group.name]["steps"], True)
        ]
        _leave_out(_the_one(step, places))
        return type(self).from_spec(data, pipe.registry)


class _Place(NamedTuple):
    """A step, its number among the steps beside it, and the list in the spec that has them.

    `has_p` is whether its section takes `p`, and `draws` whether the container around it draws among its children.
    """

    step: Step
    number: int
    beside: Sequence[Step]
    data: list[Any]
    has_p: bool
    draws: bool = False


def _places(steps: Sequence[Step], data: list[Any], has_p: bool, draws: bool = False) -> Iterator[_Place]:
    for number, step in enumerate(steps):
        yield _Place(step, number, steps, data, has_p, draws)
        inner = data[number][step.name].get("steps", [])
        yield from _places(children(step.transform), inner, has_p, step.name != "sequential")


def _the_one(step: str | Step, places: Sequence[_Place]) -> _Place:
    found = [place for place in places if step is place.step or step == place.step.path]
    found = found or [place for place in places if step == place.step.name]
    if len(found) == 1:
        return found[0]
    paths = [place.step.path for place in places]
    given = repr(step) if isinstance(step, str) else f"this {type(step).__name__}"
    if found:
        why = f"{given} may be {' or '.join(repr(place.step.path) for place in found)}; give one of these paths"
    else:
        known = ", ".join(map(repr, paths)) or "none"
        why = f"the pipeline has no step {given}{nearest(step, paths)}; its steps are: {known}"
    raise ValueError(why)


def _leave_out(place: _Place) -> None:
    step, later = place.step, place.beside[place.number + 1 :]
    numbered = any(other.name == step.name and other.uid is None for other in later)
    if place.has_p and (place.draws or numbered):
        arguments = place.data[place.number][step.name]
        arguments["p"] = 0.0
        arguments.pop("test", None)
    else:
        del place.data[place.number]
