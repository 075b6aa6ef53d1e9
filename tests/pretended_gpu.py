"""A pretended GPU: tensors that say that they are on `cuda:0`, and keep their numbers on the CPU.

    with PretendedGPU() as gpu:
        images = gpu.put(torch.rand(8, 3, 32, 32))
        mixed = pipe.batch(images)
    assert held(mixed).shape == images.shape

Code takes the branches that it has for a GPU, and the numbers can be compared with those of the CPU. What would wait
for a GPU raises `WaitsError`: to read a number, to copy to the CPU, to copy to the GPU without `non_blocking`, and
operators whose result has a size that depends on numbers. An operator of tensors of two devices raises
`MixesDevicesError`. (Fake tensors on `cuda` have no numbers, and builds of torch without CUDA cannot index them.)

Torch sees the device `meta`, where nothing else is while the context is active.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar, cast
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

__all__ = ["DEVICE", "MixesDevicesError", "OnGPU", "PretendedGPU", "WaitsError", "held"]

DEVICE = torch.device("cuda:0")
Put = TypeVar("Put", Tensor, nn.Module)

_READS = {
    *("item", "tolist", "numpy", "cpu", "__array__", "__bool__", "__float__", "__int__", "__index__", "__complex__"),
    *(
        "__contains__",
        "is_nonzero",
        "nonzero",
        "argwhere",
        "masked_select",
        "bincount",
        "unique",
        "unique_consecutive",
    ),
    *("equal", "allclose", "histc", "_local_scalar_dense", "_unique2", "repeat_interleave"),
}
"""Functions and operators that wait for a GPU: their result, or its size, depends on numbers."""


class WaitsError(AssertionError):
    """Something was read back from the GPU, or was copied to it in a way that waits for it."""


class MixesDevicesError(AssertionError):
    """An operator got tensors of two devices."""


class OnGPU(Tensor):
    """A tensor that says that it is on the GPU, around `held`, which is on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGPU:
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.size(), held.stride(), held.storage_offset(), None, held.dtype, held.layout, "meta"
        )
        made.held = held
        return cast(OnGPU, made)

    device = property(lambda self: DEVICE)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]

    def __repr__(self, **options: Any) -> str:
        return f"on {DEVICE}: {tuple(self.shape)}"

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} outside of PretendedGPU")


