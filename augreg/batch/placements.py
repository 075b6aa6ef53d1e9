"""Placements: which parts of which images a mixed image shows, where, and with what weight.

The targets of objects follow from them. Each blend changes the placements of an image as it changes its pixels. The
part that is seen is cut into cells, rectangles of which no two overlap. Each of them is known twice: by the edges
between which it lies, for coordinates, and by its pixels, for masks, which are scaled by the nearest pixel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.batch.blends import Blend, Box, Mix, Paste, Patch
from augreg.batch.scaling import nearest
from augreg.batch.shapes import Copy, Shapes

__all__ = ["Chosen", "Composition", "Placement", "compose", "visible_weights"]

Numbers: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Points: TypeAlias = NDArray[np.float64]
Size: TypeAlias = tuple[int, int]


class Placement(msgspec.Struct, frozen=True, dict=True, eq=False):
    """An image of the batch, or some of its objects, in a mixed image."""

    source: int
    """The image."""
    size: Size
    """Its (height, width), which is that of all images."""
    cells: Numbers
    """What is seen of it, n x 8: top, left, bottom, right by coordinates, and the same by pixels."""
    weight: float = 1.0
    """Its part in the mean, where images are averaged."""
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    """A point (x, y) of the image is at scale * point + offset."""
    lines: tuple[Integers, Integers] | None = None
    """For each row, and for each column, the one of the image that it shows, or -1; None for the image itself."""
    window: tuple[float, float, float, float] | None = None
    """The part of the image that was not cut off on the way: top, left, bottom, right; None for all of it."""
    pixels: Flags | None = None
    """The pixels that are not covered by copied instances, height x width; None if there are none of these."""
    objects: tuple[int, ...] | None = None
    """The numbers of the objects that came with it, if it was not pasted as a whole."""

    @property
    def areas(self) -> Numbers:
        """The cells by coordinates, n x 4: x1, y1, x2, y2."""
        return self.cells[:, [1, 0, 3, 2]]

    @property
    def scaled(self) -> bool:
        """Whether it is larger or smaller than the image."""
        return self.scale != (1.0, 1.0)

    @property
    def moves(self) -> bool:
        """Whether the image is anywhere else than in its own place."""
        return self.scaled or self.offset != (0.0, 0.0)

    def forward(self, points: Points) -> Points:
        """Where points of the image are, n x 2."""
        moved: Points = points * self.scale + self.offset
        return moved

    @functools.cached_property
    def shown(self) -> Flags:
        """The pixels that show it, but for those that copied instances cover: height x width."""
        found = np.zeros(self.size, bool)
        for top, left, bottom, right in self.cells[:, 4:].astype(int).tolist():
            found[top:bottom, left:right] = True
        return found

    @property
    def is_whole(self) -> bool:
        """Whether all of the image is seen in its own place."""
        return not self.moves and self.pixels is None and self.cells[:, :4].tolist() == [[0, 0, *self.size]]

    def without(self, box: Box) -> Placement:
        """What is left where a box is pasted over it."""
        return replace(self, cells=_outside(self.cells, box))

    def hidden(self, shown: Flags) -> Placement:
        """What is left where instances with these pixels are pasted over it."""
        return replace(self, pixels=~shown if self.pixels is None else self.pixels & ~shown)

    def through(self, patch: Patch) -> Placement:
        """What a patch shows of it elsewhere."""
        source_box, box = patch.source_box, patch.box
        low = np.tile(source_box[:2], 4)
        cells = np.clip(self.cells, low, low + np.tile(source_box[2:], 4))
        cells = cells[_has_area(cells)]
        if not len(cells):
            return replace(self, cells=cells)
        moved, lines, scale, offset = cells.copy(), [], [], []
        given = self.lines or tuple(map(np.arange, self.size))
        window = self.window or (0.0, 0.0, *map(float, self.size))
        ends = [*window]
        for axis in (0, 1):
            start, extent, to, length = source_box[axis], source_box[axis + 2], box[axis], box[axis + 2]
            factor, before, shift = length / extent, self.scale[1 - axis], self.offset[1 - axis]
            edges, places = [axis, axis + 2], [axis + 4, axis + 6]
            moved[:, edges] = (cells[:, edges] - start) * factor + to
            steps = nearest(extent, length) if length != extent else np.arange(extent)
            moved[:, places] = np.searchsorted(steps, cells[:, places] - start) + to
            line = np.full(self.size[axis], -1)
            line[to : to + length] = given[axis][start + steps]
            lines.append(line)
            scale.append(before * factor)
            offset.append((shift - start) * factor + to)
            ends[axis] = max(ends[axis], (start - shift) / before)
            ends[axis + 2] = min(ends[axis + 2], (start + extent - shift) / before)
        pixels = None
        if self.pixels is not None:
            pixels = np.zeros_like(self.pixels)
            rows, columns = (source_box[axis] + nearest(source_box[axis + 2], box[axis + 2]) for axis in (0, 1))
            into = slice(box[0], box[0] + box[2]), slice(box[1], box[1] + box[3])
            pixels[into] = self.pixels[rows[:, None], columns]
        return replace(
            self,
            cells=moved[_has_area(moved)],
            scale=(scale[1], scale[0]),
            offset=(offset[1], offset[0]),
            lines=(lines[0], lines[1]),
            window=(ends[0], ends[1], ends[2], ends[3]),
            pixels=pixels,
        )

    def united(self, other: Placement) -> Placement:
        """Both, of one image in one place, as one."""
        lines = None
        if self.lines is not None and other.lines is not None:
            down, across = (np.where(one < 0, more, one) for one, more in zip(self.lines, other.lines, strict=True))
            lines = down, across
        window = None
        if self.window is not None and other.window is not None:
            low, high = (f(self.window, other.window) for f in (np.minimum, np.maximum))
            window = float(low[0]), float(low[1]), float(high[2]), float(high[3])
        return replace(self, cells=np.concatenate((self.cells, other.cells)), lines=lines, window=window)

    @property
    def place(self) -> tuple[object, ...]:
        """Equal for placements of an image in the same place."""
        return self.source, self.objects, *(round(number, 9) for number in (*self.scale, *self.offset))

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for placements that show the same in the same place."""
        return *self.place, self.cells.tobytes(), None if self.pixels is None else self.pixels.tobytes()


