"""Visible fractions: how much of each source image is visible in each image after several blends.

Fractions of whole images, and of means of whole images, are multiplied along the sequence. Where a paste reads or
covers an image that was pasted into before, the result depends on positions: then regions of pixels are traced back,
patch by patch, to the images that they came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augreg.batch.blends import Blend, Box, Paste, Patch, SourceWeights
from augreg.batch.scaling import weights

__all__ = ["visible_columns", "visible_fractions"]

_Weights: TypeAlias = NDArray[np.float64]
_Changes: TypeAlias = Mapping[int, SourceWeights] | Mapping[int, list[Patch]]  # of a mix or of a paste, by image


def visible_columns(
    blends: Sequence[Blend], count: int, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`visible_fractions` as two N x K tables; short rows are filled with the image itself at weight 0."""
    every = np.arange(count)
    if len(blends) < 2:  # as columns, without a loop over the images
        into, sources_of, weights_of = blends[0].visible(height, width) if blends else (every[:0],) * 3
        most = sources_of.shape[1] if len(into) else 1
        sources, weights = np.repeat(every[:, None], most, axis=1), np.zeros((count, most))
        weights[:, 0] = 1.0
        if len(into):
            sources[into], weights[into] = sources_of, weights_of
        return sources, weights
    rows = visible_fractions(blends, count, height, width)
    most = max((len(row) for row in rows), default=1)
    lines = [[*row, *[i] * (most - len(row))] for i, row in enumerate(rows)]
    numbers = [[*row.values(), *[0.0] * (most - len(row))] for row in rows]
    return np.array(lines, np.int64).reshape(count, most), np.array(numbers).reshape(count, most)


def visible_fractions(blends: Sequence[Blend], count: int, height: int, width: int) -> list[SourceWeights]:
    """For each image of the batch after these blends, the fraction of it that shows each source image.

    The entry of the image itself comes first, also where the fraction is 0.
    """
    rows: list[SourceWeights] = [{i: 1.0} for i in range(count)]
    pasted = False
    for number, blend in enumerate(blends):
        if pasted and isinstance(blend, Paste):
            changed = _traced(blends[: number + 1], blend.by_image(), height, width)
        else:
            changed = blend.source_weights(height, width)
            if number:
                changed = {i: _multiplied(row, rows) for i, row in changed.items()}
        for i, row in changed.items():
            kept = {i: row.pop(i, 0.0), **{source: weight for source, weight in row.items() if weight > 0.0}}
            rows[i] = {i: 1.0} if len(kept) == 1 else kept
        pasted = pasted or isinstance(blend, Paste)
    return rows


def _multiplied(row: SourceWeights, rows: Sequence[SourceWeights]) -> SourceWeights:
    """The sources of an image that is made of the images of `rows` with the weights in `row`."""
    product: SourceWeights = {}
    for image, weight in row.items():
        for source, fraction in rows[image].items():
            product[source] = product.get(source, 0.0) + weight * fraction
    return product


def _traced(blends: Sequence[Blend], images: Iterable[int], height: int, width: int) -> dict[int, SourceWeights]:
    """The sources of these images, found by tracing all their pixels back through the blends."""
    steps: list[_Changes] = [
        blend.by_image() if isinstance(blend, Paste) else blend.source_weights(height, width) for blend in blends
    ]
    whole = _Region(0, 0, np.full(height, 1.0 / height), np.full(width, 1.0 / width))
    rows: dict[int, SourceWeights] = {i: {} for i in images}
    for i, row in rows.items():
        _trace(steps, i, whole, 1.0, row)
    return rows


class _Region(NamedTuple):
    """A box of an image, with weights of its pixels in the final image: row_weights[y] * column_weights[x]."""

    top: int
    left: int
    row_weights: _Weights
    column_weights: _Weights

    def clipped(self, top: int, bottom: int, left: int, right: int) -> _Region:
        """The part between these edges; it may be empty."""
        rows, columns = self.row_weights, self.column_weights
        top, bottom = max(top, self.top), min(bottom, self.top + len(rows))
        left, right = max(left, self.left), min(right, self.left + len(columns))
        rows, columns = rows[max(0, top - self.top) :], columns[max(0, left - self.left) :]
        return _Region(top, left, rows[: max(0, bottom - top)], columns[: max(0, right - left)])

    @property
    def empty(self) -> bool:
        return not (len(self.row_weights) and len(self.column_weights))


def _trace(steps: Sequence[_Changes], image: int, region: _Region, weight: float, row: SourceWeights) -> None:
    """Add to `row` the weights of the sources that are visible in a region of an image after these steps.

    `weight` multiplies the weights of the region.
    """
    if not steps:
        row[image] = row.get(image, 0.0) + weight * float(region.row_weights.sum() * region.column_weights.sum())
        return
    *before, step = steps
    changes = step.get(image, [])
    if isinstance(changes, dict):  # the weights of a mix
        for source, fraction in changes.items():
            _trace(before, source, region, weight * fraction, row)
        return
    uncovered = [region]
    for patch in reversed(changes):  # the last one lies on top
        remaining: list[_Region] = []
        for part in uncovered:
            covered, outside = _split(part, patch.box)
            remaining += outside
            if not covered.empty:
                _trace(before, patch.source, _source_region(covered, patch), weight, row)
        uncovered = remaining
    for part in uncovered:
        _trace(before, image, part, weight, row)


def _split(region: _Region, box: Box) -> tuple[_Region, list[_Region]]:
    """The part of a region inside a box, and up to four parts around it."""
    top, left, height, width = box
    bottom, right = top + height, left + width
    inside = region.clipped(top, bottom, left, right)
    if inside.empty:
        return inside, [region]
    end = region.top + len(region.row_weights), region.left + len(region.column_weights)
    outside = [
        region.clipped(region.top, top, region.left, end[1]),
        region.clipped(bottom, end[0], region.left, end[1]),
        region.clipped(top, bottom, region.left, left),
        region.clipped(top, bottom, right, end[1]),
    ]
    return inside, [part for part in outside if not part.empty]


def _source_region(region: _Region, patch: Patch) -> _Region:
    """The region of a patch's source image that is read for this region of the patch."""
    down, across = region.top - patch.box[0], region.left - patch.box[1]
    top, left, height, width = patch.source_box
    if not patch.scales:
        return _Region(top + down, left + across, region.row_weights, region.column_weights)
    rows = weights(height, patch.box[2])[down : down + len(region.row_weights)]  # a pixel is a mean of source pixels
    columns = weights(width, patch.box[3])[across : across + len(region.column_weights)]
    return _Region(top, left, region.row_weights @ rows, region.column_weights @ columns)
