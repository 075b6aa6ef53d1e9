"""Distortions by grids: rows and columns that are stretched, nodes that move, tiles that change places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, Fill, Interpolation, PadMode, Range, Size, SymmetricRange
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform(
    "grid_stretch", kind="geometry",
    preview=({"limit": 0.1}, {"limit": 0.3}, {"limit": 0.8}),
)  # fmt: skip
class GridStretch:
    """Stretch and squeeze bands of rows and of columns, each by a factor of its own.

    The rows are divided into `bands` bands of equal height, and a last band with the rows that are left over; columns
    likewise. Each band shows more or fewer rows or columns of the input: 1 plus a number drawn uniformly from
    `limit`, times its own. `end` says what happens at the last band. With `fit`, all bands are scaled together so
    that they show the whole image. With `free`, the border of the image moves, and pixels from outside of it show
    `fill`, or what `pad` shows there with this `mode`. With `rest`, the last band, if there is one, shows all that
    the others leave.

    With `overlap`, as in GridDistortion of albumentations, the last pixel of a band shows the place that the first
    one of the next band shows, so each pixel shows what is up to a pixel further down and to the right, and the last
    row and column show what is beyond the image. With `free`, the rows and columns that are left over then show as
    much of the input as a whole band.

    With `overlap`, as in GridDistortion of albumentations, the last pixel of a band shows the place that the first
    one of the next band shows, so each pixel shows what is up to a pixel further down and to the right, and the last
    row and column what is beyond the image. What is left over then shows as much of the input, with `free`, as a
    whole band.
    """

    bands: Annotated[int, Meta(ge=1, le=256)] = 5
    limit: SymmetricRange = (-0.3, 0.3)
    end: Literal["fit", "free", "rest"] = "fit"
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    overlap: bool = False

    def check(self) -> None:
        check_range("limit", self.limit, -1, 1)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        how = self.overlap, self.interpolation, self.fill, self.mode
        return ops.bands(scene, self.bands, self.limit, self.end, rng.bits(), *how)

    sample_columns = sample


@transform(
    "piecewise_affine", kind="geometry",
    preview=({"scale": 0.02}, {"scale": 0.04}, {"scale": 0.07, "rows": 3, "columns": 3}),
)  # fmt: skip
class PiecewiseAffine:
    """Distort the image by moving the nodes of a regular grid at random; triangles between them are mapped affinely.

    The grid has `rows` times `columns` nodes, from the first pixel to the last; both numbers are drawn uniformly. The
    place in the input that a node shows is moved along each axis by normal noise, but not beyond the image. The
    standard deviation of the noise is `scale`, which is drawn uniformly; `unit` says of what it is a fraction: of the
    height and the width (`sides`) or of the `shorter` side, or that it is in `pixels`. Each cell between nodes is
    divided into two triangles, within which the map is affine. With `between: distance`, as in PiecewiseAffine of
    albumentations 2, each pixel instead shows the mean of the places of all nodes, weighted by their inverse squared
    distances: such an image is distorted even if no node moves.
    """

    scale: Range = (0.03, 0.05)
    rows: Counts = (4, 4)
    columns: Counts = (4, 4)
    unit: Literal["sides", "shorter", "pixels"] = "sides"
    between: Literal["triangles", "distance"] = "triangles"
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"

    def check(self) -> None:
        check_range("scale", self.scale, 0, 1000 if self.unit == "pixels" else 1)
        check_range("rows", self.rows, 2, 64)
        check_range("columns", self.columns, 2, 64)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        rows, columns = (
            low + rng.integers(high - low + 1) if high > low else low for low, high in (self.rows, self.columns)
        )
        scale = rng.uniform(*self.scale)
        how = self.unit, self.between, self.interpolation, self.fill, self.mode
        return ops.nodes(scene, rows, columns, scale, rng.bits(), *how)

    sample_columns = sample


@transform(
    "grid_shuffle", kind="geometry",
    preview=({"grid": 2}, {"grid": 3}, {"grid": 6}),
)  # fmt: skip
class GridShuffle:
    """Cut the image into tiles and exchange them at random, as in a jigsaw puzzle.

    `grid` is the number of rows and columns of tiles. If it does not divide a side, some rows are a pixel higher, or
    some columns a pixel wider, than the others, at random places or, with `cuts: even`, spread over the image, and
    only tiles of the same size are exchanged. A polygon that is cut becomes several, and a box is drawn around all
    parts of what was in it.
    """

    grid: Size = (3, 3)
    cuts: Literal["random", "even"] = "random"

    def check(self) -> None:
        if max(self.grid) > 256:
            raise ValueError(f"grid must be at most 256 rows and columns, got {list(self.grid)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.tiles(scene, self.grid[0], self.grid[1], rng.bits(), self.cuts)

    sample_columns = sample
