"""Sampling: steps to ops. It draws the numbers, threads the scene, and records who drew what.

Steps are done in order from a stack, so that a container's children are sampled after it and on their own
addresses: no cursor is ever open while another step draws. Training and testing are the same walk;
testing asks each step for its rule instead of a draw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from augreg.errors import ImageError, SpecError
from augreg.ops import Op, Scene
from augreg.rng import Address, stream_key
from augreg.steps.schedules import scheduled
from augreg.steps.step import Step

if TYPE_CHECKING:
    from augreg.rng import Cursor

__all__ = ["Drawn", "Entry", "draw", "expect", "rule_of"]


class Entry(msgspec.Struct):
    """What one step drew. `applied` is False when its coin said no; `depth` is 0 for a step of the spec itself.

    At test time `rule` is the rule that held, and `exact` says for which quantity it gives the expectation.
    """

    path: str
    name: str
    depth: int
    p: float
    applied: bool
    ops: list[Op] = []
    rule: str = ""
    exact: str = ""


class Drawn(msgspec.Struct):
    """The ops in order, the record by steps, the scene they leave, and what waits behind an op of unknown size."""

    ops: list[Op]
    entries: list[Entry]
    scene: Scene
    deferred: list[Any]


_Item = tuple[Any, Entry | None]
"""Something on the stack: a step or an op, and the entry of the step that it came from."""


def draw(steps: Iterable[Step], scene: Scene, address: Address) -> Drawn:
    """Sample the steps for one image at one address."""
    return _walk([(step, None) for step in reversed(tuple(steps))], scene, address)


def expect(steps: Iterable[Step], scene: Scene) -> Drawn:
    """The ops of the test-time rules."""
    return _walk([(step, None) for step in reversed(tuple(steps))], scene, None)


def resume(drawn: Drawn, scene: Scene, address: Address | None) -> Drawn:
    """Go on behind an op of unknown size, now that the image it left is known."""
    return _walk(drawn.deferred, scene, address)


def _walk(stack: list[_Item], scene: Scene, address: Address | None) -> Drawn:
    stack = list(stack)
    ops: list[Op] = []
    entries: list[Entry] = []
    while stack:
        what, parent = stack.pop()
        if isinstance(what, Op):
            ops.append(what)
            if parent is not None:
                parent.ops.append(what)
            known = what.size_after(scene.height, scene.width) is not None
            scene = what.after(scene)
            if not known:
                return Drawn(ops, entries, scene, stack)
            continue
        step: Step = what
        if step.schedules and address is not None:
            step = scheduled(step, address.epoch)
        depth = parent.depth + 1 if parent is not None else 0
        path = step.path or _dynamic_path(step, parent, entries)
        entry = Entry(path, step.name, depth, step.p, True, [])
        entries.append(entry)
        try:
            found = _expected(step, scene, entry) if address is None else _sampled(step, path, scene, address, entry)
        except ImageError:  # what a step finds wrong with the image itself
            raise
        except Exception as error:
            what = str(error) if isinstance(error, ValueError | RuntimeError) else f"{type(error).__name__}: {error}"
            raise SpecError(path, f"{step.name} failed on a {scene.height}x{scene.width} image: {what}") from error
        parts = found if isinstance(found, tuple) else (found,)
        for part in reversed(parts):
            if not isinstance(part, Op | Step):
                method = "expect" if address is None else "sample"
                wanted = "expected an op, a step, a tuple of them, or () for nothing"
                raise SpecError(path, f"{step.name}: {method} returned {found!r}; {wanted}")
            stack.append((part, entry))
    return Drawn(ops, entries, scene, [])


def _dynamic_path(step: Step, parent: Entry | None, entries: list[Entry]) -> str:
    """The path of a step that a `sample` made: its parent's, its name, and which of that name it is."""
    prefix = f"{parent.path}/" if parent is not None else ""
    start = f"{prefix}{step.uid or step.name}#"
    count = sum(entry.path.startswith(start) and "/" not in entry.path[len(start) :] for entry in entries)
    return f"{start}{count}"


def _sampled(step: Step, path: str, scene: Scene, address: Address, entry: Entry) -> Any:
    cursor = address.cursor(step.stream_key if step.stream_key is not None else stream_key(path))
    try:
        if not cursor.bernoulli(step.p):
            entry.applied = False
            return ()
        return step.transform.sample(cursor, scene)
    finally:
        cursor.close()


def rule_of(step: Step) -> str:
    """The test-time rule that holds for a step: its own, or what the spec says.

    A step whose rule is `same` but which is applied by chance is left out, as chance is not the same.
    """
    if step.test is not None:
        return "steps" if isinstance(step.test, tuple) else "identity" if step.test == "off" else step.test
    rule: str = step.transform.__augreg__.rule
    return "identity" if step.p == 0.0 or (rule == "same" and step.p < 1.0) else rule


def _exact(step: Step, rule: str) -> str:
    """For which quantity a rule gives the exact expectation of what training does with this step."""
    if (rule == "identity" and step.p == 0.0) or (rule == "same" and step.p == 1.0):
        return "everything: nothing is random"
    return step.transform.__augreg__.exact or "nothing" if rule in ("mean_parameter", "children") else "nothing"


class _NoDraws:
    """Stands for the rng where nothing may be drawn."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError("it draws random numbers, so 'same' cannot be its test-time rule; use test: off, or steps")


_NO_DRAWS: Cursor = _NoDraws()  # type: ignore[assignment]


def _expected(step: Step, scene: Scene, entry: Entry) -> Any:
    rule = entry.rule = rule_of(step)
    entry.exact = _exact(step, rule)
    if rule == "identity":
        entry.applied = False
        return ()
    if rule == "steps":
        return step.test
    if rule == "same":
        return step.transform.sample(_NO_DRAWS, scene)
    found = step.transform.expect(scene, step.p)
    if rule == "children" and step.p < 1.0:  # a child is done when its parent and it are
        return tuple(replace(child, p=step.p * child.p) for child in found)
    return found
