"""Erasing one hole in each cell of a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from msgspec import Meta

from augreg import lazy
from augreg.ops.erasing import MOST_CELLS
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, Fill, Size
from augreg.transforms.erasing import painted_box
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_Pixels: TypeAlias = Annotated[int, Meta(ge=0, le=100_000)]


@transform(
    "grid_holes", kind="erasing", p=0.5,
    preview=({"ratio": 0.3, "offset": "fixed"}, {"ratio": 0.5, "cells": 5}, {"ratio": 0.7}),
)  # fmt: skip
class GridHoles:
    """Paint over a box in each cell of a grid.

    The grid has `cells` (rows, columns). Without `cells`, the side of a cell in pixels is drawn from `unit`; without
    both, there are about ten rows and columns. There are never more than 64. If a side of the image is not a
    multiple, some cells, drawn at random, are a pixel larger. The sides of a box are `ratio` times those of its cell,
    at least one pixel, and less than the cell. With `offset: each`, the position of each box in its cell is drawn
    uniformly, with `all` one position is drawn for all boxes, and with `fixed` the boxes lie at the distance `shift`,
    (down, right) in pixels, from the top left corners of their cells, within the image. `mode` is `const` (paint
    `fill`), `random` (one random color for each box) or `pixel` (a random color for each pixel), as in
    `random_erasing`.
    """

    ratio: Annotated[float, Meta(gt=0, le=1)] = 0.5
    unit: Counts | None = None
    cells: Size | None = None
    offset: Literal["each", "all", "fixed"] = "each"
    shift: tuple[_Pixels, _Pixels] = (0, 0)
    mode: Literal["const", "random", "pixel"] = "const"
    fill: Fill = (0.0,)

    def check(self) -> None:
        if self.unit is not None:
            check_range("unit", self.unit, 2, 100_000, " pixels")
            if self.cells is not None:
                raise ValueError("unit and cells both say how many cells there are: give one of them")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        unit = None if self.unit is None else self.unit[0] + rng.integers(self.unit[1] - self.unit[0] + 1)
        sides = [self._cells(rng, whole, axis, unit) for axis, whole in enumerate(scene.size)]
        common = [0, 0]
        if self.offset == "all":
            common = [rng.integers(min(side) - _hole(min(side), self.ratio) + 1) for side in sides]
        elif self.offset == "fixed":
            common = list(self.shift)
        painted: list[Op] = []
        y = 0
        for cell_height in sides[0]:
            x = 0
            for cell_width in sides[1]:
                height, width = _hole(cell_height, self.ratio), _hole(cell_width, self.ratio)
                down, right = common
                if self.offset == "each":
                    down, right = rng.integers(cell_height - height + 1), rng.integers(cell_width - width + 1)
                if height and width:
                    top, left = min(y + down, scene.height - height), min(x + right, scene.width - width)
                    painted.append(painted_box(rng, scene, top, left, height, width, self.mode, self.fill))
                x += cell_width
            y += cell_height
        return tuple(painted)

    def _cells(self, rng: Cursor, whole: int, axis: int, unit: int | None) -> list[int]:
        """The sides of the cells along one axis."""
        count = _cells_along(self.cells, whole, axis, unit)
        sides = [whole // count] * count
        if whole % count:
            for larger in rng.permutation(count)[: whole % count]:
                sides[larger] += 1
        return sides

    sample_columns = lazy.method("augreg.columns.painting", "grid_holes")


def _cells_along(cells: tuple[int, int] | None, whole: int, axis: int, unit: int | None) -> int:
    """How many cells there are along a side of an image."""
    count = cells[axis] if cells is not None else whole // max(2, whole // 10 if unit is None else unit)
    return max(1, min(count, whole, MOST_CELLS))


def _hole(cell: int, ratio: float) -> int:
    """The side of the hole in a cell of this side."""
    return min(max(int(cell * ratio), 1), cell - 1)
