"""The list of the plots, in the order of the lecture."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LECTURE", "Drawing"]


@dataclass(frozen=True)
class Drawing:
    """A plot: its name, which is that of its function and of its file, a title, and words for screen readers."""

    name: str
    title: str
    description: str

    @property
    def file(self) -> str:
        """The name of its SVG file."""
        return f"{self.name.replace('_', '-')}.svg"

    def figure(self) -> Figure:
        """The figure with the defaults of its function. Raises ImportError if torch or matplotlib is missing."""
        found: Figure = getattr(importlib.import_module("augreg.inspect.plots"), self.name)()
        return found

    def save(self, folder: Path) -> Path:
        """Write the plot into a folder, and return its path."""
        from augreg.pages.canvas import save

        path = folder / self.file
        save(self.figure(), path, self.title, self.description)
        return path


LECTURE = (
    Drawing(
        "receptive_fields",
        "What a unit sees: receptive fields in AlexNet",
        "Nested squares on a photo of a cat: a unit of the first layer sees 11 by 11 pixels, one of the last "
        "pooling layer 195 by 195.",
    ),
    Drawing(
        "activations",
        "Nine activation functions, their slopes, and where they are flat",
        "Curves of nine functions with their slopes. Sigmoid and tanh are flat at both ends, ReLU, GELU, ELU and "
        "SELU for negative inputs, Leaky ReLU, PReLU and maxout nowhere.",
    ),
    Drawing(
        "preprocessing",
        "Data before and after centering and scaling",
        "Three clouds of points on the same axes: off center, around zero, and around zero with the same spread on "
        "both axes.",
    ),
    Drawing(
        "initializations",
        "Outputs of six layers for five initializations",
        "Five rows of six histograms. With a standard deviation of 0.01 they shrink to zero, with 0.05 they pile up "
        "at -1 and 1, with Xavier and tanh they narrow slowly, with Xavier and ReLU they shrink to zero, with "
        "Kaiming and ReLU they stay as they are.",
    ),
    Drawing(
        "early_stopping",
        "Early stopping",
        "The training loss falls to zero. The validation loss falls, and then rises again; training stops ten epochs "
        "after its minimum.",
    ),
    Drawing(
        "penalties",
        "The weights of a model without a penalty, with L2 and with L1",
        "Bars of thirty weights. L2 makes all of them smaller; L1 makes most of them zero.",
    ),
    Drawing(
        "dropout",
        "Vanilla and inverted dropout, in training and in testing",
        "Bars of eight units. Vanilla dropout removes some in training and halves all in testing; inverted dropout "
        "doubles those that are kept in training, and changes nothing in testing. The means agree.",
    ),
    Drawing(
        "drop_connect",
        "Dropout and DropConnect",
        "Two small networks: dropout removes units with all their connections, DropConnect single connections.",
    ),
    Drawing(
        "stochastic_depth",
        "Stochastic depth: which blocks are computed",
        "A grid of training passes and blocks. Late blocks are skipped more often than early ones; in testing all "
        "are computed.",
    ),
    Drawing(
        "batch_norm",
        "Batch norm as noise, and its fixed statistics in testing",
        "The same value after batch norm in many random batches: the smaller the batch, the wider it is scattered. "
        "In testing it is always the same.",
    ),
    Drawing(
        "auto_augment",
        "Five sub-policies of AutoAugment on three photos",
        "A table of photos: the originals, and below them the results of five sub-policies with their operations.",
    ),
    Drawing(
        "mixup",
        "Mixup: 40 % of one photo and 60 % of another",
        "A photo of a cat, a photo of a cup of coffee, and a mixture of both with the label cat 0.4, coffee 0.6.",
    ),
)
"""The plots that `augreg plots` writes."""
