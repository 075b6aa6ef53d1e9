"""Non-linear distortions: each pixel is sampled at a displaced position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Fill, Interpolation, PadMode, Range, Size, SymmetricRange
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform(
    "elastic", kind="geometry",
    preview=({"alpha": 30}, {"alpha": 60}, {"alpha": 150, "sigma": 9}),
)  # fmt: skip
class Elastic:
    """Displace every pixel by random noise smoothed with a Gaussian: an elastic deformation.

    The displacement, along each axis, is `alpha` times uniform noise in [-1, 1) smoothed with standard deviation
    `sigma` in pixels; `alpha` is drawn uniformly. The standard deviation of the displacement is about 0.16 alpha /
    sigma pixels, 1.6 by default, and the waves are about 4 sigma wide. Pixels from outside of the image show `fill`,
    or what `pad` shows there with this `mode`.

    With `noise: normal`, the noise is standard normal divided by its largest absolute value, 4.6 on average for
    256x256 pixels, as in albumentations, which moves pixels 0.38 times as far. `window` is the side of the Gaussian's
    kernel in pixels, an odd number; with 0 the kernel is not cut off. A short kernel smooths less, so pixels move
    further. With `same`, a pixel moves by the same distance along both axes. `edges` says how the noise continues
    beyond the image before it is smoothed: mirrored, or with `repeat`, as in albumentations 2, by repeating its
    edges, which moves pixels near the border further. With `repeat`, the noise for x and, below it, that for y are
    smoothed as one image of twice the height. Simard, Steinkraus and Platt 2003, for handwriting.
    """

    alpha: Range = (50.0, 50.0)
    sigma: Annotated[float, Meta(ge=1, le=64)] = 5.0
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    noise: Literal["uniform", "normal"] = "uniform"
    window: Annotated[int, Meta(ge=0, le=255)] = 0
    same: bool = False
    edges: Literal["mirror", "repeat"] = "mirror"
    later: ClassVar[tuple[str, ...]] = ("mode", "noise", "window", "same", "edges")

    def check(self) -> None:
        if self.alpha[0] < 0:
            raise ValueError(f"alpha must not be negative, got {list(self.alpha)}")
        if self.window == 1 or (self.window and self.window % 2 == 0):
            raise ValueError(f"window must be 0 or an odd number from 3 on, got {self.window}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        alpha = rng.uniform(*self.alpha)
        given = self.interpolation, self.fill, self.mode, self.noise
        if self.window or self.same or self.edges != "mirror":
            return ops.waves(scene, alpha, self.sigma, rng.bits(), self.window, self.same, *given, self.edges)
        return ops.elastic(scene, alpha, self.sigma, rng.bits(), *given)

    sample_columns = sample


@transform(
    "grid_distortion", kind="geometry",
    preview=tuple({"limit": limit} for limit in (0.1, 0.25, 0.45)),
)  # fmt: skip
class GridDistortion:
    """Distort the image by moving each inner node of a regular grid at random.

    The grid has `cells` rows and columns. A node moves along each axis by up to `limit` of the side of a cell, drawn
    uniformly; between nodes, displacements are interpolated bilinearly. The nodes on the edge do not move, so nothing
    from outside of the image shows, and since `limit` is at most 0.5, the image cannot fold over itself.
    """

    cells: Size = (5, 5)
    limit: Annotated[float, Meta(ge=0, le=0.5)] = 0.3
    interpolation: Interpolation = "bilinear"

    def check(self) -> None:
        if max(self.cells) > 64:
            raise ValueError(f"cells must be at most 64 rows and columns, got {list(self.cells)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        rows, columns = self.cells
        return ops.grid(scene, rows, columns, self.limit, rng.bits(), self.interpolation)

    sample_columns = sample


@transform("optical_distortion", kind="geometry")
class OpticalDistortion:
    """Distort radially like a lens: k > 0 gives a barrel (the sides bulge), k < 0 a pincushion, 0 changes nothing.

    The output pixel at distance r from the center (r is 1 at the corners) shows the input at r (1 + k r^2), where k
    is drawn uniformly. `k` is between -1/3, below which the image would fold over itself, and 0.75. Brown 1966, first
    order.

    `model` selects two other formulas, those of albumentations, with any `k` from -2 to 2. `camera` is of the second
    order, r (1 + k r^2 + k r^4), where r is measured along each axis as a fraction of the side of the image; below
    -0.36 the image folds over itself. Each pixel shows what is half a pixel further down and to the right; to this
    half, a number of pixels that is drawn uniformly from `shift` and rounded is added along each axis. `fisheye` has
    the formula of the lens, and its center is half a pixel further down and to the right than that of the image.
    """

    k: SymmetricRange = (-0.3, 0.3)
    interpolation: Interpolation = "bilinear"
    fill: Fill = (0.0,)
    mode: PadMode = "constant"
    model: Literal["lens", "camera", "fisheye"] = "lens"
    shift: SymmetricRange = (0.0, 0.0)
    later: ClassVar[tuple[str, ...]] = ("mode", "model", "shift")

    def check(self) -> None:
        if self.model == "lens":
            if self.k[0] < -1 / 3 or self.k[1] > 0.75:
                raise ValueError(f"k must be between -1/3 and 0.75, got {list(self.k)}")
        else:
            check_range("k", self.k, -2, 2)
        check_range("shift", self.shift, -10_000, 10_000, " pixels")
        if any(self.shift) and self.model != "camera":
            raise ValueError(f"shift is for `model: camera`, got {list(self.shift)} for model {self.model!r}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        k, how = rng.uniform(*self.k), (self.interpolation, self.fill, self.mode)
        if self.model == "lens":
            return ops.lens(scene, k, *how)
        down = right = 0.5
        if any(self.shift):
            down, right = ((rng.uniform(*self.shift) + 0.5) // 1.0 + 0.5 for _ in range(2))
        return ops.camera(scene, k, self.model, (down, right), *how)

    sample_columns = sample
