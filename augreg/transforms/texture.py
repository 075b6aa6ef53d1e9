"""Blur, and loss of detail from downscaling or compression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, Degrees, Range, ResizeInterpolation
from augreg.transforms.ranges import check_fraction, check_range, nearest

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_LARGEST: Final = 127  # of the sides of kernels


@transform("gaussian_blur", kind="texture")
class GaussianBlur:
    """Blur with a Gaussian kernel whose standard deviation, in pixels, is drawn uniformly.

    With `size`, the kernel is cut off to a square whose side in pixels is drawn from these whole numbers; an even
    side is raised to the next odd number. Then a standard deviation of 0 means the one that OpenCV takes for a side
    of L, 0.3 ((L - 1) / 2 - 1) + 0.8, and the image is mirrored at its border; without `size`, its edge is repeated.
    """

    sigma: Range = (0.1, 2.0)
    size: Counts | None = None
    later: ClassVar[tuple[str, ...]] = ("size",)

    def check(self) -> None:
        check_range("sigma", self.sigma, 0, 256, " pixels")
        if self.size is not None:
            check_range("size", self.size, 1, _LARGEST, " pixels")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        sigma = rng.uniform(*self.sigma)
        if self.size is None:
            return ops.gaussian_blur(sigma)
        return ops.windowed_blur(sigma, (self.size[0] + rng.integers(self.size[1] - self.size[0] + 1)) | 1)

    sample_columns = lazy.method("augreg.columns.kernels", "gaussian_blur")


@transform(
    "oriented_blur", kind="texture",
    preview=tuple({"size": 3 * far, "sigma_x": [0.5, 0.5], "sigma_y": [far, far]} for far in (1, 3, 5)),
)  # fmt: skip
class OrientedBlur:
    """Blur with a rotated Gaussian kernel that has a deviation of its own along each axis, a random shape and noise.

    The side of the kernel is drawn uniformly from the odd numbers in `size`; the standard deviations in pixels, the
    angle in degrees, counter-clockwise, and `power` are drawn from their ranges. The weight at the distance d, in
    standard deviations, is exp(-d^(2 power) / 2): a power of 1 gives a Gaussian, a smaller one a sharper peak and a
    larger one a plateau. If the range of `power` has 1 inside, half of the draws are from the part below 1, and half
    from the part above. Each weight is multiplied by a number drawn from `noise`. The image is mirrored at its
    border.
    """

    size: Counts = (3, 7)
    sigma_x: Range = (0.2, 1.0)
    sigma_y: Range = (0.2, 1.0)
    angle: Degrees = (-90.0, 90.0)
    power: Range = (0.5, 8.0)
    noise: Range = (0.9, 1.1)

    def check(self) -> None:
        _check_odd("size", self.size, _LARGEST)
        check_range("sigma_x", self.sigma_x, 0, 256, " pixels")
        check_range("sigma_y", self.sigma_y, 0, 256, " pixels")
        check_range("noise", self.noise, 0.01, 100)
        check_range("power", self.power, 0, 100)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        side = _odd(rng, self.size)
        sigma, angle = (rng.uniform(*self.sigma_x), rng.uniform(*self.sigma_y)), rng.uniform(*self.angle)
        low, high = self.power
        if low < 1.0 < high:
            low, high = (low, 1.0) if rng.bernoulli(0.5) else (1.0, high)
        power, (first, last) = rng.uniform(low, high), self.noise
        if first == last:
            return ops.oriented_blur(side, sigma, angle, power, [1.0] * side**2)
        return ops.oriented_blur(side, sigma, angle, power, (first + (last - first) * rng.randoms(side**2)).tolist())

    sample_columns = lazy.method("augreg.columns.kernels", "oriented_blur")


@transform("box_blur", kind="texture", preview=({"size": 3}, {"size": 7}, {"size": 13}))
class BoxBlur:
    """Replace each pixel value by the mean of the square around it.

    The side of the square, an odd number of pixels, is drawn uniformly from the odd numbers in `size`. The image is
    mirrored at its border.
    """

    size: Counts = (3, 7)

    def check(self) -> None:
        _check_odd("size", self.size, _LARGEST)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.box_blur(_odd(rng, self.size))

    sample_columns = lazy.method("augreg.columns.kernels", "box_blur")


@transform("defocus", kind="texture", preview=({"radius": 2}, {"radius": 5}, {"radius": 9}))
class Defocus:
    """Replace each pixel value by the mean of a disk around it, as a lens that is out of focus does.

    The radius in pixels is drawn uniformly from the whole numbers in `radius`. The edge of the disk is smoothed by a
    Gaussian whose standard deviation is drawn uniformly from `edge`. The image is mirrored at its border.
    """

    radius: Counts = (3, 10)
    edge: Range = (0.1, 0.5)

    def check(self) -> None:
        check_range("radius", self.radius, 1, 60, " pixels")
        check_range("edge", self.edge, 0.01, 10, " pixels")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        radius = self.radius[0] + rng.integers(self.radius[1] - self.radius[0] + 1)
        return ops.disk_blur(radius, rng.uniform(*self.edge))

    sample_columns = lazy.method("augreg.columns.kernels", "defocus")


def _check_odd(name: str, sides: tuple[int, int], most: int) -> None:
    if not all(side % 2 and 1 <= side <= most for side in sides):
        hint = nearest([min(side | 1, most) for side in sides])
        raise ValueError(f"{name} must be odd numbers from 1 to {most}, got {list(sides)}{hint}")


def _odd(rng: Cursor, sides: tuple[int, int]) -> int:
    """One of the odd numbers from the first side to the second, each as probable."""
    low, high = sides
    return low + 2 * rng.integers((high - low) // 2 + 1)


@transform(
    "motion_blur", kind="texture",
    preview=tuple({"length": length, "angle": [30, 30]} for length in (5, 11, 23)),
)  # fmt: skip
class MotionBlur:
    """Blur along a straight line, as if the camera had moved, with random length and angle.

    Both are drawn uniformly: the length of the line in pixels, where 1 changes nothing, and its angle in degrees,
    counter-clockwise from the horizontal. The line is centered on the pixel that is computed. `direction`, also drawn
    uniformly, shortens it: with 1 the line begins at the pixel and goes on at its angle, with -1 it ends there, and
    in between a part of the other half is left. `shift` moves the line along each axis by up to this fraction of half
    its length; parts that would leave the square around the pixel are moved to its edge. With `direction` or `shift`,
    the image is mirrored at its border; otherwise its edge is repeated.
    """

    length: Range = (3.0, 9.0)
    angle: Degrees = (-90.0, 90.0)
    direction: Range = (0.0, 0.0)
    shift: Annotated[float, Meta(ge=0, le=1)] = 0.0
    later: ClassVar[tuple[str, ...]] = ("direction", "shift")

    def check(self) -> None:
        check_range("length", self.length, 1, 256, " pixels")
        check_range("direction", self.direction, -1, 1)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        length, angle = rng.uniform(*self.length), rng.uniform(*self.angle)
        if self.direction == (0.0, 0.0) and not self.shift:
            return ops.motion_blur(length, angle)
        direction, most = rng.uniform(*self.direction), self.shift * (length - 1.0) / 2.0
        return ops.line_blur(length, angle, direction, (rng.uniform(-most, most), rng.uniform(-most, most)))

    sample_columns = lazy.method("augreg.columns.kernels", "motion_blur")


@transform("median_blur", kind="texture", preview=({"size": 3}, {"size": 7}, {"size": 13}))
class MedianBlur:
    """Replace each pixel value by the median of the square around it: removes noise and fine texture, keeps edges.

    The side of the square, an odd number of pixels, is drawn uniformly from the odd numbers in `size`.
    """

    size: Counts = (3, 7)

    def check(self) -> None:
        _check_odd("size", self.size, 31)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.median_blur(_odd(rng, self.size))

    sample_columns = sample


@transform("downscale", kind="texture", preview=({"scale": 0.5}, {"scale": 0.25}, {"scale": 0.12}))
class Downscale:
    """Shrink the image by a factor drawn uniformly and enlarge it again, as if it had come from a smaller file.

    `interpolation` is used to enlarge: `nearest` shows large square pixels. `shrink` is used to shrink, with
    antialiasing unless it is nearest or `antialias` is false.
    """

    scale: Range = (0.25, 0.5)
    interpolation: ResizeInterpolation = "nearest"
    shrink: ResizeInterpolation = "bilinear"
    antialias: bool = True
    later: ClassVar[tuple[str, ...]] = ("shrink", "antialias")

    def check(self) -> None:
        check_fraction("scale", self.scale)

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        scale = rng.uniform(*self.scale)
        height, width = max(1, round(scene.height * scale)), max(1, round(scene.width * scale))
        shrunk = ops.resize(height, width, self.shrink, self.antialias)
        return shrunk, ops.resize(scene.height, scene.width, self.interpolation, antialias=False)

    sample_columns = lazy.method("augreg.columns.sizes", "downscale")


@transform("jpeg", kind="color", preview=({"quality": 50}, {"quality": 20}, {"quality": 5}))
class Jpeg:
    """Compress as JPEG and decode again, at a quality from 1 to 100 drawn uniformly: blocks, ringing, less color.

    Every backend gives the bytes of Pillow. Float images are rounded to bytes first.
    """

    quality: Counts = (30, 90)

    def check(self) -> None:
        check_range("quality", self.quality, 1, 100)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        low, high = self.quality
        return ops.jpeg(low + rng.integers(high - low + 1))

    sample_columns = sample
