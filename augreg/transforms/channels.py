"""What happens to whole channels: shifted, shuffled, dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, SymmetricRange

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform(
    "rgb_shift", kind="color",
    exact="where the range has 0 in its middle: the mean of each level that no shift clips",
    preview=({"shift": 15}, {"shift": 40}, {"shift": 80}),
)  # fmt: skip
class RgbShift:
    """Add a number to each channel, drawn uniformly for each on the 0..255 scale: a cast of color."""

    shift: SymmetricRange = (-20.0, 20.0)

    def check(self) -> None:
        if self.shift[0] < -255 or self.shift[1] > 255:
            raise ValueError(f"shift must lie within -255 and 255, got {list(self.shift)}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.shift_channels(scene, tuple(rng.uniform(*self.shift) for _ in range(scene.channels)))


@transform("channel_shuffle", kind="color")
class ChannelShuffle:
    """Put the channels in a random order, every order equally likely."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.permute_channels(tuple(rng.permutation(scene.channels)))


@transform("channel_drop", kind="color", preview=({"count": 1}, {"count": 2}, {"count": 1, "fill": 128}))
class ChannelDrop:
    """Give `count` random channels one level, `fill` on the 0..255 scale; a range of counts is drawn from first.

    One channel is always left: a gray image stays as it is.
    """

    count: Counts = (1, 1)
    fill: float = 0.0

    def check(self) -> None:
        if not 0 <= self.fill <= 255:
            raise ValueError(f"fill must lie within 0 and 255, got {self.fill}")

    def sample(self, rng: Cursor, scene: Scene) -> Op | tuple[Op, ...]:
        low, high = self.count
        count = min(low + rng.integers(high - low + 1), scene.channels - 1)
        dropped = tuple(sorted(rng.permutation(scene.channels)[:count]))
        return ops.drop_channels(scene, dropped, self.fill) if dropped else ()
