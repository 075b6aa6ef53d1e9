"""Applying a blend image by image, possibly in place: one loop for NumPy and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from augreg.batch.blends import Blend, Box, Mix, Paste, Patch
from augreg.batch.order import write_steps

__all__ = ["blend_in_place", "cut"]


def blend_in_place(
    blend: Blend,
    images: Any,
    out: Any,
    empty_like: Callable[[Any], Any],
    mix: Callable[[Any, Any, float, Any], None],
    paste: Callable[[Patch, Any, Any], None],
) -> None:
    """Write `images` after a blend to `out`, image by image; `out` may be `images`.

    `empty_like(image)` allocates a copy, `mix(image, partner, weight, out)` writes a weighted mean, and
    `paste(patch, source, into)` writes a piece of one image into another.
    """
    reads = blend.reads()
    patches = blend.by_image() if isinstance(blend, Paste) else {}
    in_place = images is out
    if not in_place:
        for i in range(len(images)):
            if i in patches or i not in reads:
                out[i] = images[i]
    copies: dict[int, Any] = {}
    spare: list[Any] = []
    for i, copy, drop in write_steps(reads):
        if in_place and copy:
            copies[i] = spare.pop() if spare else empty_like(images[i])
            copies[i][...] = images[i]
        if isinstance(blend, Mix):
            j = blend.partners[i]
            mix(images[i], copies.get(j, images[j]), blend.weights[i], out[i])
        for patch in patches.get(i, ()):
            paste(patch, copies.get(patch.source, images[patch.source]), out[i])
        spare.extend(copies.pop(j) for j in drop if j in copies)


def cut(images: Any, box: Box, channels_last: bool = False) -> Any:
    """A view of a box of one image, or of each image of a batch."""
    top, left, height, width = box
    rows, columns = slice(top, top + height), slice(left, left + width)
    return images[..., rows, columns, :] if channels_last else images[..., rows, columns]
