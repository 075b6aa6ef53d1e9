"""The statistics of batch norm: how far they are from those of given images, and how to recompute them.

    print(batch_norm_shift(model, images, pipe))             # images as pipe.test gives them
    recalibrate_batch_norm(model, images, pipe, side="train")

Batch norm in evaluation uses the mean and variance of training. If the model is evaluated on other images (another
crop, no mixing, another camera), or without the dropout that came before, its inputs have other ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from augreg.expectation.batch_norm.channel_moments import ChannelMoments, recorded
from augreg.expectation.batch_norm.model_batches import Side, model_batches
from augreg.expectation.noise.modes import evaluating, named_modules
from augreg.expectation.noise.search import running_eagerly
from augreg.inspect.tables import ByLayer
from augreg.loss.penalties import unwrapped
from augreg.training.averaging import batch_norms, recalibrate

__all__ = ["BatchNormTable", "LayerShift", "batch_norm_shift", "recalibrate_batch_norm"]

_FAR = 0.1  # standard deviations by which a mean may be off
_OTHER_VARIANCE = 1.25  # factor by which a variance may be off


@dataclass(frozen=True)
class LayerShift:
    """How far the running statistics of a batch norm layer are from those of its inputs.

    `shift` is the root mean square, over the channels, of the difference of the means in running standard deviations;
    `chance` is what it would be about if only the choice of the images made the difference. `largest` is that of the
    channel that is furthest off. `ratio` is the geometric mean of the channels' variances over the running ones, and
    by chance it would be off by about a factor of `chance_ratio`; `least_ratio` and `largest_ratio` are those of
    single channels.
    """

    name: str
    channels: int
    shift: float
    chance: float
    largest: float
    ratio: float
    chance_ratio: float
    least_ratio: float
    largest_ratio: float

    @property
    def is_off(self) -> bool:
        """Whether the mean is off by 0.1 standard deviations beyond chance, or the variance by a factor of 1.25."""
        factor = _beyond(math.log(self.ratio), math.log(self.chance_ratio))
        return _beyond(self.shift, self.chance) > _FAR or factor > math.log(_OTHER_VARIANCE)


def _beyond(found: float, chance: float) -> float:
    """What is left of a root mean square without what chance adds to it."""
    return math.sqrt(max(0.0, found**2 - chance**2))


@dataclass(frozen=True)
class BatchNormTable(ByLayer[LayerShift]):
    """The batch norm layers in the order in which they ran; by index, or by name. Prints as a table.

    `images` is how many images were used.
    """

    images: int

    @property
    def off(self) -> tuple[str, ...]:
        """The names of the layers that are off (see `LayerShift.is_off`): with any, recalibration may help."""
        return tuple(layer.name for layer in self.layers if layer.is_off)

    def as_dict(self) -> dict[str, Any]:
        """The table as plain data."""
        layers = [{**vars(layer), "is_off": layer.is_off} for layer in self.layers]
        return {"images": self.images, "layers": layers}

    def _header(self) -> Sequence[str]:
        shifts, ratios = ("shift", "by chance", "largest"), ("variance ratio", "by chance", "least", "largest")
        return ("layer", "off", "channels", *shifts, *ratios)

    def _rows(self) -> Iterable[Sequence[str]]:
        for layer in self.layers:
            ratios = (layer.ratio, layer.chance_ratio, layer.least_ratio, layer.largest_ratio)
            shifts = (layer.shift, layer.chance, layer.largest)
            off = "yes" if layer.is_off else "no"
            yield (layer.name, off, str(layer.channels), *(f"{each:.3g}" for each in (*shifts, *ratios)))

    def _notes(self) -> Sequence[str]:
        if not self.layers:
            return ["no batch norm layer with running statistics"]
        return [
            f"{len(self.off)} of {len(self.layers)} layers are off, by the statistics of {self.images} images; "
            f"shifts are in running standard deviations"
        ]


@torch.no_grad()
def batch_norm_shift(
    model: nn.Module,
    images: Any,
    pipe: Any = None,
    *,
    side: Side = "test",
    views: int = 8,
    batch_size: int = 32,
    epoch: int = 0,
) -> BatchNormTable:
    """How far the running statistics of each batch norm layer are from what it gets for these images in evaluation.

    `images` are as for `recalibrate_batch_norm`. The model runs in evaluation, and is as before at the end: its
    running statistics do not change. What is off in one layer changes the inputs of those behind it. Raises
    ValueError if there are no images.
    """
    inner = unwrapped(model)
    known = set(batch_norms(inner))
    layers = {name: layer for name, layer in named_modules(inner).items() if layer in known}
    if not layers:
        return BatchNormTable((), 0)
    count = 0
    with evaluating(model), running_eagerly(), recorded(layers) as moments:
        for batch in model_batches(inner, images, pipe, side, views=views, batch_size=batch_size, epoch=epoch):
            inner(batch)
            count += len(batch)
    if not count:
        raise ValueError("cannot compute the statistics of batch norm: there are no images")
    return BatchNormTable(tuple(_compared(name, layers[name], each) for name, each in moments.items()), count)


def recalibrate_batch_norm(
    model: nn.Module,
    images: Any,
    pipe: Any = None,
    *,
    side: Side = "train",
    views: int = 8,
    batch_size: int = 32,
    epoch: int = 0,
    noise: bool = False,
) -> None:
    """Recompute the running statistics of batch norm from the images of a pipeline, or from batches.

    With `pipe`, `images` are images or samples, as `pipe.train` takes them; `side` says what is made of them: "train"
    (augmented, and mixed by the batch section), "test", or "views" (of each image, so many as `views` says; they
    count by their weights). `batch_size` is in images. `epoch` is that of the draws. Without `pipe`, `images` is a
    batch for the model, or yields batches, as a loader does.

    The statistics are means over the batches of those of each batch, with batch norm as in training and everything
    else as in evaluation, or in training with `noise`: see `augreg.training.recalibrate`. Batches are what the model
    sees in training if they are as large. EvalNorm (Singh and Shrivastava 2019, arXiv 1904.06031) corrects evaluation
    for small ones instead. Raises ValueError if there are no images.
    """
    inner = unwrapped(model)
    with running_eagerly():
        batches = model_batches(inner, images, pipe, side, views=views, batch_size=batch_size, epoch=epoch)
        recalibrate(inner, batches, noise=noise)


def _compared(name: str, layer: Any, moments: ChannelMoments) -> LayerShift:
    values = moments.values
    variance = layer.running_var.to(values.mean) + layer.eps
    deviation = variance.sqrt()
    shift = (values.mean - layer.running_mean.to(values.mean)) / deviation
    ratio = ((values.variance + layer.eps) / variance).log()
    return LayerShift(
        name=name,
        channels=len(shift),
        shift=_root_mean_square(shift),
        chance=_root_mean_square(moments.images.error / deviation),
        largest=float(shift.abs().max()),
        ratio=float(ratio.mean().exp()),
        chance_ratio=math.exp(_root_mean_square(moments.squares.error / (moments.squares.mean + layer.eps))),
        least_ratio=float(ratio.min().exp()),
        largest_ratio=float(ratio.max().exp()),
    )


def _root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
