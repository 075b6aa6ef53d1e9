"""The objects of a batch: boxes, instance masks, polygons, points and labels that follow when its images are mixed.

Each image has a list of objects, which may have several of these. A mixed image has the objects that its placements
show. An object is dropped where less of it is seen than the spec's `min_visible`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from augreg.batch.label_arrays import is_tensor
from augreg.batch.object_parts import InstanceMasks, ObjectPoints, PlacedMasks, PlacedPoints
from augreg.batch.placements import Chosen, Placement
from augreg.batch.shapes import Copy
from augreg.errors import ImageError
from augreg.images.codecs import tensor
from augreg.targets import rows
from augreg.targets.boxes import BoxSet
from augreg.targets.conventions import Targets
from augreg.targets.outlines import Outlines

__all__ = ["ObjectKeys", "Objects", "joined_labels"]

Size = tuple[int, int]
_Part = TypeVar("_Part")

_LEAST = 1e-9  # what rounding may take away from a fraction of pixels


@dataclass(frozen=True)
class ObjectKeys:
    """The keys of a batch of the parts of the same objects, and the key that their weights are returned under."""

    weights: str
    boxes: Any = None
    masks: tuple[Any, ...] = ()
    outlines: tuple[Any, ...] = ()
    points: Any = None
    labels: tuple[Any, ...] = ()

    @property
    def all(self) -> tuple[Any, ...]:
        """Every key."""
        named = (key for key in (self.boxes, self.points) if key is not None)
        return (*named, *self.masks, *self.outlines, *self.labels)


@dataclass
class _Placed:
    """What a placement shows of the objects of its image: those with these numbers."""

    source: int
    numbers: list[int]
    weight: float
    shift: int = 0
    """What is added to ids."""
    boxes: BoxSet | None = None
    masks: dict[Any, PlacedMasks] = field(default_factory=dict)
    outlines: dict[Any, Outlines] = field(default_factory=dict)
    points: PlacedPoints | None = None


class Objects:
    """The objects of each image of a batch."""

    def __init__(
        self, given: Mapping[Any, Any], keys: ObjectKeys, count: int, size: Size, targets: Targets, normalized: bool
    ) -> None:
        """Read them. Raises ImageError, which names the key and the image."""
        self.keys, self._size, self._targets, self._count = keys, size, targets, count
        fill = targets.mask_fill

        def read(key: Any, make: Callable[[Any, str], _Part]) -> list[_Part]:
            return [make(value, f"{key}[{i}]") for i, value in enumerate(_columns(given[key], key, count))]

        self._boxes = None
        if keys.boxes is not None:
            self._boxes = read(keys.boxes, lambda value, at: BoxSet(value, at, targets, size))
        self._masks = {
            key: read(key, lambda value, at: InstanceMasks(value, at, size, fill, normalized)) for key in keys.masks
        }
        self._outlines = {
            key: read(key, lambda value, at: Outlines(value, at, targets, size)) for key in keys.outlines
        }
        self._points = None
        if keys.points is not None:
            self._points = read(keys.points, lambda value, at: ObjectPoints(value, at, size))
        self.labels = {key: list(_columns(given[key], key, count)) for key in keys.labels}
        self.counts = self._checked_counts()
        self._weights = [np.ones(number) for number in self.counts]
        if given.get(keys.weights) is not None:
            self._weights = [
                _numbers(value, f"{keys.weights}[{i}]", self.counts[i])
                for i, value in enumerate(_columns(given[keys.weights], keys.weights, count))
            ]
        self._tensors = is_tensor(given["image"])

    def _checked_counts(self) -> list[int]:
        """The number of objects of each image. Raises ImageError where two parts differ in it."""
        columns: dict[Any, list[int]] = {}
        if self._boxes is not None:
            columns[self.keys.boxes] = [one.count for one in self._boxes]
        for parts in (self._masks, self._outlines):
            columns.update({key: [one.count for one in each] for key, each in parts.items()})
        if self._points is not None:
            columns[self.keys.points] = [one.count for one in self._points]
        first, counts = next(iter(columns.items()))
        columns.update({key: [rows.count(value) or 0 for value in each] for key, each in self.labels.items()})
        for key, others in columns.items():
            for i, (other, number) in enumerate(zip(others, counts, strict=True)):
                if other != number:
                    raise ImageError(
                        f"{key}[{i}]: {other} entries, and {first}[{i}] has {number}; give one for each object, or "
                        "list under `targets: {labels: [..]}` in the spec the keys that go with the boxes"
                    )
        return counts

    def follow(
        self, images: Sequence[Sequence[Placement]], shifts: Sequence[Sequence[int]] | None = None
    ) -> dict[Any, list[Any]]:
        """What is under each key after mixing, and the weights of the objects. Raises ImageError.

        `shifts` is what is added to the ids of the objects of each placement.
        """
        found: dict[Any, list[Any]] = {key: [] for key in (*self.keys.all, self.keys.weights)}
        for i, placements in enumerate(images):
            placed = [self._placed(each, own=each.source == i and not k) for k, each in enumerate(placements)]
            for one, shift in zip(placed, shifts[i] if shifts is not None else [0] * len(placed), strict=True):
                one.shift = shift
            for key, value in self._joined(i, placed).items():
                found[key].append(value)
        return found

    def _placed(self, placement: Placement, own: bool = False) -> _Placed:
        """The objects that a placement shows enough of. `own` is its first one of the image itself."""
        i, size = placement.source, self.counts[placement.source]
        numbers = np.arange(size) if placement.objects is None else np.array(sorted(placement.objects), np.intp)
        if placement.weight <= 0.0:
            numbers = numbers[:0]
        alive, fraction = np.ones(size, bool), np.ones(size)
        masks: dict[Any, PlacedMasks] = {}
        for key, each in self._masks.items():
            masks[key] = one = each[i].placed(placement, numbers.tolist())
            alive[numbers] &= ~(one.had & ~one.has)
        outlines: dict[Any, Outlines] = {}
        for key, polygons in self._outlines.items():
            outlines[key] = polygons[i].pasted(placement.forward, placement.areas)
            alive &= outlines[key].shown | ~polygons[i].shown
        boxes = None
        uncovered = np.ones(size)
        if placement.pixels is not None and masks:
            uncovered[numbers] = masks[self.keys.masks[0]].uncovered
        if self._boxes is not None:
            boxes = self._boxes[i].pasted(placement.forward, placement.areas, numbers)
            boxes.cover(uncovered[boxes.kept])
            boxes.drop(~alive)
            self._draw_around(boxes, masks, numbers, uncovered)
            boxes.drop_hidden()
            alive &= np.isin(np.arange(size), boxes.kept)
        elif masks:
            fraction[numbers] = masks[self.keys.masks[0]].fraction
        elif outlines:
            areas = self._outlines[self.keys.outlines[0]][i].areas * (placement.scale[0] * placement.scale[1])
            seen = outlines[self.keys.outlines[0]].areas
            fraction = np.where(areas > 0.0, seen / np.where(areas > 0.0, areas, 1.0), 1.0)
        points = None
        if self._points is not None:
            points = self._points[i].placed(placement, numbers.tolist())
            if not (self._boxes or masks or outlines):
                alive[numbers] = self._shows_points(placement, points, own)
        alive &= fraction + _LEAST >= self._targets.min_visible
        kept = np.flatnonzero(alive[numbers])
        left = [int(number) for number in numbers[kept]]
        if boxes is not None:
            boxes.drop(~alive)
        if points is not None:
            points = points.picked(kept.tolist())
        masks = {key: one.picked(kept.tolist()) for key, one in masks.items()}
        return _Placed(i, left, placement.weight, 0, boxes, masks, outlines, points)

    def _draw_around(
        self,
        boxes: BoxSet,
        masks: Mapping[Any, PlacedMasks],
        numbers: NDArray[np.intp],
        uncovered: NDArray[np.float64],
    ) -> None:
        """Draw boxes around what is seen of their masks: all if the spec says so, else those partly covered."""
        key = self._targets.boxes_from
        if key in masks:
            again = np.ones(len(uncovered), bool)
        elif (uncovered < 1.0).any():
            key, again = self.keys.masks[0], uncovered < 1.0
        else:
            return
        own = self._masks[key][0]
        shown: list[NDArray[np.bool_]] = [np.zeros((1, 1), bool)] * len(uncovered)
        for number, plane in zip(numbers.tolist(), masks[key].planes, strict=True):
            if again[number]:
                shown[number] = own.shown(plane)
        boxes.draw_around(shown)

    def _shows_points(self, placement: Placement, points: PlacedPoints, own: bool) -> NDArray[np.bool_]:
        """Which objects that are points alone are in the mixed image.

        Hidden points of the image itself stay if the spec keeps those that leave an image.
        """
        if placement.is_whole or (own and self._targets.keypoints == "keep"):
            return np.ones(len(points.shown), bool)
        return np.asarray(points.shown.any(axis=1))

    def _joined(self, image: int, placed: Sequence[_Placed]) -> dict[Any, Any]:
        """The objects of one image, in the form that it had."""
        found: dict[Any, Any] = {}
        owners = [(one.source, number, one.weight, one.shift) for one in placed for number in one.numbers]
        kept: list[int] = list(range(len(owners)))
        if self._boxes is not None:
            boxes = self._boxes[image].joined([one.boxes for one in placed if one.boxes is not None])
            found[self.keys.boxes] = boxes.write(self._size, "auto")
            kept = boxes.kept.tolist()
        there = set(kept)
        ends = np.cumsum([0, *(len(one.numbers) for one in placed)])
        of_each = [[k for k in range(len(one.numbers)) if start + k in there]
                   for one, start in zip(placed, ends[:-1].tolist(), strict=True)]  # fmt: skip
        pairs = list(zip(placed, of_each, strict=True))
        for key, masks in self._masks.items():
            found[key] = masks[image].written([one.masks[key].planes[places] for one, places in pairs])
        for key, polygons in self._outlines.items():
            chosen = [(one.outlines[key], [one.numbers[k] for k in places]) for one, places in pairs]
            found[key] = polygons[image].joined(chosen).write(self._size, "auto")
        if self._points is not None:
            points = [one.points.picked(places) for one, places in pairs if one.points is not None]
            found[self.keys.points] = self._points[image].written(points, f"{self.keys.points}[{image}]")
        left = [owners[place] for place in kept]
        for key, labels in self.labels.items():
            found[key] = joined_labels(labels, image, [(source, number) for source, number, *_ in left])
            if key in self._targets.ids:
                found[key] = _shifted(found[key], [shift for *_, shift in left], key)
        weights = np.array([self._weights[source][number] * weight for source, number, weight, _ in left])
        found[self.keys.weights] = rows.write(weights, self._like(image))
        return found

    def _like(self, image: int) -> rows.Like:
        """The form of the weights: that of the boxes or points, or of the images."""
        if self._boxes is not None:
            like = self._boxes[image].like
        elif self._points is not None:
            like = self._points[image].like
        else:
            like = rows.Like("tensor" if self._tensors else "array", np.dtype(np.float32))
        return like._replace(dtype=np.dtype(np.float32)) if like.kind != "list" else like

    def choose(self, blend: Copy, before: Sequence[Sequence[Placement]]) -> Iterable[Chosen]:
        """The instances that a copy pastes: those of each partner that it chooses among the ones that are seen."""
        key = self.keys.masks[0]
        candidates: dict[int, list[tuple[int, int, NDArray[np.bool_]]]] = {}
        for into, sources in blend.reads().items():
            (source,) = sources
            if source not in candidates:
                candidates[source] = []
                for place, each in enumerate(before[source]):
                    one = self._placed(each)
                    planes = self._masks[key][each.source].shown(one.masks[key].planes)
                    kept = set(one.numbers) if one.boxes is None else set(one.boxes.kept.tolist())
                    candidates[source] += [
                        (place, number, plane)
                        for number, plane in zip(one.numbers, planes, strict=True)
                        if number in kept and plane.any()
                    ]
            flags = blend.chosen(into, len(candidates[source]))
            picked = [one for one, flag in zip(candidates[source], flags, strict=True) if flag]
            if picked:
                of_place: dict[int, list[int]] = {}
                for place, number, _ in picked:
                    of_place.setdefault(place, []).append(number)
                shown = np.any([plane for *_, plane in picked], axis=0)
                yield Chosen(into, source, shown, [(place, tuple(each)) for place, each in of_place.items()])


def joined_labels(labels: Sequence[Any], image: int, chosen: Sequence[tuple[int, int]]) -> Any:
    """These entries (image, number) of the labels of all images, in the form of those of one image."""
    own = labels[image]
    if isinstance(own, list | tuple):
        found = [labels[source][number] for source, number in chosen]
        return tuple(found) if isinstance(own, tuple) else found
    if not chosen:
        return own[:0]
    parts = [labels[source][number] for source, number in chosen]
    if is_tensor(own):
        from augreg.batch import torch_kernels

        return torch_kernels.stacked(parts).to(own.device, own.dtype)
    return np.stack([np.asarray(part) for part in parts])


def _shifted(ids: Any, shifts: Sequence[int], key: Any) -> Any:
    """Ids with these numbers added; those of 0 or less are none."""
    if isinstance(ids, list | tuple):
        return type(ids)([one + shift if one > 0 else one for one, shift in zip(ids, shifts, strict=True)])
    numbers = np.asarray(ids.detach().cpu() if is_tensor(ids) else ids).astype(np.int64)
    added = np.where(numbers > 0, np.reshape(shifts, (-1, *[1] * (numbers.ndim - 1))), 0).astype(np.int64)
    if not added.any():
        return ids
    highest, kind = int((numbers + added).max()), str(ids.dtype).removeprefix("torch.")
    if highest > np.iinfo(kind).max:
        raise ImageError(
            f"{key}: the ids of the instances of a mixed image go up to {highest}, and {kind} has none as high: give "
            "a wider dtype, such as int32"
        )
    found = (numbers + added).astype(kind)
    return tensor(found).to(ids.device) if is_tensor(ids) else found


def _columns(value: Any, key: Any, count: int) -> Sequence[Any]:
    """The value of each image. Raises ImageError unless there are as many as images."""
    number = rows.count(value)
    if number != count:
        got = f"a {type(value).__name__}" if number is None else number
        raise ImageError(
            f"{key}: a batch has a value for each of its {count} images, in a list or an array, got {got}"
        )
    return value  # type: ignore[no-any-return]


def _numbers(value: Any, key: str, count: int) -> NDArray[np.float64]:
    array = np.asarray(value.detach().cpu() if is_tensor(value) else value, np.float64)
    if array.shape != (count,):
        raise ImageError(f"{key}: expected the weights of {count} objects, got an array of shape {array.shape}")
    return array
