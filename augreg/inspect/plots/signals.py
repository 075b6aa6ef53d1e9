"""What initial weights do to a signal: the outputs of each layer of a deep network, before any training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from augreg.inspect.activation_statistics import LayerActivations, activations
from augreg.inspect.plots.calls import check_least, keeping_generator
from augreg.nn.activations import activation
from augreg.pages.canvas import COLORS, SIZE, headed, panels
from augreg.pipeline import regularize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SCHEMES", "Layer", "Scheme", "initializations", "outputs_by_layer"]

_BINS = 30
_MARGIN = 0.08  # of the width for a layer, at either side
_HEIGHT = 0.95  # inches of a row


class Scheme(NamedTuple):
    """An initialization: its title, the arguments of the step `init`, and the activation after each layer."""

    title: str
    init: dict[str, Any]
    activation: str


class Layer(NamedTuple):
    """The statistics of the outputs of a layer after its activation, and the outputs."""

    statistics: LayerActivations
    outputs: torch.Tensor


SCHEMES = (
    Scheme("std 0.01, tanh: the signal dies out", {"rule": {"normal": 0.01}}, "tanh"),
    Scheme("std 0.05, tanh: it saturates at −1 and 1", {"rule": {"normal": 0.05}}, "tanh"),
    Scheme("Xavier, tanh: it fades slowly", {"rule": "xavier"}, "tanh"),
    Scheme("Xavier, ReLU: it dies out again (without the zeros)", {"rule": "xavier"}, "relu"),
    Scheme("Kaiming, ReLU: it lasts (without the zeros)", {"rule": "kaiming"}, "relu"),
)


@keeping_generator
def initializations(width: int = 4096, depth: int = 6, samples: int = 16, seed: int = 0) -> Figure:
    """Histograms of the outputs of each layer, for five initializations, with the standard deviation of the outputs.

    The network has `depth` layers of `width` units; its input is `samples` rows of N(0, 1). Titles say what happens
    in the six layers of 4096 of the default, which take some ten seconds and 200 MB. The standard deviations 0.01 and
    0.05 suit this width only: with n units, take the square root of 4096 / n times as much.
    """
    check_least("initializations", 1, width=width, depth=depth, samples=samples)
    figure, grid = panels(len(SCHEMES), 1, _HEIGHT * len(SCHEMES) + 0.1)
    for axes, scheme in zip(grid.flat, SCHEMES, strict=True):
        layers = outputs_by_layer(scheme, width, depth, samples, seed)
        low, high = (-1.0, 1.0) if scheme.activation == "tanh" else (0.0, 3.0)
        for number, layer in enumerate(layers):
            _histogram(axes, layer.outputs.numpy(), low, high, number)
            words = f"{'' if number else 'std '}{layer.statistics.std:.2f}"
            axes.text(number + 0.5, 1.12, words, ha="center", color=COLORS["soft"], fontsize=SIZE - 0.5)
        ends = [number + place for number in range(depth) for place in (_MARGIN, 1 - _MARGIN)]
        axes.set_xticks(ends, labels=[f"{low:g}".replace("-", "−"), f"{high:g}"] * depth)
        for label, side in zip(axes.get_xticklabels(), ["left", "right"] * depth, strict=True):
            label.set_horizontalalignment(side)
        axes.set(xlim=(0, depth), ylim=(0, 1.4), yticks=[])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0, labelsize=SIZE - 1)
        axes.grid(visible=False)
        headed(axes, scheme.title)
    return figure


def outputs_by_layer(scheme: Scheme, width: int, depth: int, samples: int, seed: int) -> list[Layer]:
    """The outputs of the layers, in order. One layer is in memory at a time."""
    signal = torch.randn(samples, width, generator=torch.Generator().manual_seed(seed))
    found = []
    for number in range(depth):
        linear = nn.utils.skip_init(nn.Linear, width, width, bias=False)
        layer = nn.Sequential(linear, activation(scheme.activation))
        regularize(layer, {"model": [{"init": {**scheme.init, "seed": seed + 1 + number}}]}).detach()
        statistics = activations(layer, signal)[-1]
        with torch.no_grad():
            signal = layer(signal)
        found.append(Layer(statistics, signal))
    return found


def _histogram(axes: Any, values: Any, low: float, high: float, place: int) -> None:
    """A histogram between `place` and `place` + 1, as high as 1, without exact zeros.

    What is outside the range counts at its ends.
    """
    counts, edges = np.histogram(np.clip(values[values != 0], low, high), _BINS, (low, high))
    x = place + _MARGIN + (1 - 2 * _MARGIN) * (edges - low) / (high - low)
    axes.plot(x[[0, -1]], [0, 0], color=COLORS["soft"], linewidth=1)
    axes.stairs(counts / counts.max(), x, fill=True, color=COLORS["accent"])
