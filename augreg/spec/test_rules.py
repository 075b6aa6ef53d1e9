"""Test-time steps of containers: those that follow from the children are written out, others must be in the spec.

A step that draws which of its children to apply is left out at test time. If the children change the image's size,
the test image would then have the wrong size. If all children lead to the same size, the one with the largest weight
is used instead; otherwise the spec must say what to do. To find out, the children are sampled on two small scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from augreg.errors import SpecError
from augreg.execution.sampling import draw, expect, rule_of
from augreg.ops import Scene
from augreg.rng import address_of
from augreg.steps.step import Location, Step, children, with_arguments

__all__ = ["resolve_test_steps"]

_PROBES = (Scene(61, 83), Scene(97, 64))  # a size that is right for one of them may be wrong for the other


def resolve_test_steps(
    steps: Sequence[Step], location: Location
) -> tuple[tuple[Step, ...], list[tuple[Location, str]]]:
    """The same steps with `test` written out where it follows from children, and the problems, by location."""
    resolved: list[Step] = []
    problems: list[tuple[Location, str]] = []
    for index, step in enumerate(steps):
        here = (*location, index, step.name)
        if isinstance(step.test, tuple):
            test, inner_problems = resolve_test_steps(step.test, (*here, "test"))
            step = replace(step, test=test)
            problems += inner_problems
        if children(step.transform):
            inner, inner_problems = resolve_test_steps(children(step.transform), (*here, "steps"))
            step = replace(step, transform=with_arguments(step.transform, steps=inner))
            problems += inner_problems
        try:
            step = _resolve(step)
        except SpecError as error:
            problems.append((here, error.problems[0].message))
        resolved.append(step)
    return tuple(resolved), problems


def _resolve(step: Step) -> Step:
    if step.test == "same":
        try:
            expect([step], _PROBES[0])
        except SpecError:
            raise SpecError(
                f"{step.name} draws random numbers, so it cannot have `test: same`; use test: off, or steps"
            ) from None
    inner = children(step.transform)
    if step.test is not None or not inner or rule_of(step) != "identity":
        return step
    sizes = {probe: {_size_after(child, probe) for child in inner} for probe in _PROBES}
    if all(after <= {probe.size, None} for probe, after in sizes.items()):
        return step
    if step.name == "one_of" and step.p == 1.0 and all(len(after) == 1 for after in sizes.values()):
        weights = step.transform.weights or (1.0,) * len(inner)
        return replace(step, test=(inner[weights.index(max(weights))],))
    raise SpecError(
        f"{step.name} may change the image's size or not, so the size of the test image is not known: add `test:` "
        "with the steps to apply at test time, e.g. test: [{resize: 256}, {center_crop: 224}]"
    )


def _size_after(step: Step, probe: Scene) -> tuple[int, int] | None:
    """The size of a probe after a step is applied; None if it is known only once the step has run."""
    drawn = draw([replace(_in_last_epoch(step), p=1.0)], probe, address_of(0, 0))
    return None if drawn.deferred else drawn.scene.size


def _in_last_epoch(step: Step) -> Step:
    """The step with the last numbers of its schedules, which testing uses, throughout the tree."""
    inner = tuple(map(_in_last_epoch, children(step.transform)))
    changed = inner != children(step.transform)
    return replace(
        step, transform=with_arguments(step.transform, steps=inner) if changed else step.transform, schedules=()
    )
