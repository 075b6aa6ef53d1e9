"""Images read at any positions, as if they went on beyond their border: equal in every bit.

The ops Warp and Remap with a `mode` other than constant; the formulas and precisions are those of `backends.borders`.
"""

from __future__ import annotations

import torch

from augreg.backends.borders import FAR, taps
from augreg.backends.torch_kernels.moving import picked, within

__all__ = ["sampled"]


def sampled(images: torch.Tensor, ys: torch.Tensor, xs: torch.Tensor, interpolation: str, mode: str) -> torch.Tensor:
    """The images at these positions, N x height x width or 1 x .., (0.5, 0.5) being the center of the first pixel."""
    ys, xs = (place.to(torch.float64).nan_to_num(0.0).clamp(-FAR, FAR)[:, None] for place in (ys, xs))
    height, width = images.shape[2:]
    if interpolation == "nearest":
        return picked(images, _folded(ys, height, mode), _folded(xs, width, mode))
    ys, xs = ys - 0.5, xs - 0.5
    top, left = ys.floor(), xs.floor()
    columns = [(weight, _folded(left + step, width, mode)) for step, weight in taps(xs - left, interpolation)]
    found = torch.zeros((), dtype=torch.float64, device=images.device)
    for step, weight in taps(ys - top, interpolation):
        row = _folded(top + step, height, mode)
        line = torch.zeros_like(found)
        for part, column in columns:
            line = line + part * picked(images, row, column).to(torch.float64)
        found = found + weight * line
    if images.dtype == torch.float32:
        return found.to(torch.float32)
    return found.clamp_(0.0, 255.0).round_().to(torch.uint8)


def _folded(places: torch.Tensor, length: int, mode: str) -> torch.Tensor:
    return within(places.floor().to(torch.int64), length, mode)
