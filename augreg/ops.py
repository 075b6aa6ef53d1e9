"""The ops: frozen records that say, with concrete numbers, what is to be done to a picture.

A transform's `sample` returns ops; a backend runs them; neither knows the other. Ops are what was drawn:
printable, picklable, comparable, and replayable. They hold plain data only and touch no pixel, so this
module needs no array library. The functions at the end of this file make ops from what people say
("rotate by 12 degrees"); the records are what the planner and the backends read.

Coordinates are (y, x) from the top left; sizes are (height, width). A level is a pixel value: 0 to 255 in
byte pictures, 0 to 1 in float pictures, and whatever normalization made of it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from augreg import projective
from augreg.scene import Levels, Scene

__all__ = [
    "Blend",
    "Call",
    "Curve",
    "Filter",
    "Hue",
    "Levels",
    "Lookup",
    "Measured",
    "Mix",
    "Move",
    "Normalize",
    "Op",
    "Pad",
    "Paint",
    "Resize",
    "Scene",
    "Warp",
]

Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic"]
PadMode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric"]


class Op(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Base of the records. `label` says in words what was drawn; it takes no part in comparison."""

    label: str = ""

    def _numbers(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name != "label")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._numbers() == other._numbers()

    def __hash__(self) -> int:
        return hash((type(self), self._numbers()))

    def size_after(self, height: int, width: int) -> tuple[int, int] | None:
        """The size it leaves; None when only running it tells (a `Call` that does not say)."""
        return height, width

    def forward(self, scene: Scene) -> projective.Map | None:
        """Where it takes points, as a map of the plane; None where no such map says so."""
        return projective.STILL if self.size_after(scene.height, scene.width) == scene.size else None

    def after(self, scene: Scene) -> Scene:
        """The scene it leaves; its size must be known, or else stays as it is."""
        size = self.size_after(scene.height, scene.width)
        if scene.boxes:
            return scene.moved(self.forward(scene), *(size or scene.size))
        if size is None or size == (scene.height, scene.width):
            return scene
        return msgspec.structs.replace(scene, height=size[0], width=size[1])

    def __str__(self) -> str:
        return self.label or type(self).__name__.lower()


