"""Merging: rewrite the ops that were drawn into fewer passes, by a table of rules.

Exact rules change no byte of the result, on any backend; the docstring of each gives the reason. Moves go early, so
that later ops touch fewer pixels. Constant borders and boxes go late, so that per-pixel ops become neighbors and
merge into one pass. No op passes one that reads several pixels (resize, warp, filter, sharpness), adds noise or calls
a function. Flips and quarter turns pass ops that measure the image; crops and painted boxes do not. On float images
only moves merge, because a different order of float operations rounds differently. Approximate rules change pixels a
little (one resampling instead of two), and apply only where a spec asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from augreg.ops import (
    Enhance,
    Filter,
    Hue,
    Lookup,
    Move,
    Normalize,
    Op,
    Pad,
    Paint,
    Resize,
    Scene,
    Warp,
    projective,
)
from augreg.ops.op import joined

__all__ = ["APPROXIMATE", "EXACT", "UNCHANGED", "Rewrite", "by_kinds", "changing", "merge"]

Merged = tuple[Op, ...] | None


class Rewrite(NamedTuple):
    """A rule for two neighboring ops of these kinds.

    `apply(first, second, scene)` gets the scene before the first op. It returns the ops that replace both, or None
    where the rule does not apply.
    """

    name: str
    first: tuple[type, ...]
    second: tuple[type, ...]
    apply: Callable[[Any, Any, Scene], Merged]


def _pixelwise(op: Op) -> bool:
    """Whether each pixel's result depends on that pixel alone."""
    if isinstance(op, Lookup):
        return not op.measured
    if isinstance(op, Normalize):
        return not op.measured and op.mean_image is None
    return isinstance(op, Hue) or (isinstance(op, Enhance) and op.degenerate == "gray")


def _moves(first: Move, second: Move, scene: Scene) -> Merged:
    """Moves compose: the second box is mapped to the source through the first move's flips."""
    height, width = (first.width, first.height) if first.transpose else (first.height, first.width)
    top = height - second.top - second.height if first.flip_y else second.top
    left = width - second.left - second.width if first.flip_x else second.left
    box = second.height, second.width
    flip_y, flip_x = first.flip_y, first.flip_x
    if first.transpose:
        top, left = left, top
        box = second.width, second.height
    if second.transpose:
        flip_y, flip_x = flip_x, flip_y
    return (
        Move(
            first.top + top,
            first.left + left,
            *box,
            first.transpose != second.transpose,
            flip_y != second.flip_y,
            flip_x != second.flip_x,
            label=(joined, first, second),
        ),
    )


def _whole(move: Move, scene: Scene) -> bool:
    """Whether a move keeps every pixel."""
    return move.height == scene.height and move.width == scene.width and move.top == 0 == move.left


def _pixelwise_move(first: Op, second: Move, scene: Scene) -> Merged:
    """A per-pixel op gives the same values whether it runs before or after pixels are cut off."""
    return (second, first) if scene.dtype == "uint8" and _pixelwise(first) else None


def _measured_move(first: Lookup | Normalize, second: Move, scene: Scene) -> Merged:
    """Statistics of the image stay the same while no pixel is lost."""
    if scene.dtype != "uint8" or not first.measured or not _whole(second, scene):
        return None
    if isinstance(first, Normalize) and first.mean_image is not None:
        return None
    return second, first


def _mean_image_move(first: Normalize, second: Move, scene: Scene) -> Merged:
    """The mean image is moved in the same way."""
    if first.mean_image is None or scene.dtype != "uint8" or (first.measured and not _whole(second, scene)):
        return None
    return second, replace(first, window=(*first.window, second))


def _span(start: int, length: int, inner: int, size: int) -> tuple[int, int]:
    """The part of [start, start + length) within [inner, inner + size)."""
    return max(start, inner), min(start + length, inner + size)


