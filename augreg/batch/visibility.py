"""Shares: which images show in which after several blends, counted in pixels.

A blend that follows others reads what they have left. Where that is even, a whole image or a mean of whole
images, shares multiply. Where a paste reads an image that was pasted into before, it depends on where things are:
then every pixel is traced back, patch by patch, to the images that it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augreg.batch.blends import Blend, Box, Paste, Patch, Shares
from augreg.batch.scaling import weights

__all__ = ["shares_after"]

_Weights: TypeAlias = NDArray[np.float64]
_Step: TypeAlias = Mapping[int, Shares] | Mapping[int, list[Patch]]  # what a mix, or a paste, does to whom


def shares_after(blends: Sequence[Blend], count: int, height: int, width: int) -> list[Shares]:
    """For every image of the batch after these blends: which images show, each with its share.

    An image's own entry comes first, and stays where nothing of it is left.
    """
    rows: list[Shares] = [{i: 1.0} for i in range(count)]
    pasted = False
    for number, blend in enumerate(blends):
        if pasted and isinstance(blend, Paste):
            changed = _traced(blends[: number + 1], blend.by_image(), height, width)
        else:
            changed = {i: _multiplied(parts, rows) for i, parts in blend.shares(height, width).items()}
        for i, row in changed.items():
            kept = {i: row.pop(i, 0.0), **{source: share for source, share in row.items() if share > 0.0}}
            rows[i] = {i: 1.0} if len(kept) == 1 else kept
        pasted = pasted or isinstance(blend, Paste)
    return rows


def _multiplied(parts: Shares, rows: Sequence[Shares]) -> Shares:
    """What shows in an image that is made of even images, or of whole ones."""
    row: Shares = {}
    for between, share in parts.items():
        for source, inner in rows[between].items():
            row[source] = row.get(source, 0.0) + share * inner
    return row


def _traced(blends: Sequence[Blend], images: Iterable[int], height: int, width: int) -> dict[int, Shares]:
    """What shows in these images, of which every pixel is traced back through all blends."""
    steps: list[_Step] = [
        blend.by_image() if isinstance(blend, Paste) else blend.shares(height, width) for blend in blends
    ]
    all_of_it = _Seen(0, 0, np.full(height, 1.0 / height), np.full(width, 1.0 / width))
    found: dict[int, Shares] = {i: {} for i in images}
    for i, row in found.items():
        _trace(steps, i, all_of_it, 1.0, row)
    return found


class _Seen(NamedTuple):
    """What is seen of an image in the end: the pixels of a box, down[y] * across[x] of each."""

    top: int
    left: int
    down: _Weights
    across: _Weights

    def part(self, top: int, bottom: int, left: int, right: int) -> _Seen:
        """What lies between these edges; nothing has no rows or no columns."""
        top, bottom = max(top, self.top), min(bottom, self.top + len(self.down))
        left, right = max(left, self.left), min(right, self.left + len(self.across))
        down, across = self.down[max(0, top - self.top) :], self.across[max(0, left - self.left) :]
        return _Seen(top, left, down[: max(0, bottom - top)], across[: max(0, right - left)])

    @property
    def nothing(self) -> bool:
        return not (len(self.down) and len(self.across))


def _trace(steps: Sequence[_Step], image: int, seen: _Seen, share: float, found: Shares) -> None:
    """Add to `found` how much of which image is seen where this much of `image`, made by these steps, is."""
    if not steps:
        found[image] = found.get(image, 0.0) + share * float(seen.down.sum() * seen.across.sum())
        return
    *before, step = steps
    done = step.get(image, [])
    if isinstance(done, dict):  # the shares of a mix
        for source, part in done.items():
            _trace(before, source, seen, share * part, found)
        return
    rest = [seen]
    for patch in reversed(done):  # the last one lies on top
        uncovered: list[_Seen] = []
        for one in rest:
            piece, around = _divided(one, patch.box)
            uncovered += around
            if not piece.nothing:
                _trace(before, patch.source, _in_source(piece, patch), share, found)
        rest = uncovered
    for one in rest:
        _trace(before, image, one, share, found)


def _divided(seen: _Seen, box: Box) -> tuple[_Seen, list[_Seen]]:
    """What is inside of a box, and what is around it, in up to four parts."""
    top, left, height, width = box
    low, right = top + height, left + width
    inside = seen.part(top, low, left, right)
    if inside.nothing:
        return inside, [seen]
    end = seen.top + len(seen.down), seen.left + len(seen.across)
    around = [
        seen.part(seen.top, top, seen.left, end[1]),
        seen.part(low, end[0], seen.left, end[1]),
        seen.part(top, low, seen.left, left),
        seen.part(top, low, right, end[1]),
    ]
    return inside, [part for part in around if not part.nothing]


def _in_source(piece: _Seen, patch: Patch) -> _Seen:
    """What is seen of the image that a patch was cut from, where this piece of the patch is."""
    down, across = piece.top - patch.box[0], piece.left - patch.box[1]
    top, left, tall, wide = patch.source_box
    if not patch.scales:
        return _Seen(top + down, left + across, piece.down, piece.across)
    rows = weights(tall, patch.box[2])[down : down + len(piece.down)]  # each pixel is a mean of some of the source
    columns = weights(wide, patch.box[3])[across : across + len(piece.across)]
    return _Seen(top, left, piece.down @ rows, piece.across @ columns)
