"""Run a pipeline step by step: the image after each step, and a description of the step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import alpha
from augreg.execution.budget import within_budget
from augreg.execution.run import run_ops
from augreg.execution.sampling import Drawn, Entry, draw, expect, resume
from augreg.gallery.captions import describe_ops
from augreg.ops import Normalize, Op, Scene
from augreg.ops.scene import Boxes
from augreg.pipeline import Pipeline
from augreg.rng import Address

__all__ = ["Stage", "scene_of", "stages"]


class Stage(NamedTuple):
    """A step of the run, a description of what it did, and the image after it, or None if it ran no ops.

    `parent` is the name of the step that contains it. `normalize` is the op that normalized the image, if one has,
    and `changed` says whether a pixel or the size is another than before the step.
    """

    name: str
    parent: str
    caption: str
    array: NDArray[Any] | None
    normalize: Normalize | None
    changed: bool = True


def scene_of(array: NDArray[Any], epoch: int = 0, read_as: str = "rgb") -> Scene:
    """The scene of a height x width x channels image; `read_as` are the spec's `channels`."""
    height, width, channels = array.shape
    dtype: Literal["uint8", "float32"] = "uint8" if array.dtype == "uint8" else "float32"
    return Scene(height, width, channels, dtype, epoch=epoch, alpha=channels == 4 and read_as != "rgb")


def _caption(entry: Entry, ops: tuple[Op, ...], size: tuple[int, int]) -> str:
    if not entry.applied:
        return "left out" if entry.rule else "not applied"
    return describe_ops(ops, size)


def stages(pipeline: Pipeline, array: NDArray[Any], address: Address | None, boxes: Boxes = ()) -> list[Stage]:
    """Every stage of an image in a pipeline, drawn at an address; if the address is None, at test time.

    `boxes` are the boxes of its sample, in pixels.
    """
    scene = replace(
        scene_of(array, address.epoch if address is not None else 0, pipeline.options.channels), boxes=boxes
    )
    drawn = expect(pipeline.steps, scene) if address is None else draw(pipeline.steps, scene, address)
    entries: list[Entry] = []
    result: list[Stage] = []
    normalize: Normalize | None = None
    while True:
        engine = alpha.engine_for(scene, pipeline.train.engine)
        for entry, ops in _by_step(drawn, entries):
            here = replace(scene, height=array.shape[0], width=array.shape[1])
            before = array
            array = run_ops(within_budget(ops, here, pipeline.options.max_pixels), array, engine)
            normalize = next((op for op in ops if isinstance(op, Normalize)), normalize)
            if not ops and any(child.path.startswith(f"{entry.path}/") for child in entries):
                continue  # its children are shown instead
            parent = entry.path.rpartition("/")[0]
            names = [other.name for other in entries if other.path == parent]
            caption = _caption(entry, ops, here.size)
            changed = bool(ops) and not np.array_equal(array, before)
            result.append(Stage(entry.name, "".join(names[:1]), caption, array if ops else None, normalize, changed))
        if not drawn.deferred:
            return result
        scene = drawn.scene.with_shape(array.shape)
        drawn = resume(drawn, scene, address, entries)


def _by_step(drawn: Drawn, entries: list[Entry]) -> Iterator[tuple[Entry, tuple[Op, ...]]]:
    """The steps in the order in which they ran, each with its ops. Appends the new entries to `entries`."""
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
