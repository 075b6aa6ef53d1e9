"""Samples: a mapping in, a mapping out. Its images share one draw, its targets follow them, the rest passes by.

A key that begins with `image` holds an image, or a list of them; one that begins with `mask` a mask, or a list;
`boxes`, `keypoints` and `keypoint_names` speak for themselves. The spec's `targets` names the keys that hold one
entry a box.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import Backend, backend
from augreg.errors import ImageError
from augreg.execution.plan import Plan, merge
from augreg.execution.run import fitting, run_ops, to_output
from augreg.execution.sampling import Drawn, Entry, resume
from augreg.images.codecs import InputImage, to_array
from augreg.ops import Op, Scene
from augreg.ops.scene import Boxes as SceneBoxes
from augreg.targets import rows
from augreg.targets.boxes import Boxes
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import Keypoints, exchanged, speaks_of
from augreg.targets.masks import Mask, is_pixels
from augreg.targets.propagate import TargetSet

__all__ = ["Setting", "run_plan_on", "run_sample"]

Array = NDArray[Any]


class Setting(NamedTuple):
    """What a run needs to know beside the sample and what was drawn."""

    engine: Backend
    targets: Targets
    channels: str = "rgb"
    output: str = "auto"
    address: Any = None
    approximate: bool = False
    epoch: int = 0


class _Place(NamedTuple):
    """An image, the key that holds it, and which one of the key's it is."""

    key: Any
    number: int
    image: InputImage


Start = Callable[[Scene], tuple[Sequence[Op], Drawn]]
"""The ops to run first on an image of this scene, and the draw that they come from."""


def run_sample(sample: Mapping[Any, Any], start: Start, setting: Setting) -> dict[Any, Any]:
    """The sample after it, with the same keys in the same order. Raises ImageError, which names the key."""
    images = _images(sample, setting)
    first = next(iter(images.values()))[0]
    size: tuple[int, int] = first.array.shape[:2]
    targets, output = setting.targets, setting.output
    masks = {key: _masks(value, key, targets, size) for key, value in sample.items() if _is_key("mask", key, value)}
    boxes = Boxes(sample["boxes"], _at("boxes"), targets, size) if "boxes" in sample else None
    companions = [] if boxes is None else _companions(sample, targets, boxes.count, masks)
    words = [key for key in targets.labels if key in sample and speaks_of(sample[key], targets.partners)]
    points = None
    if "keypoints" in sample:
        names = sample.get("keypoint_names")
        points = Keypoints(sample["keypoints"], names, _at("keypoints"), targets, size)
    elif words and boxes is None:  # no point at all still finds out whether the image comes out mirrored
        points = Keypoints([], None, "", targets, size)
    followers = TargetSet([mask for group in masks.values() for mask in group], boxes, points, bool(targets.swap))
    seen = () if boxes is None else boxes.for_scene()
    done = _run_images(images, first, seen, followers, start, setting)
    found = dict(sample)
    found.update({key: _as_given(done[key], sample[key]) for key in images})
    found.update({key: _as_given([m.write(output) for m in group], sample[key]) for key, group in masks.items()})
    if boxes is not None:
        found["boxes"] = boxes.write(followers.size, output)
        for key in companions:
            found[key] = _kept(found[key], boxes.kept.tolist(), key in masks)
    if followers.mirrored:
        found.update({key: exchanged(found[key], targets.partners) for key in words})
    if points is not None and "keypoints" in sample:
        if followers.mirrored:
            points.mirror()
        found["keypoints"], new_names = points.write(output)
        if new_names is not None:
            found["keypoint_names"] = new_names
    return found


def run_plan_on(plan: Plan, sample: Mapping[Any, Any]) -> dict[Any, Any]:
    """`Plan.run` of a sample: all of its images must be what was planned for."""

    def start(scene: Scene) -> tuple[Sequence[Op], Drawn]:
        scene = replace(scene, boxes=())  # it was drawn for a size alone
        fitting(plan, scene)
        for op in plan.ops:
            scene = op.after(scene)
        return plan.ops, Drawn([], list(plan.entries), scene, list(plan.deferred))

    targets = plan.targets if plan.targets is not None else Targets()
    return run_sample(
        sample,
        start,
        Setting(
            backend(plan.backend), targets, plan.channels, plan.output, plan.address, plan.approximate,
            plan.scene.epoch,
        ),
    )  # fmt: skip


def _at(key: Any) -> str:
    """A sample's key, for messages."""
    return f"sample[{key!r}]"


def _is_key(kind: str, key: Any, value: Any) -> bool:
    """Whether a key holds images or masks. Numbered ones always do; `image_id` or `mask_path` may be anything."""
    if not isinstance(key, str) or not key.startswith(kind):
        return False
    if re.fullmatch(rf"{kind}s?\d*", key):
        return True
    members = value if isinstance(value, list | tuple) else [value]
    return len(members) > 0 and all(map(is_pixels, members))


def _members(value: Any, key: Any) -> list[tuple[Any, str]]:
    """The one thing, or the things of a list, that a key holds, each with its place for messages."""
    if isinstance(value, list | tuple):
        return [(one, f"{_at(key)}[{number}]") for number, one in enumerate(value)]
    return [(value, _at(key))]


def _as_given(found: list[Any], given: Any) -> Any:
    """One thing where one was given, else a list or a tuple."""
    if isinstance(given, list | tuple):
        return tuple(found) if isinstance(given, tuple) else found
    return found[0]


