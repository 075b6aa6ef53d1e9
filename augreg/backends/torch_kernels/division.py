"""Numbers beside tensors: division as IEEE 754 rounds it, on every device, and float32 beside whole numbers."""

from __future__ import annotations

import torch

__all__ = ["divided", "single"]


def divided(values: torch.Tensor, by: float) -> torch.Tensor:
    """values / by, in the dtype of `values`: on CUDA torch multiplies by the reciprocal of a Python number."""
    return values / torch.full((), by, dtype=values.dtype, device=values.device)


def single(number: float) -> torch.Tensor:
    """The number as float32, for a product with a tensor of whole numbers.

    With a Python number that has the default dtype of torch, which users change. A tensor without axes may be on the
    CPU, wherever the other one is.
    """
    return torch.tensor(number, dtype=torch.float32, device="cpu")