class Chosen(NamedTuple):
    """The instances that a copy pastes into image `into`: pixels, and the objects of placements of its partner."""

    into: int
    source: int
    shown: Flags
    objects: list[tuple[int, tuple[int, ...]]]


Choose: TypeAlias = Callable[[Copy, Sequence[Sequence[Placement]]], Iterable[Chosen]]
"""Says what a copy pastes, given the placements before it."""


class Composition(NamedTuple):
    """The placements of each image after all blends, and the blends, with the shapes of copied instances."""

    placements: list[list[Placement]]
    blends: tuple[Blend, ...]


def compose(blends: Sequence[Blend], count: int, size: Size, choose: Choose) -> Composition:
    """What `count` images of this size show after these blends."""
    whole = np.array([[0, 0, *size] * 2], np.float64)
    images = [[Placement(i, size, whole)] for i in range(count)]
    concrete: list[Blend] = []
    for blend in blends:
        before = images
        images = list(before)
        if isinstance(blend, Copy):
            chosen = list(choose(blend, before))
            blend = _shapes(chosen, size)
            for one in chosen:
                pasted = [
                    replace(
                        before[one.source][place], objects=objects, pixels=_joined(before[one.source][place], one)
                    )
                    for place, objects in one.objects
                ]
                images[one.into] = [each.hidden(one.shown) for each in before[one.into]] + pasted
        elif isinstance(blend, Mix):
            for i in blend.reads():
                images[i] = _mixed(before[i], before[blend.partners[i]], blend.weights[i])
        elif isinstance(blend, Paste):
            for i, patches in blend.by_image().items():
                images[i] = _pasted(before, i, patches)
        else:
            raise TypeError(f"{blend}: boxes, masks and points follow a Mix, a Paste and a Copy")
        concrete.append(blend)
    return Composition(images, tuple(concrete))


def _joined(placement: Placement, chosen: Chosen) -> Flags:
    return chosen.shown if placement.pixels is None else placement.pixels & chosen.shown


def _shapes(chosen: Sequence[Chosen], size: Size) -> Shapes:
    shown = np.stack([one.shown for one in chosen]) if chosen else np.zeros((0, *size), bool)
    into, source = (np.array(column, np.int64) for column in ([c.into for c in chosen], [c.source for c in chosen]))
    return Shapes(into, source, shown)


