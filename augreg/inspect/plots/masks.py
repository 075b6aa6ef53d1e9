"""What is dropped: units, weights, and the branches of residual blocks."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from augreg.inspect.plots.calls import check_least, keeping_generator
from augreg.pages.canvas import COLORS, SIZE, headed, panels
from augreg.pipeline import regularize
from augreg.regularizers.stochastic_depth import survival_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["drop_connect", "dropout", "dropout_outputs", "kept_parts", "live_blocks", "stochastic_depth"]

_UNITS = tuple(np.linspace(0.3, 1.0, 8).tolist())
_PASSES = 2000  # of which the mean is shown
_MODES = {"original": "vanilla", "inverted": "inverted"}


@keeping_generator
def dropout(keep: float = 0.5, seed: int = 0) -> Figure:
    """Vanilla and inverted dropout of eight units, side by side: one pass of training, and testing.

    `keep` is the probability that a unit is kept, the p of the paper; the step `dropout` takes p = 1 - keep. Vanilla
    dropout (`mode: original`) scales in testing, inverted dropout in training. In both the mean of 2,000 passes of
    training, which is marked, is what testing computes. Raises ValueError unless 0 < keep <= 1.
    """
    _check_keep("dropout", keep)
    figure, grid = panels(2, 2, 3.6, shared=True)
    places = range(1, len(_UNITS) + 1)
    for column, (mode, name) in enumerate(_MODES.items()):
        training, mean, testing = dropout_outputs(mode, keep, seed)
        scaled = "× 1" if mode == "original" else f"× 1/{keep:g}"
        titles = (f"{name}, training: {scaled}", f"{name}, testing: × {keep if mode == 'original' else 1:g}")
        for axes, title, values in zip(grid[:, column], titles, (training, testing), strict=True):
            axes.bar(places, values, width=0.7, color=COLORS["accent"])
            axes.plot(places, _UNITS, "_", color=COLORS["soft"], markersize=9, label="without dropout")
            axes.plot(
                places, mean, "o", color=COLORS["second"], markersize=3.5, label="mean of 2,000 training passes"
            )
            axes.set(ylim=(0, 1.12 / keep), xticks=list(places))
            axes.grid(visible=False, axis="x")
            headed(axes, title, "unit" if axes is grid[1, column] else "", "output" if not column else "")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, fontsize=SIZE, frameon=False, labelcolor=COLORS["ink"]
    )
    return figure


def _check_keep(function: str, keep: float) -> None:
    if not 0 < keep <= 1:
        raise ValueError(f"{function}: keep is a probability above 0 and at most 1, got {keep!r}")


def dropout_outputs(mode: str, keep: float, seed: int, passes: int = _PASSES) -> tuple[Floats, Floats, Floats]:
    """The outputs of eight units: in one training pass, their mean over many, and in testing."""
    model = nn.Sequential(OrderedDict(units=nn.Identity()))
    step = {"at": "units", "p": 1 - keep, "mode": mode, "seed": seed}
    regularize(model, {"model": [{"dropout": step}]})
    rows = torch.tensor(_UNITS, dtype=torch.float64).expand(passes, -1)
    training = model.train()(rows)
    return training[0].numpy(), training.mean(0).numpy(), model.eval()(rows)[0].numpy()


@keeping_generator
def drop_connect(keep: float = 0.5, seed: int = 1) -> Figure:
    """A layer of five inputs and four outputs: dropout removes units with all their weights, DropConnect weights.

    `keep` is the probability that a unit, or a weight, is kept. Both masks are drawn by the steps of these names.
    Raises ValueError unless 0 < keep <= 1.
    """
    _check_keep("drop_connect", keep)
    units, weights = kept_parts(keep, seed)
    figure, grid = panels(1, 2, 2.7)
    for axes, title, connected in zip(
        grid.flat, ("dropout", "DropConnect"), (np.tile(units, (weights.shape[0], 1)), weights), strict=True
    ):
        outputs, inputs = weights.shape
        left = np.linspace(0, 1, inputs)
        right = np.linspace(0.1, 0.9, outputs)
        for i, j in np.ndindex(outputs, inputs):
            kept = connected[i, j]
            axes.plot(
                [0, 1], [left[j], right[i]], color=COLORS["accent" if kept else "soft"],
                linewidth=1.6 if kept else 0.7, linestyle="-" if kept else (0, (2, 3)), zorder=2 if kept else 1,
            )  # fmt: skip
        for j in range(inputs):
            alive = title == "DropConnect" or units[j]
            _unit(axes, 0, left[j], bool(alive))
        for place in right:
            _unit(axes, 1, place, True)
        axes.set(xlim=(-0.15, 1.15), ylim=(-0.12, 1.12))
        axes.set_axis_off()
        headed(axes, f"{title}: {int(connected.sum())} of {connected.size} weights")
    return figure


def _unit(axes: Any, x: float, y: float, alive: bool) -> None:
    axes.plot(
        [x], [y], "o" if alive else "x", color=COLORS["accent" if alive else "second"], markersize=11 if alive else 9,
        markeredgewidth=1.5 if alive else 2.5, markerfacecolor=COLORS["card"], zorder=3,
    )  # fmt: skip


def kept_parts(keep: float, seed: int, inputs: int = 5, outputs: int = 4) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which inputs dropout keeps, and which weights (outputs x inputs) DropConnect keeps, in one training pass."""
    of_units = nn.Sequential(OrderedDict(units=nn.Identity()))
    regularize(of_units, {"model": [{"dropout": {"at": "units", "p": 1 - keep, "seed": seed}}]})
    units = of_units.train()(torch.ones(1, inputs))[0] != 0
    of_weights = nn.Sequential(OrderedDict(layer=nn.Linear(inputs, outputs, bias=False)))
    nn.init.ones_(of_weights.layer.weight)
    step = {"at": "layer", "p": 1 - keep, "per": "batch", "seed": seed}
    regularize(of_weights, {"model": [{"drop_connect": step}]})
    with torch.no_grad():
        weights = of_weights.train()(torch.eye(inputs)).T != 0  # a row of the identity shows the weights of an input
    return units.numpy(), weights.numpy()


