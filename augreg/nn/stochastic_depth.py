"""Stochastic depth: drops residual branches, per batch or per sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from augreg.nn.checks import check_choice, check_floating, check_number
from augreg.nn.dropout import MODES, Mode
from augreg.nn.masks import drop, kept_scale, source_of

__all__ = ["StochasticDepth"]


class StochasticDepth(nn.Module):
    """Drops the branch of a residual block: Huang et al. 2016 (arXiv 1603.09382). Per sample it is called drop path.

        b ~ Bernoulli(survival), one per batch (`mode="batch"`) or one per sample (`mode="row"`)
        inverted, as in torchvision and timm:   training  x + b f(x) / survival    testing  x + f(x)
        original, as in the paper:              training  x + b f(x)               testing  x + survival f(x)

    Test-time rule: identity (`scaling="inverted"`) or scale (`"original"`). Exact for the mean of one block's output;
    through the next block's nonlinearity it is an approximation. The paper draws one b per mini-batch.

    The layer is applied to the branch: shortcut + layer(f(x)). To save the cost of dropped branches, set `skip` and
    call `residual(shortcut, f, x)`: f is then called with the kept rows only, or not at all. Batch norms inside f see
    only those rows. If f is not called, its parameters have no gradient (None, which DistributedDataParallel accepts
    with find_unused_parameters=True). Compiled code computes all branches and masks them.
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
        self.survival = check_number("survival", survival, 0, 1)
        self.mode = check_choice("mode", mode, ("row", "batch"))
        self.scaling = check_choice("scaling", scaling, MODES)
        self.skip = skip
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """The output of a branch; in training with rows dropped, or all of it."""
        check_floating(self, input)
        return drop(input, self.survival, self.scaling, self.training, self.source, self._mask_shape(input))

    def _mask_shape(self, input: Tensor) -> Sequence[int]:
        if input.dim() == 0:
            raise ValueError("StochasticDepth takes tensors with a batch dimension, got a single number")
        return (input.shape[0] if self.mode == "row" else 1, *(1 for _ in input.shape[1:]))

    def residual(self, shortcut: Tensor, branch: Callable[[Tensor], Tensor], input: Tensor) -> Tensor:
        """shortcut + branch(input), the branch dropped in training; with `skip`, dropped rows are not computed."""
        dropping = self.training and self.skip and self.survival < 1.0
        if not dropping or torch.compiler.is_compiling():
            return shortcut + self(branch(input))
        check_floating(self, input)
        mask = self.source.uniform(self._mask_shape(input), input.device).flatten() < self.survival
        scale = kept_scale(self.scaling, self.survival)
        if not bool(mask.any()):
            return shortcut
        if self.mode == "batch":
            return shortcut + branch(input) * scale
        rows = mask.nonzero().squeeze(1)
        output = branch(input[rows]) * scale
        dtype = torch.promote_types(shortcut.dtype, output.dtype)
        return shortcut.to(dtype).index_add(0, rows, output.to(dtype))

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return (
            f"survival={self.survival}, mode={self.mode!r}, scaling={self.scaling!r}, skip={self.skip}, "
            f"source={self.source}"
        )
