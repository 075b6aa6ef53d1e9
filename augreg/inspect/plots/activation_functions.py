"""The activation functions of a network with their slopes, and where they are flat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from augreg.nn.activations import Maxout, activation
from augreg.pages.canvas import COLORS, SIZE, headed, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["NINE", "activations", "curve", "flat_ends"]

_TITLES = {
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "ReLU",
    "leaky_relu": "Leaky ReLU",
    "prelu": "PReLU",
    "gelu": "GELU",
    "elu": "ELU",
    "selu": "SELU",
    "maxout": "maxout(−x/2, x)",
    "silu": "SiLU",
    "mish": "Mish",
    "hardswish": "hard swish",
}
NINE = ("sigmoid", "tanh", "relu", "leaky_relu", "prelu", "gelu", "elu", "selu", "maxout")
_SLOPES = {"leaky_relu": 0.1}
_HEIGHT = 1.35  # inches of a row


def activations(names: Sequence[str] = NINE, reach: float = 6.0, flat: float = 0.02) -> Figure:
    """Activation functions from -reach to reach, their slopes, and the ends where the slope stays below `flat`.

    Names are those of the step `activation`, and maxout, here of -x / 2 and x. Leaky ReLU has the slope 0.1 for
    negative inputs, and PReLU its initial 0.25. Slopes come from autograd. Raises ValueError for other names.
    """
    unknown = [name for name in names if name not in _TITLES]
    if unknown or not names:
        raise ValueError(f"activations: expected some of {', '.join(_TITLES)}, got {', '.join(unknown) or 'none'}")
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, grid = panels(rows, columns, 0.5 + _HEIGHT * rows, shared=True)
    x = np.linspace(-reach, reach, 241)
    for axes, name in zip(grid.flat, names, strict=False):
        y, slope = curve(name, x)
        for low, high in flat_ends(x, slope, flat):
            axes.axvspan(low, high, color=COLORS["second"], alpha=0.16, linewidth=0, label="flat")
        axes.plot(x, y, color=COLORS["accent"], linewidth=1.8, label="f(x)")
        axes.plot(x, slope, color=COLORS["third"], linewidth=1.3, linestyle="--", label="slope")
        axes.set(xlim=(-reach, reach), ylim=(-1.9, 2.9), xticks=[-reach, 0, reach], yticks=[-1, 0, 1, 2])
        headed(axes, _TITLES[name])
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    handles = {
        label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    known = {"f(x)": "f(x)", "slope": "its slope", "flat": f"flat: the slope stays below {flat:g}"}
    shown = [label for label in known if label in handles]
    figure.legend(
        [handles[label] for label in shown], [known[label] for label in shown], loc="outside lower center",
        ncols=3, fontsize=SIZE, frameon=False, labelcolor=COLORS["ink"],
    )  # fmt: skip
    return figure


def curve(name: str, x: Floats) -> tuple[Floats, Floats]:
    """An activation function and its derivative at each x."""
    points = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    if name == "maxout":
        y = Maxout(2)(torch.stack((-0.5 * points, points), 1))[:, 0]
    else:
        function: nn.Module = activation(name, _SLOPES.get(name)).double()
        y = function(points[:, None])[:, 0]
    (slope,) = torch.autograd.grad(y.sum(), points)
    return y.detach().numpy(), slope.numpy()


def flat_ends(x: Floats, slope: Floats, flat: float) -> list[tuple[float, float]]:
    """The intervals at the two ends of x in which the size of the slope stays below `flat`."""
    steep = np.flatnonzero(np.abs(slope) >= flat)
    if not len(steep):
        return [(float(x[0]), float(x[-1]))]
    ends = [(float(x[0]), float(x[steep[0]])), (float(x[steep[-1]]), float(x[-1]))]
    return [(low, high) for low, high in ends if high > low]
