"""Normalization: from pixel values to a float32 array of channels x height x width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from augreg.ops import Normalize as NormalizeOp
from augreg.steps.declare import transform
from augreg.steps.fields import STDS, Colors, Std

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


def _check_mean_image(rows: tuple[tuple[tuple[float, ...], ...], ...]) -> None:
    widths, channels = set(map(len, rows)), {len(pixel) for row in rows for pixel in row}
    if len(widths) != 1 or len(channels) != 1 or 0 in widths | channels:
        found = f"{len(rows)} rows of {sorted(widths)} pixels of {sorted(channels)} channels"
        raise ValueError(f"mean_image must be height x width x channels numbers, got {found}")
    low, high = (limit(value for row in rows for pixel in row for value in pixel) for limit in (min, max))
    if low < 0 or high > 1:
        raise ValueError(f"mean_image must be on the 0..1 scale, and it runs from {low:g} to {high:g}")


@transform("normalize", kind="normalize", rule="same", preview=({"mean": "half", "std": "half"},))
class Normalize:
    """Subtract the mean and divide by the standard deviation of each channel: (value / white - mean) / std.

    White is 255 for bytes and 1 for floats. `mean` and `std` are numbers on the 0..1 scale or the name of a dataset.
    `mean: imagenet` sets `std` too, to that of the dataset. With `mean` in numbers, `std` is 1 unless given: the mean
    is subtracted, and the scale stays as it is (VGG).

    `mean_image`, instead of `mean`, is a mean for every pixel on the 0..1 scale, height x width x channels, as rows
    of numbers or the path of an .npy file; it has to have the size of the image at this step, so normalize before a
    crop (AlexNet). The result is float32, channels first.
    """

    mean: Colors = (0.0,)
    std: Std | None = None
    mean_image: str | tuple[tuple[tuple[float, ...], ...], ...] | None = None

    @classmethod
    def complete(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """Fill in `std`: that of the dataset named by `mean`, or 1."""
        if arguments.get("std") is not None:
            return arguments
        mean = arguments.get("mean")
        return {**arguments, "std": mean if isinstance(mean, str) and mean in STDS else 1.0}

    def check(self) -> None:
        assert self.std is not None  # set by complete()
        if len(self.mean) > 1 and len(self.std) > 1 and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} channels and std has {len(self.std)}")
        if self.mean_image is not None and self.mean != (0.0,):
            raise ValueError("give either 'mean' or 'mean_image'")
        if isinstance(self.mean_image, tuple):
            _check_mean_image(self.mean_image)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        assert self.std is not None
        frame = scene.size if self.mean_image is not None else None
        return NormalizeOp(self.mean, self.std, self.mean_image, frame, label="normalize")

    sample_columns = sample
