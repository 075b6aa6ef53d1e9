"""Averages of weights over training: EMA and SWA by torch's AveragedModel, and batch norm's statistics for them.

    average = ema(model, decay=0.999)
    for x, y in loader:
        ...; optimizer.step()
        average.update_parameters(model)
    recalibrate(average, loader)            # if the model has batch norm
    average.eval(); average(x)

The copy is a deepcopy of the model: what is attached to the model is attached to it as well, and at each update takes
the numbers that hold in the model.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from augreg.attachment.attach import attachments
from augreg.nn.modes import modes_kept

__all__ = ["batch_norms", "ema", "first_tensor", "recalibrate", "swa"]


def ema(
    model: nn.Module, decay: float = 0.999, *, warmup: bool = False, device: str | torch.device | None = None
) -> AveragedModel:
    """The exponential moving average of a model's weights: w_avg <- decay w_avg + (1 - decay) w at each update.

    The first update copies. With `warmup` the n-th one after it takes min(decay, n / (9 + n)), so that the first
    weights, which are random, are forgotten soon. Buffers are copied at each update, not averaged: see `recalibrate`.
    Polyak and Juditsky 1992; Tarvainen and Valpola 2017, arXiv 1703.01780.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay lies between 0 and 1, got {decay!r}")
    return _Average(model, device, multi_avg_fn=_MovingAverage(decay, warmup))


def swa(model: nn.Module, device: str | torch.device | None = None) -> AveragedModel:
    """The plain mean of the weights at each update: one at the end of each epoch, from some epoch on.

    Buffers are copied at each update, not averaged: see `recalibrate`. Goes with a constant or cyclic learning rate
    (torch.optim.swa_utils.SWALR). Izmailov et al. 2018, arXiv 1803.05407.
    """
    return _Average(model, device)


class _Average(AveragedModel):
    """torch's, whose copy follows the schedules of what is attached to the model."""

    def update_parameters(self, model: nn.Module) -> None:
        """Average the weights, and take the numbers of the model's epoch."""
        super().update_parameters(model)
        for own, other in zip(attachments(self.module), attachments(model), strict=False):
            if own.progress != other.progress:
                own.step(other.progress)


class _MovingAverage:
    """torch's moving average with a decay that may begin lower; a class, so that the model pickles."""

    def __init__(self, decay: float, warmup: bool) -> None:
        self.decay = decay
        self.warmup = warmup

    def __call__(self, averages: Any, values: Any, updates: Any) -> None:
        decay = self.decay
        if self.warmup:
            count = int(updates)
            decay = min(decay, count / (9 + count))
        get_ema_multi_avg_fn(decay)(averages, values, updates)


def first_tensor(batch: Any) -> Any:
    """The images of a batch: itself, the first item of a tuple or list, or a mapping's first tensor of floats."""
    if isinstance(batch, Mapping):
        tensors = (value for value in batch.values() if isinstance(value, Tensor) and value.is_floating_point())
        return next(tensors, None)
    return batch[0] if isinstance(batch, list | tuple) and batch else batch


@torch.no_grad()
def recalibrate(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    take: Callable[[Any], Any] = first_tensor,
    device: str | torch.device | None = None,
    noise: bool = False,
) -> None:
    """Recompute batch norm's running mean and variance for the weights that a model has now, in one pass.

    `batches` yields tensors, tuples, lists or mappings; `take` finds the model's input in one, and the input goes to
    `device`, or to where the model is. Each statistic becomes the mean over the batches of that batch's own, so give
    batches of one size. Batch norm layers alone compute as in training meanwhile: dropout and what else is attached
    is silent, as it will be when the statistics are used (Li et al. 2018, arXiv 1801.05134, on what happens
    otherwise); with `noise` all is on, as in torch's own update_bn.

    Afterwards every module is in the mode in which it was. Raises ValueError if there are no batches, and TypeError
    where a batch has no tensor; the statistics are then what they were. Without batch norm no batch is read.
    """
    layers = batch_norms(model)
    if not layers:
        return
    before = [{name: value.clone() for name, value in layer.named_buffers()} for layer in layers]
    momenta = [layer.momentum for layer in layers]
    inputs = _Inputs(batches, take, layers[0].running_mean.device if device is None else device)
    try:
        with modes_kept(model), contextlib.nullcontext() if noise else _measuring(layers):
            model.train(noise)
            update_bn(inputs, model if noise else _Still(model))
        if not inputs.count:
            raise ValueError("batch norm has nothing to be computed from: there are no batches")
    except BaseException:
        _put_back(layers, before)
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def batch_norms(model: nn.Module) -> list[Any]:
    """The batch norm layers of a model that keep running statistics."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def _put_back(layers: list[Any], before: list[dict[str, Tensor]]) -> None:
    for layer, buffers in zip(layers, before, strict=True):
        for name, value in buffers.items():
            getattr(layer, name).copy_(value)


class _Inputs:
    """The model's inputs in an iterable of batches, on the device, counted."""

    def __init__(self, batches: Iterable[Any], take: Callable[[Any], Any], device: Any) -> None:
        self.batches = batches
        self.take = take
        self.device = device
        self.count = 0

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.batches:
            found = self.take(batch)
            if not isinstance(found, Tensor):
                raise TypeError(
                    f"no tensor for the model was found in a batch of type {type(batch).__name__}: "
                    "say where it is, e.g. take=lambda batch: batch['pixels']"
                )
            self.count += 1
            yield found.to(self.device)


@contextlib.contextmanager
def _measuring(layers: list[Any]) -> Iterator[None]:
    """Let batch norm layers compute as in training while their mode, which hooks look at, says otherwise."""
    own = [vars(layer).get("forward") for layer in layers]  # what a wrapper may have put there
    for layer in layers:
        layer.forward = functools.partial(_as_in_training, layer, layer.forward)
    try:
        yield
    finally:
        for layer, forward in zip(layers, own, strict=True):
            del layer.forward
            if forward is not None:
                layer.forward = forward


def _as_in_training(layer: Any, forward: Callable[[Tensor], Any], x: Tensor) -> Any:
    layer.training = True
    try:
        return forward(x)
    finally:
        layer.training = False


class _Still(nn.Module):
    """A model whose modules keep the mode that they have, whatever it is set to."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def train(self, mode: bool = True) -> _Still:
        """Leave every mode as it is."""
        return self

    def forward(self, x: Any) -> Any:
        """What the model says."""
        return self.model(x)
