"""The plots of search.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from search import AXES, BEST, LANDSCAPES, SEARCHES, Row, Search, rates, threshold, when_found

from augreg.pages.canvas import COLORS, SIZE, headed, panels, save

LINES = dict(
    zip(
        SEARCHES,
        (
            ("soft", "--"),
            ("soft", "-"),
            ("third", "-"),
            ("accent", "-"),
            ("accent", "--"),
            ("second", "-"),
            ("second", "--"),
        ),
        strict=True,
    )
)
"""The color and the line of each search."""


def draw_found(found: Mapping[tuple[str, int], Search], references: Sequence[Sequence[Row]], path: Path) -> None:
    """The part of the seeds that have found one of the best 5 %, over the number of trials."""
    seeds = sorted({seed for _, seed in found})
    least = {seed: threshold(references[seed % LANDSCAPES], *rates(seed)) for seed in seeds}
    trials = np.arange(1, len(found["random", seeds[0]].rows) + 1)
    figure, grid = panels(1, 1, 4.2)
    axes = grid[0, 0]
    for name in SEARCHES:
        first = [when_found(found[name, seed].rows, least[seed]) or np.inf for seed in seeds]
        part = [100 * np.mean(np.array(first) <= count) for count in trials]
        color, line = LINES[name]
        axes.step(trials, part, where="post", color=COLORS[color], linestyle=line, label=name)
    expected = 100 * (1 - (1 - BEST) ** trials)
    axes.plot(trials, expected, ":", color=COLORS[LINES["random"][0]], label="random, expected")
    axes.set_ylim(-2, 102)
    headed(axes, f"seeds that found one of the best {100 * BEST:.0f} %, in percent", "trials")
    figure.legend(loc="outside lower center", ncols=2, fontsize=SIZE, frameon=False, labelcolor=COLORS["ink"])
    save(
        figure, path, "How soon a search finds one of the best trials",
        "After 32 trials, all searches but the grids have found one with nearly every seed.",
    )  # fmt: skip


def draw_nine(trials: Mapping[str, Sequence[Row]], sections: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Nine trials of a grid and nine random ones with their accuracies, and the accuracy along either axis."""
    figure, grid = panels(5, 2, 7.0, widths=(1, 4), heights=(1, 3, 0.12, 1, 3))
    for axes in grid[2]:  # between the two searches
        axes.set_axis_off()
    for (name, rows), first in zip(trials.items(), (0, 3), strict=True):
        (corner, top), (left, middle) = grid[first : first + 2]
        corner.set_axis_off()
        top.sharex(middle)
        left.sharey(middle)
        middle.set(xscale="log", yscale="log")
        spots = [[row.parameters[axis] for row in rows] for axis in AXES]
        middle.plot(*spots, "o", color=COLORS["accent"], clip_on=False)
        for row, *spot in zip(rows, *spots, strict=True):
            middle.annotate(
                f"{100 * row.accuracy:.0f}", spot, (4, 4), textcoords="offset points", fontsize=SIZE,
                color=COLORS["ink"],
            )  # fmt: skip
        (x, y), (u, v) = [
            ([row.parameters[axis] for row in sections[axis]], [100 * row.accuracy for row in sections[axis]])
            for axis in AXES
        ]
        top.fill_between(x, 0, y, color=COLORS["third"], alpha=0.35, linewidth=0)
        left.fill_betweenx(u, 0, v, color=COLORS["third"], alpha=0.35, linewidth=0)
        for place, other in zip(*spots, strict=True):
            top.axvline(place, color=COLORS["second"], linewidth=1)
            left.axhline(other, color=COLORS["second"], linewidth=1)
        top.set(ylim=(0, 100), yticks=(0, 100))
        left.set(xlim=(100, 0), xticks=(100, 0))
        for own in (top, middle, left):
            own.grid(visible=False)
            own.minorticks_off()
        best = max(row.accuracy for row in rows)
        headed(top, f"{name}: {len({*spots[0]})} rates, the best has {100 * best:.1f} %", "", "accuracy, %")
        headed(left, "", "accuracy, %", "weight decay: does not matter")
        headed(middle, "", "learning rate: matters")
        top.tick_params(labelbottom=False)
        middle.tick_params(labelleft=False)
    save(
        figure, path, "Nine trials of a grid and nine random ones",
        "The grid tries three learning rates, the random search nine, of which some are better.",
    )  # fmt: skip
