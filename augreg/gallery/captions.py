"""Captions: what was done to an image, in few words. Sizes are width×height, as of images on a screen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from augreg.ops import Move, Op, Resize
from augreg.ops.erasing import Paint

__all__ = ["describe_ops", "size_of"]

_MOST_WORDS = 6  # of ops that a caption has room for
_FEWEST_MERGED = 3  # of ops of one kind that become a number, such as "40 boxes"
_SIZE = re.compile(r"\b(\d+)x(\d+)\b")


def size_of(height: int, width: int) -> str:
    """The size of an image in words, width first."""
    return f"{width}×{height}"


def describe_ops(ops: Iterable[Op], size: tuple[int, int] | None = None) -> str:
    """Describe ops in words; the first ones where there are many. Many of one kind in a row become their number.

    A crop that is resized is one of both: "crop 320×300 to 224×224". Crops and resizes that leave an image of this
    (height, width) as it is are left out.
    """
    words: list[str] = []
    before: Op | None = None
    for op in ops:
        if not _keeps(op, size):
            if isinstance(op, Resize) and isinstance(before, Move) and not before.rearranges:
                words[-1] += f" to {size_of(op.height, op.width)}"
            else:
                words.append(_words(op))
            before = op
        size = None if size is None else op.size_after(*size)
    merged: list[str] = []
    for kind, same in groupby(words, _kind):
        found = list(same)
        merged += [_several(len(found), kind)] if kind and len(found) >= _FEWEST_MERGED else found
    if len(merged) > _MOST_WORDS:
        merged[_MOST_WORDS - 1 :] = [f"and {len(merged) - _MOST_WORDS + 1} more"]
    return ", ".join(merged)


def _keeps(op: Op, size: tuple[int, int] | None) -> bool:
    """Whether it is a crop or a resize that changes nothing in an image of this size."""
    if size is None or not isinstance(op, Move | Resize) or op.size_after(*size) != size:
        return False
    return isinstance(op, Resize) or not op.rearranges


def _words(op: Op) -> str:
    if isinstance(op, Move) and not op.rearranges:
        return f"crop {size_of(op.height, op.width)}"
    if isinstance(op, Resize):
        return f"resize to {size_of(op.height, op.width)}"
    if isinstance(op, Paint):
        return f"{'box' if op.noise is None else 'noise box'} {size_of(op.height, op.width)}"
    return _SIZE.sub(r"\2×\1", str(op))


def _kind(words: str) -> str:
    """The words up to the first number; empty if they begin with one."""
    return re.split(r"[-+]?\d", words, maxsplit=1)[0].strip(" (")


def _several(count: int, kind: str) -> str:
    return f"{count} {kind}es" if kind.endswith("box") else f"{count} times {kind}"
