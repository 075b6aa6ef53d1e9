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

    count: Tensor
    """How many observations each image has, N."""
    mean: Tensor
    """N x .."""
    squares: Tensor
    """The sums of squared deviations from the mean, N x .."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._empty = True

    def add(self, observations: Tensor, images: Tensor | None = None) -> None:
        """Add observations x images x .. values, of all images or of those with these numbers."""
        number = len(observations)
        mean = observations.mean(0)
        squares = (observations - mean).square().sum(0) if number > 1 else torch.zeros_like(mean)
        if self._empty:
            shape = (self._images, *mean.shape[1:])
            self.count = mean.new_zeros(self._images)
            self.mean, self.squares = mean.new_zeros(shape), mean.new_zeros(shape)
            self._empty = False
        if images is None:
            self.count, self.mean, self.squares = _combined(
                self.count, self.mean, self.squares, number, mean, squares
            )
            return
        old = [value.index_select(0, images) for value in (self.count, self.mean, self.squares)]
        new = _combined(old[0], old[1], old[2], number, mean, squares)
        self.count = self.count.index_copy(0, images, new[0])
        self.mean = self.mean.index_copy(0, images, new[1])
        self.squares = self.squares.index_copy(0, images, new[2])

    def standard_error(self) -> Tensor:
        """The standard error of the mean of independent observations, N x ..; NaN if there is only one."""
        count = _like(self.count, self.squares)
        return (self.squares / (count * (count - 1))).sqrt()


def accumulated_dtype(output: Tensor) -> torch.dtype:
    """float64 for vectors; float32 for maps, which are large, and for devices that have no float64."""
    if output.dtype == torch.float64:
        return torch.float64
    return torch.float32 if output.ndim > 2 or output.device.type == "mps" else torch.float64


def _combined(
    count: Tensor, mean: Tensor, squares: Tensor, number: int, block_mean: Tensor, block_squares: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    before = _like(count, mean)
    total = before + number
    shift = block_mean - mean
    return (
        count + number,
        mean + shift * (number / total),
        squares + block_squares + shift.square() * (before * number / total),
    )


def _like(count: Tensor, values: Tensor) -> Tensor:
    return count.reshape(-1, *[1] * (values.ndim - 1))
