"""Masks and points of objects in a batch: read for each image, placed in a mixed one, and written again."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.batch.label_arrays import is_tensor
from augreg.batch.placements import Placement
from augreg.errors import ImageError
from augreg.images.codecs import tensor
from augreg.targets import rows
from augreg.targets.keypoints import flattened

__all__ = ["InstanceMasks", "ObjectPoints", "PlacedMasks", "PlacedPoints"]

Array = NDArray[Any]
_NEXT = 1e-6  # of a pixel: more than rounding may add to a coordinate
Flags = NDArray[np.bool_]
Size = tuple[int, int]


class PlacedMasks(NamedTuple):
    """The masks of some objects in a mixed image."""

    planes: Array
    """n x height x width; 0 where the object is not seen."""
    had: Flags
    """Which had a pixel before."""
    has: Flags
    """Which have one now."""
    fraction: NDArray[np.float64]
    """How much of each mask is seen; 1 where it had none."""
    uncovered: NDArray[np.float64]
    """How much of what would be seen is not covered by copied instances."""

    def picked(self, places: Sequence[int]) -> PlacedMasks:
        """Those at these places."""
        chosen = list(places)
        return PlacedMasks(
            self.planes[chosen], self.had[chosen], self.has[chosen], self.fraction[chosen], self.uncovered[chosen]
        )


class InstanceMasks:
    """The masks of the objects of one image, one for each."""

    def __init__(self, value: Any, key: str, size: Size, fill: int, normalized: bool) -> None:
        """Read them: n x height x width, an array also height x width x n, or a list. Raises ImageError.

        `normalized` images come with n x height x width if an array fits both.
        """
        self._list = type(value) if isinstance(value, list | tuple) else None
        self._like = value[0] if self._list and len(value) else value
        members = [_plane(one, f"{key}[{number}]", size) for number, one in enumerate(value)] if self._list else []
        self._last = False
        if self._list:
            self.planes: Array = np.stack(members) if members else np.zeros((0, *size), np.uint8)
        else:
            self.planes = _array(value, key)
            shape = self.planes.shape
            first, last = shape[1:] == size, shape[:2] == size and not is_tensor(value)
            if self.planes.ndim != 3 or not (first or last):
                raise ImageError(
                    f"{key}: the masks of instances are n x {size[0]} x {size[1]}, or a list of n masks, got "
                    f"{' x '.join(map(str, shape))}"
                )
            self._last = last and not (first and normalized)
            self.planes = np.moveaxis(self.planes, 2, 0) if self._last else self.planes
        if self.planes.dtype.kind not in "iub":
            raise ImageError(f"{key}: masks of instances are integers or bools, got {self.planes.dtype}")
        self._fill = fill

    @property
    def count(self) -> int:
        """The number of objects."""
        return len(self.planes)

    def shown(self, planes: Array) -> Flags:
        """Where planes show an object."""
        found = planes != 0
        return np.asarray(found & (planes != self._fill) if self._fill else found)

    @functools.cached_property
    def _pixels(self) -> NDArray[np.int64]:
        """The number of pixels of each object."""
        return self._counted(self.planes)

    def _counted(self, planes: Array) -> NDArray[np.int64]:
        return np.asarray(np.count_nonzero(self.shown(planes), axis=(1, 2)), np.int64)

    def placed(self, placement: Placement, numbers: Sequence[int]) -> PlacedMasks:
        """The masks of these objects in a mixed image."""
        chosen = np.array(numbers, np.intp)
        every = self._pixels[chosen]
        had = np.asarray(every > 0)
        if placement.is_whole:
            ones = np.ones(len(chosen))
            return PlacedMasks(self.planes[chosen], had, had, ones, ones)
        height, width = placement.size
        down, across = placement.lines or (np.arange(height), np.arange(width))
        # only the part that is seen is read and written
        top, left = placement.cells[:, 4:6].min(axis=0, initial=max(height, width)).astype(int).tolist()
        bottom, right = placement.cells[:, 6:].max(axis=0, initial=0).astype(int).tolist()
        part = slice(top, bottom), slice(left, right)
        shown = placement.shown[part]
        seen = np.where(shown, self.planes[np.ix_(chosen, down[part[0]], across[part[1]])], 0)
        before = now = self._counted(seen)
        if placement.pixels is not None:
            seen = np.where(placement.pixels[part], seen, 0)
            now = self._counted(seen)
        planes = np.zeros((len(chosen), height, width), self.planes.dtype)
        planes[(slice(None), *part)] = seen
        kept: Any = 1.0
        if placement.scaled and placement.window is not None:
            # pixels are counted after it was scaled, and what was cut off before
            y0, x0, y1, x1 = (round(edge) for edge in placement.window)
            kept = self._counted(self.planes[chosen, y0:y1, x0:x1]) / np.maximum(every, 1)
            every = self._counted(self.planes[np.ix_(chosen, down[down >= 0], across[across >= 0])])
        fraction = np.where(had, kept * np.minimum(now / np.maximum(every, 1), 1.0), 1.0)
        uncovered = np.where(before > 0, now / np.maximum(before, 1), 1.0)
        return PlacedMasks(planes, had, np.asarray(now > 0), fraction, uncovered)

    def written(self, planes: Sequence[Array]) -> Any:
        """Planes as the masks of one image, in the form of these."""
        joined = np.concatenate([self.planes[:0], *planes]).astype(self.planes.dtype)
        if self._list is None:
            return _as_given(np.ascontiguousarray(np.moveaxis(joined, 0, 2)) if self._last else joined, self._like)
        return self._list([_as_given(plane, self._like) for plane in joined])


def _plane(value: Any, key: str, size: Size) -> Array:
    array = _array(value, key)
    if array.shape != size:
        shape = " x ".join(map(str, array.shape))
        raise ImageError(f"{key}: the mask of an instance is {size[0]} x {size[1]}, got {shape}")
    return array


def _array(value: Any, key: str) -> Array:
    """An array, or a tensor as one."""
    if is_tensor(value):
        return np.asarray(value.detach().cpu().numpy())
    if not isinstance(value, np.ndarray):
        raise ImageError(f"{key}: masks of instances in a batch are arrays or tensors, got {type(value).__name__}")
    return value


def _as_given(array: Array, like: Any) -> Any:
    return tensor(np.ascontiguousarray(array)).to(like.device) if is_tensor(like) else array


class PlacedPoints(NamedTuple):
    """The points of some objects in a mixed image."""

    rows: NDArray[np.float64]
    """n x k x 2, or n x k x 3 with visibility."""
    shown: Flags
    """Which points are seen, n x k."""

    def picked(self, places: Sequence[int]) -> PlacedPoints:
        """Those at these places."""
        return PlacedPoints(self.rows[list(places)], self.shown[list(places)])


class ObjectPoints:
    """The points of the objects of one image. A point on its own is an object with one point."""

    def __init__(self, value: Any, key: str, size: Size) -> None:
        """Read them: n x k x 2 or n x k x 3, or n x 2 or n x 3 for points on their own. Raises ImageError."""
        if isinstance(value, Mapping):
            raise ImageError(
                f"{key}: points under names cannot be joined where images are mixed, since each name comes once: "
                "give n x 2 points, and keypoint_names"
            )
        flat, instances, each = flattened(value, key)
        numbers, self.like = rows.read(flat, key, "keypoints (x, y, perhaps visibility)", (2, 3))
        self.free = instances is None
        self.rows = numbers.reshape(len(numbers) if instances is None else instances, each or 1, numbers.shape[1])
        points = self.rows[..., :2]
        self._seen: Flags = np.asarray(((points >= 0.0) & (points <= (size[1], size[0]))).all(axis=2))
        if numbers.shape[1] == 3:
            self._seen &= self.rows[..., 2] > 0.0

    @property
    def count(self) -> int:
        """The number of objects."""
        return len(self.rows)

    def placed(self, placement: Placement, numbers: Sequence[int]) -> PlacedPoints:
        """The points of these objects in a mixed image."""
        found, seen = self.rows[list(numbers)], self._seen[list(numbers)]
        if placement.is_whole:
            return PlacedPoints(found, seen)
        height, width = placement.size
        points = found[..., :2].reshape(-1, 2)
        moved = placement.forward(points)
        # a point on the far border belongs to the last pixel
        at = placement.forward(np.minimum(points, np.subtract((width, height), _NEXT)))[:, None]
        areas = placement.areas
        in_cells: Flags = np.asarray(((at >= areas[:, :2]) & (at < areas[:, 2:])).all(axis=2))
        within = in_cells.any(axis=1)
        if placement.pixels is not None:
            x, y = (np.clip(at[:, 0, k].astype(int), 0, end - 1) for k, end in ((0, width), (1, height)))
            within &= placement.pixels[y, x]
        found = found.copy()
        found[..., :2] = moved.reshape(found[..., :2].shape)
        return PlacedPoints(found, np.asarray(seen & within.reshape(seen.shape)))

    def written(self, placed: Sequence[PlacedPoints], key: str) -> Any:
        """Points as those of one image, in the form of these; what is not seen gets the visibility 0."""
        shapes = {one.rows.shape[1:] for one in placed if len(one.rows)}
        if len(shapes) > 1:
            what = " and ".join(" x ".join(map(str, shape)) for shape in sorted(shapes))
            raise ImageError(f"{key}: images that are mixed have points of {what} numbers; give all the same")
        empty = np.zeros((0, *(next(iter(shapes)) if shapes else self.rows.shape[1:])))
        found = np.concatenate([empty, *(one.rows for one in placed if len(one.rows))])
        if found.shape[2] == 3:
            shown = [np.zeros((0, found.shape[1]), bool), *(one.shown for one in placed if len(one.rows))]
            found[~np.concatenate(shown), 2] = 0.0
        return rows.write(found[:, 0] if self.free else found, self.like)
