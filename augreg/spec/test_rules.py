"""The test side of a spec, checked when it is read: what `test: same` needs, and that the image's size is certain.

A container that draws which of its children to apply is left out at test time. If all its children lead to the same
other size, the one with the largest weight is used instead, and written out as `test`.

Where a step that changes the size is applied by chance, nobody knows the size of the test image: `resize` with
`p: 0.5`, at the top or in a container, or `one_of` with a `resize` among its children. Such a step is refused unless
`test` says what to do, or a later step leads to one size in any case. To find out, steps are tried on small scenes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from augreg.errors import AugregError, SpecError
from augreg.execution.sampling import draw, expect
from augreg.ops import Scene
from augreg.rng import address_of
from augreg.steps.rules import PROBES, FixedDraws, rule_of
from augreg.steps.step import Location, Step, children, with_arguments

__all__ = ["resolve_test_steps"]

_SCENES = PROBES[:2]
_MOST_SIZES = 4
"""So many possible sizes are kept: more would not show better that the size is not certain."""

_SizeAfter: TypeAlias = tuple[int, int] | None
"""A height and width; None if it is known only once the step has run."""
_Problems: TypeAlias = list[tuple[Location, str]]


def resolve_test_steps(steps: Sequence[Step], location: Location) -> tuple[tuple[Step, ...], _Problems]:
    """The same steps with `test` written out where it follows from children, and the problems, by location."""
    resolved, problems = _resolve_all(steps, location)
    if not problems:
        sizes = _Sizes()
        sizes.follow(resolved, location)
        problems = sizes.problems()
    return resolved, problems


def _resolve_all(steps: Sequence[Step], location: Location) -> tuple[tuple[Step, ...], _Problems]:
    resolved: list[Step] = []
    problems: _Problems = []
    for index, step in enumerate(steps):
        here = (*location, index, step.name)
        if isinstance(step.test, tuple):
            test, inner_problems = _resolve_all(step.test, (*here, "test"))
            step = replace(step, test=test)
            problems += inner_problems
        if children(step.transform):
            inner, inner_problems = _resolve_all(children(step.transform), (*here, "steps"))
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
            expect([step], _SCENES[0])
        except SpecError:
            raise SpecError(
                f"{step.name} draws random numbers, so it cannot have `test: same`; use test: off, or steps"
            ) from None
    inner = children(step.transform)
    if step.test is not None or step.name != "one_of" or step.p < 1.0 or not inner:
        return step
    sizes = {scene: {_size_after(child, scene) for child in inner} for scene in _SCENES}
    if all(after <= {scene.size, None} for scene, after in sizes.items()):
        return step
    if all(len(after) == 1 for after in sizes.values()):
        weights = step.transform.weights or (1.0,) * len(inner)
        return replace(step, test=(inner[weights.index(max(weights))],))
    return step


class _Sizes:
    """The sizes that the test image may have, followed from step to step, and the steps that make them uncertain."""

    def __init__(self) -> None:
        self.possible: list[set[_SizeAfter]] = [{scene.size} for scene in _SCENES]
        self.uncertain: _Problems = []
        self.failed: _Problems = []

    def problems(self) -> _Problems:
        return self.failed + (self.uncertain if any(len(sizes) > 1 for sizes in self.possible) else [])

    def follow(self, steps: Sequence[Step], location: Location, p: float = 1.0) -> None:
        """Apply the test side of these steps; `p` is the probability that the step around them is applied."""
        for index, step in enumerate(steps):
            here = (*location, index, step.name)
            try:
                self._step(step, here, p)
            except SpecError as error:
                self.failed.append((here, error.problems[0].message))

    def _step(self, step: Step, here: Location, p: float) -> None:
        p = 1.0 if step.test == "same" else p * step.p
        inner = children(step.transform)
        if isinstance(step.test, tuple):
            written = next(
                (index for index, child in enumerate(inner) if any(child is one for one in step.test)), None
            )
            if written is None:
                self.follow(step.test, (*here, "test"))
            else:  # by `_resolve`: the spec has it among the children
                self._step(inner[written], (*here, "steps", written, inner[written].name), 1.0)
            return
        if step.test == "off" or p == 0.0:
            return
        always = replace(step, p=1.0)
        rule = rule_of(always) if p == 1.0 or step.test else step.transform.__augreg__.rule
        if inner and rule == "identity":
            self._left_out(inner, step.name, here)
        elif inner:
            applied = set(map(id, _expected_children(always)))
            for index, child in enumerate(inner):
                if id(child) in applied:
                    self._step(child, (*here, "steps", index, child.name), p)
        elif rule != "identity":
            self._applied(always, here, p if step.test is None else 1.0)

    def _applied(self, step: Step, here: Location, p: float) -> None:
        after = [{_expected_size(step, size) for size in sizes} for sizes in self.possible]
        if p == 1.0:
            self.possible = after
            if all(len(sizes) == 1 for sizes in after):
                self.uncertain = []
        elif any(not new <= old | _turned(old) for new, old in zip(after, self.possible, strict=True)):
            self._either(
                after,
                here,
                f"{step.name} changes the image's size, but only with probability {p:g}, so the size of the test "
                f"image is not known: add `test: {rule_of(step)}` (always done at test time), `test: off` (never) or "
                "the steps to apply at test time, or resize to one size later",
            )

    def _left_out(self, inner: Sequence[Step], name: str, here: Location) -> None:
        """A container of these steps that is left out at test time, and may change the size in training."""
        steps = [*(step for step in inner if step.p and children(step.transform)), *_leaves(inner)]
        after = [{_size_after(child, scene) for child in steps} - {scene.size, None} for scene in _SCENES]
        if any(after):
            self._either(
                after,
                here,
                f"{name} may change the image's size or not, so the size of the test image is not known: add "
                "`test:` with the steps to apply at test time, e.g. test: [{resize: 256}, {center_crop: 224}]",
            )

    def _either(self, after: Sequence[set[_SizeAfter]], here: Location, message: str) -> None:
        both = (old | new for old, new in zip(self.possible, after, strict=True))
        self.possible = [set(sorted(sizes, key=str)[:_MOST_SIZES]) for sizes in both]
        self.uncertain.append((here, message))


def _turned(sizes: set[_SizeAfter]) -> set[_SizeAfter]:
    """These sizes with height and width exchanged: quarter turns by chance are left out, as `rot90` is."""
    return {size if size is None else (size[1], size[0]) for size in sizes}


def _leaves(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps inside of containers, at any depth, that are no containers themselves and may be applied."""
    for step in steps:
        inner = children(step.transform)
        if step.p and inner:
            yield from _leaves(inner)
        elif step.p:
            yield step