def _images(sample: Mapping[Any, Any], setting: Setting) -> dict[Any, list[InputImage]]:
    """The images by key, `image` first; all of one size."""
    keys = [key for key, value in sample.items() if _is_key("image", key, value)]
    keys.sort(key=lambda key: key != "image")
    found: dict[Any, list[InputImage]] = {}
    first: tuple[str, tuple[int, ...]] | None = None
    for key in keys:
        for value, at in _members(sample[key], key):
            try:
                image = to_array(value, setting.channels)
            except ImageError as error:
                raise ImageError(f"{at}: {error}") from error
            size = image.array.shape[:2]
            first = first or (at, size)
            if size != first[1]:
                other, (height, width) = first
                raise ImageError(
                    f"{at}: the image is {size[0]}x{size[1]} and {other} is {height}x{width}; images that share "
                    "a draw have one size"
                )
            found.setdefault(key, []).append(image)
        found.setdefault(key, [])
    if first is None:
        names = ", ".join(map(repr, sample)) or "none"
        raise ImageError(f"a sample needs an image under 'image'; its keys are: {names}")
    return dict(sorted(found.items(), key=lambda item: not item[1]))  # one that has an image comes first


def _masks(value: Any, key: Any, targets: Targets, size: tuple[int, int]) -> list[Mask]:
    return [Mask(one, at, targets.mask_fill, size) for one, at in _members(value, key)]


def _companions(sample: Mapping[Any, Any], targets: Targets, boxes: int, masks: Collection[Any]) -> list[Any]:
    """The keys with one entry a box: those that the spec names, and masks of as many instances."""
    found: list[Any] = [key for key in masks if key not in targets.labels and _instances(sample[key], key) == boxes]
    for key in targets.labels:
        entries = _entries(sample[key], key in masks) if key in sample else None
        if entries is None or key == "boxes":
            continue
        if entries != boxes:
            raise ImageError(
                f"{_at(key)}: there are {entries} entries and {boxes} boxes; give one for each "
                "box, or name under `targets: {labels: [..]}` in the spec the keys that go with the boxes"
            )
        found.append(key)
    return found


def _instances(value: Any, key: str) -> int | None:
    """How many masks a key of masks holds; None for one mask. An array under `mask` is one: of classes, say."""
    if hasattr(value, "ndim") and (value.ndim != 3 or re.fullmatch(r"mask\d*", key)):
        return None
    return _entries(value, True)


def _entries(value: Any, masks: bool) -> int | None:
    """How many things there are, one a box; masks of several instances may be the channels of one array."""
    if masks and hasattr(value, "ndim") and not rows.is_tensor(value):
        return int(value.shape[2]) if value.ndim == 3 else 1
    return rows.count(value)


def _kept(value: Any, places: list[int], masks: bool) -> Any:
    if masks and hasattr(value, "ndim") and not rows.is_tensor(value):
        return value[..., places]
    return rows.picked(value, places)


def _run_images(
    images: Mapping[Any, list[InputImage]],
    first: InputImage,
    boxes: SceneBoxes,
    followers: TargetSet,
    start: Start,
    setting: Setting,
) -> dict[Any, list[Any]]:
    """The images after it, by key. Those of one kind run together; the targets go with the first.

    Every scene has the sample's boxes, so that images of all kinds get one draw.
    """
    by_scene: dict[Scene, list[_Place]] = {}
    for key, group in images.items():
        for number, image in enumerate(group):
            by_scene.setdefault(image.scene(setting.epoch, boxes), []).append(_Place(key, number, image))
    found: dict[Any, list[Any]] = {key: [None] * len(group) for key, group in images.items()}
    main = first.scene(setting.epoch, boxes)
    for scene, places in by_scene.items():
        # an image of another kind is drawn for by itself, at the same address: the same draw, in its own levels
        carried = followers if scene == main else TargetSet((), None, None, False)
        arrays, after = _run([place.image.array for place in places], scene, carried, start, setting)
        height, width = arrays[0].shape[:2]
        if scene == main:
            followers.size = height, width
        elif (height, width) != followers.size:
            wanted = "x".join(map(str, followers.size))
            raise ImageError(
                f"{_at(places[0].key)}: the draw leaves {height}x{width} of it and {wanted} of the first image, "
                "since a step looks at the kind of image; give images of the same channels and dtype"
            )
        for place, array in zip(places, arrays, strict=True):
            found[place.key][place.number] = to_output(array, after.normalized, place.image, setting.output)
    return found


def _run(
    arrays: list[Array], scene: Scene, followers: TargetSet, start: Start, setting: Setting
) -> tuple[list[Array], Scene]:
    """Run what was drawn on images of one kind; behind an op of unknown size, draw and run the rest."""
    ops, drawn = start(scene)
    entries = list(drawn.entries)
    while True:
        followers.refuse(ops, functools.partial(_step_of, entries))
        for op in ops:
            before = arrays[0].shape[:2]
            arrays = [run_ops((op,), array, setting.engine) for array in arrays]
            followers.follow(op, before, arrays[0].shape[:2], setting.engine)
        if not drawn.deferred:
            return arrays, drawn.scene
        height, width, channels = arrays[0].shape
        scene = replace(drawn.scene, height=height, width=width, channels=channels)
        drawn = resume(drawn, scene, setting.address)
        entries += drawn.entries
        ops = merge(drawn.ops, scene, setting.approximate)


def _step_of(entries: list[Entry], op: Op) -> str:
    """The step that an op came from, or else the op's own words."""
    return next((entry.name for entry in entries if any(one is op for one in entry.ops)), str(op))
