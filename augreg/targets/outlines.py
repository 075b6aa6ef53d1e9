"""Outlines: polygons around objects. They move by their points, and the border clips the figure that they enclose.

An object has one polygon, k x 2, or several in a list, such as COCO's `segmentation`, whose polygons are flat lists
x1, y1, x2, y2 and so on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from augreg.backends.tiles import Tile
from augreg.errors import ImageError
from augreg.targets import rows
from augreg.targets.conventions import NEAR, Targets
from augreg.targets.polygons import bridged, clipped, in_cells, in_tiles, measured, split, total_area

__all__ = ["Outlines"]

Points = NDArray[np.float64]
Size = tuple[int, int]

_WHAT = "a polygon: give k x 2 numbers, or x1, y1, x2, y2 and so on, of three points or more"


class _Form(NamedTuple):
    """The form of a polygon: whether it is flat, and what its numbers are in."""

    flat: bool
    like: rows.Like

    def written(self, points: Points, output: str) -> Any:
        return rows.write(points.ravel() if self.flat else points, self.like, output)


class Outlines:
    """The polygons under one key of a sample, for each of `count` objects."""

    def __init__(self, value: Any, key: str, targets: Targets, size: Size) -> None:
        """Read them. Raises ImageError for what is no polygon, with the object's number."""
        if not isinstance(value, list | tuple):
            raise ImageError(f"{key}: a {type(value).__name__} is no list with the polygons of each object")
        self.count = len(value)
        self._tuple = isinstance(value, tuple)
        self._scaled = targets.normalized
        scale = np.array((size[1], size[0]), np.float64) if self._scaled else 1.0
        self._several: list[bool] = []
        self._polygons: list[Points] = []
        self._forms: list[_Form] = []
        self._owners: list[int] = []
        """The number of each polygon's object."""
        for number, entry in enumerate(value):
            several = not _is_polygon(entry)
            self._several.append(several)
            for place, polygon in enumerate(entry if several else [entry]):
                at = f"{key}[{number}][{place}]" if several else f"{key}[{number}]"
                points, form = _read(polygon, at)
                self._polygons.append(points * scale)
                self._forms.append(form)
                self._owners.append(number)
        self._given = dict(zip(self._owners, self._forms, strict=True))
        self.move(lambda points: points, size)  # a polygon may extend over the border from the start
        self._had = self.shown

    def move(self, forward: Callable[[Points], Points], size: Size, bends: bool = False) -> None:
        """Move the points with `forward`, and clip the polygons to an image of this size."""
        if not self._polygons:
            return
        counts = np.array([len(polygon) for polygon in self._polygons])
        points = forward(np.concatenate(self._polygons))
        low, high, _ = measured(points, counts)
        ends = np.array((size[1], size[0]), np.float64)
        over = np.asarray(((low < -NEAR) | (high > ends + NEAR)).any(axis=1))
        kept, there = [], []
        whole = np.repeat(~over, counts)
        rest = iter(split(*clipped(points[~whole], counts[over], size)))
        for place, polygon in enumerate(split(points, counts)):
            found = next(rest) if over[place] else np.clip(polygon, 0.0, ends)
            sliver = over[place] and (not len(found) or np.ptp(found, axis=0).min() <= NEAR)
            if not sliver and measured(found, np.array([len(found)]))[2][0] > 0.0:
                kept.append(found)
                there.append(place)
        self._polygons = kept
        self._forms = [self._forms[place] for place in there]
        self._owners = [self._owners[place] for place in there]

    def move_tiles(self, cut: Sequence[Tile]) -> None:
        """Move the parts of the polygons in each tile; an object whose one polygon is cut has a list of them."""
        parts = [in_tiles(polygon, cut) for polygon in self._polygons]
        for owner, several in zip(self._owners, parts, strict=True):
            self._several[owner] |= len(several) > 1
        self._forms = [form for form, several in zip(self._forms, parts, strict=True) for _ in several]
        self._owners = [owner for owner, several in zip(self._owners, parts, strict=True) for _ in several]
        self._polygons = [polygon for several in parts for polygon in several]

    def pasted(self, forward: Callable[[Points], Points], cells: Points) -> Self:
        """What another image shows of the polygons in its `cells`, n x 4: x1, y1, x2, y2, moved by `forward`.

        Several pieces of a polygon are joined to one by bridges of no width, if its object has only one.
        """
        found = copy.copy(self)
        found._polygons, found._forms, found._owners = [], [], []
        for polygon, form, owner in zip(self._polygons, self._forms, self._owners, strict=True):
            moved = forward(polygon)
            pieces = in_cells(moved, cells)
            if len(pieces) > 1 and total_area(pieces) >= total_area([moved]) * (1.0 - 1e-9):
                pieces = [moved]
            elif len(pieces) > 1 and not self._several[owner]:
                pieces = [bridged(pieces)]
            found._polygons += pieces
            found._forms += [form] * len(pieces)
            found._owners += [owner] * len(pieces)
        return found

    def joined(self, others: Sequence[tuple[Outlines, Sequence[int]]]) -> Self:
        """The objects of others with these numbers as those of one sample, in order."""
        found = copy.copy(self)
        found._polygons, found._forms, found._owners, found._several, found._given = [], [], [], [], {}
        for other, numbers in others:
            for number in numbers:
                places = [place for place, owner in enumerate(other._owners) if owner == number]
                found._polygons += [other._polygons[place] for place in places]
                found._forms += [other._forms[place] for place in places]
                found._owners += [len(found._several)] * len(places)
                if number in other._given:
                    found._given[len(found._several)] = other._given[number]
                found._several.append(other._several[number])
        found.count = len(found._several)
        found._had = found.shown
        return found

    @property
    def areas(self) -> NDArray[np.float64]:
        """The area of the polygons of each object."""
        found = np.zeros(self.count)
        np.add.at(found, self._owners, [total_area([polygon]) for polygon in self._polygons])
        return found

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Which objects have a polygon in the image."""
        found = np.zeros(self.count, bool)
        found[self._owners] = True
        return found

    @property
    def gone(self) -> NDArray[np.bool_]:
        """Which objects had a polygon in the image, and have none any more."""
        return self._had & ~self.shown

    def write(self, size: Size, output: str) -> Any:
        """The polygons of every object in the form of the input; an object without any has an empty one or none."""
        scale = np.array((size[1], size[0]), np.float64) if self._scaled else 1.0
        written: list[list[Any]] = [[] for _ in range(self.count)]
        for polygon, form, owner in zip(self._polygons, self._forms, self._owners, strict=True):
            written[owner].append(form.written(polygon / scale, output))
        found: list[Any] = list(written)
        for number in np.flatnonzero(~np.array(self._several, bool)).tolist():
            found[number] = (written[number] or [self._given[number].written(np.zeros((0, 2)), output)])[0]
        return tuple(found) if self._tuple else found


def _is_polygon(entry: Any) -> bool:
    """Whether this is one polygon, flat or as points, and no list of polygons."""
    if not isinstance(entry, list | tuple):
        return True
    first = entry[0] if len(entry) else []
    return rows.count(first) is None or (rows.count(first) == 2 and rows.count(first[0]) is None)


def _read(polygon: Any, at: str) -> tuple[Points, _Form]:
    """The points of a polygon. Raises ImageError."""
    flat = rows.count(polygon) is not None and len(polygon) > 0 and _is_number(polygon[0])
    if flat and len(polygon) % 2:
        raise ImageError(f"{at}: {len(polygon)} numbers are not {_WHAT}")
    if flat:
        is_array = hasattr(polygon, "reshape")
        polygon = polygon.reshape(-1, 2) if is_array else list(zip(polygon[::2], polygon[1::2], strict=True))
    points, like = rows.read(polygon, at, _WHAT.partition(":")[0], (2,))
    if len(points) < 3:
        raise ImageError(f"{at}: {len(points)} points are not {_WHAT}")
    return points, _Form(flat, like)


def _is_number(value: Any) -> bool:
    return getattr(value, "ndim", 0) == 0 and rows.count(value) is None
