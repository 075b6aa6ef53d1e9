"""Activation functions: maxout, which torch lacks, and the table by which the others are swapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from augreg.attachment.actions import Replace, places_of
from augreg.steps.selectors import Selector, selects

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["Maxout"]

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign),
)
"""The activation modules of torch that work on each element by itself."""


class Maxout(nn.Module):
    """The largest of each `pieces` neighboring channels: of C channels, C / pieces are left.

    With a linear layer or convolution before it, each output is the maximum of w_k x + b_k over k = 1 .. pieces: a
    convex function made of linear pieces, which is learned (Goodfellow et al. 2013, arXiv 1302.4389). `dim` is where
    the channels are.
    """

    def __init__(self, pieces: int = 2, dim: int = 1) -> None:
        super().__init__()
        if pieces < 2:
            raise ValueError(f"maxout takes the largest of 2 or more pieces, got {pieces}")
        self.pieces, self.dim = pieces, dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The largest of each group; any shape in which `dim` is a multiple of `pieces`."""
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


_INPLACE: Mapping[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
}
_OTHERS: Mapping[str, Callable[..., nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "prelu": nn.PReLU,
    "gelu": nn.GELU,
}


def swapped(old: nn.Module, to: str, slope: float | None, model: nn.Module) -> nn.Module:
    """A module for the function `to` in the place of `old`; its parameters, if any, are of the model's kind."""
    arguments: dict[str, Any] = {}
    if to in _INPLACE:
        arguments["inplace"] = bool(getattr(old, "inplace", False))
    if slope is not None:
        arguments["init" if to == "prelu" else "negative_slope"] = slope
    new = {**_INPLACE, **_OTHERS}[to](**arguments)
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    return new if like is None else new.to(device=like.device, dtype=like.dtype)


def replace_dropouts(site: Site, at: Iterable[Selector]) -> None:
    """Put an alpha dropout in the place of every element dropout whose name the patterns fit."""
    names = [Selector(name=selector.name) for selector in at]
    for name, old in list(site.model.named_modules()):
        if type(old) is nn.Dropout and selects(names, name, ()):
            if not site.claim(old, "its place"):
                raise ValueError(
                    f"another rule has taken the place of the dropout {name!r} already; detach that first"
                )
            new = nn.AlphaDropout(old.p, old.inplace)
            site.actions.append(Replace(places_of(site.model, old), old, new, copied=("p",)))
            site.note(f"{name} is alpha dropout now")