class Move(Op, frozen=True, eq=False):
    """Cut out a box, then transpose it, then reverse its rows, then its columns: no pixel changes its value.

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

    def forward(self, scene: Scene) -> projective.Map:
        size = self.size_after(0, 0)
        return projective.rearrangement(self.top, self.left, size, self.transpose, self.flip_y, self.flip_x)

    @property
    def turns(self) -> bool:
        """Whether it rearranges anything beyond cutting out."""
        return self.transpose or self.flip_y or self.flip_x


class Pad(Op, frozen=True, eq=False):
    """Add a border. `through` lists per-pixel ops that the planner let pass: they apply to `fill` too."""

    top: int
    bottom: int
    left: int
    right: int
    fill: Levels = (0.0,)
    mode: PadMode = "constant"
    through: tuple[Op, ...] = ()

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return height + self.top + self.bottom, width + self.left + self.right

    def forward(self, scene: Scene) -> projective.Map:
        return 1.0, 0.0, self.left, 0.0, 1.0, self.top, 0.0, 0.0, 1.0


class Resize(Op, frozen=True, eq=False):
    """Scale to a size. With `antialias` the kernel widens when shrinking, so that every input pixel counts."""

    height: int
    width: int
    interpolation: Interpolation = "bilinear"
    antialias: bool = True

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def forward(self, scene: Scene) -> projective.Map:
        return self.width / scene.width, 0.0, 0.0, 0.0, self.height / scene.height, 0.0, 0.0, 0.0, 1.0


class Warp(Op, frozen=True, eq=False):
    """Resample through a projective map of the plane, outside of which lies `fill`.

    `matrix` is (a, b, c, d, e, f, g, h): the output pixel with centre (x, y) shows the input at
    ((a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1)); centres are at +0.5.
    """

    matrix: tuple[float, ...]
    height: int
    width: int
    interpolation: Interpolation = "nearest"
    fill: Levels = (0.0,)

    def size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def forward(self, scene: Scene) -> projective.Map | None:
        return projective.inverse(self.matrix)

    @property
    def affine(self) -> bool:
        return self.matrix[6] == 0.0 and self.matrix[7] == 0.0


class Curve(msgspec.Struct, frozen=True):
    """A function from level to level: brightness, invert, posterize, solarize, solarize_add, gamma, or table.

    `amount` is its number (the factor, bits, threshold, addition or exponent); for `table` the 256 levels as bytes.
    """

    name: str
    amount: float | bytes = 0.0


class Measured(msgspec.Struct, frozen=True):
    """A function from level to level that the picture itself decides: auto_contrast, equalize, contrast."""

    name: str
    amount: float = 0.0


class Lookup(Op, frozen=True, eq=False):
    """Send every level through functions, one after the other; on byte pictures they become one table."""

    stages: tuple[Curve | Measured, ...]

    @property
    def measured(self) -> bool:
        """Whether the picture has a say, so that what is cut off or painted first matters."""
        return any(isinstance(stage, Measured) for stage in self.stages)


class Blend(Op, frozen=True, eq=False):
    """Mix with a degenerate copy: factor 0 gives the copy, 1 the picture, and beyond 1 more than the picture.

    `degenerate` is `gray` (the luma of each pixel) or `smooth` (a 3x3 smoothing, border as it is).
    """

    degenerate: Literal["gray", "smooth"]
    factor: float


class Hue(Op, frozen=True, eq=False):
    """Turn the hue by a part of the full circle, -0.5 to 0.5."""

    shift: float


class Filter(Op, frozen=True, eq=False):
    """Blur: `gaussian` of a standard deviation, `motion` along a line of a length and an angle, `median` of a side.

    All in pixels; the angle is in degrees, counter-clockwise from the horizontal. Edges are repeated.
    """

    name: Literal["gaussian", "motion", "median"]
    amount: float
    angle: float = 0.0


class Paint(Op, frozen=True, eq=False):
    """Paint a box with `fill`, or, where `noise` says which, with noise that is a function of `key`.

    Normal noise has levels of mean 0 and deviation 1; uniform noise runs from black to white. `through` is as in
    `Pad`.
    """

    top: int
    left: int
    height: int
    width: int
    fill: Levels = (0.0,)
    noise: Literal["normal", "uniform"] | None = None
    key: int = 0
    through: tuple[Op, ...] = ()


class Normalize(Op, frozen=True, eq=False):
    """Make floats of the levels: (level / white - mean) / std, per channel.

    `mean_image` (a path of an .npy file, or rows of numbers) stands for `mean` when it is given. It has the size
    `frame`; moves that the planner let pass are its `window`. `stages` are level functions to apply first, in
    the same pass.
    """

    mean: Levels
    std: Levels
    mean_image: str | tuple[Any, ...] | None = None
    frame: tuple[int, int] | None = None
    window: tuple[Move, ...] = ()
    stages: tuple[Curve | Measured, ...] = ()

    @property
    def measured(self) -> bool:
        return any(isinstance(stage, Measured) for stage in self.stages)

    def after(self, scene: Scene) -> Scene:
        return msgspec.structs.replace(scene, dtype="float32", normalized=True)


class Call(Op, frozen=True, eq=False):
    """Run a function of a plugin: `fn(array, **params)` on a height x width x channels array.

    `fn` is importable by name. `size` is the size it leaves; without one, the plan is open from here on.
    `geometry` says that it moves pixels; then `mask(array, **params)` and `keypoints(points, size, **params)`, with
    n x 2 points (x, y) and the size before, are its functions for those targets.
    """

    fn: Callable[..., Any]
    params: tuple[tuple[str, Any], ...] = ()
    size: tuple[int, int] | None = None
    geometry: bool = False
    mask: Callable[..., Any] | None = None
    keypoints: Callable[..., Any] | None = None

    def size_after(self, height: int, width: int) -> tuple[int, int] | None:
        return self.size

    def forward(self, scene: Scene) -> projective.Map | None:
        return None if self.geometry else projective.STILL


class Mix(Op, frozen=True, eq=False):
    """Run the picture through several branches of ops and mix what comes out with the picture.

    The result is keep * picture + (1 - keep) * sum of weight * branch; the weights sum to 1. Branches keep the
    picture's size and kind. It is computed in float32, and rounded once on byte pictures.
    """

    branches: tuple[tuple[Op, ...], ...]
    weights: tuple[float, ...]
    keep: float = 0.0

    def forward(self, scene: Scene) -> projective.Map | None:
        parts = (op for branch in self.branches for op in branch)
        return projective.STILL if all(op.forward(scene) == projective.STILL for op in parts) else None


# Constructors: what people say, as ops. They take the scene where the picture's size or kind matters.


def crop(top: int, left: int, height: int, width: int) -> Move:
    """Cut out a box, which must lie within the picture."""
    return Move(top, left, height, width, label=f"crop {height}x{width} at ({top}, {left})")


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
    scene: Scene, top: int, bottom: int, left: int, right: int, fill: Levels = (0.0,), mode: PadMode = "constant"
) -> Pad:
    """Add a border of these widths; `fill` is on the 0..255 scale."""
    widths = f"{top}" if top == bottom == left == right else f"{top}, {bottom}, {left}, {right}"
    return Pad(top, bottom, left, right, scene.levels(fill), mode, label=f"pad {widths}")


def resize(height: int, width: int, interpolation: Interpolation = "bilinear", antialias: bool = True) -> Resize:
    """Scale to a size."""
    return Resize(height, width, interpolation, antialias, label=f"resize to {height}x{width}")


def affine(
    scene: Scene, matrix: tuple[float, float, float, float, float, float], interpolation: Interpolation, fill: Levels,
    label: str,
) -> Warp:  # fmt: skip
    """Resample through an inverse affine map, at the same size; `fill` is on the 0..255 scale."""
    return Warp((*matrix, 0.0, 0.0), scene.height, scene.width, interpolation, scene.levels(fill), label=label)


def rotate(scene: Scene, degrees: float, interpolation: Interpolation = "nearest", fill: Levels = (0.0,)) -> Op:
    """Rotate counter-clockwise about the centre at the same size; right angles are exact turns where they fit."""
    angle = degrees % 360.0
    if angle % 180.0 == 0.0 or (angle % 90.0 == 0.0 and scene.height == scene.width):
        return quarter_turns(scene, int(angle) // 90)
    matrix = projective.rotation(angle, scene.width / 2.0, scene.height / 2.0)
    return affine(scene, matrix, interpolation, fill, f"rotate {degrees:.1f}°")


def shear(scene: Scene, x: float, y: float, interpolation: Interpolation = "nearest", fill: Levels = (0.0,)) -> Warp:
    """Shear about the top left corner: the picture is read at (x + shear_x * y, y + shear_y * x)."""
    label = " ".join(f"shear {axis} {amount:.2f}" for axis, amount in (("x", x), ("y", y)) if amount) or "shear 0"
    return affine(scene, (1.0, x, 0.0, y, 1.0, 0.0), interpolation, fill, label)


def translate(
    scene: Scene, x: float, y: float, interpolation: Interpolation = "nearest", fill: Levels = (0.0,)
) -> Warp:
    """Move the content right by `x` and down by `y` pixels."""
    return affine(scene, (1.0, 0.0, -x, 0.0, 1.0, -y), interpolation, fill, f"translate ({x:.1f}, {y:.1f})")


def perspective(
    scene: Scene,
    corners: tuple[tuple[float, float], ...],
    interpolation: Interpolation = "bilinear",
    fill: Levels = (0.0,),
) -> Warp:
    """Send the picture's corners (top left, top right, bottom right, bottom left) to these (x, y) points."""
    width, height = float(scene.width), float(scene.height)
    source = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    label = "perspective " + " ".join(f"({x:.0f}, {y:.0f})" for x, y in corners)
    matrix = projective.through_points(corners, source)
    return Warp(matrix, scene.height, scene.width, interpolation, scene.levels(fill), label=label)


