"""Dropout and its kin: units, whole channels, dropout that keeps mean and variance, and multiplicative noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn, where

from augreg.nn.checks import choice, dimensions, floating, number
from augreg.nn.masks import drop, emptied, laid_out, source_of

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "GaussianDropout", "SpatialDropout"]

Mode = Literal["inverted", "original"]
"""Whether training divides by the chance of being kept, or testing multiplies by it."""
MODES = ("inverted", "original")


class Dropout(nn.Module):
    """Each unit is zero with probability p: Srivastava et al. 2014 (JMLR 15); Hinton et al. 2012 (arXiv 1207.0580).

        m ~ Bernoulli(1 - p) for each element
        inverted, as torch does:   training  m x / (1 - p)    testing  x
        original, as the paper:    training  m x              testing  (1 - p) x

    Test-time rule: identity (inverted) or scale (original). Exact for the mean of the output and of whatever is
    linear in it; behind a nonlinearity it is an approximation.

    `p` is torch's: the chance of being dropped, and the papers' p is 1 - p. It may be changed at any time. With a
    `seed` the masks come from `augreg.nn.masks.Counted`. Takes any floating-point tensor. p = 1 gives zeros.
    """

    def __init__(self, p: float = 0.5, mode: Mode = "inverted", seed: int | None = None) -> None:
        super().__init__()
        self.p = number("p", p, 0, 1)
        self.mode = choice("mode", mode, MODES)
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """The input with units dropped, in training; see the class for testing."""
        floating(self, input)
        return drop(input, 1.0 - self.p, self.mode, self.training, self.source, self.mask_shape(input))

    def mask_shape(self, input: Tensor) -> Sequence[int]:
        """The shape of the mask, which is spread over the input: here, a number for each element."""
        return tuple(input.shape)

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return f"p={self.p}, mode={self.mode!r}, source={self.source}"


class SpatialDropout(Dropout):
    """Each channel of each sample is zero with probability p: Tompson et al. 2015 (arXiv 1411.4280).

        m ~ Bernoulli(1 - p) for each (sample, channel), the same at every position

    Neighboring units of a feature map say nearly the same, so that dropping them one by one takes little away.
    Modes, test-time rule and exactness are those of `Dropout`. Takes (batch, channels, ...) with one dimension or
    more behind the channels.
    """

    def mask_shape(self, input: Tensor) -> Sequence[int]:
        """One number for each sample and channel."""
        if input.dim() < 3:
            raise ValueError(
                f"SpatialDropout takes (batch, channels, ...) with at least 3 dimensions, got an input of shape "
                f"{tuple(input.shape)}; use Dropout where channels have no positions"
            )
        return (*input.shape[:2], *(1 for _ in input.shape[2:]))


class Dropout1d(Dropout):
    """`SpatialDropout` for (batch, channels, length) or (channels, length)."""

    dims = 1

    def mask_shape(self, input: Tensor) -> Sequence[int]:
        """One number for each channel, and each sample if there is a batch."""
        dimensions(self, input, self.dims)
        return (*input.shape[: -self.dims], *(1 for _ in range(self.dims)))


class Dropout2d(Dropout1d):
    """`SpatialDropout` for (batch, channels, height, width) or (channels, height, width)."""

    dims = 2


class Dropout3d(Dropout1d):
    """`SpatialDropout` for (batch, channels, depth, height, width) or the same without a batch."""

    dims = 3


class AlphaDropout(nn.Module):
    """Dropout that keeps mean 0 and variance 1: Klambauer et al. 2017 (arXiv 1706.02515), for SELU networks.

        m ~ Bernoulli(q), q = 1 - p, for each element;  a' = -1.7580993 (where SELU saturates)
        training  A (m x + (1 - m) a') + B,  A = (q + a'^2 q (1 - q))^(-1/2),  B = -A (1 - q) a'
        testing   x

    Test-time rule: identity. Exact for the mean and the variance over units which have mean 0 and variance 1; the
    mean of one unit of value x is A q x and not x. p = 1 gives zeros, the limit of the formula.
    """

    SATURATION = -1.0507009873554805 * 1.6732632423543772  # -scale * alpha of SELU
    _SQUARED = SATURATION * SATURATION  # a constant: compiled for any shape, a power of a float is refused

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        super().__init__()
        self.p = number("p", p, 0, 1)
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """The input with units set to where SELU saturates, then scaled and shifted, in training."""
        floating(self, input)
        keep = 1.0 - self.p
        if not self.training or keep == 1.0:
            return input
        if keep == 0.0:
            return emptied(input)
        scale = 1.0 / math.sqrt(keep + self._SQUARED * keep * (1.0 - keep))
        shift = -scale * (1.0 - keep) * self.SATURATION
        mask = self.source.uniform(input.shape, input.device) < keep
        return where(laid_out(mask, input), input, self.SATURATION) * scale + shift

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return f"p={self.p}, source={self.source}"


class GaussianDropout(nn.Module):
    """Each unit times normal noise of mean 1 and the variance of dropout: Srivastava et al. 2014, section 10.

        training  x (1 + sqrt(p / (1 - p)) e),  e ~ N(0, 1) for each element
        testing   x

    Test-time rule: identity. Exact for the mean of the output and of whatever is linear in it; the variance is that
    of inverted dropout with the same p. Nothing is dropped, so infinities stay. p is below 1.
    """

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        super().__init__()
        self.p = number("p", p, 0, 1, below=True)
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """The input times noise of mean 1, in training."""
        floating(self, input)
        if not self.training or self.p == 0.0:
            return input
        noise = self.source.normal(input.shape, input.device) * math.sqrt(self.p / (1.0 - self.p))
        return input * (1.0 + noise).to(input.dtype)

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return f"p={self.p}, source={self.source}"
