"""Division by a number as IEEE 754 rounds it, on every device."""

from __future__ import annotations

import torch

__all__ = ["divided"]


def divided(values: torch.Tensor, by: float) -> torch.Tensor:
    """values / by, in the dtype of `values`: on CUDA torch multiplies by the reciprocal of a Python number."""
    return values / torch.full((), by, dtype=values.dtype, device=values.device)
