"""Data before and after centering and scaling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from augreg.data.sample_photos import sample_photo
from augreg.inspect.plots.calls import check_least
from augreg.pages.canvas import COLORS, dots, headed, panels
from augreg.pipeline import Pipeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["preprocessing", "scaled_pixels"]

_STAGES = ("original", "zero-centered", "normalized")


def preprocessing(photo: str | Path | None = None, points: int = 300, seed: int = 0) -> Figure:
    """Pixels of a photo as points, red against blue: as they are, minus their mean, and divided by their deviation.

    All three panels have the same axes. The photo is the sample photo of a cat by default; `points` of its pixels are
    drawn. The step `normalize` computes what is shown, with the mean and standard deviation of the photo.
    """
    check_least("preprocessing", 1, points=points)
    stages = scaled_pixels(sample_photo() if photo is None else photo)
    chosen = np.random.default_rng(seed).permutation(len(stages[0]))[:points]
    figure, grid = panels(1, 3, 2.1, shared=True)
    for axes, title, pixels in zip(grid.flat, _STAGES, stages, strict=True):
        axes.axhline(0, color=COLORS["soft"], linewidth=0.8)
        axes.axvline(0, color=COLORS["soft"], linewidth=0.8)
        dots(axes, pixels[chosen, 0], pixels[chosen, 2], COLORS["accent"], 2.0)
        axes.set(
            xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), xticks=[-2, -1, 0, 1, 2], yticks=[-2, -1, 0, 1, 2], aspect="equal"
        )
        headed(axes, title, "red", "blue" if title == _STAGES[0] else "")
    return figure


def scaled_pixels(photo: str | Path) -> tuple[NDArray[np.float64], ...]:
    """The pixels of a photo, N x 3: from 0 to 1, minus the mean of each channel, and divided by its deviation too."""
    plain = _pixels(photo, [0.0] * 3, [1.0] * 3)
    mean, std = plain.mean(0).tolist(), plain.std(0).tolist()
    return plain, _pixels(photo, mean, [1.0] * 3), _pixels(photo, mean, std)


def _pixels(photo: str | Path, mean: list[float], std: list[float]) -> NDArray[np.float64]:
    pipe = Pipeline.from_spec([{"normalize": {"mean": mean, "std": std}}])
    return np.asarray(pipe.test(photo), np.float64).reshape(3, -1).T
