"""Samples: a mapping in, a mapping out. Its images share one draw, its targets follow, other entries stay the same.

Its keys say what an entry is (`targets.kinds`): an image, a mask or a map of values, or a list of them. Then there
are `boxes`, `keypoints` and `keypoint_names`. The spec's `targets` names the keys that have one entry per box.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.errors import AugregError, ImageError, printable
from augreg.execution.run import RunSettings, Start, read_pixels, run_drawn, run_image, to_output
from augreg.images import buffers
from augreg.images.codecs import InputImage, to_array
from augreg.ops import Scene
from augreg.ops.scene import Boxes
from augreg.targets import rows
from augreg.targets.boxes import BoxSet
from augreg.targets.classes import exchanged_labels, has_classes, partner_numbers
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import Keypoints
from augreg.targets.kinds import kind_of, left_behind
from augreg.targets.masks import Mask
from augreg.targets.outlines import Outlines
from augreg.targets.propagate import TargetSet
from augreg.targets.values import ValueMap

__all__ = ["run", "run_sample", "scene_of"]


class _Place(NamedTuple):
    """An image, the key that it is under, its number there, and its number among all images of the sample."""

    key: Any
    number: int
    frame: int
    image: InputImage


def run(given: Any, start: Start, settings: RunSettings) -> Any:
    """Apply what `start` draws to an image or a sample. Raises ImageError, which names the image or the key."""
    if not isinstance(given, np.ndarray) and isinstance(given, Mapping):
        return run_sample(given, start, settings)
    return run_image(given, start, settings)


RunImages = Callable[
    [Mapping[Any, list[InputImage]], InputImage, Boxes, TargetSet, Start, RunSettings, buffers.offered | None],
    dict[Any, list[Any]],
]
"""Runs the images of a sample, and moves its targets with the first of them."""


def run_sample(
    sample: Mapping[Any, Any], start: Start, settings: RunSettings, run_images: RunImages | None = None
) -> dict[Any, Any]:
    """The transformed sample, with the same keys in the same order.

    `run_images` runs the images in another way than one by one. Raises ImageError.
    """
    offer = buffers.accepted()  # for `first`
    images = _images(sample, settings)
    first = next(iter(images.values()))[0]
    size: tuple[int, int] = first.array.shape[:2]
    targets, output = settings.targets, settings.output
    unnamed = left_behind(sample, size, targets)
    if unnamed:
        raise ImageError(unnamed)
    masks = {
        key: _masks(value, key, targets, size)
        for key, value in sample.items()
        if _kind(key, value, targets) == "mask"
    }
    maps = {
        key: [
            ValueMap(member, at, targets.maps[key], size, targets.nearest)
            for member, at in _members(sample[key], key)
        ]
        for key in targets.maps
        if key in sample
    }
    boxes = _boxes(sample, targets, size)
    companions = [] if boxes is None else _companions(sample, targets, boxes.count, masks)
    instances = [key for key in companions if key in masks]
    outlines = _outlines(sample, targets, size, None if boxes is None else boxes.count)
    before = {key: _shown(masks[key], sample[key]) for key in instances}
    swapped = [key for key in targets.labels if key in sample and has_classes(sample[key], targets)]
    has_partners = partner_numbers(targets.classes, targets) is not None
    classes = [key for key in masks if has_partners and key not in (targets.instances or ())]
    keypoints = None
    if "keypoints" in sample:
        names = sample.get("keypoint_names")
        with _reading("keypoints"):
            keypoints = Keypoints(sample["keypoints"], names, _at("keypoints"), targets, size)
        if boxes is not None and keypoints.instances not in (None, boxes.count):
            raise ImageError(
                f"{_at('keypoints')}: there are points of {keypoints.instances} instances and {boxes.count} boxes; "
                "give those of one instance for each box, or points on their own, n x 2 or n x 3"
            )
    elif (swapped or classes) and boxes is None:  # an empty set of points still records whether the image is mirrored
        keypoints = Keypoints([], None, "", targets, size)
    further = _further(sample, targets, size)
    every_mask = [mask for group in masks.values() for mask in group]
    every_map = [one for group in maps.values() for one in group]
    more = (*further.values(), *outlines.values())
    moving = TargetSet(every_mask, boxes, keypoints, bool(targets.swap), every_map, more)
    seen = () if boxes is None else boxes.for_scene()
    done = (run_images or _run_images)(images, first, seen, moving, start, settings, offer)
    for mask in (mask for key in classes if moving.mirrored for mask in masks[key]):
        mask.exchange(targets)
    result = dict(sample)
    result.update({key: _as_given(done[key], sample[key]) for key in images})
    result.update({key: _as_given([m.write(output) for m in group], sample[key]) for key, group in masks.items()})
    result.update({key: _as_given([m.write(output) for m in group], sample[key]) for key, group in maps.items()})
    result.update({key: each.write(moving.size, output) for key, each in outlines.items()})
    if boxes is not None:
        for each in outlines.values():
            boxes.drop(each.gone)
        for key in instances:
            _follow_masks(boxes, before[key], _shown(masks[key], sample[key]), key == targets.boxes_from)
        result["boxes"] = boxes.write(moving.size, output)
        for key in (*companions, *outlines):
            result[key] = _kept(result[key], boxes.kept.tolist(), key in masks)
    if moving.mirrored:
        result.update({key: exchanged_labels(result[key], targets) for key in swapped})
    if keypoints is not None and "keypoints" in sample:
        if moving.mirrored:
            keypoints.mirror()
        with_boxes = boxes is not None and (keypoints.instances is not None or "keypoints" in companions)
        result["keypoints"], new_names = keypoints.write(
            output, boxes.kept.tolist() if boxes and with_boxes else None
        )
        if new_names is not None:
            result["keypoint_names"] = new_names
    for key, points in further.items():
        if isinstance(points, BoxSet):
            result[key] = points.write(moving.size, output)
            continue
        if moving.mirrored:
            points.mirror()
        result[key], _ = points.write(output)
    return result


def scene_of(given: Any, settings: RunSettings) -> Scene:
    """The scene of an image, or that of a sample's first image with the sample's boxes. Raises ImageError."""
    if not isinstance(given, Mapping):
        return to_array(given, settings.channels, decoded=False).scene(settings.epoch)
    first = next(iter(_images(given, settings).values()))[0]
    boxes = _boxes(given, settings.targets, first.array.shape[:2])
    return first.scene(settings.epoch, () if boxes is None else boxes.for_scene())


def _boxes(sample: Mapping[Any, Any], targets: Targets, size: tuple[int, int]) -> BoxSet | None:
    if "boxes" not in sample:
        return None
    with _reading("boxes"):
        return BoxSet(sample["boxes"], _at("boxes"), targets, size)


def _further(sample: Mapping[Any, Any], targets: Targets, size: tuple[int, int]) -> dict[str, BoxSet | Keypoints]:
    """The boxes and keypoints that the spec has under other keys. They have no labels, names or instances."""
    found: dict[str, BoxSet | Keypoints] = {}
    for key, kind in targets.keys.items():
        if kind in ("boxes", "keypoints") and key in sample:
            with _reading(key):
                if kind == "boxes":
                    found[key] = BoxSet(sample[key], _at(key), targets, size)
                else:
                    found[key] = Keypoints(sample[key], None, _at(key), targets, size)
    return found


def _at(key: Any) -> str:
    """A sample's key, for messages."""
    return f"sample[{key!r}]"