def _expected_children(step: Step) -> tuple[Step, ...]:
    """The children that a container returns at test time; all of them if it cannot say."""
    transform = step.transform
    try:
        if transform.__augreg__.rule == "children":
            return tuple(transform.expect(_SCENES[0], 1.0))
        return tuple(transform.sample(FixedDraws(), _SCENES[0]))
    except Exception:  # a container of a plugin
        return children(transform)


def _expected_size(step: Step, size: _SizeAfter) -> _SizeAfter:
    """The size after the test side of a step; the size before it if the step refuses such an image."""
    if size is None:
        first, second = (_expected_size(step, scene.size) for scene in _SCENES)
        return first if first == second else None
    try:
        drawn = expect([step], Scene(*size))
    except AugregError:
        return size
    return None if drawn.deferred else drawn.scene.size


def _size_after(step: Step, scene: Scene) -> _SizeAfter:
    """The size of a scene after a step is applied in training."""
    drawn = draw([replace(_in_last_epoch(step), p=1.0)], scene, address_of(0, 0))
    return None if drawn.deferred else drawn.scene.size


def _in_last_epoch(step: Step) -> Step:
    """The step with the last numbers of its schedules, which testing uses, throughout the tree."""
    inner = tuple(map(_in_last_epoch, children(step.transform)))
    changed = inner != children(step.transform)
    return replace(
        step, transform=with_arguments(step.transform, steps=inner) if changed else step.transform, schedules=()
    )
