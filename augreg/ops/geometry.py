"""Ops that move pixels: crops, flips, borders, resizing, warps by a matrix or a field; and functions to make them.

Coordinates are (y, x) from the top left; sizes are (height, width).
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from augreg.ops import projective
from augreg.ops.op import Interpolation, Label, Op, PadMode, ResizeInterpolation
from augreg.ops.scene import PixelValues, Scene

__all__ = [
    "Enlarge",
    "Move",
    "Pad",
    "Remap",
    "Resize",
    "ResizeBox",
    "Warp",
    "affine",
    "crop",
    "elastic",
    "grid",
    "horizontal_flip",
    "lens",
    "pad",
    "perspective",
    "quarter_turns",
    "resize",
    "rotate",
    "shear",
    "translate",
    "vertical_flip",
]

Sampling: TypeAlias = Interpolation
Field: TypeAlias = Literal[
    "elastic", "elastic_normal", "waves", "grid", "bands", "nodes", "lens", "camera", "fisheye", "tiles"
]


class Move(Op, frozen=True, eq=False):
    """Cut out a box, then transpose it, then reverse its rows, then its columns; no pixel changes its value.

    Every crop, flip and quarter turn is one of these, and so is any sequence of them.
    """

    top: int
    left: int
    height: int
    width: int
    transpose: bool = False
    flip_y: bool = False
    flip_x: bool = False

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return (self.width, self.height) if self.transpose else (self.height, self.width)

    def point_map(self, height: int, width: int) -> projective.Map:
        size = self.size_after(0, 0)
        return projective.rearrangement(self.top, self.left, size, self.transpose, self.flip_y, self.flip_x)

    @property
    def rearranges(self) -> bool:
        """Whether it does more than cutting out."""
        return self.transpose | self.flip_y | self.flip_x

    def within(self, height: Any, width: Any) -> Any:
        """Whether it cuts out a box of an image of this size. Numbers may be arrays, as is the answer then."""
        inside = (self.top >= 0) & (self.left >= 0)
        return inside & (self.top + self.height <= height) & (self.left + self.width <= width)


class Pad(Op, frozen=True, eq=False):
    """Add a border. `fill_ops` are per-pixel ops that the planner moved in front; they are applied to `fill` too."""

    top: int
    bottom: int
    left: int
    right: int
    fill: PixelValues = (0.0,)
    mode: PadMode = "constant"
    fill_ops: tuple[Op, ...] = ()

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return height + self.top + self.bottom, width + self.left + self.right

    def point_map(self, height: int, width: int) -> projective.Map:
        return 1.0, 0.0, self.left, 0.0, 1.0, self.top, 0.0, 0.0, 1.0


class Resize(Op, frozen=True, eq=False):
    """Scale to a size. With `antialias` the kernel widens when shrinking, so that every input pixel contributes.

    `nearest` takes the pixel at the center of each pixel of the result, `nearest_floor` the one at its top left
    corner, as OpenCV does, and `area` the mean of the area that it covers. `lanczos4` is OpenCV's Lanczos kernel,
    eight pixels wide and never antialiased.
    """

    height: int
    width: int
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def point_map(self, height: int, width: int) -> projective.Map:
        return self.width / width, 0.0, 0.0, 0.0, self.height / height, 0.0, 0.0, 0.0, 1.0


class ResizeBox(Op, frozen=True, eq=False):
    """Scale a box of the image to a size, antialiased. The edges of the box may be within pixels.

    It is what a crop and a `Resize` become for a JPEG that is decoded at a fraction of its size. Pixels of the image
    beyond the box contribute where the kernel reaches them.
    """

    top: float
    left: float
    box_height: float
    box_width: float
    height: int
    width: int
    interpolation: ResizeInterpolation = "bilinear"

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def point_map(self, height: int, width: int) -> projective.Map:
        y, x = self.height / self.box_height, self.width / self.box_width
        return x, 0.0, -self.left * x, 0.0, y, -self.top * y, 0.0, 0.0, 1.0


class Enlarge(Op, frozen=True, eq=False):
    """Scale to `whole`, (height, width), both at least those of the image, and cut out a box, which alone is made.

    It is what a `Resize` and a crop become where the whole would be larger than a spec allows.
    """

    top: int
    left: int
    height: int
    width: int
    whole: tuple[int, int]
    interpolation: ResizeInterpolation = "bilinear"
    antialias: bool = True

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def point_map(self, height: int, width: int) -> projective.Map:
        return self.whole[1] / width, 0.0, -self.left, 0.0, self.whole[0] / height, -self.top, 0.0, 0.0, 1.0


class Warp(Op, frozen=True, eq=False):
    """Resample through a projective map of the plane; pixels that show a point outside the image get `fill`.

    With another `mode` than constant, the image goes on beyond its border as in a `Pad` of this mode, without end.

    `matrix` is (a, b, c, d, e, f, g, h): the output pixel with center (x, y) shows the input at
    ((a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1)); centers are at +0.5.
    """

    matrix: tuple[float, ...]
    height: int
    width: int
    interpolation: Interpolation = "nearest"
    fill: PixelValues = (0.0,)
    mode: PadMode = "constant"

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def point_map(self, height: int, width: int) -> projective.Map | None:
        return projective.inverse(self.matrix)

    @property
    def affine(self) -> bool:
        return self.matrix[6] == 0.0 and self.matrix[7] == 0.0


class Remap(Op, frozen=True, eq=False):
    """Resample through a displacement field at the same size; pixels that show a point outside get `fill`.

    The field is a function of the numbers, the key and the image's size; `backends/displacement.py` has the
    formulas. `elastic` (alpha, sigma): uniform noise smoothed by a Gaussian; `grid` (rows, columns, limit): the
    inner nodes of a grid displaced; `lens` (k): the radius r becomes r (1 + k r^2), where r is 1 at the corners. The
    others are those of the functions in `remaps.py`.
    """

    field: Field
    numbers: tuple[float, ...]
    key: int = 0
    interpolation: Sampling = "bilinear"
    fill: PixelValues = (0.0,)
    mode: PadMode = "constant"

    def point_map(self, height: int, width: int) -> None:
        return None


_CROP: Final = "crop {}x{} at ({}, {})".format


def crop(top: int, left: int, height: int, width: int) -> Move:
    """Cut out a box, which must lie within the image."""
    return Move(top, left, height, width, label=(_CROP, height, width, top, left))


def horizontal_flip(scene: Scene) -> Move:
    """Mirror left and right."""
    return Move(0, 0, scene.height, scene.width, flip_x=True, label="flip left-right")


def vertical_flip(scene: Scene) -> Move:
    """Mirror top and bottom."""
    return Move(0, 0, scene.height, scene.width, flip_y=True, label="flip top-bottom")


def quarter_turns(scene: Scene, turns: int) -> Move:
    """Turn counter-clockwise by `turns` times 90 degrees."""
    transpose, flip_y, flip_x = (
        (False, False, False),
        (True, True, False),
        (False, True, True),
        (True, False, True),
    )[turns % 4]
    label = f"rotate {turns % 4 * 90}°"
    return Move(0, 0, scene.height, scene.width, transpose, flip_y, flip_x, label=label)


def pad(
    scene: Scene, top: int, bottom: int, left: int, right: int, fill: PixelValues = (0.0,), mode: PadMode = "constant"
) -> Pad:
    """Add a border of these widths; `fill` is on the 0..255 scale."""
    return Pad(top, bottom, left, right, scene.pixel_values(fill), mode, label=(_padded, top, bottom, left, right))


def _padded(top: int, bottom: int, left: int, right: int) -> str:
    widths = f"{top}" if top == bottom == left == right else f"{top}, {bottom}, {left}, {right}"
    return f"pad {widths}"


def resize(
    height: int, width: int, interpolation: ResizeInterpolation = "bilinear", antialias: bool = True
) -> Resize:
    """Scale to a size; `lanczos` and `area` are always antialiased."""
    return Resize(height, width, interpolation, antialias, label=("resize to {}x{}".format, height, width))


def affine(
    scene: Scene,
    matrix: tuple[float, float, float, float, float, float],
    interpolation: Interpolation,
    fill: PixelValues,
    label: Label,
    mode: PadMode = "constant",
) -> Warp:
    """Resample through an inverse affine map, at the same size; `fill` is on the 0..255 scale."""
    size = scene.height, scene.width
    return Warp((*matrix, 0.0, 0.0), *size, interpolation, scene.pixel_values(fill), mode, label=label)


def rotate(
    scene: Scene,
    degrees: float,
    interpolation: Interpolation = "nearest",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
) -> Op:
    """Rotate counter-clockwise about the center at the same size; multiples of 90° are exact where they fit."""
    angle = degrees % 360.0
    if angle % 180.0 == 0.0 or (angle % 90.0 == 0.0 and scene.height == scene.width):
        return quarter_turns(scene, int(angle) // 90)
    matrix = projective.rotation(angle, scene.width / 2.0, scene.height / 2.0)
    return affine(scene, matrix, interpolation, fill, ("rotate {:.1f}°".format, degrees), mode)


def shear(
    scene: Scene,
    x: float,
    y: float,
    interpolation: Interpolation = "nearest",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
) -> Warp:
    """Shear about the top left corner: the image is read at (x + shear_x * y, y + shear_y * x)."""
    return affine(scene, (1.0, x, 0.0, y, 1.0, 0.0), interpolation, fill, (_sheared, x, y), mode)


def _sheared(x: float, y: float) -> str:
    return " ".join(f"shear {axis} {amount:.2f}" for axis, amount in (("x", x), ("y", y)) if amount) or "shear 0"


def translate(
    scene: Scene,
    x: float,
    y: float,
    interpolation: Interpolation = "nearest",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
) -> Warp:
    """Move the content right by `x` and down by `y` pixels."""
    label = "translate ({:.1f}, {:.1f})".format, x, y
    return affine(scene, (1.0, 0.0, -x, 0.0, 1.0, -y), interpolation, fill, label, mode)


def perspective(
    scene: Scene,
    corners: tuple[tuple[float, float], ...],
    interpolation: Interpolation = "bilinear",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
) -> Warp:
    """Move the image's corners (top left, top right, bottom right, bottom left) to these (x, y) points."""
    width, height = float(scene.width), float(scene.height)
    source = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    label = (cornered, "perspective", *corners)
    matrix = projective.through_points(corners, source)
    return Warp(matrix, scene.height, scene.width, interpolation, scene.pixel_values(fill), mode, label=label)


