"""Programs: what is to be done to each image of a batch, as columns of ops in an order that is right for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from augreg.backends import Backend
from augreg.columns.philox import Addresses, words
from augreg.columns.records import Columns, Scenes, gathered, sizes_after
from augreg.columns.seen_boxes import seen_boxes
from augreg.execution.merging import changing
from augreg.execution.passes import passes
from augreg.execution.sampling import MODEST, Drawn, draw, expect
from augreg.execution.sampling_columns import NotByColumnsError, draw_columns
from augreg.ops import BranchMix, FunctionCall, Normalize, Op, Scene
from augreg.ops.scene import Boxes
from augreg.rng import Cursor
from augreg.steps.step import Step

__all__ = ["Limits", "OneByOneError", "Program", "tested", "trained"]

_LARGE: Final = 2**24  # pixels; an image that becomes larger may be made in parts, so its ops are planned by itself


class OneByOneError(ValueError):
    """The images must be transformed one by one, each by a run of its own."""


class Limits(NamedTuple):
    """What a spec says about its plans: whether approximate merging is allowed, and the most pixels of an image."""

    approximate: bool
    max_pixels: int


class Program(msgspec.Struct, frozen=True, eq=False):
    """The ops for N images, the scenes before them, and what the images have in common after them."""

    columns: Sequence[Columns]
    before: Scenes
    after: Scene

    @property
    def clamps(self) -> bool:
        """Whether the results are to be kept from 0 to 1."""
        return self.after.dtype == "float32" and not self.after.normalized


def trained(
    steps: Sequence[Step],
    scenes: Scenes,
    addresses: Addresses,
    engine: Backend,
    limits: Limits,
    boxes: Sequence[Boxes] = (),
) -> Program:
    """What is drawn for each image at its address: the ops that `draw` gives for it alone.

    `boxes` are those of each image's sample, if it has any. Raises OneByOneError where a step is drawn after an op
    has run, and what drawing raises.
    """
    if not limits.approximate:
        seen = replace(scenes, boxes=seen_boxes(boxes)) if any(boxes) else scenes
        try:
            drawn = draw_columns(steps, seen, addresses, engine.words or words, engine.cursor or Cursor)
        except NotByColumnsError:
            pass
        else:
            if _within_budget(drawn.columns, scenes, limits.max_pixels):
                return Program(drawn.columns, scenes, drawn.scenes.common)
    plans = []
    for row in range(len(scenes)):
        scene = scenes.at(row)
        if boxes:
            scene = replace(scene, boxes=boxes[row])
        plans.append(_planned(draw(steps, scene, addresses.at(row), open_cursor=engine.cursor), scene, limits))
    return _together(plans, scenes)


def tested(steps: Sequence[Step], scenes: Scenes, limits: Limits) -> Program:
    """What the test-time rules give for each image. Raises OneByOneError where a size is known only after an op."""
    known: dict[tuple[int, int], _Plan] = {}
    plans = []
    for row, size in enumerate(zip(scenes.height.tolist(), scenes.width.tolist(), strict=True)):
        if size not in known:
            scene = scenes.at(row)
            plan = _planned(expect(steps, scene), scene, limits)
            known[size] = plan._replace(ops=changing(plan.ops, scene))  # many rules are to change nothing
        plans.append(known[size])
    return _together(plans, scenes)


def _within_budget(columns: Sequence[Columns], scenes: Scenes, max_pixels: int) -> bool:
    """Whether no op makes an image of more pixels than any spec allows, or of none."""
    limit = np.minimum(np.maximum(max_pixels, scenes.height * scenes.width), _LARGE)
    height, width = scenes.height, scenes.width
    for column in columns:
        if not column.op.keeps_scene:
            rows = column.rows
            height, width = sizes_after(column.op, rows, height, width)
            pixels = height[rows] * width[rows]
            if not ((pixels > 0) & (pixels <= limit[rows])).all():
                return False
    return True


class _Plan(NamedTuple):
    """The ops of one image, and the kind of image that they leave."""

    ops: Sequence[Op]
    after: Scene


def _planned(drawn: Drawn, scene: Scene, limits: Limits) -> _Plan:
    if drawn.deferred or any(type(op) is FunctionCall and op.size is None and op.geometry for op in drawn.ops):
        raise OneByOneError("the size of an image is known only after a step has run")
    plain = drawn.modest and limits.max_pixels >= MODEST and not limits.approximate
    ops = drawn.ops if plain else passes(drawn, scene, limits.approximate, limits.max_pixels)
    return _Plan(ops, replace(drawn.scene, height=1, width=1, boxes=()))


def _together(plans: Sequence[_Plan], scenes: Scenes) -> Program:
    """The program of images that were planned one by one."""
    first = plans[0]
    if any(plan.after != first.after for plan in plans):
        raise OneByOneError("the images of a batch become of different kinds")
    if all(plan is first for plan in plans):
        everyone = np.arange(len(plans))
        columns: list[Columns] = []
        for op in first.ops:
            mixes = [(row, op) for row in everyone.tolist()] if isinstance(op, BranchMix) else []
            columns += gathered(mixes) if mixes else [Columns(op, everyone)]
        return Program(columns, scenes, first.after)
    return Program(_scheduled([plan.ops for plan in plans]), scenes, first.after)


def _scheduled(every: Sequence[Sequence[Op]]) -> list[Columns]:
    """The ops of all images by kind: at each turn the kind that the most images need next, normalization last."""
    at = [0] * len(every)
    columns: list[Columns] = []
    waiting = [row for row, ops in enumerate(every) if ops]
    while waiting:
        kinds: dict[type[Op], list[int]] = {}
        for row in waiting:
            kinds.setdefault(type(every[row][at[row]]), []).append(row)
        kind = max(kinds, key=lambda kind: (kind is not Normalize, len(kinds[kind])))
        columns += gathered([(row, every[row][at[row]]) for row in kinds[kind]])
        for row in kinds[kind]:
            at[row] += 1
        waiting = [row for row in waiting if at[row] < len(every[row])]
    return columns
