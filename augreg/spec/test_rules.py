"""The test side of a spec, checked when it is read: what `test: same` needs, and that the image's size is certain.

A container that draws which of its children to apply is left out at test time. If it ends at the same other size in
any case, the first children that it may draw are used instead, and written out as `test`: of `one_of`, the one with
the largest weight.

Where the size changes by chance, nobody knows the size of the test image: `resize` with `p: 0.5`, at the top or in a
container, `one_of` with a `resize` among its children, or a crop and a resize in random order. Such a step is refused
unless `test` says what to do, or a later step leads to one size in any case. To find out, steps are tried on small
scenes, and containers with every result of their draws. All epochs of schedules are checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from augreg.errors import AugregError, SpecError
from augreg.execution.sampling import draw, expect
from augreg.ops import Scene
from augreg.rng import address_of
from augreg.steps.rules import PROBES, FixedDraws, outcomes, rule_of
from augreg.steps.schedules import at_epoch, resolve, whole_epochs
from augreg.steps.step import Location, Step, children, with_arguments

__all__ = ["resolve_test_steps"]

_SCENES = PROBES[:2]
_MOST_SIZES = 4
"""So many possible sizes are kept: more would not show better that the size is not certain."""
_MOST_EPOCHS = 100
_OR_LATER = "or resize later to an exact size (`size: [h, w]`), or crop"

_SizeAfter: TypeAlias = tuple[int, int] | None
"""A height and width; None if it is known only once the step has run."""
_Problems: TypeAlias = list[tuple[Location, str]]
_Located: TypeAlias = Iterable[tuple[Step, Location]]


def resolve_test_steps(steps: Sequence[Step], location: Location) -> tuple[tuple[Step, ...], _Problems]:
    """The same steps with `test` written out where it follows from children, and the problems, by location."""
    resolved, problems = _resolve_and_follow(steps, location)
    for epoch in _epochs(steps) if not problems else ():
        _, problems = _resolve_and_follow([_in_epoch(step, epoch) for step in steps], location, epoch)
        if problems:
            break
    return resolved, problems


def _resolve_and_follow(
    steps: Sequence[Step], location: Location, epoch: int | None = None
) -> tuple[tuple[Step, ...], _Problems]:
    """As `resolve_test_steps`, for the numbers of one epoch; None is the last, in which all problems count."""
    ends = _Ends()
    resolved, problems = _resolve_all(steps, location, ends, False)
    if not problems:
        sizes = _Sizes(ends, epoch)
        sizes.follow(_located(resolved, location))
        problems = sizes.problems()
        if sizes.uncertain and problems:
            # only where they are needed, as what is written out is part of the spec and its fingerprint
            others, _ = _resolve_all(steps, location, ends, True)
            sizes = _Sizes(ends, epoch)
            sizes.follow(_located(others, location))
            resolved, problems = others, sizes.problems()
    elif epoch is not None:
        problems = []
    return resolved, problems


def _resolve_all(
    steps: Sequence[Step], location: Location, ends: _Ends, every_container: bool
) -> tuple[tuple[Step, ...], _Problems]:
    resolved: list[Step] = []
    problems: _Problems = []
    for index, step in enumerate(steps):
        here = (*location, index, step.name)
        if isinstance(step.test, tuple):
            test, inner_problems = _resolve_all(step.test, (*here, "test"), ends, every_container)
            step = replace(step, test=test)
            problems += inner_problems
        if children(step.transform):
            inner, inner_problems = _resolve_all(children(step.transform), (*here, "steps"), ends, every_container)
            step = replace(step, transform=with_arguments(step.transform, steps=inner))
            problems += inner_problems
        try:
            step = _resolve(step, ends, every_container)
        except SpecError as error:
            problems.append((here, error.problems[0].message))
        resolved.append(step)
    return tuple(resolved), problems


def _resolve(step: Step, ends: _Ends, every_container: bool) -> Step:
    if step.test == "same":
        try:
            expect([step], _SCENES[0])
        except SpecError:
            raise SpecError(
                f"{step.name} draws random numbers, so it cannot have `test: same`; use test: off, or steps"
            ) from None
    inner = children(step.transform)
    if step.test is not None or step.p < 1.0 or not inner:
        return step
    if step.name == "one_of":  # as its children are drawn once: fingerprints depend on it
        after = [{_size_after(child, scene) for child in inner} for scene in _SCENES]
        if _agree(after):
            return replace(step, test=_first_draw(step, inner))
    if every_container and rule_of(step) == "identity":
        after = [ends(step, scene.size) for scene in _SCENES]
        if _agree(after):
            return replace(step, test=_first_draw(step, inner))
    return step


def _agree(after: Sequence[set[_SizeAfter]]) -> bool:
    """Whether each scene has one size after a step, and not all keep theirs."""
    kept = all(sizes <= {scene.size, None} for scene, sizes in zip(_SCENES, after, strict=True))
    return not kept and all(len(sizes) == 1 for sizes in after)


def _size_after(step: Step, scene: Scene) -> _SizeAfter:
    """The size of a scene after a step is applied in one draw of training, with the last numbers of schedules."""
    drawn = draw([replace(_in_last_epoch(step), p=1.0)], scene, address_of(0, 0))
    return None if drawn.deferred else drawn.scene.size


def _in_last_epoch(step: Step) -> Step:
    inner = tuple(map(_in_last_epoch, children(step.transform)))
    changed = inner != children(step.transform)
    return replace(
        step, transform=with_arguments(step.transform, steps=inner) if changed else step.transform, schedules=()
    )


def _first_draw(step: Step, inner: tuple[Step, ...]) -> tuple[Step, ...]:
    """The children for the test image: the one with the largest weight, or else the first that it may draw."""
    if step.name == "one_of":
        weights = step.transform.weights or (1.0,) * len(inner)
        return (inner[weights.index(max(weights))],)
    return _draws(step)[0]


class _Sizes:
    """The sizes that the test image may have, followed from step to step, and the steps that make them uncertain."""

    def __init__(self, ends: _Ends, epoch: int | None) -> None:
        self.possible: list[set[_SizeAfter]] = [{scene.size} for scene in _SCENES]
        self.uncertain: _Problems = []
        self.failed: _Problems = []
        self._ends = ends
        self._epoch = epoch
        self._so = (
            "so the size of the test image is not known"
            if epoch is None
            else f"in epoch {epoch}, so images of that epoch differ in size"
        )

    def problems(self) -> _Problems:
        failed = self.failed if self._epoch is None else []  # testing uses the numbers of the last epoch
        return failed + (self.uncertain if any(len(sizes) > 1 for sizes in self.possible) else [])

    def follow(self, steps: _Located, p: float = 1.0) -> None:
        """Apply the test side of these steps; `p` is the probability that the step around them is applied."""
        for step, here in steps:
            try:
                self._step(step, here, p)
            except SpecError as error:
                self.failed.append((here, error.problems[0].message))

    def _step(self, step: Step, here: Location, p: float) -> None:
        p = 1.0 if step.test == "same" else p * step.p
        inner = children(step.transform)
        if isinstance(step.test, tuple):
            self._steps_for_testing(step, step.test, inner, here)
            return
        if step.test == "off" or p == 0.0:
            return
        always = replace(step, p=1.0)
        rule = rule_of(always) if p == 1.0 or step.test else step.transform.__augreg__.rule
        if inner:
            before = self.possible
            if rule != "identity":
                self.follow(_located_among(_expected_children(always), inner, here), p)
            if rule == "identity" or len(_draws(always)) > 1:
                self._drawn(always, before, here, p)
        elif rule != "identity":
            self._applied(always, here, p if step.test is None else 1.0)

    def _steps_for_testing(self, step: Step, test: tuple[Step, ...], inner: tuple[Step, ...], here: Location) -> None:
        if not any(child is one for child in inner for one in test):
            self.follow(_located(test, (*here, "test")))
            return
        # by `_resolve`: the spec has them among the children
        before = self.possible
        self.follow(_located_among(test, inner, here))
        self._drawn(replace(step, test=None), before, here, 1.0)

    def _applied(self, step: Step, here: Location, p: float) -> None:
        after = [{_expected_size(step, size) for size in sizes} for sizes in self.possible]
        if p == 1.0:
            self._certain(after)
        elif any(not new <= old | _turned(old) for new, old in zip(after, self.possible, strict=True)):
            comma = ", " if self._epoch is None else " "
            self._either(
                after,
                here,
                f"{step.name} changes the image's size, but only with probability {p:g}{comma}{self._so}: add "
                f"`test: {rule_of(step)}` (always done at test time), `test: off` (never) or the steps to apply at "
                f"test time, {_OR_LATER}",
            )

    def _certain(self, after: list[set[_SizeAfter]]) -> None:
        self.possible = after
        if all(len(sizes) == 1 for sizes in after):
            self.uncertain = []

    def _drawn(self, step: Step, before: Sequence[set[_SizeAfter]], here: Location, p: float) -> None:
        """A container that may end at more sizes than its test side, whose sizes are the possible ones now."""
        after = [set().union(*(self._ends(step, size) for size in sizes)) for sizes in before]
        if self.possible is before:  # it is left out
            if all(self._ends(step, size) <= {size} | _turned({size}) for sizes in before for size in sizes):
                return
        elif all(new <= now | _turned(now) for new, now in zip(after, self.possible, strict=True)):
            return
        if p < 1.0:
            after = [new | old for new, old in zip(after, before, strict=True)]
        ends = _in_words(after, before)
        if all(len(new) == 1 for new in after):
            ends += " in training, and is left out at test time"
        comma = ", " if self._epoch is None else " "
        order = "`test: children` (the order given) or " if step.transform.__augreg__.rule == "children" else ""
        self._either(
            after,
            here,
            f"{step.name} ends at {ends}{comma}{self._so}: add {order}`test:` with the steps to apply at test time, "
            f"e.g. test: [{{resize: 256}}, {{center_crop: 224}}], {_OR_LATER}",
        )

    def _either(self, after: Sequence[set[_SizeAfter]], here: Location, message: str) -> None:
        both = (old | new for old, new in zip(self.possible, after, strict=True))
        self.possible = [_some(sizes) for sizes in both]
        self.uncertain.append((here, message))


def _some(sizes: set[_SizeAfter]) -> set[_SizeAfter]:
    return set(sorted(sizes, key=str)[:_MOST_SIZES]) if len(sizes) > _MOST_SIZES else sizes


def _turned(sizes: set[_SizeAfter]) -> set[_SizeAfter]:
    """These sizes with height and width exchanged: quarter turns by chance are left out, as `rot90` is."""
    return {size if size is None else (size[1], size[0]) for size in sizes}


def _in_words(after: Sequence[set[_SizeAfter]], before: Sequence[set[_SizeAfter]]) -> str:
    """The sizes after a step, of images of the sizes before it. A size that is the same for all is a number."""
    exact = set.intersection(*after) - {None}
    words = [f"{size[0]}x{size[1]}" for size in sorted(exact, key=lambda size: size or ()) if size]
    if any((new - exact) & old for new, old in zip(after, before, strict=True)):
        words.append("the size before it")
    if any(new - exact - old for new, old in zip(after, before, strict=True)):
        words.append("another size" if words else "several sizes")
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _located(steps: Iterable[Step], location: Location) -> Iterator[tuple[Step, Location]]:
    return ((step, (*location, index, step.name)) for index, step in enumerate(steps))


def _located_among(
    steps: Iterable[Step], inner: Sequence[Step], location: Location
) -> Iterator[tuple[Step, Location]]:
    """These steps with their places among the children of the container at this location."""
    places = {id(child): index for index, child in enumerate(inner)}
    for step in steps:
        if id(step) in places:
            yield step, (*location, "steps", places[id(step)], step.name)


class _Ends:
    """The sizes that an image of some size may have after a step in training, however its containers draw.

    A step that is no container ends at the size of its test side, or is not applied.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, _SizeAfter], tuple[Step, set[_SizeAfter]]] = {}

    def __call__(self, step: Step, size: _SizeAfter) -> set[_SizeAfter]:
        key = id(step), size
        if key not in self._known:
            self._known[key] = step, self._found(step, size)  # the step too, as its id may not be used again
        return self._known[key][1]

    def _found(self, step: Step, size: _SizeAfter) -> set[_SizeAfter]:
        p = 1.0 if step.test == "same" else step.p
        if step.test == "off" or p == 0.0:
            return {size}
        if isinstance(step.test, tuple):
            return self._through(step.test, size)
        always = replace(step, p=1.0)
        if children(step.transform):
            after = set().union(*(self._through(drawn, size) for drawn in _draws(always)))
        elif (rule_of(always) if p == 1.0 or step.test else step.transform.__augreg__.rule) == "identity":
            return {size}
        else:
            after = {_expected_size(always, size)}
            p = p if step.test is None else 1.0
        if p == 1.0:
            return _some(after)
        return {size} if after <= _turned({size}) else _some(after | {size})

    def _through(self, steps: Iterable[Step], size: _SizeAfter) -> set[_SizeAfter]:
        sizes = {size}
        for step in steps:
            sizes = _some(set().union(*(self(step, each) for each in sizes)))
        return sizes


