"""Batch norm: noise in training, and fixed statistics in testing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from augreg.inspect.plots.calls import check_least, keeping_generator
from augreg.pages.canvas import COLORS, SIZE, dots, headed, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["batch_norm", "normalized_among_others"]

_IMAGES = 4096
_OWN = 1.0  # the value that is followed, one standard deviation above the mean


@keeping_generator
def batch_norm(sizes: Sequence[int] = (4, 16, 64, 256), draws: int = 60, seed: int = 0) -> Figure:
    """What batch norm makes of one value in many random batches of each size, and in testing.

    The value is 1, and the others of the batch are drawn from N(0, 1). In training it is normalized with the mean and
    the deviation of its batch, which differ from batch to batch; in testing with the running statistics, so it is
    always the same. Raises ValueError for batches of fewer than two.
    """
    if not sizes or min(sizes) < 2:
        raise ValueError(f"batch_norm: the batches need two or more images, got {list(sizes)}")
    check_least("batch_norm", 2, draws=draws)
    figure, ((axes,),) = panels(1, 1, 2.9)
    generator = np.random.default_rng(seed)
    spread = 0.28 * (2 * generator.random(draws) - 1)
    for place, size in enumerate(sizes):
        training, testing = normalized_among_others(size, draws, seed)
        dots(axes, place + spread, training, COLORS["accent"], 2.6)
        axes.text(place, -0.8, f"std {training.std():.2f}", ha="center", color=COLORS["ink"], fontsize=SIZE)
    axes.plot([], [], "o", color=COLORS["accent"], markersize=2.6, label="training: each dot is another batch")
    axes.axhline(testing, color=COLORS["second"], linewidth=1.6, label=f"testing: always {testing:.2f}")
    axes.set_xticks(range(len(sizes)), labels=[str(size) for size in sizes])
    axes.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(-1.0, 2.7))
    axes.grid(visible=False, axis="x")
    headed(axes, "", "images in the batch", "the same value after batch norm")
    figure.legend(loc="outside lower center", ncols=2, fontsize=SIZE, frameon=False, labelcolor=COLORS["ink"])
    return figure


def normalized_among_others(size: int, draws: int, seed: int) -> tuple[NDArray[np.float64], float]:
    """The value 1 after batch norm, among size - 1 others in each of many training batches; and in testing."""
    generator = torch.Generator().manual_seed(seed)
    others = torch.randn(_IMAGES, 1, dtype=torch.float64, generator=generator)
    layer = nn.BatchNorm1d(1, affine=False, momentum=None, dtype=torch.float64)
    layer.train()(others)  # the running statistics are those of all images
    fixed = layer.eval()(torch.full((1, 1), _OWN, dtype=torch.float64)).item()
    layer.train()
    found = []
    for _ in range(draws):
        batch = others[torch.randperm(_IMAGES, generator=generator)[:size]].clone()
        batch[0] = _OWN
        found.append(layer(batch)[0, 0].item())
    return np.array(found), fixed
