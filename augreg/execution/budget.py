"""The budget: no op makes an image of more pixels than a spec allows; checked before memory is taken.

Of an image that is enlarged and then cropped, only the part that is kept is made, where the whole is not allowed, or
large and nearly all of it would be cut away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from augreg.errors import ImageError
from augreg.ops import Enlarge, Move, Op, Resize, Scene

__all__ = ["within_budget"]

_LARGE: Final = 2**24  # pixels; up to this the whole is made, with the bytes that it has always had
_WASTE: Final = 16  # times as many pixels as are kept


def within_budget(ops: Sequence[Op], scene: Scene, most: int) -> tuple[Op, ...]:
    """Ops with the same result on an image of this scene, of which none makes more than `most` pixels.

    As many pixels as the image itself has are always allowed, and at least one is required. Raises ImageError, which
    names the op.
    """
    height, width = scene.size
    most = max(most, height * width)
    limit = min(most, _LARGE)
    for op in ops:  # nearly always all of them are small, which is to cost little
        if not op.keeps_scene:
            size = op.size_after(height, width)
            if size is None or not 0 < size[0] * size[1] <= limit:
                break
            height, width = size
    else:
        return tuple(ops)
    height, width = scene.size
    done: list[Op] = []
    todo = list(reversed(ops))
    while todo:
        op = todo.pop()
        size = op.size_after(height, width)
        if size is None:  # the last one: what it leaves is known once it has run
            done.append(op)
            continue
        pixels = size[0] * size[1]
        if min(size) < 1:
            raise ImageError(
                f"{op} would make {size[0]}x{size[1]} of a {height}x{width} image; an image has at least one pixel"
            )
        if pixels > limit:
            part = _enlarged_part(op, todo[-1] if todo else None, height, width)
            if part and (pixels > most or pixels >= _WASTE * part[0].height * part[0].width):
                todo.pop()
                todo.extend(reversed(part))
                continue
            if pixels > most:
                raise ImageError(
                    f"{op} would make {size[0]}x{size[1]} = {pixels:,} pixels of a {height}x{width} image, and at "
                    f"most {most:,} are allowed; raise `max_pixels` in the spec if you mean that"
                )
        done.append(op)
        height, width = size
    return tuple(done)


def _enlarged_part(op: Op, crop: Op | None, height: int, width: int) -> tuple[Enlarge, *tuple[Move, ...]] | None:
    """The ops that make the part of an enlarged image that a crop keeps; None for other ops.

    An enlarged pixel depends on few pixels of the image, so the others need not be made.
    """
    if not isinstance(op, Resize) or not isinstance(crop, Move) or op.height < height or op.width < width:
        return None
    label = str(op) if crop.rearranges else f"{op}, {crop}"
    whole = op.height, op.width
    part = Enlarge(crop.top, crop.left, crop.height, crop.width, whole, op.interpolation, op.antialias, label=label)
    if not crop.rearranges:
        return (part,)
    rest = Move(0, 0, crop.height, crop.width, crop.transpose, crop.flip_y, crop.flip_x, label=str(crop))
    return part, rest
