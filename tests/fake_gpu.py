"""A GPU that holds no values, for tests on machines without one.

Reading a value from it raises an error, and so does an operation on tensors of two devices.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

__all__ = ["GPU", "fake_gpu"]

GPU = torch.device("cuda:0")


@contextlib.contextmanager
def fake_gpu() -> Iterator[None]:
    """Tensors that are made meanwhile have shapes and devices alone, and `GPU` is a device for them."""
    with FakeTensorMode(), _Brackets():
        yield


class _Brackets(torch.overrides.TorchFunctionMode):
    """Runs `x[..]` and `contiguous` by operators: they ask for a real device before they come to the fake one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__getitem__:
            return _taken(*args)
        if func is torch.Tensor.__setitem__:
            return _written(_taken(*args[:2]), args[2])
        if func is torch.Tensor.contiguous:
            return args[0].clone(memory_format=torch.contiguous_format)
        return func(*args, **(kwargs or {}))


def _written(part: torch.Tensor, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        assert value.device == part.device, "a write to a tensor of another device"
        value.expand(part.shape)


def _taken(x: torch.Tensor, key: Any) -> torch.Tensor:
    parts = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in [part for part in parts if not isinstance(part, torch.Tensor)]:
        place = next(place for place, part in enumerate(parts) if part is Ellipsis)
        given = sum(part is not None for part in parts) - 1
        parts[place : place + 1] = [slice(None)] * (x.ndim - given)
    dim, tensors = 0, []
    for part in parts:
        if isinstance(part, int):
            x = x.select(dim, part)
            continue
        if part is None:
            x = x.unsqueeze(dim)
        elif isinstance(part, slice):
            x = torch.ops.aten.slice.Tensor(x, dim, part.start, part.stop, part.step or 1)
        tensors.append(part if isinstance(part, torch.Tensor) else None)
        dim += 1
    return torch.ops.aten.index.Tensor(x, tensors) if any(part is not None for part in tensors) else x