@contextlib.contextmanager
def _reading(key: Any) -> Iterator[None]:
    """Turn whatever the conversion of a value raises into an ImageError that names its key."""
    try:
        yield
    except AugregError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ImageError(f"{_at(key)}: cannot be read: {printable(reason)}") from error


def _kind(key: Any, value: Any, targets: Targets) -> str | None:
    """The kind of target or image that a key has, None for what passes unchanged."""
    with _reading(key):
        return kind_of(key, value, targets)


def _members(value: Any, key: Any) -> list[tuple[Any, str]]:
    """The value of a key, or the members of a list, each with its position for messages."""
    if isinstance(value, list | tuple):
        return [(member, f"{_at(key)}[{number}]") for number, member in enumerate(value)]
    return [(value, _at(key))]


def _as_given(results: list[Any], given: Any) -> Any:
    """A list or a tuple if the sample has one, else the single result."""
    if isinstance(given, list | tuple):
        return tuple(results) if isinstance(given, tuple) else results
    return results[0]


def _images(sample: Mapping[Any, Any], settings: RunSettings) -> dict[Any, list[InputImage]]:
    """The images by key, `image` first. Raises ImageError unless all have one size."""
    keys = [key for key, value in sample.items() if _kind(key, value, settings.targets) == "image"]
    keys.sort(key=lambda key: key != "image")
    images: dict[Any, list[InputImage]] = {}
    first: tuple[str, tuple[int, ...]] | None = None
    for key in keys:
        for value, at in _members(sample[key], key):
            try:
                image = to_array(value, settings.channels, decoded=False)
            except ImageError as error:
                raise ImageError(f"{at}: {error}") from error
            size = image.array.shape[:2]
            first = first or (at, size)
            if size != first[1]:
                other, (height, width) = first
                raise ImageError(
                    f"{at}: the image is {size[0]}x{size[1]} and {other} is {height}x{width}; images that share "
                    "a draw must have one size"
                )
            images.setdefault(key, []).append(image)
        images.setdefault(key, [])
    if first is None:
        names = ", ".join(map(repr, sample)) or "none"
        raise ImageError(f"a sample needs an image under 'image'; its keys are: {names}")
    return dict(sorted(images.items(), key=lambda item: not item[1]))  # keys with an image come before empty lists


