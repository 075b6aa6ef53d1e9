"""Running the views of an image: it is read once, and each view runs its own ops on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from augreg.errors import ImageError
from augreg.execution.run import RunSettings, read_pixels, run_drawn, to_output
from augreg.execution.samples import run
from augreg.execution.sampling import Drawn
from augreg.images.codecs import InputImage, tensor, to_array
from augreg.named_views.declared import PATCH_MASK, NamedView
from augreg.named_views.drawing import ViewDraws, size_of
from augreg.named_views.patches import PatchMask
from augreg.named_views.result import NamedViews
from augreg.ops import Op, Scene
from augreg.targets.kinds import kind_of

__all__ = ["read_images", "run_view", "run_views", "with_mask"]


def read_images(given: Any, settings: RunSettings) -> Any:
    """An image, a clip, or a sample, with its images read and decoded. Raises ImageError, which names the image."""
    if not isinstance(given, Mapping):
        return _members(given, settings) if settings.targets.clip else to_array(given, settings.channels)
    if PATCH_MASK in given:
        raise ImageError(f"sample[{PATCH_MASK!r}]: this is the key of the masks that the views get; rename it")
    return {key: _read(key, value, settings) for key, value in given.items()}


def _read(key: Any, value: Any, settings: RunSettings) -> Any:
    """The value of a key, read if it is an image, or a list of them, and is still known as one then."""
    if kind_of(key, value, settings.targets) != "image":
        return value
    try:
        found = _members(value, settings)
    except ImageError as error:
        raise ImageError(f"sample[{key!r}]: {error}") from error
    return found if kind_of(key, found, settings.targets) == "image" else value


def _members(value: Any, settings: RunSettings) -> Any:
    """An image, or each image of a list, as it is read; the frames of a clip in one array are as they are."""
    if isinstance(value, list | tuple):
        read = [_members(member, settings) for member in value]
        return tuple(read) if isinstance(value, tuple) else read
    if settings.targets.clip and getattr(value, "ndim", 0) == 4:
        return value
    return to_array(value, settings.channels)


def run_views(given: Any, draws: ViewDraws) -> NamedViews:
    """The views of an image, or of a sample, by name. Raises ImageError."""
    given = read_images(given, draws.settings)
    begun = _begun(given, draws) if isinstance(given, InputImage) and not draws.settings.targets.clip else None
    return NamedViews((view.name, run_view(given, view, draws, begun)) for view in draws.views)


class _Begun(msgspec.Struct, frozen=True):
    """An image after the steps that all views share, and its scene then."""

    image: InputImage
    scene: Scene


def _begun(image: InputImage, draws: ViewDraws) -> _Begun | None:
    """The image after the shared steps; None where views do not begin with these: there are none, their ops may merge
    with others into something else, or they make something large, of which a view may need a part only.
    """
    settings = draws.settings
    if not draws.shared or settings.approximate:
        return None
    scene = image.scene(settings.epoch)
    drawn = draws.walk(draws.shared, scene)
    if size_of(drawn) is None or not drawn.modest or not drawn.ops:
        return None
    started = draws.started(drawn, scene, False)
    pixels, reduced = read_pixels(image, started[0], scene, settings)
    try:
        (array,), after = run_drawn(started, [pixels], scene, settings, begun=(reduced,))
    except ImageError as error:
        raise ImageError(f"{image.name}: {error}") from error
    return _Begun(msgspec.structs.replace(image, array=array, source=image.name), after)


def run_view(given: Any, view: NamedView, draws: ViewDraws, begun: _Begun | None = None) -> Any:
    """One view of what was read. `begun` has what the shared steps made of it. Raises ImageError."""
    sizes: list[tuple[int, int] | None] = []

    def start(scene: Scene, alone: bool) -> tuple[Sequence[Op], Drawn]:
        started = begin(scene, alone)
        sizes[:] = [size_of(started[1])]
        return started

    begin = draws.start(view)
    if begun is None or view.geometry is not None:
        found = run(given, start, draws.settings)
    else:
        found = _run_own(begun, view, draws)
        sizes.append(found[1])
        found = found[0]
    if not draws.has_patches:
        return found
    return with_mask(found, draws.mask(view, sizes[0]))


def _run_own(begun: _Begun, view: NamedView, draws: ViewDraws) -> tuple[Any, tuple[int, int] | None]:
    """A view of what the shared steps made of an image, and its size."""
    image, scene, settings = begun.image, begun.scene, draws.settings
    drawn = draws.walk(view.steps, scene)
    started = draws.started(drawn, scene, False)
    try:
        (array,), after = run_drawn(started, [image.array], scene, settings)
    except ImageError as error:
        raise ImageError(f"{image.name}: {error}") from error
    if np.may_share_memory(array, image.array):  # with the other views
        array = array.copy()
    return to_output(array, after.normalized, image, settings), size_of(drawn)


def with_mask(view: Any, mask: PatchMask | None) -> Any:
    """A view as a sample, with its patch mask if it has one: an array, or a tensor if its image is one."""
    sample = dict(view) if isinstance(view, Mapping) else {"image": view}
    if mask is not None:
        sample[PATCH_MASK] = tensor(mask.array) if hasattr(sample["image"], "new_empty") else mask.array
    return sample
