"""The scene: what is known of an image before a pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Boxes", "Levels", "Scene"]

Levels: TypeAlias = tuple[float, ...]
"""One number for every channel, or one number for all."""


Boxes: TypeAlias = tuple[tuple[float, float, float, float], ...]
"""Boxes as (x0, y0, x1, y1) in pixels from the top left corner; the first pixel covers 0 to 1."""


class Scene(msgspec.Struct, frozen=True):
    """What is known of an image before a pixel is read; ops say what it becomes.

    `boxes` are those of its sample that still show, clipped to the image as it is at this step. There are none for
    an image by itself, in a plan, and behind an op that does not say in plain numbers where points go: a bend
    (`Remap`), a mixture that moves, a plugin's call that does.
    """

    height: int
    width: int
    channels: int = 3
    dtype: Literal["uint8", "float32"] = "uint8"
    normalized: bool = False
    epoch: int = 0
    boxes: Boxes = ()

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def white(self) -> float:
        """The level of white: 255 for bytes, 1 for floats."""
        return 255.0 if self.dtype == "uint8" else 1.0

    def levels(self, fill: Levels) -> Levels:
        """A fill given on the 0..255 scale, in this image's levels; as it is once normalized."""
        if self.normalized:
            return fill
        return tuple(min(255.0, max(0.0, level)) / (255.0 / self.white) for level in fill)

    def moved(self, forward: Sequence[float] | None, height: int, width: int) -> Scene:
        """A scene of this size, with the boxes around where a map of the plane takes the corners of these.

        The map is nine numbers, as `projective.inverse` gives them. What the image no longer shows is clipped, a
        box that it shows nothing of is dropped, and without a map all are.
        """
        found = []
        if forward is None:
            return msgspec.structs.replace(self, height=height, width=width, boxes=())
        if (height, width) == self.size and tuple(forward) == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0):
            return self
        a, b, c, d, e, f, *rest = forward
        straight = b == d == 0.0 and rest == [0.0, 0.0, 1.0]  # flips, crops and sizes, done faster
        far_x, far_y = float(width), float(height)
        for x0, y0, x1, y1 in self.boxes:
            if straight:
                xs, ys = (a * x0 + c, a * x1 + c), (e * y0 + f, e * y1 + f)
            else:
                corners = [_through(forward, x, y) for x in (x0, x1) for y in (y0, y1)]
                xs, ys = zip(*corners, strict=True)
            left, top, right, bottom = max(0.0, min(xs)), max(0.0, min(ys)), min(far_x, max(xs)), min(far_y, max(ys))
            if left < right and top < bottom:
                found.append((left, top, right, bottom))
        return msgspec.structs.replace(self, height=height, width=width, boxes=tuple(found))


def _through(forward: Sequence[float], x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f, g, h, i = forward
    depth = max(g * x + h * y + i, 1e-9)  # what lies on the horizon or behind it goes far out
    return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth
