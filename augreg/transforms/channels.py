"""Transforms of whole channels: shift, shuffle and drop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, SymmetricRange
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform(
    "rgb_shift", kind="color",
    exact="the mean of each pixel value that no shift clips, if the range is symmetric about 0",
    preview=({"shift": 15}, {"shift": 40}, {"shift": 80}),
)  # fmt: skip
class RgbShift:
    """Add a number to each channel, drawn uniformly for each channel on the 0..255 scale: a color cast."""

    shift: SymmetricRange = (-20.0, 20.0)

    def check(self) -> None:
        check_range("shift", self.shift, -255, 255)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shift_channels(scene, tuple(rng.uniform(*self.shift) for _ in range(scene.colors)))

    sample_columns = sample


@transform("channel_shuffle", kind="color")
class ChannelShuffle:
    """Permute the channels; every order is equally likely."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.permute_channels(tuple(rng.permutation(scene.colors)))

    sample_columns = lazy.method("augreg.columns.colors", "channel_shuffle")


@transform("channel_drop", kind="color", preview=({"count": 1, "fill": 128}, {"count": 1}, {"count": 2}))
class ChannelDrop:
    """Replace `count` random channels by the constant `fill`, on the 0..255 scale.

    `count` may be a range, from which an integer is drawn uniformly. At least one channel is kept, so a gray image
    does not change.
    """

    count: Counts = (1, 1)
    fill: float = 0.0

    def check(self) -> None:
        if not 0 <= self.fill <= 255:
            raise ValueError(f"fill must be between 0 and 255, got {self.fill}")

    def sample(self, rng: Cursor, scene: Scene) -> Op | tuple[Op, ...]:
        low, high = self.count
        count = min(low + rng.integers(high - low + 1), scene.colors - 1)
        dropped = tuple(sorted(rng.permutation(scene.colors)[:count]))
        return ops.drop_channels(scene, dropped, self.fill) if dropped else ()

    sample_columns = lazy.method("augreg.columns.colors", "channel_drop")
