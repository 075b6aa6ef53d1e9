"""Restoring: where the points of an image and of a view of it correspond, from the ops of the view's plan.

Points are (x, y) in pixels from the top left, with pixel centers at +0.5. Maps, boxes and keypoints that were
predicted on a view all come back by a `Route`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.execution.run import step_of
from augreg.ops import Enlarge, FunctionCall, Move, Op, Pad, Remap, Resize, Warp, projective
from augreg.targets.displacement import source_of
from augreg.targets.masks import Mask
from augreg.targets.propagate import forward_of, mirrors

__all__ = ["Correspondence", "Route", "grid", "within"]

Points = NDArray[np.float64]
Size = tuple[int, int]
PointFunction = Callable[[Points], Points]

_LEAVE_OUT: Final = "leave the step out of the views, or give it `test: off`"


class _Leg(NamedTuple):
    """An op that moves pixels, the size of the image before and after it, and the matrix that maps points back.

    A displacement field and a function have no matrix.
    """

    op: Op
    before: Size
    after: Size
    back: Sequence[float] | None


class Correspondence:
    """The points of an image and those of one view of it.

    `size` is the (height, width) of the image and `view_size` that of the view. `mirrored` says whether the view is a
    mirror image. `linear` is the 2 x 2 matrix of the map from the image to the view where that map is affine, else
    None.
    """

    def __init__(self, plan: Plan) -> None:
        """Raises ImageError for a plan with a step that does not say where points go, with the step's name."""
        self._plan = plan
        if plan.deferred:
            raise ImageError(
                f"{step_of(plan.entries, plan.ops[-1])} leaves an image of unknown size, so the steps after it are "
                "drawn only when the plan runs, and predictions cannot come back; give its ops.call(..) a `size`"
            )
        self.size: Size = plan.scene.size
        self._legs = tuple(_legs(plan))
        self.view_size: Size = self._legs[-1].after if self._legs else self.size

    def to_view(self, points: Points) -> tuple[Points, NDArray[np.bool_]]:
        """Where points of the image are in the view, and whether it shows them: what a crop cut off is not shown."""
        seen = within(points, self.size)
        for leg, forward in zip(self._legs, self._forward, strict=True):
            points = forward(points)
            seen &= within(points, leg.after)
        return points, seen

    def to_image(self, points: Points) -> Points:
        """The points of the image that points of the view show; points of a border lie outside the image."""
        for backward in self._backward:
            points = backward(points)
        return points

    @functools.cached_property
    def mirrored(self) -> bool:
        # a strong field folds here and there, and mirrors those places, but never the image
        legs = zip(self._legs, self._forward, strict=True)
        return sum(mirrors(forward, leg.before) for leg, forward in legs if not isinstance(leg.op, Remap)) % 2 == 1

    @property
    def straight(self) -> bool:
        """Whether straight lines stay straight."""
        return all(leg.back is not None for leg in self._legs)

    @functools.cached_property
    def linear(self) -> Points | None:
        total = np.eye(3)
        for leg in self._legs:
            matrix = leg.op.point_map(*leg.before)
            if matrix is None or any(matrix[6:8]):
                return None
            total = np.reshape(matrix, (3, 3)) / matrix[8] @ total
        found: Points = total[:2, :2]
        return found

    @functools.cached_property
    def _forward(self) -> tuple[PointFunction, ...]:
        return tuple(forward_of(leg.op, leg.before, self._plan.settings.engine) for leg in self._legs)

    @functools.cached_property
    def _backward(self) -> tuple[PointFunction, ...]:
        return tuple(self._backward_of(leg) for leg in reversed(self._legs))

    def _backward_of(self, leg: _Leg) -> PointFunction:
        op = leg.op
        if isinstance(op, Remap):
            return source_of(op, leg.before, self._plan.settings.engine)
        if leg.back is None:
            return _by_function(op, leg.before, step_of(self._plan.entries, op))
        return functools.partial(_mapped, leg.back)

    def shown(self) -> NDArray[np.bool_] | None:
        """Which pixels of the view show the image, and no border or fill: height x width. None if all do."""
        if all(isinstance(leg.op, Move | Resize | Enlarge) for leg in self._legs):
            return None
        mask = Mask(np.ones(self.size, bool), "view", 0, self.size)
        for op, _, after, _ in self._legs:
            if isinstance(op, FunctionCall) and op.mask is not None:
                mask.call(op.mask, dict(op.params), str(op), after)
            elif isinstance(op, FunctionCall):  # what it fills is not known
                mask = Mask(np.ones(after, bool), "view", 0, after)
            else:
                mask.apply(
                    replace(op, mode="constant") if isinstance(op, Pad | Warp | Remap) else op,
                    self._plan.settings.engine,
                )
        found: NDArray[np.bool_] = mask.write("numpy")
        return None if found.all() else found


