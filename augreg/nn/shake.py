"""Shake-drop and shake-shake: residual branches times random numbers that differ in forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from augreg.nn.checks import check_choice, check_floating, check_number
from augreg.nn.masks import source_of

__all__ = ["ShakeDrop", "ShakeShake"]

Per = Literal["batch", "sample", "channel", "element"]


class _Scaled(torch.autograd.Function):
    """Multiplies by one factor in forward and another in backward. torch.compile refuses forward-mode derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def forward(input: Tensor, factor: Tensor, backward_factor: Tensor) -> Tensor:
        return input * factor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (factor,) = ctx.saved_tensors
        return gradients[0] * factor, None, None


class ShakeDrop(nn.Module):
    """Shakes a residual branch instead of dropping it: Yamada et al. 2018 (arXiv 1802.02375).

        b ~ Bernoulli(survival), alpha ~ U(-1, 1), beta ~ U(0, 1), drawn `per` batch, sample, channel or element
        training  x + (b + alpha - b alpha) f(x), gradient of f(x) times (b + beta - b beta)
        testing   x + (survival + (1 - survival) E[alpha]) f(x), which is x + survival f(x) for the default range

    Test-time rule: scale. Exact for the mean of one block's output. The gradients are random by design: they are not
    the derivatives of the output. The layer is applied to the branch: shortcut + layer(f(x)). In the paper `survival`
    decreases linearly over the blocks, down to 0.5. With alpha = (0, 0) and beta = (0, 0) it is stochastic depth with
    the original scaling, except that f(x) is multiplied by 0 and not replaced.
    """

    def __init__(
        self,
        survival: float = 0.5,
        per: Per = "sample",
        alpha: tuple[float, float] = (-1.0, 1.0),
        beta: tuple[float, float] = (0.0, 1.0),
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.survival = check_number("survival", survival, 0, 1)
        self.per = check_choice("per", per, ("batch", "sample", "channel", "element"))
        self.alpha = _pair("alpha", alpha)
        self.beta = _pair("beta", beta)
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """The output of a branch, multiplied by random numbers in training."""
        check_floating(self, input)
        if self.survival == 1.0:
            return input
        if not self.training:
            return input * (self.survival + (1.0 - self.survival) * sum(self.alpha) / 2.0)
        shape = _shape(self, input, self.per)
        kept = self.source.uniform(shape, input.device) < self.survival
        alpha = _between(self.alpha, self.source.uniform(shape, input.device))
        beta = _between(self.beta, self.source.uniform(shape, input.device))
        scaled: Tensor = _Scaled.apply(
            input, torch.where(kept, 1.0, alpha).to(input.dtype), torch.where(kept, 1.0, beta).to(input.dtype)
        )
        return scaled

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return f"survival={self.survival}, per={self.per!r}, alpha={self.alpha}, beta={self.beta}"


class ShakeShake(nn.Module):
    """Mixes the two branches of a residual block randomly: Gastaldi 2017 (arXiv 1705.07485).

        alpha, beta ~ U(0, 1), drawn `per` sample or batch
        training  x + alpha f(x) + (1 - alpha) g(x), gradients times beta and 1 - beta
        testing   x + f(x) / 2 + g(x) / 2

    Test-time rule: scale. Exact for the mean of one block's output. The layer takes the outputs of both branches:
    shortcut + layer(f(x), g(x)). Blocks with two branches cannot be found automatically, so no spec attaches it.
    """

    def __init__(self, per: Literal["batch", "sample"] = "sample", seed: int | None = None) -> None:
        super().__init__()
        self.per = check_choice("per", per, ("batch", "sample"))
        self.source = source_of(seed)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The outputs mixed randomly in training, and averaged in testing."""
        check_floating(self, first)
        if first.shape != second.shape:
            raise ValueError(
                f"both branches must have the same shape, got {tuple(first.shape)} and {tuple(second.shape)}"
            )
        if not self.training:
            return first * 0.5 + second * 0.5
        shape = _shape(self, first, self.per)
        alpha = self.source.uniform(shape, first.device).to(first.dtype)
        beta = self.source.uniform(shape, first.device).to(first.dtype)
        mixed: Tensor = _Scaled.apply(first, alpha, beta) + _Scaled.apply(second, 1.0 - alpha, 1.0 - beta)
        return mixed

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return f"per={self.per!r}, source={self.source}"


def _pair(name: str, value: tuple[float, float]) -> tuple[float, float]:
    low, high = (check_number(name, part, -float("inf"), float("inf")) for part in value)
    if low > high:
        raise ValueError(f"{name} must be (low, high) with low <= high, got {value!r}")
    return low, high


def _between(bounds: tuple[float, float], unit: Tensor) -> Tensor:
    return bounds[0] + (bounds[1] - bounds[0]) * unit


def _shape(layer: nn.Module, input: Tensor, per: Per) -> Sequence[int]:
    """The shape of the random numbers, which are broadcast to the input."""
    own = {"batch": 0, "sample": 1, "channel": 2, "element": input.dim()}[per]
    if input.dim() < own or input.dim() == 0:
        raise ValueError(f"{type(layer).__name__} takes (batch, channels, ...), got {tuple(input.shape)}")
    return (*input.shape[:own], *(1 for _ in input.shape[own:]))
