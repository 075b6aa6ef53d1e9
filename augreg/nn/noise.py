"""Additive noise on activations."""

from __future__ import annotations

from torch import Tensor, nn

from augreg.nn.checks import check_floating, check_number
from augreg.nn.masks import source_of

__all__ = ["GaussianNoise"]


class GaussianNoise(nn.Module):
    """Adds normal noise to every unit: Bishop 1995 (Neural Computation 7).

        training  x + std e,  e ~ N(0, 1) for each element
        testing   x

    Test-time rule: identity. Exact for the mean of the output and of whatever is linear in it. On the input of a
    network, for small std, it acts as a penalty on the squared gradient of the output (Bishop). `std` is in the units
    of the activations.
    """

    def __init__(self, std: float = 0.1, seed: int | None = None) -> None:
        super().__init__()
        self.std = check_number("std", std, 0, float("inf"), below=True)
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """In training, the input with noise."""
        check_floating(self, input)
        if not self.training or self.std == 0.0:
            return input
        noise = self.source.normal(input.shape, input.device) * self.std
        return input + noise.to(input.dtype)

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return f"std={self.std}, source={self.source}"