def _pad_move(first: Pad, second: Move, scene: Scene) -> Merged:
    """Crop the image first, and add only the part of the border that the crop would keep."""
    if first.mode != "constant":
        return None
    y0, y1 = _span(second.top, second.height, first.top, scene.height)
    x0, x1 = _span(second.left, second.width, first.left, scene.width)
    if y1 <= y0 or x1 <= x0:
        return None  # only border would be left, and a crop cannot be empty
    top, bottom = y0 - second.top, second.top + second.height - y1
    left, right = x0 - second.left, second.left + second.width - x1
    if second.transpose:
        top, bottom, left, right = left, right, top, bottom
    if second.flip_y:
        top, bottom = bottom, top
    if second.flip_x:
        left, right = right, left
    inner = replace(second, top=y0 - first.top, left=x0 - first.left, height=y1 - y0, width=x1 - x0)
    if not (top or bottom or left or right):
        return (inner,)
    return inner, replace(first, top=top, bottom=bottom, left=left, right=right)


def _paint_move(first: Paint, second: Move, scene: Scene) -> Merged:
    """Paint the part of the box that the move keeps, at its new place."""
    if first.noise is not None:
        return None
    y0, y1 = _span(first.top, first.height, second.top, second.height)
    x0, x1 = _span(first.left, first.width, second.left, second.width)
    if y1 <= y0 or x1 <= x0:
        return (second,)
    top, left, height, width = y0 - second.top, x0 - second.left, y1 - y0, x1 - x0
    if second.transpose:
        top, left, height, width = left, top, width, height
    after_y, after_x = second.size_after(0, 0)
    if second.flip_y:
        top = after_y - top - height
    if second.flip_x:
        left = after_x - left - width
    return second, replace(first, top=top, left=left, height=height, width=width)


def _constant_pixelwise(first: Pad | Paint, second: Op, scene: Scene) -> Merged:
    """Apply the op to the pixels and to the fill separately; a border copied from pixels needs only the former."""
    if scene.dtype != "uint8" or not _pixelwise(second):
        return None
    if isinstance(first, Paint):
        if first.noise is not None:
            return None
    elif first.mode != "constant":
        return second, first
    return second, replace(first, fill_ops=(*first.fill_ops, second))


def _tables(first: Lookup, second: Lookup, scene: Scene) -> Merged:
    """Functions of the pixel value compose to one table, even with statistics of the image in between."""
    if scene.dtype != "uint8":
        return None
    return (Lookup((*first.stages, *second.stages), label=(joined, first, second)),)


def _table_normalize(first: Lookup, second: Normalize, scene: Scene) -> Merged:
    """A table of bytes, then a table of floats, is one table of floats."""
    if scene.dtype != "uint8":
        return None
    return (replace(second, stages=(*first.stages, *second.stages), label=(joined, first, second)),)


EXACT: Final = (
    Rewrite("move after move", (Move,), (Move,), _moves),
    Rewrite("move before pixelwise", (Lookup, Enhance, Hue, Normalize), (Move,), _pixelwise_move),
    Rewrite("flip before measured", (Lookup, Normalize), (Move,), _measured_move),
    Rewrite("move with mean image", (Normalize,), (Move,), _mean_image_move),
    Rewrite("move before pad", (Pad,), (Move,), _pad_move),
    Rewrite("move before paint", (Paint,), (Move,), _paint_move),
    Rewrite("pixelwise before constant", (Pad, Paint), (Lookup, Enhance, Hue, Normalize), _constant_pixelwise),
    Rewrite("table after table", (Lookup,), (Lookup,), _tables),
    Rewrite("normalize after table", (Lookup,), (Normalize,), _table_normalize),
)


_FINENESS = ("nearest", "bilinear", "bicubic")


def _warps(first: Warp, second: Warp, scene: Scene) -> Merged:
    """One resampling instead of two, with the finer interpolation; parts that the first cut off can reappear."""
    matrix = projective.product(first.matrix, second.matrix)
    if matrix is None or first.fill != second.fill or not first.mode == second.mode == "constant":
        return None
    finer = max(first.interpolation, second.interpolation, key=_FINENESS.index)
    return (replace(second, matrix=matrix, interpolation=finer, label=(joined, first, second)),)


def _warp_move(first: Warp, second: Move, scene: Scene) -> Merged:
    """Resample only the part that the move keeps, directly at its new place."""
    height, width = second.size_after(0, 0)
    # from output (x, y) of the move to its input
    x, y = (
        ((-1.0, 0.0, float(width)) if second.flip_x else (1.0, 0.0, 0.0)),
        ((0.0, -1.0, float(height)) if second.flip_y else (0.0, 1.0, 0.0)),
    )
    if second.transpose:
        x, y = y, x
    back = (x[0], x[1], x[2] + second.left, y[0], y[1], y[2] + second.top, 0.0, 0.0)
    matrix = projective.product(first.matrix, back)
    if matrix is None:
        return None
    return (replace(first, matrix=matrix, height=height, width=width, label=(joined, first, second)),)


