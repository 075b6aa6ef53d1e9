"""Sampling: from steps to ops. It draws the numbers, keeps track of the scene, and records which step drew what.

Steps are taken in order from a stack, so that a container's children are sampled after it and with their own stream
keys: no cursor is open while another step draws. A step's first number decides whether it is applied. Training,
testing, test-time views and mixing a batch use the same walk; at test time it applies the rule of each step instead
of drawing, for a view `Choices` decide at each step, and for a batch steps return blends instead of ops.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from augreg.backends import OpenCursor
from augreg.errors import ImageError, SpecError
from augreg.ops import Op, Scene
from augreg.rng import Address, Cursor, stream_key
from augreg.steps.rules import FixedDraws, RandomDrawError, exact_for, is_shuffled, rule_of
from augreg.steps.schedules import scheduled, settled
from augreg.steps.step import Step

__all__ = [
    "IMAGE",
    "MODEST",
    "Choices",
    "DrawKind",
    "Drawn",
    "Entry",
    "by_drawing",
    "by_test_rule",
    "draw",
    "expect",
    "resume",
]


class Entry(msgspec.Struct):
    """What one step drew: `ops` on an image, or blends of a batch. `depth` is 0 for a step of the spec itself.

    `applied` is False when the step was left out by chance. At test time `rule` is the rule that was used, and
    `exact` says for which quantity it gives the expectation; `settled` is the epoch from which on the step and those
    around it have their last numbers, and `shuffled` whether it, or one around it, applies steps in random order.
    """

    path: str
    name: str
    depth: int
    p: float
    applied: bool = True
    ops: list[Any] = []
    rule: str = ""
    exact: str = ""
    settled: int = 0
    shuffled: bool = False


class Drawn(msgspec.Struct):
    """The ops in order, the record by steps, the scene after them, and what is deferred until a size is known.

    `modest` says that no op makes an image of more than `MODEST` pixels, or of none.
    """

    ops: list[Any]
    entries: list[Entry]
    scene: Scene
    deferred: list[Any]
    modest: bool = False


MODEST: Final = 2**20
"""Pixels of an image that needs no check of its size, unless a spec allows less."""


class DrawKind(NamedTuple):
    """What is drawn: ops for an image, or blends for a batch.

    `sample` asks a step for records of class `record`; without it, the `sample` of the step's transform is called.
    """

    record: type
    a_record: str
    name: str
    sample: Callable[[Step, Cursor, Scene], Any] | None = None


IMAGE: Final = DrawKind(Op, "an op", "a {0.height}x{0.width} image")


class Streams(Protocol):
    """Gives the random numbers of each step: an `Address`, or those of a view."""

    def cursor(self, step: int) -> Cursor:
        """The random numbers of the step with this stream key."""


class Choices(Protocol):
    """Decides at each step what it returns: its noise, or what its test-time rule says."""

    @property
    def epoch(self) -> int:
        """The epoch that the scene has; 0 at test time."""

    def take(self, step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
        """The ops or steps of a step, as its `sample` returns them."""


_FIXED_DRAWS: Final = FixedDraws()

_Item = tuple[Any, Entry | None]
"""Something on the stack: a step or a record, and the entry of the step that returned it."""


def draw(
    steps: Iterable[Step],
    scene: Scene,
    source: Address | Choices,
    kind: DrawKind = IMAGE,
    open_cursor: OpenCursor | None = None,
) -> Drawn:
    """Sample the steps for one image, or one batch, at one address, or as the choices of a view decide.

    Raises SpecError, with the step that failed.
    """
    return _walk(_stack(steps), scene, source, kind, open_cursor or Cursor)


def expect(steps: Iterable[Step], scene: Scene) -> Drawn:
    """The ops of the test-time rules."""
    return _walk(_stack(steps), scene, None, IMAGE, Cursor)


def resume(
    drawn: Drawn,
    scene: Scene,
    source: Address | Choices | None,
    earlier: Iterable[Entry],
    open_cursor: OpenCursor | None = None,
) -> Drawn:
    """Continue after an op of unknown size, once the scene after it is known.

    `earlier` are the entries of the whole draw until now: their paths are taken.
    """
    return _walk(list(drawn.deferred), scene, source, IMAGE, open_cursor or Cursor, earlier)


def _stack(steps: Iterable[Step]) -> list[_Item]:
    stack: list[_Item] = [(step, None) for step in steps]
    stack.reverse()
    return stack


_KNOWN: Final[dict[type, set[type]]] = {}  # the classes of records that were returned, by the class of a kind


def _walk(
    stack: list[_Item],
    scene: Scene,
    source: Address | Choices | None,
    kind: DrawKind,
    open_cursor: OpenCursor,
    earlier: Iterable[Entry] = (),
) -> Drawn:
    address = source if isinstance(source, Address) else None
    epoch = None if address is None else address.epoch  # testing uses the last numbers of schedules
    take: Any = by_test_rule if source is None else getattr(source, "take", None)  # not that of an address
    record, sample = kind.record, kind.sample
    on_images = issubclass(record, Op)
    known = _KNOWN.setdefault(record, set())
    paths = {entry.path for entry in earlier} if earlier else set()
    plain = not paths
    modest = on_images
    records: list[Any] = []
    entries: list[Entry] = []
    while stack:
        item, entry = stack.pop()
        if not isinstance(item, Step):
            ready: tuple[Any, ...] = (item,)  # a record, which needs no further draw
        else:
            step = item
            if step.schedules and epoch is not None:
                step = scheduled(step, epoch)
            parent = entry
            path, key, p = step.path, step.stream_key, step.p
            if path:
                plain = plain and "/" not in path  # else it may look like that of a child that a `sample` made
                if path in paths:
                    path, key = _free_path(step, parent, paths), None
            else:
                plain = plain and parent is not None and step.uid is None
                path, key = _first_child(parent.path, step.name) if plain and parent else ("", None)
                if not path or path in paths:
                    path, key = _free_path(step, parent, paths), None
            entry = Entry(path, step.name, 0 if parent is None else parent.depth + 1, p)
            paths.add(path)
            entries.append(entry)
            try:
                if address is None:
                    result = take(step, scene, entry, parent)
                else:  # what `by_drawing` does, in less time
                    cursor = open_cursor(address, stream_key(path) if key is None else key, 1 if p >= 1.0 else 0)
                    try:
                        if p >= 1.0 or cursor.bernoulli(p):
                            result = sample(step, cursor, scene) if sample else step.transform.sample(cursor, scene)
                        else:
                            entry.applied = False
                            result = ()
                    finally:
                        cursor.close()
                ready = result if isinstance(result, tuple) else (result,)
                steps = False
                for part in ready:
                    if part.__class__ not in known:
                        if isinstance(part, record):
                            known.add(part.__class__)
                        elif isinstance(part, Step):
                            steps = True
                        else:
                            raise ValueError(_unexpected(result, kind, source))
            except ImageError:  # the step refuses this image
                raise
            except Exception as error:
                prefix = "" if isinstance(error, ValueError | RuntimeError) else f"{type(error).__name__}: "
                message = f"{step.name} failed on {kind.name.format(scene)}: {prefix}{error}"
                raise SpecError(entry.path, message) from error
            if steps:
                stack += [(part, entry) for part in reversed(ready)]
                continue
        for one in ready:
            records.append(one)
            if entry is not None:
                entry.ops.append(one)
            if on_images and not one.keeps_scene:
                height, width = scene.height, scene.width
                scene = one.after(scene)
                if scene.height == height and scene.width == width:
                    if one.size_after(height, width) is None:
                        rest = ready[[other is one for other in ready].index(True) + 1 :]
                        stack += [(part, entry) for part in reversed(rest)]
                        return Drawn(records, entries, scene, stack)
                elif not 0 < scene.height * scene.width <= MODEST:
                    modest = False
    return Drawn(records, entries, scene, [], modest)


def _unexpected(result: Any, kind: DrawKind, source: object) -> str:
    method = "expect" if source is None else "sample"
    expected = f"expected {kind.a_record}, a step, a tuple of them, or () for nothing"
    return f"{method} returned {result!r}; {expected}"


@functools.lru_cache(maxsize=4096)
def _first_child(parent: str, name: str) -> tuple[str, int]:
    """The path, and its stream key, of the first step of this name that a step's `sample` made."""
    path = f"{parent}/{name}#0"
    return path, stream_key(path)


