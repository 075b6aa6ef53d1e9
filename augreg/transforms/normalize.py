"""Levels to floats: the step after which an image is a float32 array of channels x height x width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from augreg.ops import Normalize as NormalizeOp
from augreg.steps.declare import transform
from augreg.steps.fields import STDS, Colors, Std

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("normalize", kind="normalize", rule="same", preview=({"mean": "half", "std": "half"},))
class Normalize:
    """Subtract the mean and divide by the standard deviation, per channel: (level / white - mean) / std.

    `mean` and `std` are on the 0..1 scale, by numbers or by the name of a data set; a name for `mean` alone
    brings its `std` too, and `std: 1` divides by nothing (VGG). `mean_image` is a whole mean image on the 0..1
    scale, height x width x channels, as rows of numbers or the path of an .npy file, and stands for `mean`; it
    is to be subtracted at its own size, before a crop (AlexNet). Returns float32, channels first.
    """

    mean: Colors = (0.0,)
    std: Std | None = None
    mean_image: str | tuple[tuple[tuple[float, ...], ...], ...] | None = None

    @classmethod
    def complete(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """What was left out: the std that belongs to the name given for the mean, or else 1."""
        if arguments.get("std") is not None:
            return arguments
        mean = arguments.get("mean")
        return {**arguments, "std": mean if isinstance(mean, str) and mean in STDS else 1.0}

    def check(self) -> None:
        assert self.std is not None  # complete() saw to it
        if len(self.mean) > 1 and len(self.std) > 1 and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} channels and std has {len(self.std)}")
        if self.mean_image is not None and self.mean != (0.0,):
            raise ValueError("give either 'mean' or 'mean_image'")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        assert self.std is not None
        frame = scene.size if self.mean_image is not None else None
        return NormalizeOp(self.mean, self.std, self.mean_image, frame, label="normalize")