APPROXIMATE: Final = (
    Rewrite("warp after warp", (Warp,), (Warp,), _warps),
    Rewrite("move after warp", (Warp,), (Move,), _warp_move),
)

_NO_CHANGE: Mapping[str, float | tuple[float, float]] = {
    "brightness": 1.0, "contrast": 1.0, "posterize": 8.0, "solarize_add": 0.0, "solarize": 256.0,
    "multiply_add": (1.0, 0.0), "multiply_add_mean": (1.0, 0.0),
}  # fmt: skip
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def _same_values(op: Lookup, scene: Scene) -> bool:
    """Whether no stage changes a pixel value."""
    for stage in op.stages:  # noqa: SIM110 - all(..) takes four times as long
        if stage.amount != _NO_CHANGE.get(stage.name):
            return False
    return True


Unchanged = Callable[[Any, Scene], bool]

UNCHANGED: Final[Mapping[type[Op], Unchanged]] = {
    Move: lambda op, scene: _whole(op, scene) and not op.rearranges,
    Pad: lambda op, scene: not (op.top or op.bottom or op.left or op.right),
    Resize: lambda op, scene: (op.height, op.width) == scene.size,
    Warp: lambda op, scene: op.matrix == _IDENTITY and (op.height, op.width) == scene.size,
    Lookup: _same_values,
    Enhance: lambda op, scene: op.factor == 1.0,
    Hue: lambda op, scene: op.shift == 0.0,
    Filter: lambda op, scene: op.amount == 0.0 or (op.name == "median" and op.amount == 1.0),
}


class _Kind(NamedTuple):
    """Of a kind of op: whether one leaves every image of a scene unchanged, so that it is dropped; and the rules for
    it by the kind of the op before.
    """

    unchanged: Unchanged | None
    rules: dict[type, list[Rewrite]]


Table = dict[type, _Kind]
_OTHER: Final = _Kind(None, {})


def by_kinds(rules: Iterable[Rewrite], unchanged: Mapping[type[Op], Unchanged] = UNCHANGED) -> Table:
    """The tests of each kind, and the rules for each pair of kinds, in their order."""
    table: Table = {kind: _Kind(test, {}) for kind, test in unchanged.items()}
    for rule in rules:
        for second in rule.second:
            for first in rule.first:
                table.setdefault(second, _Kind(None, {})).rules.setdefault(first, []).append(rule)
    return table


EXACT_TABLE = by_kinds(EXACT)
FULL_TABLE = by_kinds((*EXACT, *APPROXIMATE))


def changing(ops: Sequence[Op], scene: Scene) -> list[Op]:
    """The ops without those that leave every image of this scene unchanged."""
    kept = []
    for op in ops:
        unchanged = UNCHANGED.get(op.__class__)
        if unchanged is None or not unchanged(op, scene):
            kept.append(op)
            scene = scene if op.keeps_scene else op.after(scene)
    return kept


def merge(ops: Sequence[Op], scene: Scene, approximate: bool = False) -> tuple[Op, ...]:
    """Ops with the same result on an image of this scene, in fewer passes."""
    table = FULL_TABLE if approximate else EXACT_TABLE
    if scene.boxes:  # no rule reads them, so they need not be computed
        scene = replace(scene, boxes=())
    done: list[Op] = []
    scenes: list[Scene] = []  # the scene before each of them; `scene` is that after the last, for the next one
    todo = list(ops)
    todo.reverse()
    while todo:
        op = todo.pop()
        found: _Kind = table.get(op.__class__, _OTHER)
        unchanged, rules = found
        if unchanged is not None and unchanged(op, scene):
            continue
        if rules and done:
            last = done[-1]
            merged = None
            for rule in rules.get(last.__class__, ()):
                merged = rule.apply(last, op, scenes[-1])
                if merged is not None:
                    break
            if merged is not None:  # try the replacement again, next to the op before it
                del done[-1]
                scene = scenes.pop()
                todo += merged[::-1]
                continue
        done.append(op)
        scenes.append(scene)
        if todo and not op.keeps_scene:
            scene = op.after(scene)
    return tuple(done)
