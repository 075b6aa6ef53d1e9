"""Samples: a mapping in, a mapping out. Its images share one draw, its targets follow, other entries stay the same.

Its keys say which entries are images (`targets.kinds`); `followers` reads those that follow them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from augreg.errors import ImageError
from augreg.execution.clips import Clip, joined
from augreg.execution.followers import Followers, as_given, boxes_of, kind_at, members_of, position, target_set
from augreg.execution.run import RunSettings, Start, read_pixels, run_drawn, run_image, to_output
from augreg.images import buffers
from augreg.images.codecs import InputImage, to_array
from augreg.ops import Scene
from augreg.ops.scene import Boxes
from augreg.targets.conventions import Targets
from augreg.targets.kinds import left_behind
from augreg.targets.propagate import TargetSet

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
        return _run_clip(given, start, settings) if settings.targets.clip else run_sample(given, start, settings)
    if settings.targets.clip:
        return _run_clip({"image": given}, start, settings)["image"]
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
    followers = Followers(sample, targets, size)
    moving = target_set([followers], targets)
    done = (run_images or _run_images)(images, first, _seen([followers]), moving, start, settings, offer)
    result = dict(sample)
    result.update({key: as_given(done[key], sample[key]) for key in images})
    result.update(followers.write(moving, output))
    return result


def _run_clip(sample: Mapping[Any, Any], start: Start, settings: RunSettings) -> dict[Any, Any]:
    """The transformed clip: one draw for all frames, and what follows each of them. Raises ImageError."""
    targets = settings.targets
    clip = Clip(sample, targets)
    images = _images({**sample, **clip.images}, settings)
    first = next(iter(images.values()))[0]
    followers = _followers(clip, first.array.shape[:2], targets)
    moving = target_set(followers, targets)
    done = _run_images(images, first, _seen(followers), moving, start, settings, None)
    written = [one.write(moving, settings.output) for one in followers]
    result = dict(sample)
    result.update({key: joined(frames, sample[key]) for key, frames in done.items()})
    for key in dict.fromkeys(key for one in written for key in one):
        each = [one.get(key, frame[key]) for one, frame in zip(written, clip.frames, strict=True)]
        result[key] = joined(each, sample[key]) if key in clip.keys else each[0]
    return result


def _followers(clip: Clip, size: tuple[int, int], targets: Targets) -> list[Followers]:
    """What follows each frame. Raises ImageError."""
    if unnamed := left_behind(clip.frames[0], size, targets):
        raise ImageError(unnamed)
    return [Followers(frame, targets, size, number) for number, frame in enumerate(clip.frames)]


def _seen(followers: Sequence[Followers]) -> Boxes:
    """The boxes that the steps see: those of all frames."""
    return tuple(box for one in followers if one.boxes is not None for box in one.boxes.for_scene())


def scene_of(given: Any, settings: RunSettings) -> Scene:
    """The scene of an image, or that of a sample's first image with the sample's boxes. Raises ImageError."""
    if settings.targets.clip:
        clip = Clip(given if isinstance(given, Mapping) else {"image": given}, settings.targets)
        first = next(iter(_images(clip.images, settings).values()))[0]
        return first.scene(settings.epoch, _seen(_followers(clip, first.array.shape[:2], settings.targets)))
    if not isinstance(given, Mapping):
        return to_array(given, settings.channels, decoded=False).scene(settings.epoch)
    first = next(iter(_images(given, settings).values()))[0]
    boxes = boxes_of(given, settings.targets, first.array.shape[:2])
    return first.scene(settings.epoch, () if boxes is None else boxes.for_scene())


def _images(sample: Mapping[Any, Any], settings: RunSettings) -> dict[Any, list[InputImage]]:
    """The images by key, `image` first. Raises ImageError unless all have one size."""
    keys = [key for key, value in sample.items() if kind_at(key, value, settings.targets) == "image"]
    keys.sort(key=lambda key: key != "image")
    images: dict[Any, list[InputImage]] = {}
    first: tuple[str, tuple[int, ...]] | None = None
    for key in keys:
        for value, at in members_of(sample[key], position(key)):
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
                raise ImageError(f"{position(place.key)}: {error}") from error
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
                f"{position(places[0].key)}: its size becomes {height}x{width} and that of the first image "
                f"{expected}, because a step depends on the kind of image; give images with the same channels and "
                "dtype"
            )
        for place, array in zip(places, arrays, strict=True):
            results[place.key][place.number] = to_output(array, after.normalized, place.image, settings)
    return results
