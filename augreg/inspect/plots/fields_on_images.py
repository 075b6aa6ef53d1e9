"""Receptive fields, drawn on the input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from augreg.data.sample_photos import sample_photo
from augreg.inspect.plots.calls import keeping_generator
from augreg.inspect.receptive_fields import LayerField, receptive_field
from augreg.pages.canvas import COLORS, SIZE, panels, show_image
from augreg.pipeline import Pipeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["alexnet", "receptive_fields"]

_SIZE = 227
_CYCLE = ("accent", "second", "third", "fourth")


@keeping_generator
def receptive_fields(model: nn.Module | None = None, photo: str | Path | None = None, size: int = _SIZE) -> Figure:
    """The part of a photo that the middle position of each layer sees, as squares; by default in AlexNet.

    One square is drawn for each layer that sees more than the one before it. `model` takes images of 3 x size x size.
    """
    fields = receptive_field(alexnet() if model is None else model, size)
    pipe = Pipeline.from_spec([{"resize": {"shorter": size}}, {"center_crop": size}])
    figure, ((axes, names),) = panels(1, 2, 3.0, widths=[1.6, 1.0])
    show_image(axes, np.asarray(pipe.test(sample_photo() if photo is None else photo)))
    axes.set(xlim=(-6, size + 6), ylim=(size + 6, -6))
    names.set_axis_off()
    growing = _growing(fields.layers)
    for number, layer in enumerate(growing):
        color = COLORS[_CYCLE[number % len(_CYCLE)]]
        (top, bottom), (left, right) = _middle(layer)
        for width, shade in ((3.2, COLORS["card"]), (1.8, color)):  # the light edge shows on dark pixels too
            axes.plot(
                [left - 0.5, right + 0.5, right + 0.5, left - 0.5, left - 0.5],
                [top - 0.5, top - 0.5, bottom + 0.5, bottom + 0.5, top - 0.5], color=shade, linewidth=width,
            )  # fmt: skip
        words = f"{layer.name} {'×'.join(map(str, layer.size))}"
        names.text(0.12, 1 - (number + 0.5) / len(growing), words, va="center", color=COLORS["ink"], fontsize=SIZE)
        names.plot([0, 0.08], [1 - (number + 0.5) / len(growing)] * 2, color=color, linewidth=3)
    names.set(xlim=(0, 1), ylim=(0, 1))
    return figure


def alexnet() -> nn.Module:
    """AlexNet for images of 3 x 227 x 227, with few channels, on which receptive fields do not depend."""
    layers = {
        "conv1": nn.Conv2d(3, 4, 11, stride=4),
        "pool1": nn.MaxPool2d(3, 2),
        "conv2": nn.Conv2d(4, 4, 5, padding=2),
        "pool2": nn.MaxPool2d(3, 2),
        "conv3": nn.Conv2d(4, 4, 3, padding=1),
        "conv4": nn.Conv2d(4, 4, 3, padding=1),
        "conv5": nn.Conv2d(4, 4, 3, padding=1),
        "pool3": nn.MaxPool2d(3, 2),
        "flat": nn.Flatten(),
        "fc6": nn.Linear(4 * 6 * 6, 8),
    }
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


def _growing(layers: tuple[LayerField, ...]) -> list[LayerField]:
    """The layers that see more than any before them."""
    found: list[LayerField] = []
    for layer in layers:
        if len(layer.size) == 2 and (not found or layer.size > found[-1].size):
            found.append(layer)
    return found


def _middle(layer: LayerField) -> tuple[tuple[int, int], tuple[int, int]]:
    """The first and last row, and column, that the middle position of a layer sees, within the image."""
    sides = layer.output[-2:] if len(layer.output) == 3 else (1, 1)
    rows, columns = layer.seen(*(side // 2 for side in sides))
    assert rows is not None and columns is not None  # the middle sees something
    return rows, columns
