"""Early stopping: the loss on the training data falls on, and the loss on other data rises again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from augreg.inspect.plots.calls import check_least, keeping_generator
from augreg.pages.canvas import COLORS, SIZE, headed, panels
from augreg.training.early_stopping import EarlyStopping

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Curves", "early_stopping", "training_curves"]

_INPUTS, _UNITS = 20, 64
_TRAINING, _VALIDATION = 120, 400
_WRONG = 0.1  # the part of the labels that are wrong, which a network can only memorize


class Curves(NamedTuple):
    """Losses after each epoch, the epoch with the best validation loss, and the one that was the last to wait for."""

    training: list[float]
    validation: list[float]
    best: int
    stopped: int | None


@keeping_generator
def early_stopping(patience: int = 10, epochs: int = 80, seed: int = 0) -> Figure:
    """The losses of a network that memorizes 120 samples, the best epoch, and where EarlyStopping ends.

    After that epoch the curves are dotted: they show what further training would have done.
    """
    check_least("early_stopping", 1, epochs=epochs)
    curves = training_curves(patience, epochs, seed)
    figure, ((axes,),) = panels(1, 1, 2.9)
    end = epochs if curves.stopped is None else curves.stopped + 1
    for values, color, name in (
        (curves.training, "accent", "training"), (curves.validation, "second", "validation")
    ):  # fmt: skip
        axes.plot(range(1, end + 1), values[:end], color=COLORS[color], linewidth=1.8, label=name)
        axes.plot(range(end, epochs + 1), values[end - 1 :], color=COLORS[color], linewidth=1.3, linestyle=":")
    best = curves.validation[curves.best]
    axes.plot(
        [curves.best + 1], [best], "D", color=COLORS["second"], markersize=6, label="best: these weights are kept"
    )
    if curves.stopped is not None:
        label = f"stop: {patience} epochs without a better one"
        axes.axvline(end, color=COLORS["ink"], linewidth=1.2, linestyle="--", label=label)
    axes.set_ylim(0, 1.05 * max(curves.training[0], *curves.validation))
    headed(axes, "", "epoch", "loss")
    figure.legend(loc="outside lower center", ncols=2, fontsize=SIZE, frameon=False, labelcolor=COLORS["ink"])
    return figure


def training_curves(patience: int, epochs: int, seed: int) -> Curves:
    """Train a network of 64 hidden units on 120 samples, of which 10 % have a wrong label."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(_TRAINING + _VALIDATION, _INPUTS, generator=generator)
    wrong = torch.rand(len(inputs), generator=generator) < _WRONG
    labels = ((inputs[:, :3].sum(1) > 0) ^ wrong).long()
    with torch.random.fork_rng(devices=[]):  # what follows draws nothing
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(_INPUTS, _UNITS), nn.ReLU(), nn.Linear(_UNITS, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    stopping, stopped = EarlyStopping(patience), None
    losses: tuple[list[float], list[float]] = [], []
    for epoch in range(epochs):
        loss = nn.functional.cross_entropy(model(inputs[:_TRAINING]), labels[:_TRAINING])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            found = nn.functional.cross_entropy(model(inputs), labels, reduction="none")
        losses[0].append(found[:_TRAINING].mean().item())
        losses[1].append(found[_TRAINING:].mean().item())
        if stopped is None and stopping.step(losses[1][-1], model):
            stopped = epoch
    return Curves(*losses, stopping.best.best_at or 0, stopped)
