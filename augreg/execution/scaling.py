"""Scaled decoding: where a plan begins by making a JPEG small, it is decoded at a fraction of its size.

This is the option `decode: scaled`. A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, in less time. The crop and
the antialiased resize at the beginning of a plan then become a resize of a box of the smaller image, whose edges are
where they were, also within a pixel. The plan stays as it is, for its targets and for images of other formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from augreg.images.codecs import InputImage
from augreg.images.jpeg import Box, scaled_box
from augreg.ops import Move, Op, Resize, ResizeBox, Scene
from augreg.ops.op import joined

__all__ = ["ScaledStart", "decoded", "scaled_start"]

_REDUCTIONS: Final = (8, 4, 2)
_ENOUGH: Final = 1.5  # times as many pixels a side as are wanted; with fewer, the result is too sharp


class ScaledStart(NamedTuple):
    """How a plan begins on an image that is decoded at 1/`reduction` of its size.

    `ops` take the pixels of the smaller image that show `box`, and stand for the first `replaced` ops of the plan.
    """

    replaced: int
    box: Box
    reduction: int
    ops: tuple[Op, ...]


def scaled_start(ops: Sequence[Op], scene: Scene, part: Box | None) -> ScaledStart | None:
    """How ops begin on a smaller image, if they shrink it enough. `part` is what the first one cuts out, or None."""
    move = ops[0] if ops and type(ops[0]) is Move else None
    if move is not None and part is None:  # it cuts out what is not in the image
        return None
    count = 1 if move is None else 2
    resize = ops[count - 1] if len(ops) >= count else None
    if type(resize) is not Resize or resize.interpolation in ("nearest", "nearest_floor", "area", "lanczos4"):
        return None
    if not resize.antialias and resize.interpolation != "lanczos":
        return None
    box = part or (0, 0, scene.height, scene.width)
    size = resize.height, resize.width
    if move is not None and move.transpose:
        size = size[1], size[0]
    for reduction in _REDUCTIONS:
        if all(side >= _ENOUGH * reduction * wanted for side, wanted in zip(box[2:], size, strict=True)):
            break
    else:
        return None
    top, left, height, width = (number / reduction for number in box)
    first, before, _, _ = scaled_box(box, reduction)
    label = resize.label if move is None else (joined, move, resize)
    begun: Op = ResizeBox(top - first, left - before, height, width, *size, resize.interpolation, label=label)
    if move is None or not move.rearranges:
        return ScaledStart(count, box, reduction, (begun,))
    turned = Move(0, 0, *size, move.transpose, move.flip_y, move.flip_x, label=move.label)
    return ScaledStart(count, box, reduction, (begun, turned))


def decoded(
    image: InputImage, ops: Sequence[Op], scene: Scene, part: Box | None, scaled: bool
) -> tuple[NDArray[Any], ScaledStart | None]:
    """The pixels of an image that ops read: at its size, or smaller, with how the ops begin on them then.

    Raises ImageError. `part` is what the first op cuts out, and `scaled` whether the spec allows the smaller image.
    """
    if scaled and image.scaled is not None:
        start = scaled_start(ops, scene, part)
        pixels = None if start is None else image.scaled(start.box, start.reduction)
        if pixels is not None:
            return pixels, start
    return image.decode(part), None