def _masks(value: Any, key: Any, targets: Targets, size: tuple[int, int]) -> list[Mask]:
    with _reading(key):
        return [Mask(member, at, targets.mask_fill, size, targets.nearest) for member, at in _members(value, key)]


def _companions(sample: Mapping[Any, Any], targets: Targets, boxes: int, masks: Collection[Any]) -> list[Any]:
    """The keys with one entry per box: those that the spec names."""
    if targets.instances is None:
        for key in masks:
            if key not in targets.labels and key not in targets.keys and _are_several(sample[key], key):
                raise ImageError(
                    f"{_at(key)}: several masks beside boxes, and the spec does not say whether there is one for "
                    f"each box; say `targets: {{instances: [{key}]}}`, or `instances: []` if there is not"
                )
    found: list[Any] = []
    for key in dict.fromkeys((*targets.labels, *(targets.instances or ()))):
        with _reading(key):
            entries = _entries(sample[key], key in masks) if key in sample else None
        if entries is None or key == "boxes":
            continue
        if entries != boxes:
            raise ImageError(
                f"{_at(key)}: there are {entries} entries and {boxes} boxes; give one for each "
                "box, or list under `targets: {labels: [..]}` in the spec the keys that go with the boxes"
            )
        found.append(key)
    return found


def _outlines(
    sample: Mapping[Any, Any], targets: Targets, size: tuple[int, int], boxes: int | None
) -> dict[Any, Outlines]:
    """The polygons by key; beside boxes there are those of one object for each."""
    found = {}
    for key in (key for key in targets.polygons if key in sample):
        with _reading(key):
            found[key] = Outlines(sample[key], _at(key), targets, size)
        if boxes is not None and found[key].count != boxes:
            raise ImageError(
                f"{_at(key)}: there are the polygons of {found[key].count} objects and {boxes} boxes; give those of "
                "one object for each box"
            )
    return found


def _are_several(value: Any, key: str) -> bool:
    """Whether there may be a mask for each box under a key; an array under `mask` itself is one mask."""
    if hasattr(value, "ndim"):
        return value.ndim == 3 and not re.fullmatch(r"mask\d*", key)
    return isinstance(value, list | tuple)


def _shown(group: list[Mask], given: Any) -> list[NDArray[np.bool_]]:
    """Where each instance shows under a key of masks: height x width each."""
    planes = [mask.shown() for mask in group]
    if isinstance(given, list | tuple):
        return [np.asarray(plane.any(axis=2)) for plane in planes]
    return list(np.moveaxis(planes[0], 2, 0))


def _follow_masks(
    boxes: BoxSet, before: list[NDArray[np.bool_]], after: list[NDArray[np.bool_]], tighten: bool
) -> None:
    """Drop the boxes whose masks have left the image, and draw the others around their masks if asked to."""
    had, has = (np.array([bool(plane.any()) for plane in planes], bool) for planes in (before, after))
    boxes.drop(had & ~has)
    if tighten:
        boxes.draw_around(after)


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


def _run_images(
    images: Mapping[Any, list[InputImage]],
    first: InputImage,
    boxes: Boxes,
    targets: TargetSet,
    start: Start,
    settings: RunSettings,
    offer: buffers.offered | None,
) -> dict[Any, list[Any]]:
    """The transformed images, by key. Images of one kind run together; the targets go with the first.

    Every scene has the sample's boxes, so that images of all kinds get one draw.
    """
    by_scene: dict[Scene, list[_Place]] = {}
    frames = itertools.count()
    for key, group in images.items():
        for number, image in enumerate(group):
            by_scene.setdefault(image.scene(settings.epoch, boxes), []).append(
                _Place(key, number, next(frames), image)
            )
    results: dict[Any, list[Any]] = {key: [None] * len(group) for key, group in images.items()}
    main = first.scene(settings.epoch, boxes)
    for scene, places in by_scene.items():
        # an image of another kind is drawn for at the same address: the same numbers, in its own pixel values
        started = start(scene, False)
        arrays, begun = [], []
        for place in places:
            try:
                pixels, smaller = read_pixels(place.image, started[0], scene, settings)
            except ImageError as error:
                raise ImageError(f"{_at(place.key)}: {error}") from error
            arrays.append(pixels)
            begun.append(smaller)
        numbers = [place.frame for place in places]
        following = targets if scene == main else None
        arrays, after = run_drawn(started, arrays, scene, settings, following, numbers, begun, offer)
        offer = None
        height, width = arrays[0].shape[:2]
        if scene == main:
            targets.size = height, width
        elif (height, width) != targets.size:
            expected = "x".join(map(str, targets.size))
            raise ImageError(
                f"{_at(places[0].key)}: its size becomes {height}x{width} and that of the first image {expected}, "
                "because a step depends on the kind of image; give images with the same channels and dtype"
            )
        for place, array in zip(places, arrays, strict=True):
            results[place.key][place.number] = to_output(array, after.normalized, place.image, settings)
    return results
