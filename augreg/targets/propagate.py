"""Propagate: what each op does to masks, boxes and keypoints, once per op, for every transform that returns it.

An op's record says where the points of the image go (`point_map`); boxes follow by their corners. Masks go through
the same op on the same backend, by nearest neighbor. An op that does not say where points go is refused with the name
of its step, because the targets would silently no longer match the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import Backend
from augreg.backends.tiles import tiles
from augreg.errors import ImageError
from augreg.ops import FunctionCall, Op, Paint, Remap, Scene, Warp, projective
from augreg.targets.boxes import BoxSet
from augreg.targets.displacement import invert_displacement
from augreg.targets.keypoints import Keypoints
from augreg.targets.masks import Mask
from augreg.targets.outlines import Outlines
from augreg.targets.values import ValueMap

__all__ = ["TargetSet", "forward_of", "mirrors"]

Points: TypeAlias = NDArray[np.float64]
"""n x 2: x and y in pixels, with pixel centers at +0.5."""
Size = tuple[int, int]
Forward = Callable[[Points], Points]


def forward_of(op: Op, size: Size, engine: Backend) -> Forward:
    """The function that maps points of an image of this size to their positions after the op.

    Where a mirrored border shows a point twice, its original position counts.
    """
    if isinstance(op, Remap):
        return invert_displacement(op, size, engine)
    if isinstance(op, FunctionCall) and op.geometry:
        return _by_function(op, size)
    matrix = op.point_map(*size)
    if matrix is None:
        raise ImageError(f"{op} folds the image into a line, so boxes, keypoints and vectors have no place after it")
    a, b, c, d, e, f, g, h, i = matrix

    def forward(points: Points) -> Points:
        x, y = points[:, 0], points[:, 1]
        if g == h == 0.0 and i == 1.0:
            return np.stack((a * x + b * y + c, d * x + e * y + f), axis=1)
        # points on the horizon or behind it go far out, to coordinates that are still finite
        depth = np.maximum(g * x + h * y + i, 1e-9)
        return np.stack(((a * x + b * y + c) / depth, (d * x + e * y + f) / depth), axis=1)

    return forward


def _by_function(op: FunctionCall, size: Size) -> Forward:
    """The plugin's own function: `keypoints(points, size, **params)` with the (height, width) before the op."""
    function = op.keypoints
    if function is None:
        raise ImageError(f"{op} moves pixels and does not say where keypoints go")

    def forward(points: Points) -> Points:
        result = np.array(function(points.copy(), size, **dict(op.params)), np.float64)
        if result.shape != points.shape or not np.isfinite(result).all():
            raise ImageError(
                f"the keypoints function of {op} must return {len(points)} finite points (x, y), "
                f"and returned the shape {result.shape}"
            )
        return result

    return forward


def _moves_nothing(op: Op, size: Size) -> bool:
    """Whether the op says that every pixel stays where it is."""
    return op.point_map(*size) == projective.IDENTITY and op.size_after(*size) in (None, size)


_POINT_SETS: Mapping[str, type] = {"boxes": BoxSet, "keypoints": Keypoints, "polygons": Outlines}


class TargetSet:
    """The masks, boxes and keypoints of one sample, which every op moves together."""

    def __init__(
        self,
        masks: Iterable[Mask],
        maps: Iterable[ValueMap],
        points: Iterable[BoxSet | Keypoints | Outlines],
        swap: bool,
    ) -> None:
        self._masks = tuple(masks)
        self._maps = tuple(maps)
        vectors = any(one.vectors for one in self._maps)
        self._point_sets = tuple(points)
        self._swap = swap
        self.size: Size = (0, 0)
        """The size of the image after the last op, set by the runner."""
        self.mirrored = False
        """Whether the ops so far mirror the image; not tracked if the spec swaps no names."""
        present = {"masks": bool(self._masks)}
        for kind, cls in _POINT_SETS.items():
            present[kind] = any(isinstance(one, cls) for one in self._point_sets)
        present |= {"maps of values": bool(self._maps), "vectors": vectors}
        self._kinds = [kind for kind, is_present in present.items() if is_present]

    def check(self, ops: Iterable[Op], scene: Scene, name: Callable[[Op], str]) -> None:
        """Raise ImageError, with the name of the step, if an op does not say where the targets go."""
        if scene.boxes:  # they need not be moved here
            scene = replace(scene, boxes=())
        for op in ops:
            for kind in () if _moves_nothing(op, scene.size) else self._kinds:
                if not _carries(op, kind, scene.size):
                    raise ImageError(
                        f"{name(op)} moves pixels and does not say where {kind} go; leave the step out, give the "
                        f"sample without {kind}, or let its ops.call(..) have the functions `mask` and `keypoints`"
                    )
            scene = op.after(scene)

    def apply(self, op: Op, before: Size, after: Size, engine: Backend) -> None:
        """Move the targets as an op moved the pixels of an image, from one size to another."""
        if isinstance(op, Paint):
            for boxes in self._point_sets:
                if isinstance(boxes, BoxSet):
                    boxes.hide((op.left, op.top), (op.left + op.width, op.top + op.height))
            rows, columns = slice(max(op.top, 0), op.top + op.height), slice(max(op.left, 0), op.left + op.width)
            for mask in self._masks:
                mask.hide(rows, columns)
        if _moves_nothing(op, before):
            if before != after:
                raise ImageError(
                    f"{op} declares that pixels stay where they are, but changed the size from "
                    f"{before[0]}x{before[1]} to {after[0]}x{after[1]}; its ops.call(..) needs geometry=True"
                )
            return
        for mask in self._masks:
            if isinstance(op, FunctionCall) and op.mask is not None:
                mask.call(op.mask, dict(op.params), str(op), after)
            else:
                mask.apply(op, engine)
        needs_points = self._point_sets or any(one.vectors for one in self._maps)
        forward = forward_of(op, before, engine) if needs_points else None
        for one in self._maps:
            if isinstance(op, FunctionCall) and op.mask is not None:
                one.call(op.mask, dict(op.params), str(op), after, forward if one.vectors else None)
            else:
                one.apply(op, engine, forward if one.vectors else None)
        if forward is None:
            return
        bends = op.point_map(*before) is None  # then straight lines may become bent
        cut = tiles(op, *before) if isinstance(op, Remap) and op.field == "tiles" else None
        for points in self._point_sets:
            if cut is not None and not isinstance(points, Keypoints):
                points.move_tiles(cut)
            else:
                points.move(forward, after, bends)
        # a strong field folds here and there, and mirrors those places, but never the image
        if self._swap and not isinstance(op, Remap) and mirrors(forward, before):
            self.mirrored = not self.mirrored


def _carries(op: Op, kind: str, size: Size) -> bool:
    """Whether the op says where targets of this kind go."""
    if isinstance(op, FunctionCall):
        return (op.mask if kind in ("masks", "maps of values") else op.keypoints) is not None
    # a Warp without a map folds the image: masks are fine, and `apply` refuses boxes and keypoints
    return isinstance(op, Remap | Warp) or op.point_map(*size) is not None


def mirrors(forward: Forward, size: Size) -> bool:
    """Whether a small triangle in the middle of the image has the opposite orientation after the op."""
    x, y = size[1] / 2.0, size[0] / 2.0
    (x0, y0), (x1, y1), (x2, y2) = forward(np.array([(x, y), (x + 0.5, y), (x, y + 0.5)]))
    return bool((x1 - x0) * (y2 - y0) < (x2 - x0) * (y1 - y0))
