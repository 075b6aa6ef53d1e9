"""Stochastic depth: drops residual branches, per batch or per sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from augreg.nn.checks import check_choice, check_floating, check_number
from augreg.nn.dropout import MODES, Mode
from augreg.nn.kept_rows import PARTS, KeptRows, count_is_fixed
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
    call `residual(shortcut, f, x)`:

    - `mode="row"`: floor(N survival) of the N rows are kept, or one more by chance, so that each is kept with
      probability `survival` for every N; f is called with these rows only. Which rows are kept is a permutation, so
      the rows of a batch are not independent. The mean over the draws is the same as without `skip`.
    - `mode="batch"`: f is called, or it is not.

    The numbers are drawn on the CPU and the permutation on the device, so nothing is read back from the device. Batch
    norms inside f see the kept rows only, and f must treat rows independently otherwise. If f is not called, its
    parameters have no gradient (None, which DistributedDataParallel accepts with find_unused_parameters=True).
    Compiled code saves in mode "row", where it computes a fixed number of rows (N survival, rounded up to a multiple
    of N / 1024) and masks the one that is not kept; in mode "batch" it computes the branch and masks it.
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

    def residual(self, shortcut: Tensor, branch: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """shortcut + branch(*inputs), the branch dropped in training; with `skip`, dropped rows are not computed."""
        first = inputs[0]
        skipping = self.training and self.skip and self.survival < 1.0
        if skipping:
            check_floating(self, first)
        fixed = skipping and count_is_fixed(first.device)
        if not skipping or (fixed and self.mode == "batch"):
            return shortcut + self(branch(*inputs))
        total = self._mask_shape(first)[0]
        scale = kept_scale(self.scaling, self.survival)
        if self.mode == "batch":
            kept = self.source.uniform((), "cpu").item() < self.survival
            return torch.add(shortcut, branch(*inputs), alpha=scale) if kept else shortcut
        parts = self._fixed_parts.shape[0] if fixed else None
        rows = KeptRows(total, self.survival, self.source, first.device, parts)
        if rows.count == 0:
            return shortcut
        return rows.add(shortcut, branch(*map(rows.take, inputs)), scale)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "survival":  # as the length of a tensor, torch.compile takes it for a dynamic number
            self._fixed_parts = torch.empty(math.ceil(value * PARTS), dtype=torch.uint8, device="cpu")

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return (
            f"survival={self.survival}, mode={self.mode!r}, scaling={self.scaling!r}, skip={self.skip}, "
            f"source={self.source}"
        )