class Route:
    """The way from a view to the frame where its predictions come back: the image, or the result of a plan.

    `size` is the (height, width) of the frame and `view_size` that of the view. `mirrored` says whether the view is a
    mirror image of the frame.
    """

    def __init__(self, plan: Plan, frame: Plan | None = None) -> None:
        """`frame` is the plan whose result is the frame; None for the image. Raises ImageError."""
        self._view = Correspondence(plan)
        self._frame = None if frame is None else Correspondence(frame)
        if self._frame is not None and self._frame.size != self._view.size:
            sizes = [f"{height}x{width}" for height, width in (self._view.size, self._frame.size)]
            raise ImageError(f"the view is of an image of {sizes[0]}, and the frame of one of {sizes[1]}")
        self.size: Size = self._view.size if self._frame is None else self._frame.view_size
        self.view_size: Size = self._view.view_size

    def to_view(self, points: Points) -> tuple[Points, NDArray[np.bool_]]:
        """Where points of the frame are in the view, and whether it shows them."""
        return self._view.to_view(points if self._frame is None else self._frame.to_image(points))

    def to_frame(self, points: Points) -> Points:
        """Where points of the view are in the frame; those of a border lie outside of it."""
        points = self._view.to_image(points)
        return points if self._frame is None else self._frame.to_view(points)[0]

    def shown(self) -> NDArray[np.bool_] | None:
        """Which pixels of the view show the image, and no border or fill: height x width. None if all do."""
        return self._view.shown()

    @property
    def mirrored(self) -> bool:
        return self._view.mirrored is not (self._frame is not None and self._frame.mirrored)

    @property
    def straight(self) -> bool:
        """Whether straight lines of the view are straight in the frame."""
        return self._view.straight and (self._frame is None or self._frame.straight)

    @property
    def linear(self) -> Points | None:
        """The 2 x 2 matrix that turns vectors of the view into those of the frame; None if it differs by place."""
        ahead, view = np.eye(2) if self._frame is None else self._frame.linear, self._view.linear
        return None if ahead is None or view is None else np.matmul(ahead, _inverse(view))


def grid(size: Size, cells: Size) -> Points:
    """The centers of cells that divide an image of this size evenly, in rows: n x 2."""
    ys, xs = ((np.arange(count) + 0.5) * (side / count) for side, count in zip(size, cells, strict=True))
    return np.stack(np.broadcast_arrays(xs[None], ys[:, None]), axis=-1).reshape(-1, 2)


def within(points: Points, size: Size) -> NDArray[np.bool_]:
    """Whether points lie in an image of this size."""
    return np.asarray(((points >= 0.0) & (points <= (size[1], size[0]))).all(axis=1))


def _legs(plan: Plan) -> Iterable[_Leg]:
    """The ops of a plan that move pixels. Raises ImageError for one that does not say where points go."""
    size = plan.scene.size
    for op in plan.ops:
        after = op.size_after(*size)
        still = op.point_map(*size) == projective.IDENTITY
        if still and after in (None, size):
            continue
        back = _matrix_back(op, size)
        reason = _unknown(op) if back is None else ""
        if after is None or reason:
            raise ImageError(_refusal(step_of(plan.entries, op), reason or "leaves an image of unknown size"))
        yield _Leg(op, size, after, back)
        size = after


def _matrix_back(op: Op, size: Size) -> Sequence[float] | None:
    """The nine numbers of the map from the image after an op to the one before; None if there is no such map."""
    forward = None if isinstance(op, FunctionCall) else op.point_map(*size)
    if forward is None:
        return None
    return (
        (*op.matrix, 1.0) if isinstance(op, Warp) else projective.inverse([one / forward[8] for one in forward[:8]])
    )


def _unknown(op: Op) -> str:
    """Why it is not known where an op without a matrix moves points; empty if it is known."""
    if isinstance(op, FunctionCall):
        if not op.geometry:
            return "changes the size of the image, for which its ops.call(..) needs `geometry=True`"
        return "" if op.keypoints is not None else "moves pixels, for which its ops.call(..) needs `keypoints`"
    if isinstance(op, Remap):
        return ""
    return "folds the image into a line" if isinstance(op, Warp) else "does not say where it moves pixels"


def _refusal(step: str, reason: str) -> str:
    return f"{step} {reason}, so predictions on this view cannot come back; {_LEAVE_OUT}"


def _by_function(op: Any, size: Size, step: str) -> PointFunction:
    """The plugin's own function: `inverse(points, size, **params)` with the (height, width) before the op."""
    function = op.inverse
    if function is None:
        raise ImageError(_refusal(step, "does not say where points come from (the `inverse` of ops.call)"))

    def backward(points: Points) -> Points:
        found = np.array(function(points.copy(), size, **dict(op.params)), np.float64)
        if found.shape != points.shape or not np.isfinite(found).all():
            raise ImageError(
                f"the inverse function of {step} must return {len(points)} finite points (x, y), and returned the "
                f"shape {found.shape}"
            )
        return found

    return backward


def _mapped(matrix: Sequence[float], points: Points) -> Points:
    """Points after a projective map of nine numbers; those behind the horizon go far out."""
    a, b, c, d, e, f, g, h, i = matrix
    x, y = points[:, 0], points[:, 1]
    depth = np.maximum(g * x + h * y + i, 1e-9)
    return np.stack(((a * x + b * y + c) / depth, (d * x + e * y + f) / depth), axis=1)


def _inverse(matrix: Points) -> Points:
    """The inverse of a 2 x 2 matrix, by cofactors, which are exact for flips and quarter turns."""
    (a, b), (c, d) = matrix
    found: Points = np.array(((d, -b), (-c, a))) / (a * d - b * c)
    return found
