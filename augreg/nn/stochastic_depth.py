"""Stochastic depth: residual branches are dropped, for a whole batch or sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from augreg.nn.checks import choice, floating, number
from augreg.nn.dropout import MODES, Mode
from augreg.nn.masks import drop, scale_of, source_of

__all__ = ["StochasticDepth"]


class StochasticDepth(nn.Module):
    """Drops the branch of a residual block: Huang et al. 2016 (arXiv 1603.09382); by rows it is known as drop path.

        b ~ Bernoulli(survival), one for the batch (`mode="batch"`) or one for each sample (`mode="row"`)
        inverted, as torchvision and timm do:   training  x + b f(x) / survival    testing  x + f(x)
        original, as the paper:                 training  x + b f(x)               testing  x + survival f(x)

    Test-time rule: identity (`scaling="inverted"`) or scale (`"original"`). Exact for the mean of one block's output;
    through the next block's nonlinearity it is an approximation. The paper draws one b a mini-batch.

    The layer stands on the branch: shortcut + layer(f(x)). So that a dropped branch costs nothing, call
    `residual(shortcut, f, x)` with `skip` on: then f is called with the kept rows only, or not at all. Batch norm
    inside f then sees those rows only, and where f was not called its parameters have no gradient (None, which
    DistributedDataParallel takes with find_unused_parameters=True). Compiled code computes everything and masks.
    """

    def __init__(
        self,
        survival: float = 0.8,
        mode: Literal["row", "batch"] = "row",
        scaling: Mode = "inverted",
        skip: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.survival = number("survival", survival, 0, 1)
        self.mode = choice("mode", mode, ("row", "batch"))
        self.scaling = choice("scaling", scaling, MODES)
        self.skip = skip
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """A branch's output with rows, or all of it, dropped in training."""
        floating(self, input)
        return drop(input, self.survival, self.scaling, self.training, self.source, self._mask_shape(input))

    def _mask_shape(self, input: Tensor) -> Sequence[int]:
        if input.dim() == 0:
            raise ValueError("StochasticDepth takes tensors with a batch dimension, got a single number")
        return (input.shape[0] if self.mode == "row" else 1, *(1 for _ in input.shape[1:]))

    def residual(self, shortcut: Tensor, branch: Callable[[Tensor], Tensor], input: Tensor) -> Tensor:
        """shortcut + branch(input), the branch dropped in training; with `skip`, what is dropped is not computed."""
        dropping = self.training and self.skip and self.survival < 1.0
        if not dropping or torch.compiler.is_compiling():
            return shortcut + self(branch(input))
        floating(self, input)
        mask = self.source.uniform(self._mask_shape(input), input.device).flatten() < self.survival
        scale = scale_of(self.scaling, self.survival)
        if not bool(mask.any()):
            return shortcut
        if self.mode == "batch":
            return shortcut + branch(input) * scale
        rows = mask.nonzero().squeeze(1)
        output = branch(input[rows]) * scale
        dtype = torch.promote_types(shortcut.dtype, output.dtype)
        return shortcut.to(dtype).index_add(0, rows, output.to(dtype))

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return (
            f"survival={self.survival}, mode={self.mode!r}, scaling={self.scaling!r}, skip={self.skip}, "
            f"source={self.source}"
        )
