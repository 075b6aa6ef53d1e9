"""Parameters that FSDP (`fully_shard`) or tensor parallelism has split over the ranks of a distributed run."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["fsdp_modules", "is_split", "whole", "write"]


def is_split(value: Tensor) -> bool:
    """Whether it is a DTensor, of which each rank has a part."""
    return hasattr(value, "full_tensor")  # isinstance would import torch.distributed.tensor


def whole(value: Tensor) -> Tensor:
    """A split tensor put together; others unchanged. Its gradient is that of the rank's own part.

    Every rank must take part.
    """
    full: Tensor = value.full_tensor() if is_split(value) else value
    return full


def write(value: Any, new: Tensor) -> None:
    """Copy a whole tensor into a parameter, of which a rank may have a part only; that of rank 0 counts."""
    if is_split(value):
        from torch.distributed.tensor import distribute_tensor

        new = distribute_tensor(new.to(value.dtype), value.device_mesh, value.placements)
    value.copy_(new)


def fsdp_modules(model: nn.Module) -> list[Any]:
    """The modules that `fully_shard` was called with."""
    return [module for module in model.modules() if "FSDPModule" in {cls.__name__ for cls in type(module).__mro__}]