def _free_path(step: Step, parent: Entry | None, paths: set[str]) -> str:
    """The path of a step, which no other step of this draw has: two steps with one path would draw the same numbers.

    A step that a `sample` made has its parent's path, its name, and its number among those. A step that is returned
    a second time gets the number of the repetition, such as `~1`.
    """
    if step.path:
        return _first_free(f"{step.path}~", 1, paths)
    prefix = f"{parent.path}/" if parent is not None else ""
    start = f"{prefix}{step.uid or step.name}#"
    number = 0
    for path in paths:
        if path.startswith(start) and "/" not in path[len(start) :]:
            number += 1
    return _first_free(start, number, paths)


def _first_free(start: str, number: int, paths: set[str]) -> str:
    path = f"{start}{number}"
    while path in paths:
        number += 1
        path = f"{start}{number}"
    return path


def by_drawing(streams: Streams, kind: DrawKind, step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
    """What a step returns in training, with the random numbers of its own stream."""
    own = step.stream_key if entry.path == step.path else None
    cursor = streams.cursor(own if own is not None else stream_key(entry.path))
    try:
        if not cursor.bernoulli(step.p):
            entry.applied = False
            return ()
        return kind.sample(step, cursor, scene) if kind.sample else step.transform.sample(cursor, scene)
    finally:
        cursor.close()


def by_test_rule(step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
    """What a step returns at test time, by its rule, which is recorded in the entry."""
    rule = rule_of(step)
    transform, declared = step.transform, step.transform.__augreg__.rule
    as_in_training = rule == "same" or (rule == "children" and declared != "children")
    result: Any = ()
    if as_in_training:
        try:
            result = transform.sample(_FIXED_DRAWS, scene)
        except RandomDrawError:  # arguments that leave no choice in the scenes that were tried leave one in this
            if step.test is not None or declared == "same":
                raise
            rule, as_in_training = declared, False
    shuffled = parent is not None and parent.shuffled
    entry.settled = max(settled(step), parent.settled if parent is not None else 0)
    entry.rule, entry.exact = rule, exact_for(step, rule, entry.settled, shuffled)
    entry.shuffled = shuffled or (rule == "children" and is_shuffled(step.transform))
    if as_in_training:
        return result
    if rule == "identity":
        entry.applied = False
        return ()
    if rule == "steps":
        return step.test
    result = transform.expect(scene, step.p)
    if rule == "children" and step.p < 1.0:  # a child is applied only if its parent is applied too
        return tuple(replace(child, p=step.p * child.p) for child in result)
    return result
