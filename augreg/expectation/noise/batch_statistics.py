"""Batch norm as in training: by the statistics of the batch, or of a batch of training images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from augreg.expectation.batch_norm.channel_moments import recorded

__all__ = ["batch_statistics_used", "statistics_of"]


@contextlib.contextmanager
def batch_statistics_used(layers: Sequence[nn.Module]) -> Iterator[None]:
    """A context in which batch norm layers use the statistics of the batch, and leave the running ones alone."""
    values = [(layer, layer.training, layer.track_running_stats) for layer in layers]
    try:
        for layer, _, _ in values:
            layer.training, layer.track_running_stats = True, False  # so torch neither reads nor writes them
        yield
    finally:
        for layer, training, track in values:
            layer.training, layer.track_running_stats = training, track


@contextlib.contextmanager
def statistics_of(layers: Mapping[str, nn.Module], run: Callable[[], Any]) -> Iterator[None]:
    """A context in which batch norm layers use the statistics of the batch that `run` calls the model with.

    One such batch of training images for each sample is Monte Carlo batch normalization: Teye, Azizpour and Smith
    2018, arXiv 1802.06455. The running statistics are other tensors inside, and the same ones as before at the end.
    """
    with torch.no_grad(), batch_statistics_used([*layers.values()]), recorded(layers) as moments:
        run()
    before = [(layer, dict(layer._buffers)) for layer in layers.values()]
    try:
        for name, each in moments.items():
            for buffer, value in (("running_mean", each.values.mean), ("running_var", each.values.variance)):
                layers[name]._buffers[buffer] = value.to(layers[name]._buffers[buffer])
        yield
    finally:
        for layer, buffers in before:
            layer._buffers.update(buffers)
