"""Mean and variance of each channel of the inputs of layers, over all images that a model is called with."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ChannelMoments", "RunningMoments", "recorded"]


class RunningMoments:
    """Mean and variance of each column of rows that are added bit by bit (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0.0
        self._squares: Any = 0.0  # the sum of the squared deviations from the mean

    def add(self, rows: Tensor) -> None:
        """Add rows, of shape (rows, columns)."""
        total = self.count + len(rows)
        mean = rows.mean(0)
        apart = mean - self.mean
        between = apart.square() * (self.count * len(rows) / total)
        self._squares = self._squares + (rows - mean).square().sum(0) + between
        self.mean = self.mean + apart * (len(rows) / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """The mean of the squared deviations."""
        variance: Tensor = self._squares / self.count
        return variance

    @property
    def error(self) -> Tensor:
        """The standard error of the mean, if rows are independent; infinite for a single row."""
        if self.count < 2:
            return torch.full_like(self.mean, torch.inf)
        error: Tensor = (self._squares / (self.count - 1) / self.count).sqrt()
        return error


class ChannelMoments:
    """The moments of each channel in float64: of the values at all places, and of their means in each image.

    Images are independent of one another, the places in an image are not. `squares` are the squared distances from a
    `center` of each channel, whose means in each image show how much a variance differs between images.
    """

    def __init__(self, center: Tensor) -> None:
        self._center = center.detach().clone()
        self.values, self.images, self.squares = RunningMoments(), RunningMoments(), RunningMoments()

    def add(self, batch: Tensor) -> None:
        """Add a batch, of shape (images, channels, ..)."""
        if not batch.numel():
            return
        wide = batch.detach().to(torch.float32 if batch.device.type == "mps" else torch.float64)
        places = wide.flatten(2) if wide.ndim > 2 else wide.unsqueeze(2)
        self.values.add(places.movedim(1, -1).flatten(0, -2))
        self.images.add(places.mean(2))
        self.squares.add((places - self._center.to(wide)[:, None]).square().mean(2))


@contextlib.contextmanager
def recorded(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, ChannelMoments]]:
    """A context in which the inputs of batch norm layers are recorded, by the names of those that run, in order."""
    moments: dict[str, ChannelMoments] = {}

    def note(name: str, layer: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        moments.setdefault(name, ChannelMoments(layer.running_mean)).add(next(iter((*inputs, *keywords.values()))))

    handles = [
        layer.register_forward_pre_hook(functools.partial(note, name), with_kwargs=True)
        for name, layer in layers.items()
    ]
    try:
        yield moments
    finally:
        for handle in handles:
            handle.remove()
