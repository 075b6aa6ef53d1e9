"""Plots for the page of a report: the charts of results, trials against parameters, and the best value by trial."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from augreg.pages.figures import Line, Plot, bars, lines
from augreg.pages.svg import COLORS, new_figure, to_svg
from augreg.recipe.charts import Chart

__all__ = ["best_so_far", "chart_plot", "comparison_plot", "importance_plot", "trial_plots"]

_STYLES = (("accent", "-", "o"), ("second", "--", "s"), ("third", "-.", "^"), ("fourth", ":", "D"))
_MOST_MARKERS = 40
_DECADES = 1.5  # of positive values, from which an axis is logarithmic


def chart_plot(chart: Chart, name: str, title: str) -> Plot:
    """A chart with the colors of the page: its lines, the shaded interval, and the marked place."""
    figure, axes = new_figure()
    for (label, line), (color, dashes, marker) in zip(chart.lines.items(), itertools.cycle(_STYLES), strict=False):
        values = [math.nan if value is None else value for value in line]
        axes.plot(
            chart.x, values, color=COLORS[color], linestyle=dashes, linewidth=1.8, markersize=4, label=label,
            marker=marker if len(chart.x) <= _MOST_MARKERS else "",
        )  # fmt: skip
    if chart.log_x:
        _logarithmic(axes)
    if chart.shaded is not None:
        axes.axvspan(*chart.shaded, color=COLORS["accent"], alpha=0.18, linewidth=0)
    if chart.marked is not None:
        axes.axvline(chart.marked, color=COLORS["second"], linestyle="--", linewidth=1.2)
    _labeled(axes, chart.x_label, chart.y_label)
    if len(chart.lines) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False, labelcolor=COLORS["ink"])
    return Plot(to_svg(figure, name, title, _words(chart)), title)


def trial_plots(trials: Sequence[Mapping[str, Any]], value: str, name: str, maximize: bool = True) -> Iterator[Plot]:
    """For each parameter, the values of the trials over it; the best trial is larger.

    A trial has `parameters`, and `value`, which is None for one that failed.
    """
    done = [trial for trial in trials if isinstance(trial.get("value"), int | float)]
    if not done:
        return
    best = (max if maximize else min)(done, key=lambda trial: trial["value"])
    for number, parameter in enumerate(dict.fromkeys(each for trial in done for each in trial["parameters"])):
        having = [trial for trial in done if parameter in trial["parameters"]]
        title = f"{value} by {parameter}"
        figure, axes = new_figure()
        x = [trial["parameters"][parameter] for trial in having]
        axes.scatter(x, [trial["value"] for trial in having], color=COLORS["accent"], s=22, linewidths=0)
        if parameter in best["parameters"]:
            axes.scatter([best["parameters"][parameter]], [best["value"]], color=COLORS["second"], s=80, marker="D")
        if _spans_decades(x):
            _logarithmic(axes)
        _labeled(axes, parameter, value)
        words = f"{len(having)} trials; the best has {parameter} {_shown(best['parameters'].get(parameter))}."
        yield Plot(to_svg(figure, f"{name}-{number}", title, words), title)


def importance_plot(importance: Mapping[str, float], name: str) -> Plot:
    """How much of the differences between trials each parameter explains."""
    order = sorted(importance, key=lambda each: -importance[each])
    return bars(order, [importance[each] for each in order], name, "Importance of the parameters", "importance")


def comparison_plot(comparison: Mapping[str, Sequence[Any]], value: str, name: str, maximize: bool = True) -> Plot:
    """The best value so far by the number of trials, for each kind of search. Trials are mappings or numbers."""
    series = []
    for kind, trials in comparison.items():
        best = best_so_far(
            [trial.get("value") if isinstance(trial, Mapping) else trial for trial in trials], maximize
        )
        series.append(Line(kind, list(range(1, len(best) + 1)), best))
    return lines(series, name, "Grid and random search with the same budget", "trials", f"best {value} so far")


def best_so_far(values: Sequence[float | None], maximize: bool = True) -> list[float]:
    """The best value up to each trial; infinite before the first that did not fail."""
    worst = -math.inf if maximize else math.inf
    return list(itertools.accumulate((worst if each is None else each for each in values), max if maximize else min))


def _spans_decades(values: Sequence[Any]) -> bool:
    numbers = [each for each in values if isinstance(each, int | float)]
    if len(numbers) < len(values) or min(numbers, default=0) <= 0:
        return False
    return math.log10(max(numbers) / min(numbers)) >= _DECADES


def _logarithmic(axes: Any) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _labeled(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x, color=COLORS["ink"], fontsize=10)
    axes.set_ylabel(y, color=COLORS["ink"], fontsize=10)


def _words(chart: Chart) -> str:
    """What the chart shows, for screen readers."""
    parts = []
    for label, line in chart.lines.items():
        known = [value for value in line if value is not None]
        if known:
            parts.append(f"{label} from {known[0]:.3g} to {known[-1]:.3g}, lowest {min(known):.3g}")
    text = f"{chart.y_label} by {chart.x_label}: {'; '.join(parts)}."
    if chart.marked is not None:
        text += f" Marked: {chart.marked:.3g}."
    if chart.shaded is not None:
        text += f" Shaded: {chart.shaded[0]:.3g} to {chart.shaded[1]:.3g}."
    return text


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