def curve(name: str, amount: float | bytes = 0.0) -> Lookup:
    """One fixed function of the levels."""
    return Lookup((Curve(name, amount),), label=_named(name, amount))


def measured(name: str, amount: float = 0.0) -> Lookup:
    """One function of the levels that is measured on the picture."""
    return Lookup((Measured(name, amount),), label=_named(name, amount if name != "equalize" else b""))


def blend(degenerate: Literal["gray", "smooth"], factor: float, name: str) -> Blend:
    """Mix with a degenerate copy."""
    return Blend(degenerate, factor, label=_named(name, factor))


def hue(shift: float) -> Hue:
    """Turn the hue."""
    return Hue(shift, label=f"hue {shift:+.3f}")


def gaussian_blur(sigma: float) -> Filter:
    """Blur with a Gaussian of this standard deviation in pixels."""
    return Filter("gaussian", sigma, label=f"blur {sigma:.2f}")


def paint(scene: Scene, top: int, left: int, height: int, width: int, fill: Levels = (0.0,)) -> Paint:
    """Paint a box within the picture; `fill` is on the 0..255 scale before normalization and as it is after."""
    _check_box(scene, top, left, height, width)
    label = f"box {height}x{width} at ({top}, {left})"
    return Paint(top, left, height, width, scene.levels(fill), label=label)


def noise_box(scene: Scene, top: int, left: int, height: int, width: int, key: int) -> Paint:
    """Fill a box within the picture with noise: uniform levels, or standard normal once it is normalized."""
    _check_box(scene, top, left, height, width)
    label = f"noise {height}x{width} at ({top}, {left})"
    return Paint(top, left, height, width, noise="normal" if scene.normalized else "uniform", key=key, label=label)


def _check_box(scene: Scene, top: int, left: int, height: int, width: int) -> None:
    inside = top >= 0 and left >= 0 and top + height <= scene.height and left + width <= scene.width
    if not inside or height < 1 or width < 1:
        box = f"{height}x{width} at ({top}, {left})"
        raise ValueError(f"a box to paint must lie within the {scene.height}x{scene.width} picture, got {box}")


def call(
    fn: Callable[..., Any],
    params: Mapping[str, Any] | None = None,
    size: tuple[int, int] | None = None,
    geometry: bool = False,
    mask: Callable[..., Any] | None = None,
    keypoints: Callable[..., Any] | None = None,
) -> Call:
    """Run a plugin's own function: `fn(array, **params)` on height x width x channels."""
    given = tuple(sorted((params or {}).items()))
    return Call(fn, given, size, geometry, mask, keypoints, label=getattr(fn, "__name__", "call"))


def _named(name: str, amount: float | bytes) -> str:
    if isinstance(amount, bytes) or name in ("invert", "table"):
        return name
    return f"{name} {amount:.2f}".removesuffix(".00")
