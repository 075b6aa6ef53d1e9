"""Charts of results, as data and drawn with matplotlib, which is imported when something is drawn."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from augreg.pages.canvas import COLORS, SIZE, headed, panels

__all__ = ["Chart", "drawn", "mark_whole_numbers"]

_CYCLE = ("accent", "second", "third", "fourth")
_HEIGHT = 2.6  # inches of a chart


@dataclass(frozen=True)
class Chart:
    """What a plot of a result shows: lines over x, a range of x that is shaded, and a marked x.

    `lines` maps names to lists as long as `x`; None is where there is no finite number. `points` names those of them
    that are single points, which no line joins.
    """

    x: tuple[float, ...]
    lines: Mapping[str, tuple[float | None, ...]]
    x_label: str
    y_label: str
    log_x: bool = False
    shaded: tuple[float, float] | None = None
    marked: float | None = None
    points: tuple[str, ...] = ()

    @property
    def whole_x(self) -> bool:
        """Whether x has whole numbers only."""
        return all(float(value).is_integer() for value in self.x)


def mark_whole_numbers(axes: Any) -> None:
    """Put the marks of the horizontal axis at whole numbers."""
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def drawn(charts: Sequence[Chart], title: str, axes: Any = None) -> Any:
    """The figure with one plot for each chart, from the top. Raises ValueError if there are too few axes."""
    if axes is None:
        _, axes = panels(len(charts), 1, _HEIGHT * len(charts))
    places = list(getattr(axes, "flat", axes if isinstance(axes, list | tuple) else [axes]))
    if len(places) < len(charts):
        raise ValueError(f"there are {len(charts)} charts and {len(places)} axes")
    for chart, place in zip(charts, places, strict=False):
        _draw(chart, place)
    places[0].set_title(title, color=COLORS["ink"], fontsize=SIZE + 0.5, loc="left")
    return places[0].figure


def _draw(chart: Chart, axes: Any) -> None:
    marker = "o" if len(chart.x) <= 40 and not chart.points else ""
    for (name, line), color in zip(chart.lines.items(), itertools.cycle(_CYCLE), strict=False):
        values = [float("nan") if value is None else value for value in line]
        style = {"marker": "o", "linestyle": ""} if name in chart.points else {"marker": marker}
        axes.plot(chart.x, values, markersize=3, label=name, color=COLORS[color], **style)
    if chart.log_x:
        axes.set_xscale("log")
    elif chart.whole_x:
        mark_whole_numbers(axes)
    if chart.shaded is not None:
        axes.axvspan(*chart.shaded, color=COLORS["accent"], alpha=0.15, linewidth=0)
    if chart.marked is not None:
        axes.axvline(chart.marked, color=COLORS["second"], linestyle="--", linewidth=1)
    headed(axes, "", chart.x_label, chart.y_label)
    if len(chart.lines) > 1:
        axes.legend(fontsize=SIZE, labelcolor=COLORS["ink"], frameon=False)
