"""The elementwise activations of torch: as modules, as functions and as methods of tensors."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["FUNCTIONS", "METHODS", "MODULES"]

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
