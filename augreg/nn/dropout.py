"""Dropout and its variants: of units, of channels, preserving mean and variance, and multiplicative noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn, where

from augreg.nn.checks import check_choice, check_dimensions, check_floating, check_number
from augreg.nn.masks import drop, source_of, zeros

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "GaussianDropout", "SpatialDropout"]

Mode = Literal["inverted", "original"]
"""Training divides by the probability of being kept (inverted), or testing multiplies by it (original)."""
MODES = ("inverted", "original")


class Dropout(nn.Module):
    """Sets units to zero with probability p: Srivastava et al. 2014 (JMLR 15); Hinton et al. 2012 (arXiv 1207.0580).

        m ~ Bernoulli(1 - p) for each element
        inverted, as in torch:      training  m x / (1 - p)    testing  x
        original, as in the paper:  training  m x              testing  (1 - p) x

    Test-time rule: identity (inverted) or scale (original). Exact for the mean of the output and of whatever is
    linear in it; after a nonlinearity it is an approximation.

    `p` is the probability of being dropped, as in torch; the papers' p is 1 - p. It may be changed at any time. With
    a `seed` the masks come from `augreg.nn.masks.SeededSource`. Takes any floating-point tensor. p = 1 gives zeros.

    On CUDA, inverted dropout without a seed runs as torch's own kernel, about twice as fast. It multiplies by the
    mask, so a dropped infinity or NaN gives NaN, as in torch. With `remove_infinities` a dropped value is replaced by
    zero in all cases, whatever it is, and so is its gradient.
    """

    _may_multiply: ClassVar[bool] = True

    def __init__(
        self,
        p: float = 0.5,
        mode: Mode = "inverted",
        seed: int | None = None,
        *,
        remove_infinities: bool = False,
    ) -> None:
        super().__init__()
        self.p = check_number("p", p, 0, 1)
        self.mode = check_choice("mode", mode, MODES)
        self.source = source_of(seed)
        self.remove_infinities = remove_infinities

    def forward(self, input: Tensor) -> Tensor:
        """The input with units dropped in training; for testing see the class."""
        check_floating(self, input)
        fused = self._may_multiply and not self.remove_infinities
        return drop(input, 1.0 - self.p, self.mode, self.training, self.source, self.mask_shape(input), fused)

    def mask_shape(self, input: Tensor) -> Sequence[int]:
        """The shape of the mask, which is broadcast to the input: here one number per element."""
        return tuple(input.shape)

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return f"p={self.p}, mode={self.mode!r}, source={self.source}"


class SpatialDropout(Dropout):
    """Sets each channel of each sample to zero with probability p: Tompson et al. 2015 (arXiv 1411.4280).

        m ~ Bernoulli(1 - p) for each (sample, channel), the same at every position

    Neighboring units of a feature map are strongly correlated, so dropping them independently removes little
    information. Modes, test-time rule and exactness are those of `Dropout`. Takes (batch, channels, ...) with one or
    more spatial dimensions. Infinities that are dropped are always removed.
    """

    least_dimensions = 3
    _may_multiply = False

    def mask_shape(self, input: Tensor) -> Sequence[int]:
        """One number per sample and channel."""
        if input.dim() < 3:
            raise ValueError(
                f"SpatialDropout takes (batch, channels, ...) with at least 3 dimensions, got an input of shape "
                f"{tuple(input.shape)}; use Dropout if there are no spatial dimensions"
            )
        return (*input.shape[:2], *(1 for _ in input.shape[2:]))


class Dropout1d(Dropout):
    """`SpatialDropout` for (batch, channels, length) or (channels, length)."""

    _may_multiply = False
    dims = 1

    def mask_shape(self, input: Tensor) -> Sequence[int]:
        """One number per channel, and per sample if there is a batch."""
        check_dimensions(self, input, self.dims)
        return (*input.shape[: -self.dims], *(1 for _ in range(self.dims)))


class Dropout2d(Dropout1d):
    """`SpatialDropout` for (batch, channels, height, width) or (channels, height, width)."""

    dims = 2


class Dropout3d(Dropout1d):
    """`SpatialDropout` for (batch, channels, depth, height, width) or (channels, depth, height, width)."""

    dims = 3


class AlphaDropout(nn.Module):
    """Dropout that preserves mean 0 and variance 1: Klambauer et al. 2017 (arXiv 1706.02515), for SELU networks.

        m ~ Bernoulli(q), q = 1 - p, for each element;  a' = -1.7580993 (SELU's limit at -infinity)
        training  A (m x + (1 - m) a') + B,  A = (q + a'^2 q (1 - q))^(-1/2),  B = -A (1 - q) a'
        testing   x

    Test-time rule: identity. Exact for the mean and the variance over units that have mean 0 and variance 1; for a
    single unit of value x the mean is A q x, not x. p = 1 gives zeros, the limit of the formula.
    """

    SATURATION = -1.0507009873554805 * 1.6732632423543772  # -scale * alpha of SELU
    _SQUARED = SATURATION * SATURATION  # a constant, as torch.compile with dynamic shapes refuses a power of a float

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        super().__init__()
        self.p = check_number("p", p, 0, 1)
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """In training, the input with units set to the saturation value of SELU, then scaled and shifted."""
        check_floating(self, input)
        keep = 1.0 - self.p
        if not self.training or keep == 1.0:
            return input
        if keep == 0.0:
            return zeros(input)
        scale = 1.0 / math.sqrt(keep + self._SQUARED * keep * (1.0 - keep))
        shift = -scale * (1.0 - keep) * self.SATURATION
        mask = self.source.kept(keep, input.shape, input)
        return where(mask, input, self.SATURATION) * scale + shift

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return f"p={self.p}, source={self.source}"


class GaussianDropout(nn.Module):
    """Multiplies units by normal noise with mean 1 and the variance of dropout: Srivastava et al. 2014, section 10.

        training  x (1 + sqrt(p / (1 - p)) e),  e ~ N(0, 1) for each element
        testing   x

    Test-time rule: identity. Exact for the mean of the output and of whatever is linear in it; the variance is that
    of inverted dropout with the same p. Nothing is set to zero, so infinities stay. p must be below 1.
    """

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        super().__init__()
        self.p = check_number("p", p, 0, 1, below=True)
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """In training, the input times noise of mean 1."""
        check_floating(self, input)
        if not self.training or self.p == 0.0:
            return input
        noise = self.source.normal(input.shape, input.device) * math.sqrt(self.p / (1.0 - self.p))
        return input * (1.0 + noise).to(input.dtype)

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return f"p={self.p}, source={self.source}"
