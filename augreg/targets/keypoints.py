"""Keypoints: read with visibility and names, moved, kept or dropped; a mirrored image exchanges their names.

A point (x, y) is in pixels from the top left corner; x runs from 0 to the width, and the first pixel's center is
at (0.5, 0.5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.targets import rows
from augreg.targets.conventions import NEAR, Targets

__all__ = ["Keypoints", "exchanged", "flattened", "has_names"]

Points = NDArray[np.float64]
Size = tuple[int, int]

_WHAT = "keypoints (x, y, perhaps visibility)"
_INSTANCES = "keypoints of instances (n x k x 2, or n x k x 3 with visibility)"


class Keypoints:
    """The keypoints of one sample: n x 2, n x 3 with visibility, or a mapping from names to points.

    With three axes, instances x points x 2 or 3, the points of an instance stay together, and go with its box.
    """

    def __init__(self, value: Any, names: Any, key: str, targets: Targets, size: Size, labeled: bool = False) -> None:
        """Read them; `names` is what the sample gives as `keypoint_names`, or None.

        Without names their numbers are exchanged that the spec pairs, unless they are `labeled` by other entries.
        Raises ImageError.
        """
        self._targets = targets
        self._mapping = value if isinstance(value, Mapping) else None
        self.instances: int | None = None
        """How many instances these are the points of; None for points on their own."""
        each = 0
        if self._mapping is not None:
            names = list(self._mapping)
            read = [rows.read(_row(point), f"{key}[{name!r}]", _WHAT, (2, 3)) for name, point in value.items()]
            if len({one.shape[1] for one, _ in read}) > 1:
                raise ImageError(
                    f"{key}: some points have a visibility and some have none; give it to all or to none"
                )
            self._likes = [like for _, like in read]
            self._rows = np.concatenate([one for one, _ in read]) if read else np.zeros((0, 2))
        else:
            flat, self.instances, each = flattened(value, key)
            self._rows, like = rows.read(flat, key, _WHAT, (2, 3))
            self._likes = [like]
        self._named = len(self._rows) if self.instances is None else each
        if names is not None and rows.count(names) != self._named:
            raise ImageError(
                f"sample['keypoint_names']: expected a list of {self._named} names, one for each point, got {names!r}"
            )
        self.by_place = names is None and not labeled and bool(targets.points) and len(self._rows) > 0
        """Whether the numbers of the points are exchanged, as they have no names."""
        self.count = len(self._rows)
        if self.by_place and max(targets.points) >= self._named:
            pair = max(targets.points), targets.points[max(targets.points)]
            raise ImageError(
                f"{key}: the spec swaps the points {min(pair)} and {max(pair)}, and there are {self._named} points; "
                "count them from 0, or pair those of keypoints under `targets: {swap_keypoints: ..}`"
            )
        if self.by_place and self.instances is None and targets.keypoints == "drop":
            raise ImageError(
                f"{key}: the spec drops points and swaps them by their numbers, which others then have; give the "
                "numbers as `keypoint_names`"
            )
        if self.instances is not None and self._rows.shape[1] == 2 and targets.keypoints == "drop":
            raise ImageError(
                f"{key}: the points of an instance stay together, so none can be dropped; give them a visibility, "
                "n x k x 3, which becomes 0, or say `keypoints: keep` under `targets` in the spec"
            )
        if targets.partners and not self.by_place and not labeled and names is None and len(self._rows):
            raise ImageError(
                f"{key}: the spec swaps names in a mirrored image, and these points have none; give "
                "`keypoint_names`, or the points as a mapping from names"
            )
        each_name = range(self._named) if self.by_place else None if names is None else map(_name, rows.listed(names))
        self._names = None if each_name is None else [*each_name] * (1 if self.instances is None else self.instances)
        self._given_names = names
        self._partners: Mapping[Any, Any] = {**targets.partners, **targets.points}
        self.taken: list[int] = []
        """The numbers among the points that came in of those that `write` returned, if they are on their own."""
        self._inside = np.ones(len(self._rows), bool)
        self._order = np.arange(len(self._rows))
        self.move(lambda points: points, size)

    def move(self, forward: Callable[[Points], Points], size: Size, bends: bool = False) -> None:
        """Move the points with `forward`, in an image of this size after it; points that left it stay outside."""
        points = forward(self._rows[:, :2])
        ends = np.array((size[1], size[0]), np.float64)
        inside = np.asarray(((points >= -NEAR) & (points <= ends + NEAR)).all(axis=1))
        self._rows[:, :2] = np.where(inside[:, None], np.clip(points, 0.0, ends), points)
        self._inside &= inside

    def mirror(self) -> None:
        """Exchange the names that the spec pairs. Where the set of names stays the same, so does their order."""
        if self._names is None or not self._partners:
            return
        before, after = self._names, [self._partners.get(name, name) for name in self._names]
        if Counter(before) == Counter(after):  # the k-th point of a name takes the place of the k-th before
            places = {name: iter([k for k, other in enumerate(after) if other == name]) for name in set(after)}
            self._order = self._order[[next(places[name]) for name in before]]
        else:
            self._names = after

    def write(self, output: str, kept: Sequence[int] | None = None) -> tuple[Any, Any]:
        """The points in the form of the input, and their names, or None if no `keypoint_names` were given.

        `kept` are the instances that are still there, or the points, if only some are.
        """
        found, inside = self._rows[self._order], self._inside[self._order]
        if found.shape[1] == 3:
            found[~inside, 2] = 0.0  # no longer in the image
        if self.instances is not None:
            grouped = found.reshape(self.instances, self._named, found.shape[1])
            grouped = grouped if kept is None else grouped[list(kept)]
            names = self._given_names
            if names is not None and self.instances:
                names = self._written_names(range(self._named))
            return rows.write(grouped, self._likes[0], output), names
        keep = np.flatnonzero(inside) if self._targets.keypoints == "drop" else np.arange(len(found))
        if kept is not None:
            keep = keep[np.isin(keep, kept)]
        self.taken = self._order[keep].tolist()
        if self._mapping is None:
            names = None if self._given_names is None else self._written_names(keep.tolist())
            return rows.write(found[keep], self._likes[0], output), names
        named: dict[str, Any] = {}
        for place in keep:
            source = int(self._order[place])
            name = (self._names or [])[place]
            one = rows.write(found[[place]], self._likes[source], output)[0]
            given = list(self._mapping.values())[source]
            named[name] = tuple(one) if isinstance(given, tuple) and isinstance(one, list) else one
        return named, None

    def _written_names(self, keep: Sequence[int]) -> Any:
        names = [(self._names or [])[place] for place in keep]
        if rows.is_tensor(self._given_names):
            return self._given_names.new_tensor(names)
        if isinstance(self._given_names, np.ndarray):
            dtype = self._given_names.dtype
            return np.array(names, dtype=dtype if dtype.kind in "Oiu" else str)
        return type(self._given_names)(names) if type(self._given_names) in (list, tuple) else names


def _name(name: Any) -> str | int:
    """The name of a point; numbers stay numbers."""
    return int(name) if isinstance(name, int | np.integer) and not isinstance(name, bool) else str(name)


def flattened(value: Any, key: str) -> tuple[Any, int | None, int]:
    """Points as rows, the number of their instances (None if they have two axes), and of the points of each."""
    if hasattr(value, "ndim"):
        if value.ndim != 3 or value.shape[2] not in (2, 3):
            return value, None, 0
        return value.reshape(-1, value.shape[2]), int(value.shape[0]), int(value.shape[1])
    if not isinstance(value, list | tuple) or not len(value) or not rows.count(value[0]):
        return value, None, 0
    if rows.count(value[0][0]) is None:
        return value, None, 0
    counts = {rows.count(one) for one in value}
    if len(counts) > 1 or None in counts:
        raise ImageError(f"{key}: not {_INSTANCES}: the instances have {counts} points; give all the same number")
    return [point for one in value for point in one], len(value), len(value[0])


def _row(point: Any) -> Any:
    """One point as a row."""
    return point[None] if rows.count(point) is not None and hasattr(point, "ndim") else [point]


def exchanged(names: Any, partners: Mapping[str, str]) -> Any:
    """A name, or names in a list, tuple or array, as in a mirrored image; other values stay the same."""
    if isinstance(names, str):
        return partners.get(names, names)
    if isinstance(names, np.ndarray) and names.dtype.kind in "UO":
        found = names.astype(object)
        for place, name in np.ndenumerate(found):
            if isinstance(name, str):
                found[place] = partners.get(name, name)
        return found if names.dtype.kind == "O" else found.astype(str)
    if not isinstance(names, list | tuple):
        return names
    return type(names)([partners.get(name, name) if isinstance(name, str) else name for name in names])


def has_names(value: Any, partners: Mapping[str, str]) -> bool:
    """Whether this is one of these names, or a list, tuple or array with one of them."""
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist() if value.dtype.kind in "UO" else []
    members = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(one, str) and one in partners for one in members)
