"""Passes: from the ops that were drawn to those that run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from augreg.backends import Backend
from augreg.execution.budget import within_budget
from augreg.execution.merging import merge
from augreg.execution.sampling import MODEST, Drawn
from augreg.ops import Op, Scene

__all__ = ["passes"]

_SMALL: Final = 1 << 14  # pixels; a pass over them takes less time than to find out that it can be saved
_MOST_CHANNELS: Final = 4


def passes(
    drawn: Drawn, scene: Scene, approximate: bool, max_pixels: int, engine: Backend | None = None
) -> Sequence[Op]:
    """The ops to run on an image of this scene: merged into fewer passes, none of which makes more than `max_pixels`.

    `engine` is given where no targets follow the image. If it runs all ops in one call, those for a small image are
    not merged: their result is the same, and merging would take most of the time. Raises ImageError.
    """
    modest = drawn.modest and max_pixels >= MODEST  # merging makes no image larger
    if engine is not None and modest and not approximate and _fuses(engine, scene):
        return drawn.ops
    ops = merge(drawn.ops, scene, approximate)
    return ops if modest else within_budget(ops, scene, max_pixels)


def _fuses(engine: Backend, scene: Scene) -> bool:
    """Whether the backend runs all ops on such an image in one call."""
    if engine.run_many is None or scene.height * scene.width > _SMALL:
        return False
    return scene.dtype == "uint8" and scene.channels <= _MOST_CHANNELS and not scene.alpha
