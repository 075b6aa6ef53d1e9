"""Drawing: the steps of the batch section to blends, and the record of who drew what.

The same walk as for images, and the same addresses: a step's first word is its `p` coin, and a container's children
are sampled after it, on their own addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from augreg.batch.blends import Blend
from augreg.errors import SpecError
from augreg.ops import Scene
from augreg.rng import Address, stream_key
from augreg.steps.schedules import scheduled
from augreg.steps.step import Step

__all__ = ["Entry", "draw"]


class Entry(msgspec.Struct):
    """What one step drew. `applied` is False when its coin said no; `depth` is 0 for a step of the spec itself."""

    path: str
    name: str
    depth: int
    p: float
    applied: bool = True
    blends: list[Blend] = []


def draw(steps: Iterable[Step], count: int, scene: Scene, address: Address) -> list[Entry]:
    """Sample the steps for a batch of `count` images. Raises SpecError where a step fails or gives what is none."""
    stack: list[tuple[Any, Entry | None]] = [(step, None) for step in reversed(tuple(steps))]
    entries: list[Entry] = []
    while stack:
        what, parent = stack.pop()
        if isinstance(what, Blend):
            assert parent is not None  # only a step brings one
            parent.blends.append(what)
            continue
        step: Step = scheduled(what, address.epoch) if what.schedules else what
        entry = Entry(_path(step, parent, entries), step.name, parent.depth + 1 if parent else 0, step.p)
        entries.append(entry)
        parts = _sampled(step, entry, count, scene, address)
        stack.extend((part, entry) for part in reversed(parts))
    return entries


def _path(step: Step, parent: Entry | None, entries: list[Entry]) -> str:
    """The path of a step; one that a `sample` made has its parent's, its name, and which of that name it is."""
    if step.path:
        return step.path
    start = f"{parent.path if parent else ''}/{step.uid or step.name}#"
    return f"{start}{sum(entry.path.startswith(start) and '/' not in entry.path[len(start) :] for entry in entries)}"


def _sampled(step: Step, entry: Entry, count: int, scene: Scene, address: Address) -> tuple[Any, ...]:
    cursor = address.cursor(step.stream_key if step.stream_key is not None else stream_key(entry.path))
    try:
        if not cursor.bernoulli(step.p):
            entry.applied = False
            return ()
        sample = step.transform.sample
        mixes = step.transform.__augreg__.kind == "mixing"
        found = sample(cursor, count, scene) if mixes else sample(cursor, scene)
        parts = found if isinstance(found, tuple) else (found,)
        for part in parts:
            if not isinstance(part, Blend | Step):
                wanted = "expected a blend, a step, a tuple of them, or () for nothing"
                raise ValueError(f"sample returned {found!r}; {wanted}")
            if isinstance(part, Blend):
                part.check(count, scene.height, scene.width)
    except Exception as error:
        what = str(error) if isinstance(error, ValueError | RuntimeError) else f"{type(error).__name__}: {error}"
        batch = f"a batch of {count} images of {scene.height}x{scene.width}"
        raise SpecError(entry.path, f"{step.name} failed on {batch}: {what}") from error
    finally:
        cursor.close()
    return parts
