"""What penalties do to weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from augreg.inspect.plots.calls import keeping_generator
from augreg.pages.canvas import COLORS, SIZE, headed, panels
from augreg.pipeline import Pipeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["linear_data", "penalties", "trained_weights"]

_RELEVANT = (2.0, -1.5, 1.2, -1.0, 0.8)
_INPUTS, _SAMPLES, _NOISE = 30, 60, 1.0
_STEPS, _RATE = 400, 0.1
_ZERO = 0.01


@keeping_generator
def penalties(strength: float = 0.5, seed: int = 0) -> Figure:
    """The weights of a linear model that was trained without a penalty, with L2, and with L1 of the same strength.

    Of its 30 inputs the target depends on the first 5, whose true weights are marked. It is trained on 60 samples
    with the mean squared error and the steps `l2` and `l1` of a loss section.
    """
    figure, grid = panels(3, 1, 3.9, shared=True)
    for axes, (name, loss) in zip(
        grid.flat, {"no penalty": [], "L2": [{"l2": strength}], "L1": [{"l1": strength}]}.items(), strict=True
    ):
        weights = trained_weights(loss, seed)
        zeros = int((np.abs(weights) < _ZERO).sum())
        axes.axhline(0, color=COLORS["soft"], linewidth=0.8)
        axes.bar(range(1, _INPUTS + 1), weights, width=0.7, color=COLORS["accent"], label="trained weight")
        axes.plot(
            range(1, len(_RELEVANT) + 1), _RELEVANT, "_", color=COLORS["second"], markersize=9, markeredgewidth=2,
            label="true weight",
        )  # fmt: skip
        axes.set(ylim=(-2.3, 2.6), yticks=[-2, -1, 0, 1, 2], xlim=(0, _INPUTS + 1))
        axes.grid(visible=False, axis="x")
        squares = float(np.square(weights).sum())
        headed(axes, f"{name}: sum of squares {squares:.1f}, {zeros} of {_INPUTS} weights are 0")
    headed(grid[-1, 0], grid[-1, 0].get_title(loc="left"), "input")
    grid[0, 0].legend(fontsize=SIZE, frameon=False, labelcolor=COLORS["ink"], loc="upper right", ncols=2)
    return figure


def linear_data(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of N(0, 1), 60 x 30, and targets: five inputs by their weights, and noise of N(0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(_SAMPLES, _INPUTS, generator=generator)
    noise = _NOISE * torch.randn(_SAMPLES, generator=generator)
    return inputs, inputs[:, : len(_RELEVANT)] @ torch.tensor(_RELEVANT) + noise


def trained_weights(loss: list[Any], seed: int) -> Any:
    """The weights of a linear model that minimize the mean squared error and the penalties of a loss section."""
    inputs, targets = linear_data(seed)
    criterion = Pipeline.from_spec({"loss": loss}).criterion()
    model = nn.Linear(_INPUTS, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=_RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)  # to 0: where L1 is not smooth, it settles
    for _ in range(_STEPS):
        optimizer.zero_grad()
        error = nn.functional.mse_loss(model(inputs)[:, 0], targets)
        (error + criterion.penalty(model)).backward()
        optimizer.step()
        decay.step()
    return model.weight.detach().numpy()[0]
