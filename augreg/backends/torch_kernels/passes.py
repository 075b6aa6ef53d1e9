"""One pass of a resize over the last axis of a batch: exact sums of bytes times weights, rounded to bytes."""

from __future__ import annotations

from typing import Final

import torch

from augreg.backends.torch_kernels.weights import BITS, Weights

__all__ = ["EXACT_TAPS", "LOW_BITS", "by_products", "by_taps", "parts", "resized"]

_WIDE_SUMS: Final = torch.__version__ >= "2.8"
"""Whether torch returns the product of matrices of float16 as float32."""
_ALIGNED: Final = 8
"""Rows of so many numbers of float16 begin where tensor cores read them fast."""
LOW_BITS: Final = 12
EXACT_TAPS: Final = 28
"""A sum of so many products of a byte and the low part of a weight is below 2^24 - 2^21 in units of the last digit:
float32 holds it exactly, and a half added to it."""


def resized(lines: torch.Tensor, weights: Weights) -> torch.Tensor:
    """N x A x L bytes to N x A x wanted, each image by its own weights; or float32 to float32.

    CPUs add up the few pixels that a kernel reaches; other devices multiply matrices, for which they have tensor
    cores. Both give the same bytes. Floats are added up everywhere, in order, in float64.
    """
    images, count, length = lines.shape
    if len(weights.first) < images:  # one row of weights for all
        lines = lines.reshape(1, images * count, length)
    if lines.dtype != torch.uint8:
        found = _of_floats(lines, weights)
    else:
        found = (by_taps if lines.device.type == "cpu" else by_products)(lines, weights)
    return found.view(images, count, -1)


def by_taps(lines: torch.Tensor, weights: Weights) -> torch.Tensor:
    """As `resized`, by a sum of whole numbers over the taps."""
    images, count, length = lines.shape
    wanted = weights.first.shape[1]
    total = torch.full((images, count, wanted), 1 << (BITS - 1), dtype=torch.int32, device=lines.device)
    for tap, values in enumerate(weights.values):
        place = (weights.first + tap).clamp(max=length - 1)[:, None].expand(images, count, wanted)
        total += lines.gather(2, place).to(torch.int32).mul_(values[:, None])
    return _bytes(total)


def _of_floats(lines: torch.Tensor, weights: Weights) -> torch.Tensor:
    images, count, length = lines.shape
    wanted = weights.first.shape[1]
    total = torch.zeros((images, count, wanted), dtype=torch.float64, device=lines.device)
    for tap, values in enumerate(weights.values):
        place = (weights.first + tap).clamp(max=length - 1)[:, None].expand(images, count, wanted)
        total += lines.gather(2, place).to(torch.float64).mul_(values[:, None])
    return total.to(torch.float32)


def by_products(lines: torch.Tensor, weights: Weights) -> torch.Tensor:
    """As `resized`, by products of matrices.

    With few taps the weights are split into two parts that float16 holds exactly, as it does bytes; the sums are
    exact in float32. With more taps float64 is exact without a split.
    """
    images, count, length = lines.shape
    taps, _, wanted = weights.values.shape
    # with columns for the places beyond the image, so that no two weights of a row go to one place
    wide = -(-(length + taps) // _ALIGNED) * _ALIGNED
    places = weights.first[..., None] + torch.arange(taps, device=lines.device)

    def dense(values: torch.Tensor) -> torch.Tensor:
        """A row of weights for each pixel of the result, 0 where it reads nothing."""
        matrices = torch.zeros((len(weights.first), wanted, wide), dtype=values.dtype, device=lines.device)
        return matrices.scatter_(2, places, values.permute(1, 2, 0))

    if taps > EXACT_TAPS:
        matrices = dense(weights.values.to(torch.float64))[..., :length]
        total = torch.bmm(lines.to(torch.float64), matrices.mT).to(torch.int32)
        return _bytes(total + (1 << (BITS - 1)))
    halves = torch.empty((images, count, wide), dtype=torch.float16, device=lines.device)
    halves[..., :length] = lines
    halves[..., length:] = 1.0
    high, low = map(dense, parts(weights.values))
    low[..., length] = float(1 << (BITS - LOW_BITS - 1))  # a half, for the 1 after the pixels
    # without the digits of the low sum that cannot matter, float32 holds the whole sum exactly
    total = _product(halves, high).add_(_product(halves, low).floor_(), alpha=2.0 ** (LOW_BITS - BITS))
    return (total.clamp_(0.0, 255.0) if weights.overshoots else total).to(torch.uint8)


def parts(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of 2^-22ths as high + low * 2^-10, both float16, exactly.

    High is a whole number of 2^-10ths, and low, from -0.5 to 0.5, one of 2^-12ths: float16 holds up to 2048
    of either. A weight of 1 is 1024 of the former, which leaves room: near a border the weights of bicubic and
    lanczos go up to 1.3.
    """
    scaled = values.to(torch.float32).mul_(2.0**-LOW_BITS)  # exact: the weights are below 2^24
    whole = scaled.round()
    high, low = (torch.empty_like(whole, dtype=torch.float16) for _ in range(2))
    return torch.mul(whole, 2.0 ** (LOW_BITS - BITS), out=high), torch.sub(scaled, whole, out=low)


def _product(lines: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """lines times each matrix transposed, exactly, in float32."""
    if lines.device.type == "cuda" and _WIDE_SUMS:
        return torch.bmm(lines, matrices.mT, out_dtype=torch.float32)
    # a product of float32 may be set to a lower precision (torch.set_float32_matmul_precision), float64 may not
    return torch.bmm(lines.to(torch.float64), matrices.to(torch.float64).mT).to(torch.float32)


def _bytes(total: torch.Tensor) -> torch.Tensor:
    return (total >> BITS).clamp_(0, 255).to(torch.uint8)
