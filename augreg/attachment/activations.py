"""The elementwise activations of torch: as modules, as functions and as methods of tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from augreg.attachment.tracing import working_copy

__all__ = ["FUNCTIONS", "METHODS", "MODULES", "NAMES", "computes"]

MODULES: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign),
)

METHODS = {"relu": torch.relu, "relu_": torch.relu_, "tanh": torch.tanh, "sigmoid": torch.sigmoid}

FUNCTIONS = {*METHODS.values()} | {
    getattr(nn.functional, name)
    for name in (
        *("relu", "relu_", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish", "softplus", "tanh", "sigmoid"),
    )
}

NAMES = frozenset(cls.__name__ for cls in MODULES)

_COMPUTED: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    *((name, getattr(functional, name.lower())) for name in ("ReLU", "ReLU6", "ELU", "SELU", "SiLU", "Mish")),
    *((name, getattr(functional, name.lower())) for name in ("Hardswish", "Hardtanh", "Hardsigmoid", "Softplus")),
    *(("GELU", functional.gelu), ("GELU", lambda x: functional.gelu(x, approximate="tanh"))),
    ("GELU", lambda x: x * torch.sigmoid(1.702 * x)),  # the "quick" GELU of CLIP
    *(("LeakyReLU", functional.leaky_relu), ("Softsign", functional.softsign)),
    *(("Sigmoid", torch.sigmoid), ("Tanh", torch.tanh)),
)
"""What modules of other libraries may compute, by the name of torch's module."""


def computes(module: nn.Module) -> str | None:
    """The name of the activation of torch that a module of another library computes, or None if it computes none.

    Libraries have classes of their own for the same functions, such as transformers' GELUActivation. A module without
    parameters, buffers and submodules is called on a few numbers, and computes what it returns for them.
    """
    own = not type(module).__module__.startswith(("torch.nn.", "augreg."))
    if not own or any(True for _ in (*module.children(), *module.parameters(), *module.buffers())):
        return None
    numbers = torch.linspace(-7.0, 6.0, 57).reshape(3, 19)
    copy = working_copy(module)
    copy.training = False  # a dropout layer draws nothing then
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            returned = copy(numbers.clone())
            again = copy(numbers[1:].t().clone())
    except Exception:  # it may take something else, and fail in any way
        return None
    if not isinstance(returned, Tensor) or returned.shape != numbers.shape or not _close(again.t(), returned[1:]):
        return None
    return next((name for name, function in _COMPUTED if _close(returned, function(numbers))), None)


def _close(a: Tensor, b: Tensor) -> bool:
    return bool(torch.allclose(a, b, rtol=1e-5, atol=1e-6))
