"""Functions that make displacement fields beside those in `geometry`: cameras, grids, other elastic fields."""

from __future__ import annotations

from typing import Final, Literal

from augreg.ops.geometry import Remap, Sampling
from augreg.ops.op import PadMode
from augreg.ops.scene import PixelValues, Scene

__all__ = ["bands", "camera", "nodes", "tiles", "waves"]

_ENDS: Final = {"fit": 0, "free": 1, "rest": 2}
_UNITS: Final = {"sides": 0, "shorter": 1, "pixels": 2}


def camera(
    scene: Scene,
    k: float,
    model: Literal["camera", "fisheye"],
    shift: tuple[float, float] = (0.0, 0.0),
    interpolation: Sampling = "bilinear",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
) -> Remap:
    """Distort like a lens. `shift` is (down, right) in pixels.

    `camera`: the distance r from the center becomes r (1 + k r^2 + k r^4), where r is measured in sides of the image
    along each axis, and each pixel shows what is further down and to the right by `shift`. `fisheye`: it becomes r (1
    + k r^2), where r is 1 at half the diagonal, and the center is that of the image moved by `shift`.
    """
    label = f"{model} {{:.2f}}".format, k
    return Remap(model, (k, *shift), 0, interpolation, scene.pixel_values(fill), mode, label=label)


def bands(
    scene: Scene,
    count: int,
    limit: tuple[float, float],
    end: Literal["fit", "free", "rest"],
    key: int,
    overlap: bool = False,
    interpolation: Sampling = "bilinear",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
) -> Remap:
    """Stretch bands of rows and of columns by factors of their own.

    A band reads 1 plus a number drawn from `limit` times its width; `count` of them are equally wide, and a last one
    has the rest of the pixels. `end` says where the last one ends, and `overlap` what its pixels show: see
    `grid_stretch`.
    """
    label = "{} bands, {:.2f} to {:.2f}".format, count, *limit
    numbers = float(count), *limit, float(_ENDS[end]), float(overlap)
    return Remap("bands", numbers, key, interpolation, scene.pixel_values(fill), mode, label=label)


def nodes(
    scene: Scene,
    rows: int,
    columns: int,
    scale: float,
    key: int,
    unit: Literal["sides", "shorter", "pixels"] = "sides",
    between: Literal["triangles", "distance"] = "triangles",
    interpolation: Sampling = "bilinear",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
) -> Remap:
    """Move the nodes of a grid by normal noise of the standard deviation `scale`, and what is between as well.

    `unit` is what `scale` is a fraction of. `between`: see `piecewise_affine`.
    """
    label = "nodes {}x{}, {:.3f}".format, rows, columns, scale
    numbers = rows * 1.0, columns * 1.0, scale, float(_UNITS[unit]), float(between == "distance")
    return Remap("nodes", numbers, key, interpolation, scene.pixel_values(fill), mode, label=label)


def tiles(scene: Scene, rows: int, columns: int, key: int, cuts: Literal["random", "even"] = "random") -> Remap:
    """Cut the image into so many rows and columns of tiles, and exchange those of the same size at random.

    `cuts` says which rows and columns are a pixel larger where the sides are no multiples.
    """
    label = f"shuffle {rows}x{columns} tiles"
    return Remap("tiles", (float(rows), float(columns), float(cuts == "even")), key, "nearest", label=label)


def waves(
    scene: Scene,
    alpha: float,
    sigma: float,
    key: int,
    window: int = 0,
    same: bool = False,
    interpolation: Sampling = "bilinear",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
    noise: Literal["uniform", "normal"] = "uniform",
    edges: Literal["mirror", "repeat"] = "mirror",
) -> Remap:
    """As `elastic`, with a Gaussian cut off to a kernel of this odd side, or moves that are the same along both axes.

    `edges` says how the noise goes on beyond the image. If it is repeated, that for y is below that for x, and both
    are smoothed as one image, unless they are the same.
    """
    label = "elastic {:.1f}, sigma {:.1f}".format, alpha, sigma
    numbers = alpha, sigma, float(window // 2), float(same), float(noise == "normal"), float(edges == "repeat")
    return Remap("waves", numbers, key, interpolation, scene.pixel_values(fill), mode, label=label)
