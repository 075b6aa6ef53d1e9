"""Boxes: read in the format that a spec declares, moved by their corners, clipped, dropped, and written again.

While ops run, a box is a polygon, at first of its four corners, so that a rotation there and back gives the same box.
Where an op moves it over the border, the polygon is clipped like the pixels, and the visible fraction of its area is
recorded. The result is the box around the polygon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.targets import rows
from augreg.targets.conventions import NEAR, Targets

__all__ = ["BoxSet", "from_pixels", "in_pixels"]

Points = NDArray[np.float64]
Size = tuple[int, int]

_EDGES = {"xyxy": "x1, y1, x2, y2", "xywh": "x, y, width, height", "cxcywh": "center x, center y, width, height"}


class BoxSet:
    """The boxes of one sample: `count` is their number at first, `kept` are the indices of those that are left."""

    def __init__(self, value: Any, key: str, targets: Targets, size: Size) -> None:
        """Read them. Raises ImageError for a value that is not a box of the declared format."""
        if targets.boxes is None:
            raise ImageError(
                f"{key}: the spec does not say what the numbers mean; add `targets: {{boxes: xyxy}}` to it, "
                "or xywh, cxcywh, and `normalized: true` for fractions of the image"
            )
        self._targets, self._format = targets, targets.boxes
        given, self._like = rows.read(value, key, f"boxes ({_EDGES[self._format]})", (4,))
        height, width = size
        if targets.normalized:
            if len(given) and np.abs(given).max() > 2.0:  # certainly pixels
                row = int(np.abs(given).max(axis=1).argmax())
                raise ImageError(
                    f"{key}[{row}]: {given[row].tolist()} is not normalized: expected fractions of the image, "
                    "0 to 1; divide by its width and height, or leave out `normalized`"
                )
            given = given * (width, height, width, height)
        edges = _to_edges(given, self._format)
        empty = np.flatnonzero((edges[:, 2:] <= edges[:, :2]).any(axis=1))
        if len(empty):
            row = int(empty[0])
            raise ImageError(
                f"{key}[{row}]: {given[row].tolist()} has no area: expected {_EDGES[self._format]} of a box that is "
                "wider and higher than 0; leave it out, or check `boxes` under `targets` in the spec"
            )
        self.count = len(edges)
        edges = _on_the_border(edges, self._like.dtype, size)
        # the share of a box that rounding its edges may take away or add
        self._slack = np.minimum((NEAR / (edges[:, 2:] - edges[:, :2])).sum(axis=1), 0.01)
        self.kept = np.arange(len(edges))
        self._visible = np.ones(len(edges))
        self._polygons = list(_corners(edges))
        self.move(lambda points: points, size)  # a box may extend over the border from the start

    def move(self, forward: Callable[[Points], Points], size: Size, bends: bool = False) -> None:
        """Move the polygons with `forward`, and clip them to an image of this size.

        If the op bends straight lines, points along the edges are moved too.
        """
        if not self._polygons:
            return
        points, counts = np.concatenate(self._polygons), np.array([len(polygon) for polygon in self._polygons])
        if bends:
            points, counts = _edge_points(points, counts)
        points = forward(points)
        low, high, whole = _measured(points, counts)
        ends = np.array((size[1], size[0]), np.float64)
        over = np.asarray(((low < -NEAR) | (high > ends + NEAR)).any(axis=1))
        away = ((high <= 0.0) | (low >= ends) | (over[:, None] & ((high <= NEAR) | (low >= ends - NEAR)))).any(axis=1)
        inside = np.repeat(~over, counts)[:, None]
        moved = np.split(np.where(inside, np.clip(points, 0.0, ends), points), np.cumsum(counts)[:-1])
        left = np.where(away, 0.0, whole)
        for place in np.flatnonzero(over & ~away):
            moved[place] = _inside(moved[place], size)
            left[place] = _measured(moved[place], np.array([len(moved[place])]))[2][0] if len(moved[place]) else 0.0
        there = np.flatnonzero(left > 0.0)
        self._polygons = [moved[place] for place in there]
        self._visible = self._visible[there] * np.minimum(left[there] / whole[there], 1.0)
        self._slack, self.kept = self._slack[there], self.kept[there]

    def drop(self, gone: NDArray[np.bool_]) -> None:
        """Drop boxes by their numbers among all that came in."""
        there = np.flatnonzero(~gone[self.kept])
        self._polygons = [self._polygons[place] for place in there]
        self._visible, self._slack, self.kept = self._visible[there], self._slack[there], self.kept[there]

    def set_edges(self, edges: Points, known: NDArray[np.bool_]) -> None:
        """Give the boxes, by their numbers among all that came in, these edges in pixels where they are known."""
        for place, number in enumerate(self.kept):
            if known[number]:
                self._polygons[place] = _corners(edges[[number]])[0]

    @property
    def edges(self) -> Points:
        """x1, y1, x2, y2 in pixels of the boxes that are left: n x 4."""
        if not self._polygons:
            return np.zeros((0, 4))
        counts = np.array([len(polygon) for polygon in self._polygons])
        return np.concatenate(_measured(np.concatenate(self._polygons), counts)[:2], axis=1)

    def for_scene(self) -> tuple[tuple[float, float, float, float], ...]:
        """The edges as tuples of plain numbers, the form of `Scene.boxes`."""
        return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in self.edges.tolist())

    def write(self, size: Size, output: str) -> Any:
        """The boxes with a visible fraction of at least `min_visible`, in the form of the input; updates `kept`."""
        boxes = from_pixels(self.edges, self._targets, size)
        # a sliver can become empty when its numbers are rounded to the output dtype
        dtype = np.dtype(np.float32) if self._like.kind == "list" and output != "auto" else self._like.dtype
        rounded = _to_edges(boxes.astype(dtype), self._format)
        enough = (self._visible + self._slack >= self._targets.min_visible) & self._are_large()
        good = enough & (rounded[:, 2:] > rounded[:, :2]).all(axis=1)
        self.kept = self.kept[good]
        return rows.write(boxes[good], self._like, output)

    def _are_large(self) -> NDArray[np.bool_]:
        """Whether the boxes have the sides and the area, in pixels, that the spec asks for."""
        edges = self.edges
        width, height = (edges[:, 2:] - edges[:, :2] + NEAR).T
        wide, high = width >= self._targets.min_width, height >= self._targets.min_height
        found: NDArray[np.bool_] = wide & high & (width * height >= self._targets.min_area)
        return found


def in_pixels(value: Any, targets: Targets, size: Size) -> Points:
    """The edges x1, y1, x2, y2 in pixels of boxes as a spec declares them: n x 4. Raises ImageError."""
    edges = _to_edges(rows.read(value, "boxes", "boxes", (4,))[0], targets.boxes or "xyxy")
    return edges * (size[1], size[0], size[1], size[0]) if targets.normalized else edges


def from_pixels(edges: Points, targets: Targets, size: Size) -> Points:
    """Boxes as a spec declares them, of the edges x1, y1, x2, y2 in pixels of an image of this size: n x 4."""
    fractions = edges / (size[1], size[0], size[1], size[0]) if targets.normalized else edges
    return _from_edges(fractions, targets.boxes or "xyxy")


def _on_the_border(edges: Points, dtype: np.dtype[Any], size: Size) -> Points:
    """The edges, with those on the border that are beyond it by no more than their numbers are rounded.

    Fractions in files often have six digits, and those of float32 seven.
    """
    ends = np.array((size[1], size[0]) * 2, np.float64)
    off = np.maximum(max(1e-6, 2.0 * float(np.finfo(dtype).eps)) * ends, NEAR)
    beyond = ((edges < 0.0) & (edges >= -off)) | ((edges > ends) & (edges <= ends + off))
    return np.where(beyond, np.clip(edges, 0.0, ends), edges)


def _corners(edges: Points) -> Points:
    """n x 4 x 2: top left, top right, bottom right, bottom left."""
    return edges[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def _edge_points(corners: Points, counts: NDArray[np.intp]) -> tuple[Points, NDArray[np.intp]]:
    """Points along the edges of polygons with `counts` corners each, and the numbers of points.

    They are about two pixels apart, or more for very long edges.
    """
    starts = np.cumsum(counts) - counts
    along = corners[_following(counts)] - corners
    lengths = np.hypot(along[:, 0], along[:, 1])
    apart = np.maximum(2.0, np.add.reduceat(lengths, starts) / 256)
    parts = np.maximum(np.ceil(lengths / np.repeat(apart, counts)), 1.0).astype(np.intp)
    edge = np.repeat(np.arange(len(corners)), parts)
    step = np.arange(len(edge)) - (np.cumsum(parts) - parts)[edge]
    return corners[edge] + along[edge] * (step / parts[edge])[:, None], np.add.reduceat(parts, starts)


def _following(counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """For every corner of polygons with `counts` corners each, the place of the next one."""
    starts = np.cumsum(counts) - counts
    following = np.arange(1, int(counts.sum()) + 1)
    following[starts + counts - 1] = starts
    return following


def _inside(polygon: Points, size: Size) -> Points:
    """The part inside an image of this size: clipped at one border after the other (Sutherland and Hodgman)."""
    ends = size[1], size[0]
    for axis in (0, 1):
        for border, sign in ((0.0, 1.0), (float(ends[axis]), -1.0)):
            depth = sign * (polygon[:, axis] - border)
            within = depth >= 0.0
            if within.all():
                continue
            following, after = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
            crosses = within != np.roll(within, -1)
            part = np.divide(depth, depth - after, out=np.zeros_like(depth), where=crosses)[:, None]
            crossings = polygon + part * (following - polygon)
            crossings[:, axis] = border
            polygon = np.stack((polygon, crossings), axis=1)[np.stack((within, crosses), axis=1)]
    found: Points = np.clip(polygon, 0.0, ends)  # rounding errors of the crossings
    return found


def _measured(points: Points, counts: NDArray[np.intp]) -> tuple[Points, Points, Points]:
    """The smallest x and y, the largest, and the area, of polygons with `counts` points each."""
    starts = np.cumsum(counts) - counts
    following = _following(counts)
    x, y = (points - np.repeat(points[starts], counts, axis=0)).T
    areas = np.abs(np.add.reduceat(x * y[following] - y * x[following], starts)) / 2
    return np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts), areas


def _to_edges(boxes: Points, form: str) -> Points:
    """x1, y1, x2, y2 of boxes in a format."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if form == "xywh":
        return np.concatenate((first, first + second), axis=1)
    if form == "cxcywh":
        return np.concatenate((first - second / 2, first + second / 2), axis=1)
    return boxes


def _from_edges(edges: Points, form: str) -> Points:
    low, high = edges[:, :2], edges[:, 2:]
    if form == "xywh":
        return np.concatenate((low, high - low), axis=1)
    if form == "cxcywh":
        return np.concatenate(((low + high) / 2, high - low), axis=1)
    return edges
