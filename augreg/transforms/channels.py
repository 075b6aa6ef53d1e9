"""Transforms of whole channels: shift, shuffle and drop."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Counts, SymmetricRange
from augreg.transforms.ranges import check_range

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform(
    "rgb_shift", kind="color",
    exact="the mean of each pixel value that no shift clips, if the ranges are symmetric about 0",
    preview=({"shift": 15}, {"shift": 40}, {"shift": 80}),
)  # fmt: skip
class RgbShift:
    """Add a number to each channel, drawn uniformly for each channel on the 0..255 scale: a color cast.

    `green` and `blue` are the ranges for the second and the third channel, if they differ from `shift`.
    """

    shift: SymmetricRange = (-20.0, 20.0)
    green: SymmetricRange | None = None
    blue: SymmetricRange | None = None
    later: ClassVar[tuple[str, ...]] = ("green", "blue")

    def check(self) -> None:
        check_range("shift", self.shift, -255, 255)
        for name in ("green", "blue"):
            if (ends := getattr(self, name)) is not None:
                check_range(name, ends, -255, 255)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        others = self.shift, self.green or self.shift, self.blue or self.shift
        ranges = [others[channel if channel < 3 else 0] for channel in range(scene.colors)]
        return ops.shift_channels(scene, tuple(rng.uniform(*ends) for ends in ranges))

    sample_columns = sample


_SEPIA: Final = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))


@transform("sepia", kind="color", rule="mean_parameter", exact="the mean of each pixel value", preview=({},))
class Sepia:
    """Give the image the brown tones of old photographs; gray images stay as they are.

    Red, green and blue become sums of them, each cut at white, with the weights 0.393, 0.769 and 0.189; 0.349, 0.686
    and 0.168; 0.272, 0.534 and 0.131. If p < 1, the test-time image is the mean of both.
    """

    def sample(self, rng: Cursor, scene: Scene) -> Op | tuple[Op, ...]:
        return ops.ColorMatrix(_SEPIA, (0.0,) * 3, label="sepia") if scene.colors == 3 else ()

    def expect(self, scene: Scene, p: float) -> Op | tuple[Op, ...]:
        if scene.colors != 3:
            return ()
        sepia = ops.ColorMatrix(_SEPIA, (0.0,) * 3, label="sepia")
        return sepia if p == 1.0 else ops.mix(((sepia,),), (1.0,), 1.0 - p)

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
