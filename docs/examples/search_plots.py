"""The plots of search.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from search import AXES, BEST, LANDSCAPES, SEARCHES, Row, Search, rates, threshold, when_found

COLORS = dict(zip(SEARCHES, ("C7", "C1", "C0", "C2", "C3", "C4", "k"), strict=True))


def save(figure: Any, path: Path) -> None:
    """Write a plot, whose file depends on what it shows only."""
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None})


def draw_found(found: Mapping[tuple[str, int], Search], references: Sequence[Sequence[Row]], path: Path) -> None:
    """The part of the seeds that have found one of the best 5 %, over the number of trials."""
    seeds = sorted({seed for _, seed in found})
    least = {seed: threshold(references[seed % LANDSCAPES], *rates(seed)) for seed in seeds}
    trials = np.arange(1, len(found["random", seeds[0]].rows) + 1)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in SEARCHES:
        first = [when_found(found[name, seed].rows, least[seed]) or np.inf for seed in seeds]
        part = [np.mean(np.array(first) <= count) for count in trials]
        axes.step(trials, part, where="post", color=COLORS[name], label=name)
    axes.plot(trials, 1 - (1 - BEST) ** trials, ":", color=COLORS["random"], label="random, expected")
    axes.set_xlabel("trials")
    axes.set_ylabel(f"seeds that found one of the best {100 * BEST:.0f} %")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(fontsize=8)
    save(figure, path)


def draw_nine(trials: Mapping[str, Sequence[Row]], sections: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Nine trials of a grid and nine random ones with their accuracies, and the accuracy along either axis."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for panel, (name, rows) in zip(figure.subfigures(1, 2), trials.items(), strict=True):
        places = panel.add_gridspec(2, 2, width_ratios=(1, 4), height_ratios=(1, 3))
        middle = panel.add_subplot(places[1, 1], xscale="log", yscale="log")
        top, left = panel.add_subplot(places[0, 1], sharex=middle), panel.add_subplot(places[1, 0], sharey=middle)
        spots = [[row.parameters[axis] for row in rows] for axis in AXES]
        middle.plot(*spots, "ko", clip_on=False)
        for row, *spot in zip(rows, *spots, strict=True):
            middle.annotate(f"{100 * row.accuracy:.0f}", spot, (4, 4), textcoords="offset points", fontsize=8)
        (x, y), (u, v) = [
            ([row.parameters[axis] for row in sections[axis]], [100 * row.accuracy for row in sections[axis]])
            for axis in AXES
        ]
        top.fill_between(x, 0, y, color="C2", alpha=0.5)
        left.fill_betweenx(u, 0, v, color="C2", alpha=0.5)
        for place, other in zip(*spots, strict=True):
            top.axvline(place, color="k", linewidth=0.8)
            left.axhline(other, color="k", linewidth=0.8)
        top.set(ylim=(0, 100), ylabel="accuracy, %")
        left.set(xlim=(100, 0), xlabel="accuracy, %", ylabel="weight decay: does not matter")
        middle.set_xlabel("learning rate: matters")
        for own in (top, middle, left):
            own.minorticks_off()
        top.tick_params(labelbottom=False)
        middle.tick_params(labelleft=False)
        best = max(row.accuracy for row in rows)
        panel.suptitle(f"{name}: {len({*spots[0]})} rates, the best trial has {100 * best:.1f} %", fontsize=10)
    save(figure, path)
