"""Kinds: which entries of a sample or a batch follow its image, by their keys.

A key is what the spec says under `targets: {keys: .., maps: ..}`. Else one that begins with `image` is an image, and
one that begins with `mask` a mask. What has the image's height and width under another key is refused: it would stay
behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from PIL import Image

from augreg.steps.suggestions import flow
from augreg.targets.conventions import Targets
from augreg.targets.masks import is_pixels

__all__ = ["NEARLY_BOXES", "Kind", "covers", "how_to_say", "kind_of", "left_behind", "say_of_which"]

Kind: TypeAlias = Literal["image", "mask", "map", "boxes", "keypoints", "other"]

NEARLY_BOXES: Final = ("bboxes", "bbox")
"""Keys that are taken for `boxes` elsewhere."""
_NEAR_KEYPOINTS = ("keypoint", "keypts", "kpts", "kps")
_OF_VECTORS = {"flow", "opticalflow"}
_OF_VALUES = {"depth", "depthmap", "disparity", "disp", "heatmap", *_OF_VECTORS}
"""Words in the keys of maps of values, without a plural s."""
_OF_CLASSES = {"mask", "valid", "seg", "label"}
"""Words of keys such as `depth_mask`, which are none."""


def kind_of(key: Any, value: Any, targets: Targets) -> Kind | None:
    """What the spec or the key says of an entry; None for one of no kind, such as `boxes`, `label` or `id`."""
    if not isinstance(key, str):
        return None
    if key in targets.maps:
        return "map"
    if key in targets.polygons:
        return None
    if key in targets.keys:
        return targets.keys[key]
    if _begins("image", key, value, targets.clip):
        return "image"
    if _begins("mask", key, value, targets.clip):
        return "mask"
    return "other" if key == "other" else None


def _begins(kind: str, key: str, value: Any, clip: bool) -> bool:
    """Whether a key is for this kind: `image2` always is, `image_path` only if its value has pixels."""
    return key.startswith(kind) and (re.fullmatch(rf"{kind}s?\d*", key) is not None or _are_pixels(value, clip))


def _are_pixels(value: Any, clip: bool) -> bool:
    """Whether this is pixel data, or a list of it; of a clip also with an axis more, or a list for each frame."""
    members = value if isinstance(value, list | tuple) else [value]
    if clip:
        members = [one for each in members for one in (each if isinstance(each, list | tuple) else [each])]
    return len(members) > 0 and all(is_pixels(one) or (clip and getattr(one, "ndim", 0) == 4) for one in members)


def covers(value: Any, size: tuple[int, int]) -> bool:
    """Whether a value, or a member of a list, has a number for every pixel of an image of this height and width."""
    if isinstance(value, list | tuple):
        return any(covers(member, size) for member in value if not isinstance(member, list | tuple))
    if isinstance(value, Image.Image):
        return value.size[::-1] == size
    try:
        shape = tuple(value.shape) if hasattr(value, "dtype") and hasattr(value, "shape") else ()
    except Exception:  # of any class, whose attributes raise anything: no pixels then
        return False
    return any(tuple(shape[start : start + 2]) == size for start in range(min(len(shape) - 1, 3)))


def left_behind(sample: Mapping[Any, Any], size: tuple[int, int], targets: Targets) -> str:
    """What to say of the first entry that would silently stay where it is; "" if there is none."""
    known = {"boxes", "keypoints", "keypoint_names", *targets.polygons, *targets.keypoint_labels}
    known |= {*targets.labels} if "boxes" in sample else set()
    for key, value in sample.items():
        if kind_of(key, value, targets) is not None or key in known:
            continue
        if key in NEARLY_BOXES and value is not None:
            return f"sample[{key!r}]: boxes follow their image under the key 'boxes'; {_or_other(key)}"
        if meant := _meant(key, value, sample, targets):
            return (
                f"sample[{key!r}]: the spec has {meant}, and this sample has none under the key {meant!r}; "
                f"rename it to {meant!r}, or {_or_other(key)}"
            )
        if targets.boxes is not None and "boxes" not in sample and (inside := _boxes_inside(value)):
            return (
                f"sample[{key!r}]: {inside!r} in a mapping of its own does not follow the image; give the boxes "
                f"under 'boxes' beside 'image', or {_or_other(key)}"
            )
        if covers(value, size):
            return (
                f"sample[{key!r}] has the height and width of the image, {size[0]}x{size[1]}, and no known name, so "
                f"it would stay as it is while the image moves; {how_to_say(key)}"
            )
    return ""


def _meant(key: Any, value: Any, sample: Mapping[Any, Any], targets: Targets) -> str:
    """`boxes` or `keypoints`, if the spec has them, the sample does not, and this key is nearly theirs; else ""."""
    if not isinstance(key, str) or not hasattr(type(value), "__len__") or isinstance(value, str | bytes):
        return ""
    name = re.sub(r"[^a-z]+", "", key.lower())
    if targets.boxes is not None and "boxes" not in sample and re.fullmatch(r"(gt|target|bounding|b)*box(es)?", name):
        return "boxes"
    says_points = targets.keypoints == "drop" or targets.partners or targets.swap_keypoints
    near = name in ("keypoints", *_NEAR_KEYPOINTS)
    return "keypoints" if says_points and "keypoints" not in sample and near else ""


def _boxes_inside(value: Any) -> str:
    """The key of boxes in a mapping, or in the first of a list of mappings; "" if there is none."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    return next((name for name in ("boxes", *NEARLY_BOXES) if isinstance(first, Mapping) and name in first), "")


def how_to_say(key: Any) -> str:
    """What to do about an entry that has the size of its image and a key that says nothing, in words."""
    ending = key if isinstance(key, str | int) else ".."
    names = f"name it {f'mask_{ending}'!r} or {f'image_{ending}'!r}"
    if not isinstance(key, str) or not key:
        return f"{names}, or another name that the spec can say under `targets`: {key!r} is none"
    words = {word.removesuffix("s") for word in re.split(r"[^a-z]+", key.lower())}
    if words & _OF_VALUES and not words & _OF_CLASSES:
        options = {"vectors": True} if words & _OF_VECTORS else {}
        return f"say in the spec that it is a map of values, `targets: {flow({'maps': {key: options}})}`"
    other = flow({"maps": {key: {}}}).removeprefix("{").removesuffix("}")
    return (
        f"{names}, or say what it is in the spec, `targets: {flow({'keys': {key: 'mask'}})}`: mask for class "
        f"numbers, image for an image, other for what is not to change; or `{other}` for values such as depth"
    )


def say_of_which(key: Any) -> str:
    """What is unclear where there are several masks beside boxes, in words."""
    return (
        "several masks beside boxes, and the spec does not say whether there is one for each box; say "
        f"`targets: {{instances: [{key}]}}`, or `instances: []` if there is not"
    )


def _or_other(key: Any) -> str:
    return f"for what is not to change, the spec says `targets: {flow({'keys': {key: 'other'}})}`"
