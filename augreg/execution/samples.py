"""Samples: a mapping in, a mapping out. Its images share one draw, its targets follow, other entries stay the same.

A key that begins with `image` is an image, or a list of them; one that begins with `mask` is a mask, or a list. Then
there are `boxes`, `keypoints` and `keypoint_names`. The spec's `targets` names the keys that have one entry per box.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from augreg.errors import ImageError
from augreg.execution.run import RunSettings, Start, run_drawn, run_image, to_output
from augreg.images.codecs import InputImage, to_array
from augreg.ops import Scene
from augreg.ops.scene import Boxes
from augreg.targets import rows
from augreg.targets.boxes import BoxSet
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import Keypoints, exchanged, has_names
from augreg.targets.masks import Mask, is_pixels
from augreg.targets.propagate import TargetSet

__all__ = ["run"]


class _Place(NamedTuple):
    """An image, the key that it is under, its number there, and its number among all images of the sample."""

    key: Any
    number: int
    frame: int
    image: InputImage


def run(given: Any, start: Start, settings: RunSettings) -> Any:
    """An image, or a sample, after what `start` draws for it. Raises ImageError, which names the image or the key."""
    run_one = _run_sample if isinstance(given, Mapping) else run_image
    return run_one(given, start, settings)


def _run_sample(sample: Mapping[Any, Any], start: Start, settings: RunSettings) -> dict[Any, Any]:
    """The sample after it, with the same keys in the same order."""
    images = _images(sample, settings)
    first = next(iter(images.values()))[0]
    size: tuple[int, int] = first.array.shape[:2]
    targets, output = settings.targets, settings.output
    masks = {key: _masks(value, key, targets, size) for key, value in sample.items() if _is_key("mask", key, value)}
    boxes = BoxSet(sample["boxes"], _at("boxes"), targets, size) if "boxes" in sample else None
    companions = [] if boxes is None else _companions(sample, targets, boxes.count, masks)
    swapped = [key for key in targets.labels if key in sample and has_names(sample[key], targets.partners)]
    keypoints = None
    if "keypoints" in sample:
        names = sample.get("keypoint_names")
        keypoints = Keypoints(sample["keypoints"], names, _at("keypoints"), targets, size)
    elif swapped and boxes is None:  # even no point at all shows whether the image was mirrored
        keypoints = Keypoints([], None, "", targets, size)
    moving = TargetSet([mask for group in masks.values() for mask in group], boxes, keypoints, bool(targets.swap))
    done = _run_images(images, first, () if boxes is None else boxes.for_scene(), moving, start, settings)
    result = dict(sample)
    result.update({key: _as_given(done[key], sample[key]) for key in images})
    result.update({key: _as_given([m.write(output) for m in group], sample[key]) for key, group in masks.items()})
    if boxes is not None:
        result["boxes"] = boxes.write(moving.size, output)
        for key in companions:
            result[key] = _kept(result[key], boxes.kept.tolist(), key in masks)
    if moving.mirrored:
        result.update({key: exchanged(result[key], targets.partners) for key in swapped})
    if keypoints is not None and "keypoints" in sample:
        if moving.mirrored:
            keypoints.mirror()
        result["keypoints"], new_names = keypoints.write(output)
        if new_names is not None:
            result["keypoint_names"] = new_names
    return result


def _at(key: Any) -> str:
    """A sample's key, for messages."""
    return f"sample[{key!r}]"


def _is_key(kind: str, key: Any, value: Any) -> bool:
    """Whether a key is for images or masks: `image2` always is, `mask_path` only if its value has pixels."""
    if not isinstance(key, str) or not key.startswith(kind):
        return False
    if re.fullmatch(rf"{kind}s?\d*", key):
        return True
    members = value if isinstance(value, list | tuple) else [value]
    return len(members) > 0 and all(map(is_pixels, members))


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
    keys = [key for key, value in sample.items() if _is_key("image", key, value)]
    keys.sort(key=lambda key: key != "image")
    images: dict[Any, list[InputImage]] = {}
    first: tuple[str, tuple[int, ...]] | None = None
    for key in keys:
        for value, at in _members(sample[key], key):
            try:
                image = to_array(value, settings.channels)
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
    return [Mask(member, at, targets.mask_fill, size) for member, at in _members(value, key)]


def _companions(sample: Mapping[Any, Any], targets: Targets, boxes: int, masks: Collection[Any]) -> list[Any]:
    """The keys with one entry per box: those that the spec names, and masks with as many instances as boxes."""
    found: list[Any] = [key for key in masks if key not in targets.labels and _instances(sample[key], key) == boxes]
    for key in targets.labels:
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


def _instances(value: Any, key: str) -> int | None:
    """The number of masks under a key; None for a single mask, such as an array of classes under `mask`."""
    if hasattr(value, "ndim") and (value.ndim != 3 or re.fullmatch(r"mask\d*", key)):
        return None
    return _entries(value, True)


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
) -> dict[Any, list[Any]]:
    """The images after it, by key. Those of one kind run together; the targets go with the first.

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
        # an image of another kind has a draw of its own at the same address: the same, but in its own pixel values
        arrays = [place.image.array for place in places]
        numbers = [place.frame for place in places]
        arrays, after = run_drawn(start(scene), arrays, scene, settings, targets if scene == main else None, numbers)
        height, width = arrays[0].shape[:2]
        if scene == main:
            targets.size = height, width
        elif (height, width) != targets.size:
            expected = "x".join(map(str, targets.size))
            raise ImageError(
                f"{_at(places[0].key)}: the draw makes it {height}x{width} and the first image {expected}, since a "
                "step depends on the kind of image; give images with the same channels and dtype"
            )
        for place, array in zip(places, arrays, strict=True):
            results[place.key][place.number] = to_output(array, after.normalized, place.image, settings.output)
    return results
