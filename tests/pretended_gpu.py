"""A pretended GPU: tensors that say that they are on `cuda:0`, and keep their numbers on the CPU.

    with PretendedGPU() as gpu:
        images = gpu.put(torch.rand(8, 3, 32, 32))
        mixed = pipe.batch(images)
    assert mixed.held.shape == images.shape

Code takes the branches that it has for a GPU, and the numbers can be compared with those of the CPU. What would wait
for a GPU raises `Waits`: to read a number, to copy to the CPU, to copy to the GPU without `non_blocking`, and
operators whose result has a size that depends on numbers. An operator of tensors of two devices raises
`MixesDevices`. (Fake tensors on `cuda` have no numbers, and builds of torch without CUDA cannot index them.)

Torch sees the device `meta`, where nothing else is while the context is active.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["DEVICE", "MixesDevices", "OnGPU", "PretendedGPU", "Waits"]

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


class Waits(AssertionError):
    """Something was read back from the GPU, or was copied to it in a way that waits for it."""


class MixesDevices(AssertionError):
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
        if name in _READS and any(isinstance(part, OnGPU) for part in tree_leaves((args, kwargs))):
            raise Waits(f"{name} reads numbers back from the GPU")
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
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        tensors = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
        asked = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else None
        here = [part for part in tensors if isinstance(part, OnGPU)]
        if not here and asked != "meta":
            return func(*args, **kwargs)
        if name in _READS or (here and asked == "cpu"):
            raise Waits(f"{name} reads numbers back from the GPU")
        if name.startswith(("index", "_index", "_unsafe_index")) and isinstance(args[1], list | tuple):
            if any(part.dtype in (torch.bool, torch.uint8) for part in args[1] if part is not None):
                raise Waits(f"{name} by a mask counts what the mask selects")
        if not any(value.alias_info and not value.alias_info.is_write for value in func._schema.returns):
            self._gpu.calls.append(name)  # a view runs nothing
        strangers = [part for part in tensors if not isinstance(part, OnGPU) and part.ndim]
        if name == "copy_" and strangers and not isinstance(args[0], OnGPU):
            raise Waits("a tensor on the CPU is overwritten by one on the GPU")
        if name in ("copy_", "_to_copy") and (strangers or not here):
            self._upload(args[-2] if name == "copy_" and len(args) > 2 else args[-1], args, kwargs)
        elif strangers:
            raise MixesDevices(f"{name} of tensors on the GPU and on the CPU, {tuple(strangers[0].shape)}")
        if "device" in kwargs:
            kwargs["device"] = "cpu"
        inner, named = tree_map(lambda part: part.held if isinstance(part, OnGPU) else part, (args, kwargs))
        result = func(*inner, **named)
        result = tree_map(lambda part: OnGPU(part) if isinstance(part, Tensor) else part, result)
        return return_and_correct_aliasing(func, args, kwargs, result)

    def _upload(self, source: Tensor, args: Any, kwargs: Any) -> None:
        """Note a copy to the GPU."""
        self._gpu.uploads.append(tuple(source.shape))
        if not (self._gpu.waiting or kwargs.get("non_blocking") or args[-1] is True):
            raise Waits(f"a copy to the GPU of {tuple(source.shape)} without non_blocking waits for it")
