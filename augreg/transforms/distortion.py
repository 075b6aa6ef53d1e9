"""Maps that bend: each pixel is read somewhere near its own place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Fill, Range, Size, SymmetricRange

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_Sampling = Literal["nearest", "bilinear"]


@transform(
    "elastic", kind="geometry",
    preview=({"alpha": 30}, {"alpha": 60}, {"alpha": 150, "sigma": 9}),
)  # fmt: skip
class Elastic:
    """Displace every pixel by uniform noise in [-1, 1), smoothed by a Gaussian of `sigma` pixels, times alpha.

    `alpha` is drawn uniformly. Pixels move by about 0.16 alpha / sigma (one standard deviation), 1.6 by
    default, and the waves are about 4 sigma wide. Simard, Steinkraus and Platt 2003, for handwriting.
    """

    alpha: Range = (50.0, 50.0)
    sigma: Annotated[float, Meta(ge=1, le=64)] = 5.0
    interpolation: _Sampling = "bilinear"
    fill: Fill = (0.0,)

    def check(self) -> None:
        if self.alpha[0] < 0:
            raise ValueError(f"alpha must not be negative, got {list(self.alpha)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        alpha = rng.uniform(*self.alpha)
        return ops.elastic(scene, alpha, self.sigma, rng.bits(), self.interpolation, self.fill)


@transform(
    "grid_distortion", kind="geometry",
    preview=tuple({"limit": limit} for limit in (0.1, 0.25, 0.45)),
)  # fmt: skip
class GridDistortion:
    """Lay a grid of `cells` over the image, move each inner node by up to `limit` of a cell, bilinear in between.

    Nodes on the edge stay, so nothing from outside shows; up to 0.5 the map cannot fold.
    """

    cells: Size = (5, 5)
    limit: Annotated[float, Meta(ge=0, le=0.5)] = 0.3
    interpolation: _Sampling = "bilinear"

    def check(self) -> None:
        if max(self.cells) > 64:
            raise ValueError(f"cells must be at most 64 a side, got {list(self.cells)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.grid(scene, *self.cells, self.limit, rng.bits(), self.interpolation)


@transform("optical_distortion", kind="geometry")
class OpticalDistortion:
    """Bend like a lens: k > 0 makes a barrel (sides bulge), k < 0 a pincushion, 0 changes nothing.

    A pixel at radius r about the center (1 at the corners) is read at r (1 + k r^2), k drawn uniformly:
    Brown 1966, first order. `k` lies within -1/3, beyond which the image would fold, and 0.75.
    """

    k: SymmetricRange = (-0.3, 0.3)
    interpolation: _Sampling = "bilinear"
    fill: Fill = (0.0,)

    def check(self) -> None:
        if self.k[0] < -1 / 3 or self.k[1] > 0.75:
            raise ValueError(f"k must lie within -1/3 and 0.75, got {list(self.k)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.lens(scene, rng.uniform(*self.k), self.interpolation, self.fill)
