"""Followers: the entries of a sample that follow its image, read before the ops run, and written after them.

The keys say what an entry is (`targets.kinds`): a mask or a map of values, or a list of them. Then there are `boxes`,
`keypoints` and `keypoint_names`, and the keys that the spec's `targets` names: those of further boxes and keypoints,
of polygons, and those with one entry per box or per keypoint.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.errors import AugregError, ImageError, printable
from augreg.targets import rows
from augreg.targets.boxes import BoxSet
from augreg.targets.classes import class_partners, exchanged_labels, has_classes
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import Keypoints, has_names
from augreg.targets.kinds import kind_of, say_of_which
from augreg.targets.masks import Mask
from augreg.targets.outlines import Outlines
from augreg.targets.propagate import TargetSet
from augreg.targets.values import ValueMap

__all__ = [
    "Followers",
    "as_given",
    "boxes_of",
    "kind_at",
    "members_of",
    "position",
    "reading",
    "target_set",
]

Entries = Mapping[Any, Any]


class Followers:
    """What follows one image: that of a sample, or one of the frames of a clip, whose number errors name then."""

    def __init__(self, sample: Entries, targets: Targets, size: tuple[int, int], frame: int | None = None) -> None:
        """Read them. Raises ImageError, which names the key."""
        self._sample, self._targets, self._frame = sample, targets, frame
        self.masks = {
            key: self._read_masks(key, size)
            for key, value in sample.items()
            if kind_at(key, value, targets) == "mask"
        }
        self.maps = {
            key: [
                ValueMap(member, at, targets.maps[key], size, targets.nearest)
                for member, at in members_of(sample[key], self._at(key))
            ]
            for key in targets.maps
            if key in sample
        }
        self.boxes = boxes_of(sample, targets, size, frame)
        self._companions = [] if self.boxes is None else self._read_companions(self.boxes.count)
        instances = [key for key in self._companions if key in self.masks]
        self.outlines = self._read_outlines(size)
        self._before = {key: _shows(self.masks[key], sample[key]) for key in instances}
        labels = [key for key in targets.labels if key in sample and key not in targets.ids]
        self._swapped = [key for key in labels if has_classes(sample[key], targets)]
        has_partners = bool(class_partners(targets.classes, targets))
        no_classes = (*(targets.instances or ()), *targets.ids)
        self._classes = [key for key in self.masks if has_partners and key not in no_classes]
        self._point_labels = [key for key in targets.keypoint_labels if key in sample]
        self.keypoints = self._read_keypoints(size)
        self.further = self._read_further(size)

    def write(self, moved: TargetSet, output: str) -> dict[Any, Any]:
        """The entries after the ops that moved `moved`, by their keys."""
        sample, targets, boxes = self._sample, self._targets, self.boxes
        for key in self._classes if moved.mirrored else ():
            for mask in self.masks[key]:
                mask.exchange(targets)
        pixels: dict[Any, list[Any]] = {**self.masks, **self.maps}
        found = {key: as_given([m.write(output) for m in group], sample[key]) for key, group in pixels.items()}
        found.update({key: each.write(moved.size, output) for key, each in self.outlines.items()})
        if boxes is not None:
            for each in self.outlines.values():
                boxes.drop(each.gone)
            for key, before in self._before.items():
                boxes.drop(before & ~_shows(self.masks[key], sample[key]))
                if key == targets.boxes_from:
                    boxes.draw_around(_shown(self.masks[key], sample[key]))
            found["boxes"] = boxes.write(moved.size, output)
            for key in (*self._companions, *self.outlines):
                found[key] = _kept(found.get(key, sample[key]), boxes.kept.tolist(), key in self.masks)
        if moved.mirrored:
            found.update({key: exchanged_labels(found.get(key, sample[key]), targets) for key in self._swapped})
        found.update(self._written_keypoints(moved.mirrored, output))
        for key, points in self.further.items():
            if isinstance(points, BoxSet):
                found[key] = points.write(moved.size, output)
                continue
            if moved.mirrored:
                points.mirror()
            found[key], _ = points.write(output)
        return found

    def _written_keypoints(self, mirrored: bool, output: str) -> dict[Any, Any]:
        """The keypoints, and what there is for each of them."""
        keypoints, boxes = self.keypoints, self.boxes
        if keypoints is None or "keypoints" not in self._sample:
            return {}
        if mirrored:
            keypoints.mirror()
        with_boxes = boxes is not None and (keypoints.instances is not None or "keypoints" in self._companions)
        points, names = keypoints.write(output, boxes.kept.tolist() if boxes and with_boxes else None)
        found = {"keypoints": points}
        if names is not None:
            found["keypoint_names"] = names
        for key in self._point_labels:
            labels = rows.picked(self._sample[key], keypoints.taken)
            found[key] = exchanged_labels(labels, self._targets) if mirrored else labels
        return found

    def _at(self, key: Any) -> str:
        return position(key, self._frame)

    def _read_masks(self, key: Any, size: tuple[int, int]) -> list[Mask]:
        targets = self._targets
        with reading(self._at(key)):
            return [
                Mask(member, at, targets.mask_fill, size, targets.nearest, targets.mask_holes)
                for member, at in members_of(self._sample[key], self._at(key))
            ]

    def _read_companions(self, boxes: int) -> list[Any]:
        """The keys with one entry per box: those that the spec names."""
        sample, targets = self._sample, self._targets
        if targets.instances is None:
            for key in self.masks:
                if key not in targets.labels and key not in targets.keys and _are_several(sample[key], key):
                    raise ImageError(f"{self._at(key)}: {say_of_which(key)}")
        found: list[Any] = []
        for key in dict.fromkeys((*targets.labels, *(targets.instances or ()))):
            with reading(self._at(key)):
                entries = _entries(sample[key], key in self.masks) if key in sample else None
            if entries is None or key == "boxes":
                continue
            if entries != boxes:
                raise ImageError(
                    f"{self._at(key)}: there are {entries} entries and {boxes} boxes; give one for each box, or list "
                    "under `targets: {labels: [..]}` in the spec the keys that go with the boxes"
                )
            found.append(key)
        return found

    def _read_outlines(self, size: tuple[int, int]) -> dict[Any, Outlines]:
        """The polygons by key; beside boxes there are those of one object for each."""
        found = {}
        for key in (key for key in self._targets.polygons if key in self._sample):
            with reading(self._at(key)):
                found[key] = Outlines(self._sample[key], self._at(key), self._targets, size)
            if self.boxes is not None and found[key].count != self.boxes.count:
                raise ImageError(
                    f"{self._at(key)}: there are the polygons of {found[key].count} objects and {self.boxes.count} "
                    "boxes; give those of one object for each box"
                )
        return found

    def _read_keypoints(self, size: tuple[int, int]) -> Keypoints | None:
        sample, targets, boxes = self._sample, self._targets, self.boxes
        if "keypoints" not in sample:
            if (self._swapped or self._classes) and boxes is None:
                return Keypoints([], None, "", targets, size)  # no points still record whether the image is mirrored
            return None
        at, names, labeled = self._at("keypoints"), sample.get("keypoint_names"), bool(self._point_labels)
        with reading(at):
            found = Keypoints(sample["keypoints"], names, at, targets, size, labeled)
        if boxes is not None and found.instances not in (None, boxes.count):
            raise ImageError(
                f"{at}: there are points of {found.instances} instances and {boxes.count} boxes; "
                "give those of one instance for each box, or points on their own, n x 2 or n x 3"
            )
        if found.by_place and targets.swap_keypoints is None and (self._classes or self._has_class_numbers):
            raise ImageError(
                f"{at}: the spec swaps numbers, which may be those of the classes here or those of the points; say "
                "`targets: {swap_keypoints: [[1, 2], ..]}` for the points, and `swap` for the classes; "
                "`swap_keypoints: []` if the points are not exchanged"
            )
        for key in self._point_labels:
            with reading(self._at(key)):
                entries = rows.count(sample[key])
            if found.instances is not None or entries != found.count:
                of = "instances, whose labels go with the boxes" if found.instances is not None else "the image"
                raise ImageError(
                    f"{self._at(key)}: there are {entries or 'no'} entries and {found.count} points of {of}; give "
                    "one entry for each point"
                )
        return found

    @property
    def _has_class_numbers(self) -> bool:
        """Whether there are labels of boxes or of the image that are numbers of classes, and that are exchanged."""
        return any(not has_names(self._sample[key], self._targets.partners) for key in self._swapped)

    def _read_further(self, size: tuple[int, int]) -> dict[str, BoxSet | Keypoints]:
        """The boxes and keypoints that the spec has under other keys. They have no labels, names or instances."""
        found: dict[str, BoxSet | Keypoints] = {}
        for key, kind in self._targets.keys.items():
            if kind in ("boxes", "keypoints") and key in self._sample:
                with reading(self._at(key)):
                    if kind == "boxes":
                        found[key] = BoxSet(self._sample[key], self._at(key), self._targets, size)
                    else:
                        found[key] = Keypoints(self._sample[key], None, self._at(key), self._targets, size)
        return found


def target_set(followers: Sequence[Followers], targets: Targets) -> TargetSet:
    """What the ops move: all that these have."""
    points: list[Any] = []
    for one in followers:
        points += [each for each in (one.boxes, one.keypoints) if each is not None]
        points += [*one.further.values(), *one.outlines.values()]
    return TargetSet(
        [mask for one in followers for group in one.masks.values() for mask in group],
        [each for one in followers for group in one.maps.values() for each in group],
        points,
        bool(targets.swap or targets.swap_keypoints),
    )


def boxes_of(sample: Entries, targets: Targets, size: tuple[int, int], frame: int | None = None) -> BoxSet | None:
    """The boxes of a sample. Raises ImageError."""
    if "boxes" not in sample:
        return None
    at = position("boxes", frame)
    with reading(at):
        return BoxSet(sample["boxes"], at, targets, size)


def position(key: Any, frame: int | None = None) -> str:
    """A sample's key, and the number of a clip's frame, for messages."""
    return f"sample[{key!r}]" if frame is None else f"sample[{key!r}][{frame}]"


@contextlib.contextmanager
def reading(at: str) -> Iterator[None]:
    """Turn whatever the conversion of a value raises into an ImageError that says where it is."""
    try:
        yield
    except AugregError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ImageError(f"{at}: cannot be read: {printable(reason)}") from error


def kind_at(key: Any, value: Any, targets: Targets) -> str | None:
    """The kind of target or image that a key has, None for what passes unchanged."""
    try:
        return kind_of(key, value, targets)
    except Exception:
        with reading(position(key)):
            raise


def members_of(value: Any, at: str) -> list[tuple[Any, str]]:
    """The value at a place of a sample, or the members of a list, each with its position for messages."""
    if isinstance(value, list | tuple):
        return [(member, f"{at}[{number}]") for number, member in enumerate(value)]
    return [(value, at)]


def as_given(results: list[Any], given: Any) -> Any:
    """A list or a tuple if the sample has one, else the single result."""
    if isinstance(given, list | tuple):
        return tuple(results) if isinstance(given, tuple) else results
    return results[0]


def _are_several(value: Any, key: str) -> bool:
    """Whether there may be a mask for each box under a key; an array under `mask` itself is one mask."""
    if hasattr(value, "ndim"):
        return value.ndim == 3 and not re.fullmatch(r"mask\d*", key)
    return isinstance(value, list | tuple)


def _shows(group: list[Mask], given: Any) -> NDArray[np.bool_]:
    """Whether each instance shows under a key of masks."""
    each = [mask.shows() for mask in group]
    return np.array([one.any() for one in each], bool) if isinstance(given, list | tuple) else each[0]


def _shown(group: list[Mask], given: Any) -> list[NDArray[np.bool_]]:
    """Where each instance shows under a key of masks: height x width each."""
    planes = [mask.shown() for mask in group]
    if isinstance(given, list | tuple):
        return [np.asarray(plane.any(axis=2)) for plane in planes]
    return list(np.moveaxis(planes[0], 2, 0))


def _entries(value: Any, masks: bool) -> int | None:
    """The number of entries, one per box; masks of several instances may be the channels of one array."""
    if masks and hasattr(value, "ndim") and not rows.is_tensor(value):
        return int(value.shape[2]) if value.ndim == 3 else 1
    return rows.count(value)


def _kept(value: Any, places: list[int], masks: bool) -> Any:
    """The entries of the boxes that were kept."""
    if masks and hasattr(value, "ndim") and not rows.is_tensor(value):
        return value[..., places]
    return rows.picked(value, places)
