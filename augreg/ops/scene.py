"""The scene: what is known about an image before a pixel is read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Boxes", "PixelValues", "Scene"]

PixelValues: TypeAlias = tuple[float, ...]
"""One number per channel, or one number for all channels."""


Boxes: TypeAlias = tuple[tuple[float, float, float, float], ...]
"""Boxes as (x0, y0, x1, y1) in pixels from the top left corner; the first pixel extends from 0 to 1."""


class Scene(msgspec.Struct, frozen=True):
    """What is known about an image before a pixel is read; each op says what the scene after it is.

    `boxes` are the boxes of its sample that are still visible, clipped to the image at this step. They are empty for
    an image alone, in a plan of a size, and after an op without a `point_map`: a `Remap`, and a `BranchMix` or
    `FunctionCall` that moves pixels. `alpha` is whether the last channel is alpha, which color steps leave as it is.
    """

    height: int
    width: int
    channels: int = 3
    dtype: Literal["uint8", "float32"] = "uint8"
    normalized: bool = False
    epoch: int = 0
    boxes: Boxes = ()
    alpha: bool = False

    @property
    def colors(self) -> int:
        """The number of channels without alpha."""
        return self.channels - self.alpha

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def white(self) -> float:
        """The pixel value of white: 255 for bytes, 1 for floats."""
        return 255.0 if self.dtype == "uint8" else 1.0

    def pixel_values(self, fill: PixelValues) -> PixelValues:
        """A fill on the 0..255 scale, converted to this image's pixel values; unchanged for a normalized image."""
        return fill if self.normalized else _pixel_values(fill, self.dtype == "uint8")

    def with_shape(self, shape: tuple[int, ...]) -> Scene:
        """The scene of an array of this height x width x channels; other channels than before have no alpha."""
        height, width, channels = shape
        alpha = self.alpha and channels == self.channels
        return msgspec.structs.replace(self, height=height, width=width, channels=channels, alpha=alpha)

    def moved(self, forward: Sequence[float] | None, height: int, width: int) -> Scene:
        """A scene of this size; its boxes enclose the corners of the current boxes after a map of the plane.

        The map is nine numbers, as `projective.inverse` returns them. Boxes are clipped to the image, and dropped
        where nothing of them is left; without a map all are dropped.
        """
        boxes = []
        if forward is None:
            return msgspec.structs.replace(self, height=height, width=width, boxes=())
        if (height, width) == self.size and tuple(forward) == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0):
            return self
        a, b, c, d, e, f, *rest = forward
        straight = b == d == 0.0 and rest == [0.0, 0.0, 1.0]  # flips, crops and resizes, computed faster
        far_x, far_y = float(width), float(height)
        for x0, y0, x1, y1 in self.boxes:
            if straight:
                xs, ys = (a * x0 + c, a * x1 + c), (e * y0 + f, e * y1 + f)
            else:
                corners = [_through(forward, x, y) for x in (x0, x1) for y in (y0, y1)]
                xs, ys = zip(*corners, strict=True)
            left, top, right, bottom = max(0.0, min(xs)), max(0.0, min(ys)), min(far_x, max(xs)), min(far_y, max(ys))
            if left < right and top < bottom:
                boxes.append((left, top, right, bottom))
        return msgspec.structs.replace(self, height=height, width=width, boxes=tuple(boxes))


@functools.lru_cache(maxsize=256)
def _pixel_values(fill: PixelValues, is_bytes: bool) -> PixelValues:
    scale = 1.0 if is_bytes else 255.0
    return tuple(min(255.0, max(0.0, value)) / scale for value in fill)


def _through(forward: Sequence[float], x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f, g, h, i = forward
    depth = max(g * x + h * y + i, 1e-9)  # points on the horizon or behind it go far out
    return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth
