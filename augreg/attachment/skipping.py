"""The forward of a residual block that does not compute a branch dropped by stochastic depth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from augreg.attachment.attributes import Attributes
from augreg.attachment.counting import RunCounter
from augreg.attachment.foreign_tensors import Unscriptable
from augreg.attachment.hooks import with_training
from augreg.attachment.residual import TracedParts, residual_parts
from augreg.loss.sharding import fsdp_modules

__all__ = ["SkippingForward"]


class SkippingForward(Unscriptable):
    """A block's forward with stochastic depth that does not compute dropped branches.

    It calls the layer's `residual(shortcut, branch, x)`. In batch mode the layer does not call a dropped branch; in
    row mode it calls the branch with the kept rows only, so batch norms see only those. If a branch is not called,
    its batch statistics do not change. The branch is computed and masked in a distributed run if the block has a
    SyncBatchNorm or a module of FSDP, and in batch mode under torch.compile, where control flow must not depend on
    data. In evaluation the block's own forward runs, provided that the layer's test-time rule is `identity`.
    """

    def __init__(self, block: nn.Module, parts: Any, layer: Any, identity: bool) -> None:
        self.block, self.parts, self.layer, self.identity = block, parts, layer, identity
        self.runs = RunCounter()
        self.whole = ""  # why a branch was computed for all rows, for the report
        self.dtypes: dict[tuple[Any, ...], torch.dtype] = {}
        self.attributes = Attributes(block) if isinstance(parts, TracedParts) else None

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        block = self.block
        if self.layer is None or (self.identity and not block.training):  # the layer is None once it is detached
            return type(block).forward(block, *inputs, **keywords)
        if block.training:
            self.runs.count()
            if getattr(block, "gradient_checkpointing", False) and torch.is_grad_enabled():
                # layers of transformers checkpoint their own forward, which does not run here
                return cast(Any, block)._gradient_checkpointing_func(partial(self._forward, **keywords), *inputs)
        return self._forward(*inputs, **keywords)

    def _forward(self, *inputs: Any, **keywords: Any) -> Any:
        """The block's forward with the layer in it."""
        block, parts = self.block, self._current_parts()
        x = self._input([*inputs, *keywords.values()])
        layer = with_training(self.layer, block.training)
        shortcut = parts.shortcut(block, x)
        if self._waits():
            return parts.finish(block, shortcut + layer(parts.branch(block, x)))
        total = self._residual(layer, shortcut, self._branch, self._branch, x)
        return parts.finish(block, self._finished(total, shortcut))

    def _current_parts(self) -> Any:
        """The parts of the block, read again if its attributes have changed since they were read from its graph."""
        if self.attributes is not None and not torch.compiler.is_compiling() and self.attributes.changed(self.block):
            self.parts = residual_parts(self.block)
        if self.parts is None:
            raise TypeError(
                f"attributes of this {type(self.block).__name__} have changed since stochastic depth was attached, "
                f"and its residual branch is not known any more; detach, then attach again"
            )
        return self.parts

    def _residual(
        self,
        layer: Any,
        shortcut: Tensor,
        branch: Callable[..., Tensor],
        probe: Callable[..., Tensor],
        *rows: Tensor,
        place: int = 0,
    ) -> Tensor:
        """`layer.residual`, which has the dtype of the sum even if the branch was not called.

        Under autocast, or with parameters of another dtype, the sum may have another dtype than the shortcut, and the
        dtype must not depend on chance. It is kept for each sum (`place`) and each dtype of its inputs. If a branch
        is dropped before it has ever run, `probe`, which does the same, is called once without gradients.
        """
        if torch.compiler.is_compiling():
            return cast(Tensor, layer.residual(shortcut, branch, *rows))
        called = False

        def noted(*kept: Tensor) -> Tensor:
            nonlocal called
            called = True
            return branch(*kept)

        total = cast(Tensor, layer.residual(shortcut, noted, *rows))
        kind = shortcut.device.type
        autocast = torch.get_autocast_dtype(kind) if _autocast_is_on(kind) else None
        key = (place, autocast, shortcut.dtype, *(value.dtype for value in rows))
        if called:
            self.dtypes[key] = total.dtype
        elif key not in self.dtypes:
            floats = [value.dtype for value in (*rows, *self.block.parameters(), *self.block.buffers())]
            mixed = any(dtype.is_floating_point and dtype != shortcut.dtype for dtype in floats)
            other = self._probed(probe, *rows) if autocast or mixed else shortcut.dtype
            self.dtypes[key] = torch.promote_types(shortcut.dtype, other)
        return total.to(self.dtypes[key])

    def _probed(self, probe: Callable[..., Tensor], *rows: Tensor) -> torch.dtype:
        """The dtype of what a branch returns. Statistics and torch's random numbers stay as they are."""
        buffers = [(buffer, buffer.clone()) for buffer in self.block.buffers()]
        kind = rows[0].device.type
        random = torch.random.fork_rng([] if kind in ("cpu", "meta") else [rows[0].device], device_type=_random(kind))
        with torch.no_grad(), random:
            dtype = probe(*rows).dtype
            for buffer, before in buffers:
                buffer.data.copy_(before)  # as `data`, since autograd may have saved the buffer
        return dtype

    def _finished(self, total: Tensor, shortcut: Tensor, last: bool = True) -> Tensor:
        """The sum, as the rest of the block and what follows it take it, which may work in place."""
        block = self.block
        if last and block.training and not torch.compiler.is_compiling() and _is_distributed():
            return cast(Tensor, _WithZeroGradients.apply(total, *block.parameters()))
        # the branch was dropped, and the shortcut may be the input or a view of it
        return total.clone() if total is shortcut else total

    def _input(self, arguments: list[Any]) -> Tensor:
        """The single argument of the call that is not None."""
        inputs = [value for value in arguments if value is not None]
        if len(inputs) != 1:
            raise TypeError(
                f"the residual parts of this {type(self.block).__name__} take one tensor, but it was called with "
                f"{len(inputs)} arguments; call it with one, or attach without its adapter or residual_branch"
            )
        return cast(Tensor, inputs[0])

    def _branch(self, x: Tensor) -> Tensor:
        """The branch; a single row is duplicated, as batch norm refuses one value per channel in training."""
        if x.shape[0] == 1 and self.block.training and self._contains(_BatchNorm):
            return self.parts.branch(self.block, torch.cat([x, x]))[:1]
        return self.parts.branch(self.block, x)

    def _waits(self) -> bool:
        """Whether ranks wait for one another in the branch, so that all must call it: for statistics, or weights."""
        if torch.compiler.is_compiling() or not _is_distributed():
            return False
        split = any(module is not self.block for module in fsdp_modules(self.block))
        return split or self._contains(nn.SyncBatchNorm)

    def _contains(self, cls: type[nn.Module]) -> bool:
        return any(isinstance(module, cls) for module in self.block.modules())


def _autocast_is_on(kind: str) -> bool:
    return kind != "meta" and torch.is_autocast_enabled(kind)


def _random(kind: str) -> str:
    return "cuda" if kind in ("cpu", "meta") else kind  # the default of torch, for no devices


def _is_distributed() -> bool:
    distributed = torch.distributed
    return bool(distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1)


class _WithZeroGradients(torch.autograd.Function):
    """Returns the tensor, and gives zero gradients to parameters that may not have been used.

    DistributedDataParallel waits for a gradient of every parameter, and ranks drop different branches.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.parameters = parameters
        return x.clone()  # the rest of the block may work in place

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        zeros = [torch.zeros_like(p) if p.requires_grad else None for p in ctx.parameters]
        return (gradient, *zeros)
