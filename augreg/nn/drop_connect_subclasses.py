"""DropConnect for subclasses of torch's layers with a forward of their own, such as timm's Conv2dSame.

Their own forward runs, and the one product in it, `F.linear` or `F.conv2d`, is computed by a DropConnect layer from
the weight that the forward passes. That of a ScaledStdConv2d is standardized; its elements are dropped after that.
"""

from __future__ import annotations

import copyreg
import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from augreg.attachment.site import CannotTakeError
from augreg.attachment.tracing import working_copy
from augreg.nn.drop_connect import CLASSES, _DropConnect, drop_connect_class

__all__ = ["drop_connect_type"]

_SETTINGS = ("p", "per", "mode", "inference", "through", "mask_bias", "source", "training")


def drop_connect_type(module: nn.Module) -> tuple[type[Any], dict[str, Any]]:
    """The DropConnect class that a module can become, and the attributes that it needs there besides the settings.

    Raises CannotTakeError if the module has no product, more than one, or returns something else than the product,
    and ValueError if it has no weight of its own at present.
    """
    base = next((cls for cls in CLASSES if isinstance(module, cls)), None)
    name = type(module).__name__
    if base is None:
        known = ", ".join(cls.__name__ for cls in CLASSES)
        raise CannotTakeError(f"a {name} has no weights to drop; DropConnect takes {known} and their subclasses")
    if type(module) is base or isinstance(module, _DropConnect) or name.startswith("FSDP"):
        return drop_connect_class(module), {}
    layer, product = CLASSES[base], CLASSES[base].product
    if parametrize.is_parametrized(module) or "weight" not in module._parameters:
        raise ValueError(f"the weight of this {name} is computed from others; attach before you parametrize it")
    if is_lazy(module.weight):
        raise ValueError(f"the weights of a {name} do not exist before its first forward pass; run the model once")
    if not _is_product(module, product):
        raise ValueError(f"the forward of a {name} is not one call of {product.__name__}, as in {base.__name__}")
    empty = layer.__new__(layer)
    nn.Module.__init__(empty)
    cls: Any = type(module)
    return _subclass(cls), {"product_layer": empty}


class _Recorder(TorchFunctionMode):
    """Notes the calls of a function, as pairs of the weight and the result."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.calls = function, []  # type: ignore[var-annotated]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is self.function:
            self.calls.append(((kwargs or {}).get("weight", args[1] if len(args) > 1 else None), result))
        return result


def _is_product(module: Any, product: Any) -> bool:
    """Whether the forward of a module returns the result of its only call of `product`, with a weight of its shape.

    It is tried on a copy, with an input of zeros.
    """
    dims = module.weight.dim() - 2
    if dims:
        sizes = [size * step + 2 for size, step in zip(module.kernel_size, module.dilation, strict=True)]
        shape = [2, module.in_channels, *sizes]
    else:
        shape = [2, module.in_features]
    recorder = _Recorder(product)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), recorder:
            output = working_copy(module)(torch.zeros(shape, dtype=module.weight.dtype, device=module.weight.device))
    except Exception:  # a forward may need something else, and fail in any way
        return False
    found = [(weight.shape, result) for weight, result in recorder.calls]
    return len(found) == 1 and found[0][1] is output and found[0][0] == module.weight.shape


class _Product(TorchFunctionMode):
    """Lets a DropConnect layer compute the calls of a function, with the weight and settings of the call."""

    def __init__(self, layer: Any, function: Any) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not self.function:
            return func(*args, **(kwargs or {}))
        return _compute(self.layer, *args, **(kwargs or {}))


def _compute(
    layer: Any,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    layer.weight = weight.view_as(weight)  # a parameter would be registered
    layer.bias = None if bias is None else bias.view_as(bias)
    dims = weight.dim() - 2
    layer.stride, layer.padding, layer.dilation = (
        (value,) * dims if isinstance(value, int) else value for value in (stride, padding, dilation)
    )
    layer.groups, layer.padding_mode = groups, "zeros"
    output = layer.forward(input)
    layer.weight = layer.bias = None
    return output


class _OwnForward(_DropConnect):
    """The base of what `_subclass` makes."""

    product_layer: Any

    def forward(self, input: Tensor) -> Tensor:
        """The module's own forward, with dropped weights in training, and by the rule `inference` in testing."""
        if self.training and self.run_counter is not None:
            self.run_counter.count()
        if not (self.training or self.mode == "original" or self.inference == "moment"):
            return self._own(input)
        layer = self.product_layer
        for name in _SETTINGS:
            setattr(layer, name, getattr(self, name))
        with _Product(layer, layer.product):
            return self._own(input)

    def _own(self, input: Tensor) -> Tensor:
        output: Tensor = super(_DropConnect, self).forward(input)  # type: ignore[misc]
        return output


class _Made(type):
    """The class of the classes that `_subclass` makes, which are pickled by the class that they derive from."""

    original: type[Any]


@functools.cache
def _subclass(original: Any) -> Any:
    """The subclass of a class whose product is computed by DropConnect."""
    name = f"DropConnect{original.__name__}"
    return _Made(name, (_OwnForward, original), {"original": original, "__doc__": _OwnForward.__doc__})


def _reduced(cls: _Made) -> tuple[Any, ...]:
    return _subclass, (cls.original,)


copyreg.pickle(_Made, _reduced)
