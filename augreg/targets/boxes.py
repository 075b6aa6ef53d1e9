"""Boxes: read in the format that a spec declares, moved by their corners, clipped, dropped, and written again.

While ops run, a box is a polygon, at first of its four corners, so that a rotation there and back gives the same box.
Where an op moves it over the border, the polygon is clipped like the pixels, and the visible fraction of its area is
recorded. The result is the box around the polygon. An oriented box also has its four corners, which say in which
direction the rectangle around the polygon lies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from augreg.backends.tiles import Tile
from augreg.errors import ImageError
from augreg.targets import oriented, rows
from augreg.targets.conventions import NEAR, Targets
from augreg.targets.polygons import clipped, edge_points, in_tiles, measured, split, total_area, without
from augreg.targets.seen import seen_edges, seen_polygons

__all__ = ["BoxSet", "corners_in_pixels", "from_pixels", "in_pixels"]

Points = NDArray[np.float64]
Size = tuple[int, int]

_EDGES = {
    "xyxy": "x1, y1, x2, y2",
    "xywh": "x, y, width, height",
    "cxcywh": "center x, center y, width, height",
    "cxcywhr": "center x, center y, width, height, angle",
    "xyxyxyxy": "the corners x1, y1, .. x4, y4",
}


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
        self._paired = False
        corners = self._read_oriented(value, key, size) if self._is_oriented else self._read(value, key, size)
        self.count = len(corners)
        # the fraction of a box that rounding its edges may take away or add
        self._slack = np.minimum((NEAR / oriented.sides(corners)).sum(axis=1), 0.01)
        self.kept = np.arange(len(corners))
        self._visible = np.ones(len(corners))
        self._polygons = list(corners)
        self._oriented: Points | None = corners if self._is_oriented else None
        """The corners of oriented boxes, n x 4 x 2: as they were moved, or of the rectangle around what is left."""
        self._uncovered: list[list[Points]] | None = None
        """The pieces of each polygon that no hole covers; None if there are no holes, or they do not count."""
        self.move(lambda points: points, size)  # a box may extend over the border from the start

    @property
    def _is_oriented(self) -> bool:
        return self._format in oriented.COLUMNS

    def _read(self, value: Any, key: str, size: Size) -> Points:
        """The corners of upright boxes: n x 4 x 2."""
        names = _EDGES[self._format]
        given, self._like = rows.read(value, key, f"boxes ({names})", (4,))
        edges = _to_edges(self._from_fractions(given, key, size), self._format)
        empty = np.flatnonzero((edges[:, 2:] <= edges[:, :2]).any(axis=1))
        if len(empty):
            row = int(empty[0])
            raise ImageError(
                f"{key}[{row}]: {given[row].tolist()} has no area: expected {names} of a box that is "
                "wider and higher than 0; leave it out, or check `boxes` under `targets` in the spec"
            )
        return _corners(_on_the_border(edges, self._like.dtype, size))

    def _read_oriented(self, value: Any, key: str, size: Size) -> Points:
        """The corners of oriented boxes: n x 4 x 2."""
        if self._format == "xyxyxyxy":
            value, self._paired = oriented.paired(value)
        columns = (oriented.COLUMNS[self._format],)
        given, self._like = rows.read(value, key, f"boxes ({_EDGES[self._format]})", columns)
        corners = oriented.corners_of(self._from_fractions(given, key, size), key, self._targets)
        return _on_the_border(corners.reshape(-1, 8), self._like.dtype, size).reshape(-1, 4, 2)

    def _from_fractions(self, given: Points, key: str, size: Size) -> Points:
        """Boxes in pixels."""
        if not self._targets.normalized:
            return given
        if len(given) and np.abs(given).max() > 2.0:  # certainly pixels
            row = int(np.abs(given).max(axis=1).argmax())
            raise ImageError(
                f"{key}[{row}]: {given[row].tolist()} is not normalized: expected fractions of the image, "
                "0 to 1; divide by its width and height, or leave out `normalized`"
            )
        pixels: Points = given * ((size[1], size[0]) * (given.shape[1] // 2))
        return pixels

    def move(self, forward: Callable[[Points], Points], size: Size, bends: bool = False) -> None:
        """Move the polygons with `forward`, and clip them to an image of this size.

        If the op bends straight lines, points along the edges are moved too.
        """
        if not self._polygons:
            return
        points, counts = np.concatenate(self._polygons), np.array([len(polygon) for polygon in self._polygons])
        if bends:
            points, counts = edge_points(points, counts)
        if self._oriented is None:
            points = forward(points)
        else:
            both = forward(np.concatenate((points, self._oriented.reshape(-1, 2))))
            points, corners = both[: len(points)], both[len(points) :].reshape(-1, 4, 2)
        low, high, whole = measured(points, counts)
        ends = np.array((size[1], size[0]), np.float64)
        over = np.asarray(((low < -NEAR) | (high > ends + NEAR)).any(axis=1))
        away = ((high <= 0.0) | (low >= ends) | (over[:, None] & ((high <= NEAR) | (low >= ends - NEAR)))).any(axis=1)
        if self._targets.centers == "drop":
            center = (low + high) / 2.0
            away |= ((center <= 0.0) | (center >= ends)).any(axis=1)
        inside = np.repeat(~over, counts)[:, None]
        moved = split(np.where(inside, np.clip(points, 0.0, ends), points), counts)
        left = np.where(away, 0.0, whole)
        cut = np.flatnonzero(over & ~away)
        if len(cut):
            rest, numbers = clipped(np.concatenate([moved[place] for place in cut]), counts[cut], size)
            for place, polygon in zip(cut.tolist(), split(rest, numbers), strict=True):
                moved[place] = polygon
            left[cut] = 0.0
            left[cut[numbers > 0]] = measured(rest, numbers[numbers > 0])[2] if len(rest) else ()
        there = np.flatnonzero(left > 0.0)
        self._polygons = [moved[place] for place in there]
        self._visible = self._visible[there] * np.minimum(left[there] / whole[there], 1.0)
        self._slack, self.kept = self._slack[there], self.kept[there]
        if self._uncovered is not None:
            pieces = [self._uncovered[place] for place in there]
            self._uncovered = [_moved(each, forward, bends, size) for each in pieces]
        if self._oriented is not None:
            self._oriented = corners[there]
            if over[there].any():
                self._oriented = np.where(over[there][:, None, None], self._around(), self._oriented)

    def move_tiles(self, cut: Sequence[Tile]) -> None:
        """Move the parts of the polygons in each tile; one that has several parts becomes the box around them."""
        self._count_holes()
        for place, polygon in enumerate(self._polygons):
            parts = in_tiles(polygon, cut)
            points = np.concatenate(parts or [polygon])
            if len(parts) > 1:
                points = _corners(np.concatenate((points.min(axis=0), points.max(axis=0)))[None])[0]
            self._polygons[place] = points
            if self._oriented is not None:
                self._oriented[place] = oriented.around(points, np.array([len(points)]), self._oriented[[place]])[0]

    def hide(self, low: tuple[float, float], high: tuple[float, float]) -> None:
        """Count what is painted over between two corners (x, y) as not visible, if the spec says so."""
        if self._targets.holes == "ignore":
            return
        pieces = [[one] for one in self._polygons] if self._uncovered is None else self._uncovered
        self._uncovered = [[left for one in each for left in without(one, low, high)] for each in pieces]

    def drop(self, gone: NDArray[np.bool_]) -> None:
        """Drop boxes by their numbers among all that came in."""
        there = np.flatnonzero(~gone[self.kept])
        self._polygons = [self._polygons[place] for place in there]
        self._visible, self._slack, self.kept = self._visible[there], self._slack[there], self.kept[there]
        if self._uncovered is not None:
            self._uncovered = [self._uncovered[place] for place in there]
        if self._oriented is not None:
            self._oriented = self._oriented[there]

    def pasted(self, forward: Callable[[Points], Points], cells: Points, numbers: NDArray[np.intp]) -> Self:
        """Those of these numbers that another image shows, moved there by `forward`, which scales and shifts.

        It shows what lies in its `cells`, n x 4: x1, y1, x2, y2 of rectangles of which no two overlap.
        """
        found = copy.copy(self)
        places = np.flatnonzero(np.isin(self.kept, numbers))
        corners = _corners(self.edges[places]) if self._oriented is None else self._oriented[places]
        corners = forward(corners.reshape(-1, 2)).reshape(-1, 4, 2)
        if self._oriented is None:
            edges, part = seen_edges(corners[:, [0, 2]].reshape(-1, 4), cells)
            polygons = list(_corners(edges))
        else:
            polygons, part = seen_polygons([forward(self._polygons[place]) for place in places], cells)
        there = np.flatnonzero(part > 0.0)
        slack = np.minimum((NEAR / np.maximum(oriented.sides(corners), NEAR)).sum(axis=1), 0.01)
        found.kept, found._polygons = self.kept[places[there]], [polygons[place] for place in there]
        found._visible = self._visible[places[there]] * part[there]
        found._slack = np.maximum(self._slack[places], slack)[there]
        if self._oriented is not None:
            found._oriented = corners[there]
            cut = part[there] < 1.0 - 1e-9
            if cut.any():
                found._oriented = np.where(cut[:, None, None], found._around(), found._oriented)
        return found

    def joined(self, others: Sequence[BoxSet]) -> Self:
        """All boxes of others as the boxes of one sample, in the form of these; they are numbered in order."""
        found = copy.copy(self)
        found._polygons = [polygon for other in others for polygon in other._polygons]
        found._visible = np.concatenate([np.zeros(0), *(other._visible for other in others)])
        found._slack = np.concatenate([np.zeros(0), *(other._slack for other in others)])
        if self._oriented is not None:
            corners = [other._oriented for other in others if other._oriented is not None]
            found._oriented = np.concatenate([np.zeros((0, 4, 2)), *corners])
        found.count = len(found._polygons)
        found.kept = np.arange(found.count)
        return found

    def drop_hidden(self) -> None:
        """Drop the boxes of which less is seen than the spec's `min_visible`, or which are too small."""
        gone = np.zeros(self.count, bool)
        gone[self.kept[~self._are_visible()]] = True
        self.drop(gone)

    def cover(self, part: NDArray[np.float64]) -> None:
        """Multiply the visible fractions of the boxes that are left, in order."""
        self._visible = self._visible * part

    @property
    def like(self) -> rows.Like:
        """The form of the numbers."""
        return self._like

    def draw_around(self, shown: Sequence[NDArray[np.bool_]]) -> None:
        """Draw the boxes around where their objects show, height x width for each that came in; if it shows."""
        self._count_holes()
        for place, number in enumerate(self.kept.tolist()):
            points = _pixel_corners(shown[number])
            if not len(points):
                continue
            if self._oriented is None:
                edges = np.concatenate((points.min(axis=0), points.max(axis=0)))
                self._polygons[place] = _corners(edges[None])[0]
            else:
                box = oriented.around(points, np.array([len(points)]), self._oriented[[place]])
                self._polygons[place] = self._oriented[place] = box[0]

    def _count_holes(self) -> None:
        """Take the part of each polygon that holes cover from its visible fraction."""
        if self._uncovered is not None:
            left = np.array([total_area(each) for each in self._uncovered])
            fraction = np.minimum(left / [total_area([one]) for one in self._polygons], 1.0)
            # what rounding leaves of a covered box is not visible either
            self._visible = np.where(fraction > self._slack, self._visible * fraction, 0.0)
            self._uncovered = None

    def _around(self) -> Points:
        """The rectangles around oriented boxes: n x 4 x 2."""
        corners = np.zeros((0, 4, 2)) if self._oriented is None else self._oriented
        counts = np.array([len(polygon) for polygon in self._polygons], np.intp)
        return oriented.around(np.concatenate([np.zeros((0, 2)), *self._polygons]), counts, corners)

    @property
    def edges(self) -> Points:
        """x1, y1, x2, y2 in pixels of the boxes that are left: n x 4."""
        if not self._polygons:
            return np.zeros((0, 4))
        counts = np.array([len(polygon) for polygon in self._polygons])
        return np.concatenate(measured(np.concatenate(self._polygons), counts)[:2], axis=1)

    def for_scene(self) -> tuple[tuple[float, float, float, float], ...]:
        """The edges as tuples of plain numbers, the form of `Scene.boxes`."""
        return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in self.edges.tolist())

    def write(self, size: Size, output: str) -> Any:
        """The boxes with a visible fraction of at least `min_visible`, in the form of the input; updates `kept`."""
        if self._oriented is None:
            boxes = from_pixels(self.edges, self._targets, size)
        else:
            corners = self._around() if self._format == "cxcywhr" else oriented.on_the_border(self._oriented, size)
            boxes = oriented.numbers_of(corners, self._targets, size)
        # a sliver can become empty when its numbers are rounded to the output dtype
        dtype = np.dtype(np.float32) if self._like.kind == "list" and output != "auto" else self._like.dtype
        rounded = boxes.astype(dtype)
        if self._oriented is None:
            edges = _to_edges(rounded, self._format)
            extent = edges[:, 2:] - edges[:, :2]
        else:
            extent = oriented.extent(rounded)
        self._count_holes()
        good = self._are_visible() & (extent > 0.0).all(axis=1)
        self.kept = self.kept[good]
        found = boxes[good].reshape(-1, 4, 2) if self._paired else boxes[good]
        return rows.write(found, self._like, output)

    def _are_visible(self) -> NDArray[np.bool_]:
        """Whether enough of the boxes is seen."""
        enough = (self._visible > 0.0) & (self._visible + self._slack >= self._targets.min_visible)
        found: NDArray[np.bool_] = enough & self._are_large()
        return found

    def _are_large(self) -> NDArray[np.bool_]:
        """Whether the boxes have the sides and the area, in pixels, that the spec asks for."""
        if not (self._targets.min_width or self._targets.min_height or self._targets.min_area):
            return np.ones(len(self._polygons), bool)
        edges = self.edges
        sides = edges[:, 2:] - edges[:, :2] if self._oriented is None else oriented.sides(self._around())
        width, height = (sides + NEAR).T
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


