"""Targets: what each op does to masks, boxes and keypoints, once per op, whatever transform it came from.

An op that moves pixels says where a point of the image goes; boxes follow by their corners. Masks go through the
same op on the same backend, by nearest neighbor. An op that nothing is known of here is refused by name: its
targets would fall out of step in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.backends import Backend
from augreg.errors import ImageError
from augreg.ops import (
    Blend,
    Call,
    ColorMatrix,
    Encode,
    Filter,
    Hue,
    LocalContrast,
    Lookup,
    Mix,
    Move,
    Noise,
    Normalize,
    Op,
    Pad,
    Paint,
    Remap,
    Resize,
    Warp,
    projective,
)
from augreg.targets.boxes import Boxes
from augreg.targets.displacement import invert_displacement
from augreg.targets.keypoints import Keypoints
from augreg.targets.masks import Mask

__all__ = ["BENDING", "FORWARD", "STILL", "TargetSet"]

Points = NDArray[np.float64]
"""n x 2: x and y in pixels, with pixel centers at +0.5."""
Size = tuple[int, int]


Forward = Callable[[Points], Points]


def _moved(op: Move, size: Size, engine: Backend) -> Forward:
    height, width = op.size_after(*size)

    def forward(points: Points) -> Points:
        x, y = points[:, 0] - op.left, points[:, 1] - op.top
        if op.transpose:
            x, y = y, x
        return np.stack((width - x if op.flip_x else x, height - y if op.flip_y else y), axis=1)

    return forward


def _padded(op: Pad, size: Size, engine: Backend) -> Forward:
    """A mirrored border shows a thing twice; its point stays the one that it was."""
    offset = np.array((op.left, op.top), np.float64)
    return lambda points: points + offset


def _resized(op: Resize, size: Size, engine: Backend) -> Forward:
    scale = op.width / size[1], op.height / size[0]
    return lambda points: points * scale


def _warped(op: Warp, size: Size, engine: Backend) -> Forward:
    """The op reads backwards, from output to input, so a point goes by the inverse."""
    back = projective.inverse(op.matrix)
    if back is None:
        raise ImageError(f"{op} folds the image into a line, so boxes and keypoints have no place after it")
    a, b, c, d, e, f, g, h, i = back

    def forward(points: Points) -> Points:
        x, y = points[:, 0], points[:, 1]
        # what lies on the horizon or behind it goes as far out as numbers comfortably can
        depth = np.maximum(g * x + h * y + i, 1e-9)
        return np.stack(((a * x + b * y + c) / depth, (d * x + e * y + f) / depth), axis=1)

    return forward


def _called(op: Call, size: Size, engine: Backend) -> Forward:
    """By the plugin's own function: `keypoints(points, size, **params)`, size being (height, width) before."""
    function = op.keypoints
    if function is None:
        raise ImageError(f"{op} moves pixels and does not say where keypoints go")

    def forward(points: Points) -> Points:
        found = np.array(function(points.copy(), size, **dict(op.params)), np.float64)
        if found.shape != points.shape or not np.isfinite(found).all():
            raise ImageError(
                f"the keypoints function of {op} must give {len(points)} finite points (x, y), and gave {found.shape}"
            )
        return found

    return forward


FORWARD: Mapping[type[Op], Callable[[Any, Size, Backend], Forward]] = {
    Move: _moved,
    Pad: _padded,
    Resize: _resized,
    Warp: _warped,
    Remap: invert_displacement,
    Call: _called,
}
"""For each kind of op that moves pixels, where the points of an image of a size go."""

STILL: frozenset[type[Op]] = frozenset(
    {Blend, ColorMatrix, Encode, Filter, Hue, LocalContrast, Lookup, Noise, Normalize, Paint}
)
"""The kinds of op that leave every pixel where it is."""

BENDING = (Remap, Call)
"""What may bend a straight line, so that a box's corners do not say where its edges go."""


def _leaves_geometry(op: Op) -> bool:
    """Whether every pixel stays where it is."""
    if isinstance(op, Mix):
        return all(_leaves_geometry(part) for branch in op.branches for part in branch)
    return type(op) in STILL or (isinstance(op, Call) and not op.geometry)


class TargetSet:
    """The masks, boxes and keypoints of one sample, on their way through the ops."""

    def __init__(self, masks: Iterable[Mask], boxes: Boxes | None, keypoints: Keypoints | None, swap: bool) -> None:
        self._masks = tuple(masks)
        self._moving = tuple(one for one in (boxes, keypoints) if one is not None)
        self._swap = swap
        self.size: Size = (0, 0)
        """The size of the image that they have followed to the end."""
        self.mirrored = False
        """Whether left and right have changed places, if the spec pairs names that go by them."""
        self._kinds = [
            ("masks", bool(self._masks)),
            ("boxes", boxes is not None),
            ("keypoints", keypoints is not None),
        ]

    def refuse(self, ops: Iterable[Op], name: Callable[[Op], str]) -> None:
        """Raise ImageError, which names the step, if an op cannot carry what there is to carry."""
        for op in ops:
            if _leaves_geometry(op):
                continue
            for kind, present in self._kinds:
                if present and not _carries(op, kind):
                    raise ImageError(
                        f"{name(op)} moves pixels and does not say where {kind} go; leave the step out, give the "
                        f"sample without {kind}, or let its ops.call(..) have the functions `mask` and `keypoints`"
                    )

    def follow(self, op: Op, before: Size, after: Size, engine: Backend) -> None:
        """Go where an op that took an image from one size to another takes pixels."""
        if _leaves_geometry(op):
            if before != after:
                raise ImageError(
                    f"{op} said that it leaves pixels where they are, and changed the size from "
                    f"{before[0]}x{before[1]} to {after[0]}x{after[1]}; its ops.call(..) needs geometry=True"
                )
            return
        for mask in self._masks:
            if isinstance(op, Call) and op.mask is not None:
                mask.call(op.mask, dict(op.params), str(op), after)
            else:
                mask.apply(op, engine)
        if not self._moving:
            return
        forward = FORWARD[type(op)](op, before, engine)
        for one in self._moving:
            one.move(forward, after, isinstance(op, BENDING))
        if self._swap and not isinstance(op, Remap) and _turned_over(forward, before):
            self.mirrored = not self.mirrored


def _carries(op: Op, kind: str) -> bool:
    if isinstance(op, Call):
        return (op.mask if kind == "masks" else op.keypoints) is not None
    return type(op) in FORWARD


def _turned_over(forward: Forward, size: Size) -> bool:
    """Whether a small triangle in the middle of the image comes out turned over, as in a mirror."""
    x, y = size[1] / 2.0, size[0] / 2.0
    (x0, y0), (x1, y1), (x2, y2) = forward(np.array([(x, y), (x + 0.5, y), (x, y + 0.5)]))
    return bool((x1 - x0) * (y2 - y0) < (x2 - x0) * (y1 - y0))
