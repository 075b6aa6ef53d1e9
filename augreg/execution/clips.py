"""Clips: samples whose entries have one member for each frame, taken apart into a sample for each frame, and joined.

The spec says `targets: {clip: true}`. Frames are an array N x height x width x channels, a tensor N x channels x
height x width, or a list of images.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from augreg.errors import ImageError
from augreg.execution.followers import kind_at, position
from augreg.images import buffers
from augreg.targets import rows
from augreg.targets.conventions import Targets

__all__ = ["Clip", "joined"]

_FORM = "N x height x width x channels for an array, N x channels x height x width for a tensor, or a list of images"


class Clip:
    """The frames of a sample: `frames` has a sample for each, and `images` the lists of the images by their keys."""

    def __init__(self, sample: Mapping[Any, Any], targets: Targets) -> None:
        """Take it apart. Raises ImageError, which names the key that has another number of entries."""
        kinds = {key: kind_at(key, value, targets) for key, value in sample.items()}
        images = [key for key, kind in kinds.items() if kind == "image"]
        self.images = {key: _frames(sample[key], position(key)) for key in images}
        first = "image" if "image" in self.images else next(iter(images), None)
        if first is None:
            names = ", ".join(map(repr, sample)) or "none"
            raise ImageError(f"a clip needs its frames under 'image'; its keys are: {names}")
        count = len(self.images[first])
        if not count:
            raise ImageError(f"{position(first)}: a clip needs at least one frame")
        self.keys = [key for key, value in sample.items() if _has_frames(key, value, kinds[key], sample, targets)]
        """The keys with an entry for each frame; the other entries are those of the whole clip."""
        for key in self.keys:
            entries = rows.count(sample[key])
            if entries != count:
                got = f"a {type(sample[key]).__name__}" if entries is None else f"{entries} entries"
                raise ImageError(
                    f"{position(key)}: {got} for {count} frames; the spec says `clip: true`, so give an entry for "
                    "each frame"
                )
        shared = {key: value for key, value in sample.items() if key not in self.keys}
        self.frames = [{**shared, **{key: sample[key][number] for key in self.keys}} for number in range(count)]


def joined(values: Sequence[Any], given: Any) -> Any:
    """The values of all frames as they were given: one array or tensor, if they still have one shape, else a list."""
    if isinstance(given, list | tuple):
        return tuple(values) if isinstance(given, tuple) else list(values)
    first = values[0]
    if not hasattr(first, "shape") or len({(type(value), tuple(value.shape)) for value in values}) > 1:
        return list(values)
    if rows.is_tensor(first):
        return sys.modules["torch"].stack(list(values))
    result = buffers.empty((len(values), *first.shape), first.dtype)
    for place, value in zip(result, values, strict=True):
        place[...] = value
    return result


def _frames(value: Any, at: str) -> list[Any]:
    """The images of all frames under a key."""
    if isinstance(value, list | tuple):
        return list(value)
    shape = tuple(getattr(value, "shape", ()))
    if len(shape) != 4:
        got = f"the shape {shape}" if shape else f"a {type(value).__name__}"
        gray = "; gray frames have one channel" if len(shape) == 3 else ""
        raise ImageError(f"{at}: the spec says `clip: true`, so its frames are {_FORM}{gray}; got {got}")
    return [value[number] for number in range(shape[0])]


def _has_frames(key: Any, value: Any, kind: str | None, sample: Mapping[Any, Any], targets: Targets) -> bool:
    """Whether an entry has a member for each frame."""
    if kind == "other":
        return False
    if kind is not None or key in ("boxes", "keypoints"):
        return True
    if key in (*targets.polygons, *(targets.instances or ()), *targets.keypoint_labels):
        return True
    if key == "keypoint_names":  # the same for all frames, unless there is a list of them for each
        return any(rows.count(names) is not None for names in rows.listed(value)) if rows.count(value) else False
    return key in targets.labels and "boxes" in sample and rows.count(value) is not None
