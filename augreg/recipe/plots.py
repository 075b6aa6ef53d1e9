"""Draws the charts of results with matplotlib, which is imported when something is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.recipe.result import Chart, Result

__all__ = ["drawn"]


def drawn(result: Result, axes: Any = None) -> Any:
    """The figure of a result: one plot for each chart. Raises ValueError if there are none, or too few axes."""
    if not result.charts:
        raise ValueError(f"the result of {result.step!r} has nothing to plot")
    if axes is None:
        axes = _new_axes(len(result.charts))
    places = list(getattr(axes, "flat", axes if isinstance(axes, list | tuple) else [axes]))
    if len(places) < len(result.charts):
        raise ValueError(f"there are {len(result.charts)} charts and {len(places)} axes")
    for chart, place in zip(result.charts, places, strict=False):
        _draw(chart, place)
    places[0].set_title(f"{result.step}: {result.verdict}")
    return places[0].figure


def _new_axes(count: int) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"plots need {error.name}: pip install 'augreg[plots]'", name=error.name) from None
    figure = Figure(figsize=(5.5 * count, 3.6), layout="constrained")
    return figure.subplots(1, count, squeeze=False)[0]


def _draw(chart: Chart, axes: Any) -> None:
    marker = "o" if len(chart.x) <= 40 else ""
    for name, line in chart.lines.items():
        values = [float("nan") if value is None else value for value in line]
        axes.plot(chart.x, values, marker=marker, markersize=3, label=name)
    if chart.log_x:
        axes.set_xscale("log")
    if chart.shaded is not None:
        axes.axvspan(*chart.shaded, alpha=0.15)
    if chart.marked is not None:
        axes.axvline(chart.marked, linestyle="--", linewidth=1)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    if len(chart.lines) > 1:
        axes.legend()
