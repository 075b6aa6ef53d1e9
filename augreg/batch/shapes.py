"""Instances that are copied with their masks: what a step draws, and what it is for the masks of a batch.

A step says how likely each instance of a partner is pasted. Which instances there are, and which pixels they have, is
known when the batch is: then a `Copy` becomes `Shapes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.batch.blends import Blend, Visible
from augreg.rng import field

__all__ = ["Copy", "Shapes"]

_UNKNOWN = "what copied instances cover depends on their masks, which a plan has not: mix the batch"


class Copy(Blend, frozen=True):
    """Instances of image partners[i] are pasted into image i with their masks, each with the probability `chance`.

    `keys` are 64-bit numbers, one for each image, that the choice depends on. An image that is its own partner does
    not change.
    """

    partners: tuple[int, ...]
    chance: float
    keys: tuple[int, ...]

    def check(self, count: int, height: int, width: int) -> None:
        if len(self.partners) != count or len(self.keys) != count:
            got = f"{len(self.partners)} partners and {len(self.keys)} keys"
            raise ValueError(f"a copy in {count} images takes {count} partners and {count} keys, got {got}")
        for partner in self.partners:
            if not 0 <= partner < count:
                raise ValueError(f"a batch of {count} has images 0 to {count - 1}, got {partner}")
        if not 0.0 <= self.chance <= 1.0:
            raise ValueError(f"a chance is between 0 and 1, got {self.chance!r}")

    def chosen(self, image: int, count: int) -> NDArray[np.bool_]:
        """Which of the `count` instances of its partner are pasted into an image."""
        return np.asarray(field("uniform", self.keys[image], (count,)) < self.chance)

    def visible(self, height: int, width: int) -> Visible:
        raise ValueError(_UNKNOWN)

    def reads(self) -> dict[int, set[int]]:
        if not self.chance:
            return {}
        return {i: {partner} for i, partner in enumerate(self.partners) if partner != i}

    def __str__(self) -> str:
        return f"copy of instances into {len(self.reads())} images, each with probability {self.chance:g}"


class Shapes(Blend, frozen=True, eq=False):
    """Pixels of image source[k] that are pasted over the same pixels of image into[k], where shown[k] is True.

    No image occurs twice in `into`. All are read as they were before.
    """

    into: NDArray[np.int64]
    source: NDArray[np.int64]
    shown: NDArray[np.bool_]
    """P x height x width."""

    def check(self, count: int, height: int, width: int) -> None:
        numbers = np.concatenate((self.into, self.source))
        if self.shown.shape != (len(self.into), height, width) or len(self.into) != len(self.source):
            raise ValueError(f"shapes of {len(self.into)} images of {height}x{width}, got {self.shown.shape}")
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < count):
            raise ValueError(f"a batch of {count} has images 0 to {count - 1}, got {numbers.tolist()}")

    def visible(self, height: int, width: int) -> Visible:
        fraction = self.shown.reshape(len(self.shown), -1).mean(axis=1)
        return Visible(self.into, np.stack([self.into, self.source], 1), np.stack([1.0 - fraction, fraction], 1))

    def reads(self) -> dict[int, set[int]]:
        return {into: {source} for into, source in zip(self.into.tolist(), self.source.tolist(), strict=True)}

    def planes(self, like: Any, channels_last: bool = False) -> NDArray[np.bool_]:
        """`shown` with axes for the channels of a batch like this."""
        if like.ndim == 3:
            return self.shown
        return self.shown[..., None] if channels_last else self.shown[:, None]

    def __str__(self) -> str:
        return f"shapes in {len(self.into)} images"
