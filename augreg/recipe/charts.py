"""Charts of results, as data and drawn with matplotlib, which is imported when something is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Chart", "drawn", "mark_whole_numbers"]


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
    """The figure with one plot for each chart. Raises ValueError if there are too few axes."""
    if axes is None:
        axes = _new_axes(len(charts))
    places = list(getattr(axes, "flat", axes if isinstance(axes, list | tuple) else [axes]))
    if len(places) < len(charts):
        raise ValueError(f"there are {len(charts)} charts and {len(places)} axes")
    for chart, place in zip(charts, places, strict=False):
        _draw(chart, place)
    places[0].set_title(title)
    return places[0].figure


def _new_axes(count: int) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"plots need {error.name}: pip install 'augreg[plots]'", name=error.name) from None
    figure = Figure(figsize=(5.5 * count, 3.6), layout="constrained")
    return figure.subplots(1, count, squeeze=False)[0]


def _draw(chart: Chart, axes: Any) -> None:
    marker = "o" if len(chart.x) <= 40 and not chart.points else ""
    for name, line in chart.lines.items():
        values = [float("nan") if value is None else value for value in line]
        style = {"marker": "o", "linestyle": ""} if name in chart.points else {"marker": marker}
        axes.plot(chart.x, values, markersize=3, label=name, **style)
    if chart.log_x:
        axes.set_xscale("log")
    elif chart.whole_x:
        mark_whole_numbers(axes)
    if chart.shaded is not None:
        axes.axvspan(*chart.shaded, alpha=0.15)
    if chart.marked is not None:
        axes.axvline(chart.marked, linestyle="--", linewidth=1)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    if len(chart.lines) > 1:
        axes.legend()
