"""How two ways of preparing test images differ: the differences in words, each with its measured effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Difference", "Effect", "Skew"]


@dataclass(frozen=True)
class Effect:
    """How far model inputs are from those of the pipeline, and predictions from its predictions, on given images.

    `pixels` is the mean absolute difference of the pixel values of the model's input; None where the sizes differ or
    there are no images. `agreement` is the fraction of images with the same most probable class, and
    `total_variation` the mean of half the sum of the absolute differences of class probabilities; None without a
    model.
    """

    pixels: float | None = None
    agreement: float | None = None
    total_variation: float | None = None

    def __str__(self) -> str:
        words = [] if self.pixels is None else [f"pixel values by {self.pixels:.4f} on average"]
        if self.agreement is not None and self.total_variation is not None:
            words.append(
                f"{100 * (1 - self.agreement):.1f} % of the predictions (total variation {self.total_variation:.4f})"
            )
        return " and ".join(words)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"pixels": self.pixels, "agreement": self.agreement, "total_variation": self.total_variation}


@dataclass(frozen=True)
class Difference:
    """One difference: what differs, what the pipeline does, what was found, and the effect of this alone."""

    what: str
    expected: str
    found: str
    effect: Effect = Effect()

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"what": self.what, "expected": self.expected, "found": self.found, **self.effect.as_dict()}

    def __str__(self) -> str:
        return f"{self.what}: {self.found} instead of {self.expected}"


@dataclass(frozen=True)
class Skew:
    """The differences between the test images of a pipeline and those of something else; false if there are none.

    `total` is the effect of all of them together, measured on so many `images`. `residual` is the part of
    `total.pixels` that remains when the named differences are applied to the pipeline: 0 if they explain everything,
    None if it could not be found out. `notes` say what else is to be known.
    """

    differences: tuple[Difference, ...]
    total: Effect = Effect()
    residual: float | None = 0.0
    images: int = 0
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.differences) or self.residual != 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "differences": [difference.as_dict() for difference in self.differences],
            "total": self.total.as_dict(),
            "residual": self.residual,
            "images": self.images,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        if not self:
            return "\n".join(["no skew: the test images are those of the pipeline", *self.notes])
        count = f"{len(self.differences)} difference{'s' * (len(self.differences) != 1)}"
        lines = [
            f"{count} of test images from those of the pipeline" + f", on {self.images} images" * bool(self.images)
        ]
        for one in self.differences:
            lines.append(f"  {one}")
            if str(one.effect):
                lines.append(f"      alone it changes {one.effect}")
        if str(self.total):
            lines.append(f"  together they change {self.total}" if self.differences else f"  in all {self.total}")
        if self.residual:
            lines.append(f"  of that, {self.residual:.4f} remains unexplained")
        return "\n".join([*lines, *self.notes])
