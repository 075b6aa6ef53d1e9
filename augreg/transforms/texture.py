"""What neighboring pixels make of each other: blur, and the detail that small or compressed files lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, Degrees, Interpolation, Range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("gaussian_blur", kind="texture")
class GaussianBlur:
    """Blur with a Gaussian whose standard deviation, in pixels, is drawn uniformly."""

    sigma: Range = (0.1, 2.0)

    def check(self) -> None:
        if self.sigma[0] < 0 or self.sigma[1] > 256:
            raise ValueError(f"sigma must lie within 0 and 256 pixels, got {list(self.sigma)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.gaussian_blur(rng.uniform(*self.sigma))


@transform(
    "motion_blur", kind="texture",
    preview=tuple({"length": length, "angle": [30, 30]} for length in (5, 11, 23)),
)  # fmt: skip
class MotionBlur:
    """Blur along a straight line, as if the camera had moved: its length in pixels and its angle drawn uniformly.

    The angle is in degrees, counter-clockwise from the horizontal. A length of 1 changes nothing.
    """

    length: Range = (3.0, 9.0)
    angle: Degrees = (-90.0, 90.0)

    def check(self) -> None:
        if self.length[0] < 1 or self.length[1] > 256:
            raise ValueError(f"length must lie within 1 and 256 pixels, got {list(self.length)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.motion_blur(rng.uniform(*self.length), rng.uniform(*self.angle))


@transform("median_blur", kind="texture", preview=({"size": 3}, {"size": 7}, {"size": 13}))
class MedianBlur:
    """Replace each level by the median of the square around it, whose odd side is drawn from a range.

    Flattens noise and fine texture and keeps edges.
    """

    size: Counts = (3, 7)

    def check(self) -> None:
        if not all(side % 2 and 1 <= side <= 31 for side in self.size):
            raise ValueError(f"size must be odd numbers from 1 to 31, got {list(self.size)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        low, high = self.size
        return ops.median_blur(low + 2 * rng.integers((high - low) // 2 + 1))


@transform("downscale", kind="texture", preview=({"scale": 0.5}, {"scale": 0.25}, {"scale": 0.12}))
class Downscale:
    """Shrink by a factor, drawn uniformly, and enlarge again: the detail that a small file would not have had.

    Shrinking is antialiased; `interpolation` is how to enlarge: `nearest` shows the large pixels.
    """

    scale: Range = (0.25, 0.5)
    interpolation: Interpolation = "nearest"

    def check(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must lie in (0, 1], got {list(self.scale)}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        scale = rng.uniform(*self.scale)
        height, width = max(1, round(scene.height * scale)), max(1, round(scene.width * scale))
        return ops.resize(height, width), ops.resize(scene.height, scene.width, self.interpolation, antialias=False)


@transform("jpeg", kind="color", preview=({"quality": 50}, {"quality": 20}, {"quality": 5}))
class Jpeg:
    """Compress as JPEG at a quality from 1 to 100, drawn uniformly, and read it back: blocks, ringing, lost color.

    By Pillow on every backend; an image of floats is rounded to bytes on the way.
    """

    quality: Counts = (30, 90)

    def check(self) -> None:
        if self.quality[0] < 1 or self.quality[1] > 100:
            raise ValueError(f"quality must lie within 1 and 100, got {list(self.quality)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        low, high = self.quality
        return ops.jpeg(low + rng.integers(high - low + 1))
