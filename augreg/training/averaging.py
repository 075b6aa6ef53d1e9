"""Averages of weights over training: EMA and SWA with torch's AveragedModel, and batch norm statistics for them.

    average = ema(model, decay=0.999)
    for x, y in loader:
        ...; optimizer.step()
        average.update_parameters(model)
    recalibrate(average, loader)            # if the model has batch norm
    average.eval(); average(x)

The average is a deep copy of the model: regularizers that are attached to the model are attached to the copy too, and
each update sets their schedules to the epoch of the model.
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
from augreg.loss.sharding import fsdp_modules, is_split
from augreg.nn.modes import modes_kept

__all__ = ["batch_norms", "ema", "first_tensor", "recalibrate", "swa"]


def ema(
    model: nn.Module, decay: float = 0.999, *, warmup: bool = False, device: str | torch.device | None = None
) -> AveragedModel:
    """The exponential moving average of a model's weights: w_avg <- decay w_avg + (1 - decay) w at each update.

    The first update copies the weights. With `warmup` the n-th update after it uses min(decay, n / (9 + n)), so that
    the random initial weights are forgotten soon. Buffers are copied at each update, not averaged: see `recalibrate`.
    Polyak and Juditsky 1992; Tarvainen and Valpola 2017, arXiv 1703.01780.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay must be at least 0 and less than 1, got {decay!r}")
    return _Average(model, device, multi_avg_fn=_MovingAverage(decay, warmup))


def swa(model: nn.Module, device: str | torch.device | None = None) -> AveragedModel:
    """The plain mean of a model's weights over the updates; usually one update per epoch, from some epoch on.

    Buffers are copied at each update, not averaged: see `recalibrate`. Use it with a constant or cyclic learning rate
    (torch.optim.swa_utils.SWALR). Izmailov et al. 2018, arXiv 1803.05407.
    """
    return _Average(model, device)


class _Average(AveragedModel):
    """torch's AveragedModel, whose attached regularizers follow the epoch of the model's."""

    def __init__(self, model: nn.Module, device: Any, **options: Any) -> None:
        if fsdp_modules(model):
            raise TypeError(
                "a model on which fully_shard was called cannot be copied: make the average first, then shard both "
                "the model and average.module in the same way"
            )
        super().__init__(model, device, **options)

    def update_parameters(self, model: nn.Module) -> None:
        """Average the weights, and set the schedules to the epoch of the model."""
        for module in (*fsdp_modules(self.module), *fsdp_modules(model)):
            module.reshard()  # weights that are put together for a forward would mix with those that are not
        pairs = zip(self.module.parameters(), model.parameters(), strict=False)
        if any(is_split(own) is not is_split(other) for own, other in pairs):
            raise TypeError(
                "the weights of the model are split over the ranks and those of the average are not, or the other "
                "way round: call fully_shard on the model and on average.module in the same way"
            )
        super().update_parameters(model)
        for own, other in zip(attachments(self.module), attachments(model), strict=False):
            if own.epoch != other.epoch:
                own.set_epoch(other.epoch)


class _MovingAverage:
    """torch's moving average with an optional warmup of the decay; a class, so that the model pickles."""

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
    """The images of a batch: a tensor, the first item of a tuple or list, or the first float tensor of a mapping."""
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
    """Recompute the running mean and variance of batch norm for the current weights of a model, in one pass.

    `batches` yields tensors, tuples, lists or mappings; `take` returns the input of the model from a batch, and the
    input is moved to `device`, or to the device of the model. Each statistic becomes the mean over the batches of the
    statistic of each batch, weighted by the size of the batch. A batch of a single image, of which some layers have
    no variance, is joined to the one before. Meanwhile only batch norm computes as in training: dropout and attached
    regularizers are off, as they will be when the statistics are used (Li et al. 2018, arXiv 1801.05134, explain what
    happens otherwise); with `noise` they are on, as in torch's update_bn.

    Afterwards every module is in its previous mode. Raises ValueError if there are no batches, and TypeError if a
    batch has no tensor; the statistics are then unchanged. A model without batch norm reads no batch.
    """
    layers = batch_norms(model)
    if not layers:
        return
    before = [{name: value.clone() for name, value in layer.named_buffers()} for layer in layers]
    momenta = [layer.momentum for layer in layers]
    inputs = _Inputs(batches, take, layers[0].running_mean.device if device is None else device, layers)
    try:
        with modes_kept(model), contextlib.nullcontext() if noise else _batch_norm_training(layers):
            model.train(noise)
            update_bn(inputs, model if noise else _FixedMode(model))
        if not inputs.count:
            raise ValueError("cannot compute the statistics of batch norm: there are no batches")
    except BaseException:
        _restore(layers, before)
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The batch norm layers of a model that keep running statistics."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def _restore(layers: list[Any], before: list[dict[str, Tensor]]) -> None:
    for layer, buffers in zip(layers, before, strict=True):
        for name, value in buffers.items():
            getattr(layer, name).copy_(value)


class _Inputs:
    """The model's inputs from an iterable of batches, on the device, and how many images there were.

    Before each one, the momentum of the layers is set so that they keep the mean over all images.
    """

    def __init__(self, batches: Iterable[Any], take: Callable[[Any], Any], device: Any, layers: list[Any]) -> None:
        self.batches = batches
        self.take = take
        self.device = device
        self.layers = layers
        self.count = 0

    def __iter__(self) -> Iterator[Tensor]:
        for images in self._joined():
            size = len(images) if images.ndim else 1
            self.count += size
            for layer in self.layers:
                layer.momentum = size / self.count if size else 0.0
            yield images.to(self.device)

    def _joined(self) -> Iterator[Tensor]:
        """The batches, in which a single image is joined to a batch before it."""
        before: Tensor | None = None
        for images in self._images():
            if before is not None and len(before) > 1 and images.shape == (1, *before.shape[1:]):
                before = torch.cat([before, images.to(before)])
                continue
            if before is not None:
                yield before
            before = images
        if before is not None:
            yield before

    def _images(self) -> Iterator[Tensor]:
        for batch in self.batches:
            images = self.take(batch)
            if not isinstance(images, Tensor):
                raise TypeError(
                    f"no tensor for the model was found in a batch of type {type(batch).__name__}: "
                    "say where it is, e.g. take=lambda batch: batch['pixels']"
                )
            yield images


@contextlib.contextmanager
def _batch_norm_training(layers: list[Any]) -> Iterator[None]:
    """Let batch norm layers compute as in training, although their mode, which hooks look at, is evaluation."""
    own = [vars(layer).get("forward") for layer in layers]  # a wrapper may have set one on the instance
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


class _FixedMode(nn.Module):
    """A wrapper that ignores train() and eval(), so that update_bn does not change the mode of the model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def train(self, mode: bool = True) -> _FixedMode:
        """Do nothing."""
        return self

    def forward(self, x: Any) -> Any:
        """The output of the model."""
        return self.model(x)