class _Generator(torch.Generator):  # type: ignore[misc]
    """A generator of the CPU, for whatever device."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        return super().__new__(cls)


class PretendedGPU(TorchFunctionMode):
    """A context in which torch has a GPU.

    `calls` are the operators that ran on it, and `uploads` the shapes of what was copied to it. With `waiting`,
    copies to it may wait; with `capturing`, a CUDA graph is captured.
    """

    def __init__(self, waiting: bool = False, capturing: bool = False) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.uploads: list[tuple[int, ...]] = []
        self.waiting = waiting
        self._operators = _Operators(self)
        self._patches = [
            mock.patch.object(torch.cuda, "is_current_stream_capturing", lambda: capturing),
            mock.patch.object(torch, "Generator", _Generator),
        ]

    def __enter__(self) -> PretendedGPU:
        for patch in self._patches:
            patch.start()
        self._operators.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._operators.__exit__(*error)
        for patch in self._patches:
            patch.stop()

    def put(self, value: Put) -> Put:
        """A tensor on the GPU; or a module, whose parameters and buffers are put there, itself."""
        if isinstance(value, Tensor):
            return cast(Put, OnGPU(value.detach().clone()).requires_grad_(value.requires_grad))
        for module in value.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    put = OnGPU(parameter.detach().clone())
                    module._parameters[name] = nn.Parameter(put, parameter.requires_grad)
            for name, buffer in module._buffers.items():
                module._buffers[name] = None if buffer is None else OnGPU(buffer.clone())
        return value

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        first = args[0] if args else None
        kwargs.pop("pin_memory", None)
        if name in _READS and any(isinstance(part, OnGPU) for part in tree_leaves((args, kwargs))):
            raise WaitsError(f"{name} reads numbers back from the GPU")
        if name == "pin_memory":
            return first
        if name in ("tensor", "as_tensor") and _is_gpu(kwargs.get("device")):
            del kwargs["device"]
            made = func(*args, **kwargs)
            return made if isinstance(made, OnGPU) else made.to("meta")
        if name == "to" and len(args) > 1 and isinstance(args[1], Tensor):
            args = (first, args[1].device, args[1].dtype, *args[2:])
        if _is_gpu(kwargs.get("device")):
            kwargs["device"] = "meta"
        if name in ("to", "new_tensor"):
            args = tuple("meta" if _is_gpu(part) else part for part in args)
        return func(*args, **kwargs)


def _is_gpu(device: Any) -> bool:
    return isinstance(device, str | torch.device) and torch.device(device).type == "cuda"


class _Operators(TorchDispatchMode):
    """Runs the operators of a pretended GPU on the CPU."""

    def __init__(self, gpu: PretendedGPU) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        leaves, form = tree_flatten((args, kwargs))
        here = [part for part in leaves if isinstance(part, OnGPU)]
        asked = kwargs.get("device")
        to_cpu, to_gpu = (asked is not None and torch.device(asked).type == kind for kind in ("cpu", "meta"))
        if not (here or to_gpu):
            return func(*args, **kwargs)
        by_mask = name.startswith(("index", "_index", "_unsafe_index")) and any(
            part.dtype in (torch.bool, torch.uint8) for part in tree_leaves(args[1]) if isinstance(part, Tensor)
        )
        if name in _READS or (here and to_cpu) or (by_mask and isinstance(args[1], list | tuple)):
            raise WaitsError(f"{name} reads numbers back from the GPU")
        strangers = [
            part for part in leaves if isinstance(part, Tensor) and part.ndim and not isinstance(part, OnGPU)
        ]
        if name == "copy_" and not isinstance(args[0], OnGPU):
            raise WaitsError("a tensor on the CPU is overwritten by one on the GPU")
        if name in ("copy_", "_to_copy") and (strangers or not here):
            self._upload(args[1] if name == "copy_" else args[0], args[-1] is True or kwargs.get("non_blocking"))
        elif strangers:
            raise MixesDevicesError(f"{name} of tensors on the GPU and on the CPU, {tuple(strangers[0].shape)}")
        if to_gpu:
            leaves = ["cpu" if part is asked else part for part in leaves]
        inner, named = tree_unflatten([part.held if isinstance(part, OnGPU) else part for part in leaves], form)
        run = _wide_product if func is torch.ops.aten.bmm.dtype else func
        result = tree_map(lambda part: OnGPU(part) if isinstance(part, Tensor) else part, run(*inner, **named))
        is_view, aliases = _aliases(func)
        if not is_view:  # which runs nothing
            self._gpu.calls.append(name)
        return return_and_correct_aliasing(func, args, kwargs, result) if aliases else result

    def _upload(self, source: Tensor, non_blocking: bool | None) -> None:
        """Note a copy to the GPU."""
        self._gpu.uploads.append(tuple(source.shape))
        if not (self._gpu.waiting or non_blocking):
            raise WaitsError(f"a copy to the GPU of {tuple(source.shape)} without non_blocking waits for it")


def _wide_product(one: Tensor, other: Tensor, dtype: torch.dtype) -> Tensor:
    """The product of matrices of float16 as float32, for which the CPU has no operator."""
    return torch.bmm(one.to(dtype), other.to(dtype))


@functools.cache
def _aliases(func: Any) -> tuple[bool, bool]:
    """Whether an operator returns a view, and whether it returns or writes to memory of its arguments."""
    returned = [value.alias_info for value in func._schema.returns if value.alias_info]
    return any(not info.is_write for info in returned), bool(returned)


def held(value: Tensor) -> Tensor:
    """A tensor without its gradient, on the CPU; it may be on the pretended GPU."""
    return value.held if isinstance(value, OnGPU) else value.detach()