def cornered(name: str, *corners: tuple[float, float]) -> str:
    """What a perspective of this name does that moves the corners to these points, or these points to the corners."""
    return f"{name} " + " ".join(f"({x:.0f}, {y:.0f})" for x, y in corners)


def moved_points(*moves: tuple[float, float]) -> str:
    """What an affine map does that moves three points by these distances along x and y."""
    return "move three points by " + " ".join(f"({x:.0f}, {y:.0f})" for x, y in moves)


def elastic(
    scene: Scene,
    alpha: float,
    sigma: float,
    key: int,
    interpolation: Sampling = "bilinear",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
    noise: Literal["uniform", "normal"] = "uniform",
) -> Remap:
    """Displace every pixel at random but smoothly; `fill` is on the 0..255 scale."""
    field: Literal["elastic", "elastic_normal"] = "elastic" if noise == "uniform" else "elastic_normal"
    label = "elastic {:.1f}, sigma {:.1f}".format, alpha, sigma
    return Remap(field, (alpha, sigma), key, interpolation, scene.pixel_values(fill), mode, label=label)


def grid(
    scene: Scene, rows: int, columns: int, limit: float, key: int, interpolation: Sampling = "bilinear"
) -> Remap:
    """Displace the inner nodes of a grid by up to the fraction `limit` of a cell; the image's edge stays."""
    label = f"grid {rows}x{columns}, {limit:.2f}"
    return Remap("grid", (float(rows), float(columns), limit), key, interpolation, label=label)


def lens(
    scene: Scene,
    k: float,
    interpolation: Sampling = "bilinear",
    fill: PixelValues = (0.0,),
    mode: PadMode = "constant",
) -> Remap:
    """Distort like a lens: barrel for positive `k`, pincushion for negative."""
    return Remap("lens", (k,), 0, interpolation, scene.pixel_values(fill), mode, label=(_curved, k))


def _curved(k: float) -> str:
    return f"{'barrel' if k > 0 else 'pincushion'} {abs(k):.2f}"