@keeping_generator
def stochastic_depth(blocks: int = 12, survival: float = 0.5, passes: int = 16, seed: int = 0) -> Figure:
    """Which blocks of a residual network live in each of several training passes; in testing all of them do.

    `survival` is the probability that the last block is kept; by the rule `linear`, earlier ones are kept more often.
    """
    check_least("stochastic_depth", 1, blocks=blocks, passes=passes)
    live = live_blocks(blocks, survival, passes, seed)
    figure, (top, bottom) = panels(2, 1, 4.4, heights=[1, 5])
    axes = bottom[0]
    rows, columns = np.nonzero(live)
    axes.plot(columns + 1, rows + 1, "s", color=COLORS["accent"], markersize=6, label="computed")
    rows, columns = np.nonzero(~live)
    axes.plot(columns + 1, rows + 1, "x", color=COLORS["second"], markersize=4, label="skipped")
    axes.plot(range(1, blocks + 1), [passes + 1.6] * blocks, "s", color=COLORS["third"], markersize=6)
    axes.set(xlim=(0.4, blocks + 0.6), ylim=(passes + 2.4, 0.2), xticks=range(1, blocks + 1))
    axes.set_yticks([*range(1, passes + 1, 3), passes + 1.6], labels=[*map(str, range(1, passes + 1, 3)), "testing"])
    axes.grid(visible=False)
    headed(axes, f"training passes: {live.sum(1).mean():.1f} of {blocks} blocks are computed on average", "block", "")
    chances = [survival_at("linear", survival, index, blocks) for index in range(blocks)]
    top[0].bar(range(1, blocks + 1), chances, width=0.7, color=COLORS["accent"])
    top[0].set(xlim=(0.4, blocks + 0.6), ylim=(0, 1.05), xticks=[], yticks=[0, 0.5, 1])
    top[0].grid(visible=False, axis="x")
    headed(top[0], f"probability that a block is kept: {sum(chances):.2f} blocks expected")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=SIZE, frameon=False,
        labelcolor=COLORS["ink"],
    )  # fmt: skip
    return figure


class _Block(nn.Module):
    """A residual block whose branch adds 1 to each number."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Hardtanh(1.0, 1.0 + 1e-6)  # 1, whatever it gets

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


def live_blocks(blocks: int, survival: float, passes: int, seed: int) -> NDArray[np.bool_]:
    """Which blocks change their input in each training pass, passes x blocks."""
    model = nn.Sequential(OrderedDict(blocks=nn.Sequential(*(_Block() for _ in range(blocks)))))
    step = {"at": "blocks.*", "survival": survival, "rule": "linear", "mode": "batch", "seed": seed}
    regularize(model, {"model": [{"stochastic_depth": step}]})
    changed: list[bool] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, given, output: changed.append(not torch.equal(given[0], output)))
    for _ in range(passes):
        model.train()(torch.zeros(1, 1))
    return np.array(changed).reshape(passes, blocks)
