"""One run of a pipeline, step by step: the image after each step, and what the step did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.execution.run import run_ops
from augreg.execution.sampling import Drawn, Entry, draw, expect, resume
from augreg.ops import Normalize, Op, Scene
from augreg.ops.scene import Boxes
from augreg.pipeline import Pipeline
from augreg.rng import Address

__all__ = ["Stage", "said", "scene_of", "stages"]


class Stage(NamedTuple):
    """A step that was come to, what it did in words, and the image after it: None where it did nothing.

    `parent` is the step that it is a child of, and `normalize` the op that turned levels into floats, once one did.
    """

    name: str
    parent: str
    words: str
    array: NDArray[Any] | None
    normalize: Normalize | None


def said(ops: Iterable[Op]) -> str:
    """The ops in words."""
    return ", ".join(map(str, ops))


def scene_of(array: NDArray[Any], epoch: int = 0) -> Scene:
    """What is known of a height x width x channels image."""
    height, width, channels = array.shape
    return Scene(height, width, channels, "uint8" if array.dtype == "uint8" else "float32", epoch=epoch)


def _words(entry: Entry, ops: tuple[Op, ...]) -> str:
    if not entry.applied:
        return "left out" if entry.rule else "not applied"
    return said(ops)


def stages(pipeline: Pipeline, array: NDArray[Any], address: Address | None, boxes: Boxes = ()) -> list[Stage]:
    """Every stage of an image on its way, at an address of random numbers; without one, at test time.

    `boxes` are those of its sample, in pixels.
    """
    scene = replace(scene_of(array, address.epoch if address is not None else 0), boxes=boxes)
    drawn = expect(pipeline.steps, scene) if address is None else draw(pipeline.steps, scene, address)
    engine = pipeline.train.engine
    entries: list[Entry] = []
    found: list[Stage] = []
    normalize: Normalize | None = None
    while True:
        for entry, ops in _by_step(drawn, entries):
            array = run_ops(ops, array, engine)
            normalize = next((op for op in ops if isinstance(op, Normalize)), normalize)
            if not ops and any(child.path.startswith(f"{entry.path}/") for child in entries):
                continue  # its children speak for it
            parent = entry.path.rpartition("/")[0]
            names = [other.name for other in entries if other.path == parent]
            found.append(Stage(entry.name, "".join(names[:1]), _words(entry, ops), array if ops else None, normalize))
        if not drawn.deferred:
            return found
        height, width, channels = array.shape
        scene = replace(drawn.scene, height=height, width=width, channels=channels)
        drawn = resume(drawn, scene, address)


def _by_step(drawn: Drawn, entries: list[Entry]) -> Iterator[tuple[Entry, tuple[Op, ...]]]:
    """The steps in the order in which they were come to, each with its ops; adds the new ones to `entries`."""
    reached = len(entries)
    entries += drawn.entries
    owner = {id(op): place for place, entry in enumerate(entries) for op in entry.ops}
    for place, ops in groupby(drawn.ops, key=lambda op: owner[id(op)]):
        for entry in entries[reached:place]:
            if not entry.ops:
                yield entry, ()
        reached = max(reached, place + 1)
        yield entries[place], tuple(ops)
    for entry in entries[reached:]:
        if not entry.ops:
            yield entry, ()