def _mixed(own: Sequence[Placement], other: Sequence[Placement], weight: float) -> list[Placement]:
    """The placements of both, with their weights; what shows the same in the same place is one."""
    found: dict[tuple[object, ...], Placement] = {}
    for placements, part in ((own, weight), (other, 1.0 - weight)):
        for each in placements if part > 0.0 else ():
            key = each.key
            known = found.get(key)
            found[key] = replace(each, weight=each.weight * part + (0.0 if known is None else known.weight))
    return _united(found.values())


def _pasted(before: Sequence[Sequence[Placement]], image: int, patches: Sequence[Patch]) -> list[Placement]:
    """The placements of an image after patches are pasted over it in order."""
    found = list(before[image])
    for patch in patches:
        found = [each.without(patch.box) for each in found]
        found += [each.through(patch) for each in before[patch.source]]
        found = [each for each in found if len(each.cells)]
    return _united(found)


def _united(placements: Iterable[Placement]) -> list[Placement]:
    """The placements, where parts of an image in the same place that do not overlap are one, if their weight is."""
    found: list[Placement] = []
    for each in placements:
        for k, other in enumerate(found):
            if each.place == other.place and each.weight == other.weight and _are_apart(each, other):
                found[k] = other.united(each)
                break
        else:
            found.append(each)
    return found


def _are_apart(one: Placement, other: Placement) -> bool:
    """Whether two placements overlap nowhere, and copied instances cover nothing of them."""
    if one.pixels is not None or other.pixels is not None:
        return False
    first, second = one.cells[:, None], other.cells[None]
    overlap = np.minimum(first[..., 2:4], second[..., 2:4]) > np.maximum(first[..., :2], second[..., :2])
    return not overlap.all(axis=2).any()


def _has_area(cells: Numbers) -> Flags:
    """Which cells have an area by coordinates or by pixels."""
    edges, pixels = ((part[:, 2:] > part[:, :2]).all(axis=1) for part in (cells[:, :4], cells[:, 4:]))
    return np.asarray(edges | pixels)


def _outside(cells: Numbers, box: Box) -> Numbers:
    """The cells without a box: up to four parts of each."""
    top, left, bottom, right = box[0], box[1], box[0] + box[2], box[1] + box[3]
    apart = np.ones(len(cells), bool)
    for part in (cells[:, :4], cells[:, 4:]):
        apart &= (part[:, 0] >= bottom) | (part[:, 2] <= top) | (part[:, 1] >= right) | (part[:, 3] <= left)
    if apart.all():
        return cells
    cut, parts = cells[~apart], [cells[apart]]
    for axis, line, side in ((0, top, 2), (0, bottom, 0), (1, left, 3), (1, right, 1)):
        part = cut.copy()
        within = np.minimum if side >= 2 else np.maximum
        part[:, [side, side + 4]] = within(part[:, [side, side + 4]], line)
        parts.append(part[_has_area(part)])
        if axis == 0:  # what is left lies between both lines
            rest, other = (np.maximum, 0) if side == 2 else (np.minimum, 2)
            cut[:, [other, other + 4]] = rest(cut[:, [other, other + 4]], line)
    return np.concatenate(parts)


def visible_weights(images: Sequence[Sequence[Placement]]) -> tuple[NDArray[np.int64], Numbers]:
    """For each image the images that it is made of, itself first, and their weights, as two N x K tables."""
    rows: list[dict[int, float]] = []
    for i, placements in enumerate(images):
        row = {i: 0.0}
        for each in placements:
            seen = each.shown if each.pixels is None else each.shown & each.pixels
            row[each.source] = row.get(each.source, 0.0) + each.weight * float(seen.mean())
        rows.append({source: weight for source, weight in row.items() if weight > 0.0 or source == i})
    most = max(map(len, rows), default=1)
    sources = [[*row, *[i] * (most - len(row))] for i, row in enumerate(rows)]
    weights = [[*row.values(), *[0.0] * (most - len(row))] for row in rows]
    return np.array(sources, np.int64).reshape(-1, most), np.array(weights, np.float64).reshape(-1, most)