def corners_in_pixels(value: Any, targets: Targets, size: Size) -> Points:
    """The corners in pixels of boxes as a spec declares them, oriented ones too: n x 4 x 2. Raises ImageError."""
    form = targets.boxes or "xyxy"
    if form not in oriented.COLUMNS:
        return _corners(in_pixels(value, targets, size))
    given = oriented.paired(value)[0] if form == "xyxyxyxy" else value
    numbers = rows.read(given, "boxes", "boxes", (oriented.COLUMNS[form],))[0]
    scale = (size[1], size[0]) * 4 if targets.normalized else 1.0
    return oriented.corners_of(numbers * scale, "boxes", targets)


def _on_the_border(numbers: Points, dtype: np.dtype[Any], size: Size) -> Points:
    """Pairs x, y, with those on the border that are beyond it by no more than their numbers are rounded.

    Fractions in files often have six digits, and those of float32 seven.
    """
    ends = np.array((size[1], size[0]) * (numbers.shape[1] // 2), np.float64)
    off = np.maximum(max(1e-6, 2.0 * float(np.finfo(dtype).eps)) * ends, NEAR)
    beyond = ((numbers < 0.0) & (numbers >= -off)) | ((numbers > ends) & (numbers <= ends + off))
    return np.where(beyond, np.clip(numbers, 0.0, ends), numbers)


def _moved(polygons: list[Points], forward: Callable[[Points], Points], bends: bool, size: Size) -> list[Points]:
    """Polygons after an op, clipped to the image, with points along their edges if it bends straight lines."""
    if not polygons:
        return []
    points, counts = np.concatenate(polygons), np.array([len(polygon) for polygon in polygons])
    if bends:
        points, counts = edge_points(points, counts)
    return split(*clipped(forward(points), counts, size))


def _pixel_corners(shown: NDArray[np.bool_]) -> Points:
    """The corners of the outermost pixels in each row that are shown, height x width: n x 2, of which some repeat."""
    ys = np.flatnonzero(shown.any(axis=1))
    left, right = shown[ys].argmax(axis=1), shown.shape[1] - shown[ys, ::-1].argmax(axis=1)
    xs, ys = np.tile(np.concatenate((left, right)), 2), np.concatenate((ys, ys, ys + 1, ys + 1))
    return np.stack((xs, ys), axis=1).astype(np.float64)


def _corners(edges: Points) -> Points:
    """n x 4 x 2: top left, top right, bottom right, bottom left."""
    return edges[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


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
