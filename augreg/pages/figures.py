"""Plots for reports, as SVG: lines with bands, points with error bars, bars, and reliability diagrams.

Each function returns a `Plot`. Without matplotlib (`pip install 'augreg[plots]'`) they raise ImportError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from augreg.pages.svg import COLORS, new_figure, to_svg

__all__ = ["Line", "Plot", "bars", "lines", "points", "reliability"]

_CYCLE = ("accent", "second", "third", "fourth", "soft", "ink")
_DASHES = ("-", "--", "-.", ":", "-", "--")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_ROW = 0.32  # inches for a row of points or bars


@dataclass(frozen=True)
class Plot:
    """A plot as an SVG element, and its title, which the page shows above it."""

    svg: str
    title: str


@dataclass(frozen=True)
class Line:
    """A line through points, with a band from `low` to `high` around it if they are given.

    A `guide` is a thin line without markers, such as a law to compare with.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    guide: bool = False


def lines(
    series: Sequence[Line], name: str, title: str, x: str, y: str, description: str = "", log: bool = False
) -> Plot:
    """Lines with bands. `x` and `y` are the labels of the axes; `log` makes both logarithmic.

    `name` is unique in the page.
    """
    figure, axes = new_figure()
    numbers = iter(range(len(series)))
    for each in series:
        if each.guide:
            axes.plot(each.x, each.y, color=COLORS["soft"], linewidth=1, linestyle=":", label=each.name)
            continue
        number = next(numbers) % len(_CYCLE)
        style = {"color": COLORS[_CYCLE[number]], "linestyle": _DASHES[number], "marker": _MARKERS[number]}
        axes.plot(each.x, each.y, linewidth=1.8, markersize=4, label=each.name, **style)
        if each.low is not None and each.high is not None:
            axes.fill_between(each.x, each.low, each.high, color=style["color"], alpha=0.18, linewidth=0)
    if log:
        _logarithmic(axes, [value for each in series for value in each.x])
    _labeled(axes, x, y)
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False, labelcolor=COLORS["ink"])
    words = description or f"Lines of {y} by {x}: {', '.join(each.name for each in series)}."
    return Plot(to_svg(figure, name, title, words), title)


def points(
    names: Sequence[str], values: Sequence[float], low: Sequence[float], high: Sequence[float],
    name: str, title: str, x: str, limit: float | None = None, signed: bool = False,
    description: str = "",
) -> Plot:  # fmt: skip
    """A point for each name, from the top, with a bar from `low` to `high`; `limit` is marked by a dashed line.

    The axis begins at 0, unless values are `signed`.
    """
    figure, axes = new_figure(1.0 + _ROW * len(names))
    places = list(range(len(names)))
    errors = [
        [max(0.0, value - end) for value, end in zip(values, low, strict=True)],
        [max(0.0, end - value) for value, end in zip(values, high, strict=True)],
    ]
    axes.errorbar(
        values, places, xerr=errors, fmt="o", color=COLORS["accent"], ecolor=COLORS["accent"], capsize=3, markersize=5
    )
    if limit is not None:
        axes.axvline(limit, color=COLORS["second"], linewidth=1, linestyle="--")
    axes.set_yticks(places, labels=[_short(each) for each in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    if not signed:
        axes.set_xlim(left=0.0)
    axes.locator_params(axis="x", nbins=6)  # more labels, such as −0.14 and −0.12, have no gap between them
    axes.grid(visible=False, axis="y")
    _labeled(axes, x, "")
    shown = "; ".join(
        f"{each} {value:.3g} ({start:.3g} to {end:.3g})"
        for each, value, start, end in zip(names, values, low, high, strict=True)
    )
    return Plot(to_svg(figure, name, title, description or f"{x}: {shown}."), title)


def bars(
    names: Sequence[str], values: Sequence[float], name: str, title: str, x: str, description: str = "",
    end: float | None = None,
) -> Plot:  # fmt: skip
    """A horizontal bar for each name, from the top. The axis ends at `end`; None: at the longest bar."""
    figure, axes = new_figure(1.0 + _ROW * len(names))
    places = list(range(len(names)))
    axes.barh(places, values, height=0.6, color=COLORS["accent"])
    if end is not None:
        axes.set_xlim(0.0, end)
    axes.set_yticks(places, labels=[_short(each) for each in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    _labeled(axes, x, "")
    shown = "; ".join(f"{each} {value:.3g}" for each, value in zip(names, values, strict=True))
    return Plot(to_svg(figure, name, title, description or f"{x}: {shown}."), title)


def reliability(
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]], name: str, title: str, description: str = ""
) -> Plot:
    """The accuracy by the confidence, for the bins with images; perfect calibration is the diagonal.

    Each of the series has a name, the mean confidence of each bin, and the fraction of right predictions.
    """
    diagonal = Line("perfect calibration", [0.0, 1.0], [0.0, 1.0], guide=True)
    curves = [Line(each, confidence, accuracy) for each, confidence, accuracy in series]
    shown = "; ".join(
        f"{each.name}: " + ", ".join(f"{x:.2f} right {y:.2f}" for x, y in zip(each.x, each.y, strict=True))
        for each in curves
    )
    return lines(
        [*curves, diagonal], name, title, "confidence", "fraction of right predictions",
        description or f"By confidence, the fraction of right predictions. {shown}.",
    )  # fmt: skip


def _logarithmic(axes: Any, x: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_locator(NullLocator())
    axes.set_xlim(min(x) / 1.1, max(x) * 1.1)


def _labeled(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x, color=COLORS["ink"], fontsize=10)
    axes.set_ylabel(y, color=COLORS["ink"], fontsize=10)


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else f"..{name[2 - longest :]}"
