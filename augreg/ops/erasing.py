"""The ops that paint a box or single pixels, and functions to make them."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from msgspec.structs import replace

from augreg.ops.op import Op
from augreg.ops.scene import PixelValues, Scene

__all__ = [
    "DropPixels",
    "Paint",
    "drop_pixels",
    "noise_box",
    "paint",
]

MOST_CELLS: Final = 64
"""Of cells along one side of a grid of holes, so that an image does not get many thousands of boxes."""


class Paint(Op, frozen=True, eq=False):
    """Paint a box with `fill`, or with noise of the kind `noise` that is a function of `key` and `frame`.

    Normal noise has mean 0 and deviation 1; uniform noise runs from black to white. `fill_ops` is as in `Pad`.
    """

    top: int
    left: int
    height: int
    width: int
    fill: PixelValues = (0.0,)
    noise: Literal["normal", "uniform"] | None = None
    key: int = 0
    fill_ops: tuple[Op, ...] = ()
    frame: int = 0

    def for_frame(self, frame: int) -> Paint:
        return self if self.noise is None else replace(self, frame=frame)


class DropPixels(Op, frozen=True, eq=False):
    """Paint single pixels with `fill`: those, or those values with `per_channel`, whose noise is below `fraction`.

    The noise is uniform in [0, 1) and a function of `key` and `frame`.
    """

    on_colors: ClassVar[bool] = True
    fraction: float
    key: int
    fill: PixelValues = (0.0,)
    per_channel: bool = False
    frame: int = 0

    def for_frame(self, frame: int) -> DropPixels:
        return replace(self, frame=frame)


def drop_pixels(
    scene: Scene, fraction: float, key: int, fill: PixelValues = (0.0,), per_channel: bool = False
) -> DropPixels:
    """Paint a fraction of the pixels. `fill` is on the 0..255 scale; on a normalized image it is taken unchanged."""
    return DropPixels(fraction, key, scene.pixel_values(fill), per_channel, label=f"drop {fraction:.2%} of pixels")


def paint(scene: Scene, top: int, left: int, height: int, width: int, fill: PixelValues = (0.0,)) -> Paint:
    """Paint a box within the image. `fill` is on the 0..255 scale; on a normalized image it is taken unchanged."""
    _check_box(scene, top, left, height, width)
    label = ("box {}x{} at ({}, {})".format, height, width, top, left)
    return Paint(top, left, height, width, scene.pixel_values(fill), label=label)


def noise_box(scene: Scene, top: int, left: int, height: int, width: int, key: int) -> Paint:
    """Fill a box within the image with uniform noise, or with standard normal noise on a normalized image."""
    _check_box(scene, top, left, height, width)
    label = ("noise {}x{} at ({}, {})".format, height, width, top, left)
    return Paint(top, left, height, width, noise="normal" if scene.normalized else "uniform", key=key, label=label)


def _check_box(scene: Scene, top: int, left: int, height: int, width: int) -> None:
    inside = top >= 0 and left >= 0 and top + height <= scene.height and left + width <= scene.width
    if not inside or height < 1 or width < 1:
        box = f"{height}x{width} at ({top}, {left})"
        raise ValueError(f"a box to paint must lie within the {scene.height}x{scene.width} image, got {box}")
