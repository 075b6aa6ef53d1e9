"""The forward of a residual block that does not compute a branch that stochastic depth drops."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from augreg.attachment.hooks import in_step
from augreg.attachment.residual import Outline

__all__ = ["SkippingForward"]


class SkippingForward:
    """A block's forward with stochastic depth that computes no branch that is dropped.

    The layer is asked for `residual(shortcut, branch, x)`. In batch mode it does not call a dropped branch; in row
    mode it calls the branch with the kept rows, so that batch norms see those alone. The statistics of a branch that
    is not called stay as they are. While torch.compile looks on, where nothing may depend on data, and where ranks
    share batch norms, the branch is computed and masked. At test time the block's own forward runs, if the layer
    leaves branches as they are then.
    """

    def __init__(self, block: nn.Module, outline: Outline, layer: Any, identity: bool) -> None:
        self.block, self.outline, self.layer, self.identity = block, outline, layer, identity

    def __call__(self, *inputs: Any, **keywords: Any) -> Tensor:
        block, outline = self.block, self.outline
        if self.layer is None or (self.identity and not block.training):  # None: it was detached
            return cast(Tensor, type(block).forward(block, *inputs, **keywords))
        x = self._input([*inputs, *keywords.values()])
        layer = in_step(self.layer, block.training)
        shortcut = outline.shortcut(block, x)
        ranks = not torch.compiler.is_compiling() and _in_ranks()
        if ranks and self._has(nn.SyncBatchNorm):  # ranks wait for one another there, so none may stay away
            return outline.finish(block, shortcut + layer(outline.branch(block, x)))
        total = layer.residual(shortcut, self._branch, x)
        if block.training and not torch.compiler.is_compiling():
            if ranks:
                total = _WithZeroGradients.apply(total, *block.parameters())
            elif _same_memory(total, x):  # the branch was dropped; what works in place must not write into the input
                total = total.clone()
        return outline.finish(block, total)

    def _input(self, given: list[Any]) -> Tensor:
        """The one tensor that the parts of a block take."""
        found = [value for value in given if value is not None]
        if len(found) != 1:
            raise TypeError(
                f"the parts of this {type(self.block).__name__} take one tensor, and it was called with {len(found)} "
                f"arguments; regularize it without its adapter or its residual_branch, or call it with one"
            )
        return cast(Tensor, found[0])

    def _branch(self, x: Tensor) -> Tensor:
        """The branch; a single row is given twice, as batch norm refuses a single value for a channel."""
        if x.shape[0] == 1 and self.block.training and not torch.compiler.is_compiling() and self._has(_BatchNorm):
            return self.outline.branch(self.block, torch.cat([x, x]))[:1]
        return self.outline.branch(self.block, x)

    def _has(self, kind: type[nn.Module]) -> bool:
        return any(isinstance(module, kind) for module in self.block.modules())


def _in_ranks() -> bool:
    distributed = torch.distributed
    return bool(distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1)


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return a is b or a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


class _WithZeroGradients(torch.autograd.Function):
    """The tensor itself, with zero gradients for parameters that may not have been used.

    DistributedDataParallel waits for a gradient of each parameter, and ranks drop different branches.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.parameters = parameters
        return x.clone()  # what is behind it may work in place

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        zeros = [torch.zeros_like(p) if p.requires_grad else None for p in ctx.parameters]
        return (gradient, *zeros)
