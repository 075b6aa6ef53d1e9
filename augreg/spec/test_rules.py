"""Settling the test side: what follows from a container's children is written out, and what cannot be is refused.

A step that draws which of its children are done is left out at test time. If the children change the image's size,
that would leave an image of the wrong size: then the likeliest child stands in where all leave the same
size, and otherwise the spec must say what to do. To know, the children are sampled on two small scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from augreg.errors import SpecError
from augreg.execution.sampling import draw, expect, rule_of
from augreg.ops import Scene
from augreg.rng import address_of
from augreg.steps.step import Place, Step, children

__all__ = ["settle"]

_PROBES = (Scene(61, 83), Scene(97, 64))
Complaint = tuple[Place, str]


def settle(steps: Sequence[Step], place: Place) -> tuple[tuple[Step, ...], list[Complaint]]:
    """The same steps with `test` written out where it follows, and what is wrong, by place in the spec."""
    settled: list[Step] = []
    complaints: list[Complaint] = []
    for index, step in enumerate(steps):
        here = (*place, index, step.name)
        if isinstance(step.test, tuple):
            test, found = settle(step.test, (*here, "test"))
            step = replace(step, test=test)
            complaints += found
        if children(step.transform):
            inner, found = settle(children(step.transform), (*here, "steps"))
            step = replace(step, transform=replace(step.transform, steps=inner))
            complaints += found
        try:
            step = _settled(step)
        except SpecError as error:
            complaints.append((here, error.problems[0].message))
        settled.append(step)
    return tuple(settled), complaints


def _settled(step: Step) -> Step:
    if step.test == "same":
        try:
            expect([step], _PROBES[0])
        except SpecError:
            raise SpecError(
                f"{step.name} draws random numbers, so `test: same` cannot be; use test: off, or steps"
            ) from None
    inner = children(step.transform)
    if step.test is not None or not inner or rule_of(step) != "identity":
        return step
    sizes = {probe: {_size_after(child, probe) for child in inner} for probe in _PROBES}
    if all(found <= {probe.size, None} for probe, found in sizes.items()):
        return step
    if step.name == "one_of" and step.p == 1.0 and all(len(found) == 1 for found in sizes.values()):
        weights = step.transform.weights or (1.0,) * len(inner)
        return replace(step, test=(inner[weights.index(max(weights))],))
    raise SpecError(
        f"{step.name} changes the image's size by chance, so its test-time image has no size of its own: add "
        "`test:` with the steps to do at test time, e.g. test: [{resize: 256}, {center_crop: 224}]"
    )


def _size_after(step: Step, probe: Scene) -> tuple[int, int] | None:
    """The size that a step leaves of a probe when it is applied; None if only running it tells."""
    drawn = draw([replace(_at_the_end(step), p=1.0)], probe, address_of(0, 0))
    return None if drawn.deferred else drawn.scene.size


def _at_the_end(step: Step) -> Step:
    """The step with the last numbers of its schedules, which testing uses, throughout the tree."""
    inner = tuple(map(_at_the_end, children(step.transform)))
    transform = replace(step.transform, steps=inner) if inner != children(step.transform) else step.transform
    return replace(step, transform=transform, schedules=())