def _draws(step: Step) -> list[tuple[Step, ...]]:
    """The children that a container may apply in training, in the order of each draw."""
    if step.test == "children":
        return [_expected_children(step)]
    try:
        found = outcomes(step.transform)
    except Exception:  # a container of a plugin
        return [(), *((child,) for child in children(step.transform))]
    return list({tuple(map(id, drawn)): drawn for drawn in found}.values())


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


def _epochs(steps: Sequence[Step]) -> list[int]:
    """The first epoch of each kind: what has a `p` of 0, 1 or between, and which numbers the others have."""
    scheduled = list(_scheduled(steps))
    values = [value for _, value in scheduled]
    kinds: dict[str, int] = {}
    chances: dict[str, int] = {}
    for epoch in whole_epochs(values):
        now = [_kind(name, resolve(value, epoch)) for name, value in scheduled]
        kinds.setdefault(repr(now), epoch)
        chances.setdefault(repr([kind for kind in now if isinstance(kind, str)]), epoch)
    every = -(-len(kinds) // _MOST_EPOCHS) or 1
    return sorted({*list(kinds.values())[::every], *list(chances.values())[:_MOST_EPOCHS]})


def _scheduled(steps: Iterable[Step]) -> Iterator[tuple[str, Any]]:
    """The schedules on which sizes may depend."""
    for step in steps:
        if step.transform.__augreg__.kind in ("geometry", "choose"):
            yield from step.schedules
        yield from _scheduled(children(step.transform))


def _kind(name: str, value: Any) -> Any:
    return value if name != "p" else "never" if value <= 0.0 else "always" if value >= 1.0 else "by chance"


def _in_epoch(step: Step, epoch: int) -> Step:
    """The step with the numbers of an epoch, throughout the tree."""
    inner = children(step.transform)
    changed = tuple(_in_epoch(child, epoch) for child in inner)
    if any(one is not other for one, other in zip(changed, inner, strict=True)):
        step = replace(step, transform=with_arguments(step.transform, steps=changed))
    return at_epoch(step, epoch) if step.schedules else step
