"""Tables of 256 values, one per image or per channel of an image: equal in every bit. The op Lookup.

A table is N x 256 or N x C x 256. Point functions are made for all images at once from columns of their amounts, in
the float32 and float64 operations of `augreg.backends.intensity`, which has the definitions. A `gamma` needs a power,
which math libraries may round differently in the last bit: a byte would change only if it lay within 1e-13 of a half.
"""

from __future__ import annotations

import torch

from augreg.backends.torch_kernels.division import divided

__all__ = [
    "after",
    "bezier",
    "blended",
    "brightness",
    "curve",
    "gamma",
    "identity",
    "invert",
    "looked_up",
    "multiplied",
    "multiply_add",
    "posterize",
    "solarize",
    "solarize_add",
    "where",
]


def looked_up(images: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """The images after the tables, in the dtype of the tables."""
    count, channels = images.shape[:2]
    rows = tables[:, None] if tables.ndim == 2 else tables
    found = rows.expand(count, channels, 256).gather(2, images.flatten(2).to(torch.int64))
    return found.view(images.shape)


def after(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The tables that apply `first` and then `second`, which may have floats. One row is for all images."""
    count = max(len(first), len(second))
    if first.ndim == second.ndim == 2:
        return second.expand(count, 256).gather(1, first.expand(count, 256).to(torch.int64))
    first, second = (table[:, None] if table.ndim == 2 else table for table in (first, second))
    channels = max(first.shape[1], second.shape[1])
    return second.expand(count, channels, 256).gather(2, first.expand(count, channels, 256).to(torch.int64))


def where(flags: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """The tables of the images whose flags (N) are set, and tables that change nothing for the others."""
    chosen = flags.to(tables.device, torch.bool).view(-1, *[1] * (tables.ndim - 1))
    return torch.where(chosen, tables, _values(tables.device).to(tables.dtype))


def identity(count: int, device: torch.device | None = None) -> torch.Tensor:
    """Tables that change nothing."""
    return _values(device).expand(count, 256)


def blended(base: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """base + factor * (value - base) in float32, clipped and truncated; N pixel values and factors."""
    base, factor = base.to(torch.float32)[:, None], factor.to(torch.float32)[:, None]
    ramp = torch.arange(256, dtype=torch.float32, device=factor.device)
    return (base + factor * (ramp - base)).clamp(0.0, 255.0).to(torch.uint8)


def brightness(factor: torch.Tensor) -> torch.Tensor:
    """The value times the factor."""
    return blended(torch.zeros_like(factor), factor)


def multiplied(factor: torch.Tensor, addition: torch.Tensor) -> torch.Tensor:
    """The value times the factor, plus the addition, in float32, clipped and truncated; N numbers each."""
    ramp = torch.arange(256, dtype=torch.float32, device=factor.device)
    raised = ramp * factor.to(torch.float32)[:, None] + addition.to(torch.float32)[:, None]
    return raised.clamp(0.0, 255.0).to(torch.uint8)


def multiply_add(factor: torch.Tensor, addition: torch.Tensor) -> torch.Tensor:
    """The value times the factor, plus a fraction of white."""
    return multiplied(factor, addition * 255.0)


def curve(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """A cubic Bezier curve from black to white, whose inner points are at these heights."""
    values = torch.arange(256, dtype=torch.float64, device=low.device)[None] / 255.0
    return (255.0 * bezier(low[:, None], high[:, None], values)).round_().clamp_(0.0, 255.0).to(torch.uint8)


def bezier(low: torch.Tensor, high: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The heights of such curves, for values from 0 to 1 in float64."""
    rest = 1.0 - values
    return 3.0 * rest * rest * values * low + 3.0 * rest * values * values * high + values * values * values


def invert(count: int, device: torch.device | None = None) -> torch.Tensor:
    """255 - value."""
    return (255 - _values(device)).expand(count, 256)


def posterize(bits: torch.Tensor) -> torch.Tensor:
    """The value with its highest bits alone, 0 to 8 of them."""
    kept = 256 - (1 << (8 - bits.to(torch.int64)))
    return (_values(bits.device).to(torch.int64) & kept[:, None]).to(torch.uint8)


def solarize(threshold: torch.Tensor) -> torch.Tensor:
    """Values from the threshold on inverted."""
    values = _values(threshold.device)
    chosen = threshold.to(torch.float32)[:, None] > values.to(torch.float32)
    return torch.where(chosen, values, 255 - values)


def solarize_add(addition: torch.Tensor) -> torch.Tensor:
    """A whole number added to values below 128, clipped."""
    values = _values(addition.device).to(torch.int64)
    raised = (values + addition.to(torch.int64)[:, None]).clamp(0, 255)
    return torch.where(values < 128, raised, values).to(torch.uint8)


def gamma(exponent: torch.Tensor) -> torch.Tensor:
    """255 (value / 255) ^ exponent, rounded."""
    units = divided(_values(exponent.device).to(torch.float64), 255.0)
    return (255.0 * units ** exponent.to(torch.float64)[:, None]).round().to(torch.uint8)


def _values(device: torch.device | None) -> torch.Tensor:
    return torch.arange(256, dtype=torch.uint8, device=device)
