"""Activation functions: maxout, which torch lacks, and torch's activation modules by name."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

__all__ = ["Maxout"]


class Maxout(nn.Module):
    """The maximum of each group of `pieces` neighboring channels: C channels become C / pieces.

    After a linear layer or convolution, each output is the maximum of w_k x + b_k over k = 1 .. pieces: a learned
    convex, piecewise linear function (Goodfellow et al. 2013, arXiv 1302.4389). `dim` is the axis of the channels.
    """

    def __init__(self, pieces: int = 2, dim: int = 1) -> None:
        super().__init__()
        if pieces < 2:
            raise ValueError(f"maxout takes the maximum of 2 or more pieces, got {pieces}")
        self.pieces, self.dim = pieces, dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The maximum of each group. Any shape whose size along `dim` is a multiple of `pieces`."""
        channels = x.shape[self.dim]
        if channels % self.pieces:
            raise ValueError(
                f"maxout of {self.pieces} pieces needs a multiple of {self.pieces} channels, got {channels}: "
                "make the layer before it wider"
            )
        return x.unflatten(self.dim, (channels // self.pieces, self.pieces)).amax(self.dim % x.ndim + 1)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"pieces={self.pieces}, dim={self.dim}"


_CLASSES: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
}


def activation(name: str, slope: float | None = None, inplace: bool = False) -> nn.Module:
    """The activation module of this name. `slope` is for leaky_relu and prelu; `inplace` is used if supported."""
    cls = _CLASSES[name]
    arguments: dict[str, Any] = (
        {"inplace": True} if inplace and "inplace" in inspect.signature(cls).parameters else {}
    )
    if slope is not None:
        arguments["init" if name == "prelu" else "negative_slope"] = slope
    return cls(**arguments)
