"""Plots for the page of a report: the charts of results, trials against parameters, and the best value by trial."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from augreg.pages.figures import Line, Plot, bars, lines
from augreg.pages.svg import COLORS, new_figure, to_svg
from augreg.recipe.charts import Chart, mark_whole_numbers

__all__ = ["best_so_far", "chart_plot", "comparison_plot", "importance_plot", "title", "trial_plots"]

_STYLES = (("accent", "-", "o"), ("second", "--", "s"), ("third", "-.", "^"), ("fourth", ":", "D"))
_MOST_MARKERS = 40
_DECADES = 1.5  # of positive values, from which an axis is logarithmic
_FEW_DECADES = 2.0
_FAR = 2.0  # times the distance from the best to the third quartile: what is farther is drawn at the border
_GOLDEN = 0.618
_MOST_LETTERS = 12  # of the name of a choice


def title(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def chart_plot(chart: Chart, name: str, heading: str) -> Plot:
    """A chart with the colors of the page: its lines and points, the shaded interval, and the marked place."""
    figure, axes = new_figure()
    marked = len(chart.x) <= _MOST_MARKERS and not chart.points
    for (label, line), (color, dashes, marker) in zip(chart.lines.items(), itertools.cycle(_STYLES), strict=False):
        values = [math.nan if value is None else value for value in line]
        single = label in chart.points
        axes.plot(
            chart.x, values, color=COLORS[color], linestyle="" if single else dashes, linewidth=1.8,
            markersize=4, label=label, marker=marker if single or marked else "",
        )  # fmt: skip
    if chart.log_x:
        _logarithmic(axes, chart.x)
    elif chart.whole_x:
        mark_whole_numbers(axes)
    if chart.shaded is not None:
        axes.axvspan(*chart.shaded, color=COLORS["accent"], alpha=0.18, linewidth=0)
    if chart.marked is not None:
        axes.axvline(chart.marked, color=COLORS["second"], linestyle="--", linewidth=1.2)
    _labeled(axes, chart.x_label, chart.y_label)
    if len(chart.lines) > 1:
        _legend(figure)
    return Plot(to_svg(figure, name, heading, _words(chart)), heading)


def trial_plots(
    trials: Sequence[Mapping[str, Any]], value: str, name: str, maximize: bool = True,
    best: int | None = None, space: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Plot]:  # fmt: skip
    """The values of the trials by their number, and over each parameter; the best trial is larger.

    A trial has `number`, `parameters`, `state`, and `value`, which is None for one that failed. `best` is the number
    of the best one; None: the complete one with the best value. `space` has the ranges as `Range.as_dict` does.
    """
    done = [trial for trial in trials if isinstance(trial.get("value"), int | float)]
    if not done:
        return
    complete = [trial for trial in done if trial.get("state") != "pruned"] or done
    found = next((trial for trial in done if trial["number"] == best and best is not None), None)
    found = found or (max if maximize else min)(complete, key=lambda trial: trial["value"])
    limit = _limit([trial["value"] for trial in done], maximize)
    yield _by_number(trials, value, name, maximize, found, limit)
    for number, path in enumerate(dict.fromkeys(each for trial in trials for each in trial["parameters"]), 1):
        heading = title(f"{value} by {path}")
        figure, axes = new_figure()
        having = [trial for trial in trials if path in trial["parameters"]]
        place = _placed(axes, [trial["parameters"][path] for trial in having], (space or {}).get(path, {}))
        x = [place(trial["parameters"][path], number) for number, trial in enumerate(having)]
        _scattered(axes, having, x, found, limit)
        _labeled(axes, path, value)
        if len(axes.collections) > 1:
            _legend(figure)
        words = f"{len(having)} trials; the best has {path} {_shown(found['parameters'].get(path))}."
        yield Plot(to_svg(figure, f"{name}-{number}", heading, words), heading)


def _by_number(
    trials: Sequence[Mapping[str, Any]], value: str, name: str, maximize: bool, best: Mapping[str, Any], limit: float
) -> Plot:
    """The values of the trials in their order, with the best of the complete ones so far."""
    figure, axes = new_figure()
    numbers = [trial["number"] for trial in trials]
    values = [None if trial.get("state") == "pruned" else trial.get("value") for trial in trials]
    line = [each if math.isfinite(each) else math.nan for each in best_so_far(values, maximize)]
    axes.plot(numbers, line, color=COLORS["second"], linestyle="--", linewidth=1.5, label="best so far")
    _scattered(axes, trials, numbers, best, limit)
    around = 0.5 + len(trials) / 50
    axes.set_xlim(min(numbers) - around, max(numbers) + around)
    mark_whole_numbers(axes)
    if best["value"] != limit:
        margin = (best["value"] - limit) / 15
        axes.set_ylim(*sorted((limit - margin, best["value"] + margin)))
    _labeled(axes, "trial", value)
    _legend(figure)
    heading = title(f"{value} by trial")
    words = f"{len(trials)} trials; the best is number {best['number']}, with {_shown(best['value'])}."
    return Plot(to_svg(figure, f"{name}-0", heading, words), heading)


def _scattered(
    axes: Any, trials: Sequence[Mapping[str, Any]], places: Sequence[float], best: Mapping[str, Any], limit: float
) -> None:
    """Draw the trials at their places by what became of them; failed ones, and those far off, at the border."""
    kinds: dict[str, list[tuple[float, float]]] = {"complete": [], "pruned": [], "far off": [], "failed": []}
    for x, trial in zip(places, trials, strict=True):
        y = trial.get("value")
        if not isinstance(y, int | float):
            kinds["failed"].append((x, limit))
        elif (y - limit) * (best["value"] - limit) < 0:
            kinds["far off"].append((x, limit))
        elif trial is not best:
            kinds["pruned" if trial.get("state") == "pruned" else "complete"].append((x, y))
    styles: dict[str, dict[str, Any]] = {
        "complete": {"color": COLORS["accent"], "marker": "o", "s": 22, "linewidths": 0},
        "pruned": {"facecolors": "none", "edgecolors": COLORS["soft"], "marker": "o", "s": 20, "linewidths": 1},
        "far off": {"color": COLORS["third"], "marker": "v" if best["value"] >= limit else "^", "s": 26},
        "failed": {"color": COLORS["third"], "marker": "x", "s": 26, "linewidths": 1.4},
    }
    for kind, points in kinds.items():
        if points:
            axes.scatter(*zip(*points, strict=True), label=kind, **styles[kind])
    for x, trial in zip(places, trials, strict=True):
        if trial is best:
            axes.scatter([x], [best["value"]], color=COLORS["second"], s=80, marker="D", label="best", linewidths=0)


def _placed(axes: Any, values: Sequence[Any], about: Mapping[str, Any]) -> Callable[[Any, int], float]:
    """Set up the horizontal axis for a parameter; returns where a value of the trial with this number is drawn."""
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
    if numbers and "choices" not in about:
        if about["log"] if "log" in about else _spans_decades(values):
            _logarithmic(axes, [about["low"], about["high"]] if "low" in about else values)
        elif all(isinstance(each, int) for each in values):
            mark_whole_numbers(axes)
        return lambda value, _: float(value)
    choices = list(about.get("choices", ()))
    choices += [each for place, each in enumerate(values) if each not in choices and each not in values[:place]]
    names = [text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 2]}.." for text in map(str, choices)]
    turned = sum(map(len, names)) > 4 * _MOST_LETTERS
    axes.set_xticks(range(len(names)), labels=names, rotation=30 if turned else 0, ha="right" if turned else "center")
    axes.set_xlim(-0.5, len(names) - 0.5)
    return lambda value, number: choices.index(value) + 0.4 * (number * _GOLDEN % 1 - 0.5)  # beside one another


def _limit(values: Sequence[float], maximize: bool) -> float:
    """Where the axis of the values ends: at the worst, unless the others could then not be told apart."""
    order = sorted(values, reverse=maximize)  # the best first
    best, usual, worst = order[0], order[3 * len(order) // 4], order[-1]
    far = best + _FAR * (usual - best)
    return far if usual != best and abs(worst - best) > abs(far - best) else worst


def importance_plot(importance: Mapping[str, float], name: str) -> Plot:
    """How much of the differences between trials each parameter explains."""
    order = sorted(importance, key=lambda each: -importance[each])
    values = [importance[each] for each in order]
    return bars(order, values, name, "Importance of the parameters", "part of the differences it explains", end=1.0)


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


def _legend(figure: Any) -> None:
    figure.legend(
        loc="outside lower center", ncols=4, columnspacing=1.2, fontsize=9, frameon=False, labelcolor=COLORS["ink"]
    )


def _logarithmic(axes: Any, values: Sequence[float]) -> None:
    """A log axis for these values, with marks at decades, and between them if there are few."""
    from matplotlib.ticker import LogLocator, NullLocator

    few = math.log10(max(values) / min(values)) < _FEW_DECADES
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=6))
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
