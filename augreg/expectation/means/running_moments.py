"""Mean and variance of observations in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["RunningMoments", "accumulated_dtype"]


class RunningMoments:
    """The mean of observations and the sum of their squared deviations, separately for each image.

    Blocks of observations are combined by the formulas of T. Chan, G. Golub and R. LeVeque 1979, which subtract means
    before they square, so that a small variance beside a large mean is not lost. Nothing is written in place:
    gradients flow through.
    """

    mean: Tensor
    """N x .."""
    squares: Tensor
    """The sums of squared deviations from the mean, N x .."""
    count: Tensor
    """How many observations each mean is over; it has the axes of `mean`, of size 1 where all are the same."""
    observations: Tensor
    """How many observations each image has, N."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._empty = True

    def add(self, observations: Tensor, images: Tensor | None = None, seen: Tensor | None = None) -> None:
        """Add observations x images x .. values, of all images or of those with these numbers.

        `seen` says which values there are; it may have axes of size 1.
        """
        if seen is None:
            seen = observations.new_ones((len(observations), observations.shape[1], *[1] * (observations.ndim - 2)))
        seen = seen.to(observations.dtype)
        number = seen.sum(0)
        mean = (observations * seen).sum(0) / number.clamp(min=1)
        squares = ((observations - mean).square() * seen).sum(0)
        block = (number, mean, squares)
        if self._empty:
            self.count, self.mean, self.squares = (
                value.new_zeros((self._images, *value.shape[1:])) for value in block
            )
            self.observations = torch.zeros(self._images, dtype=torch.int64, device=mean.device)
            self._empty = False
        if images is None:
            self.observations = self.observations + len(observations)
            self.count, self.mean, self.squares = _combined((self.count, self.mean, self.squares), block)
            return
        more = torch.full((len(images),), len(observations), dtype=torch.int64, device=mean.device)
        self.observations = self.observations.index_add(0, images, more)
        before = (self.count, self.mean, self.squares)
        new = _combined(tuple(value.index_select(0, images) for value in before), block)
        self.count, self.mean, self.squares = (
            value.index_copy(0, images, changed) for value, changed in zip(before, new, strict=True)
        )

    def known(self) -> Tensor:
        """The mean, and NaN where there was no observation."""
        return torch.where(self.count > 0, self.mean, torch.nan)

    def standard_error(self) -> Tensor:
        """The standard error of the mean of independent observations, N x ..; NaN if there is only one."""
        return (self.squares / (self.count * (self.count - 1))).sqrt()


def accumulated_dtype(output: Tensor) -> torch.dtype:
    """float64 for vectors; float32 for maps, which are large, and for devices that have no float64."""
    if output.dtype == torch.float64:
        return torch.float64
    return torch.float32 if output.ndim > 2 or output.device.type == "mps" else torch.float64


def _combined(before: tuple[Tensor, ...], block: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The count, mean and squares of both."""
    old_count, old_mean, old_squares = before
    count, mean, squares = block
    total = old_count + count
    shift = mean - old_mean
    part = count / total.clamp(min=1)
    return total, old_mean + shift * part, old_squares + squares + shift.square() * (old_count * part)
