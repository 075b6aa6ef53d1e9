"""Figures in the look of the pages that augreg writes, and SVG files of them.

A figure is 5 inches wide, so that its text is about as large on a narrow phone as in print.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from augreg.files.whole_files import whole_file
from augreg.pages.svg import COLORS, new_figure, styled, to_file, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["COLORS", "SIZE", "dots", "headed", "panels", "save", "show_image"]

SIZE = 8.5
"""The size of the text in points."""


def panels(
    rows: int, columns: int, height: float, *,
    widths: Sequence[float] | None = None, heights: Sequence[float] | None = None, shared: bool = False,
) -> tuple[Figure, NDArray[Any]]:  # fmt: skip
    """A figure of this height in inches, and its axes, rows x columns. `shared` is for axes with the same limits.

    `widths` and `heights` are those of the columns and rows relative to one another. Raises ImportError if matplotlib
    is not installed.
    """
    figure, first = new_figure(height)
    first.remove()
    figure.patch.set(visible=True, facecolor=COLORS["card"])
    grid = figure.subplots(
        rows, columns, squeeze=False, width_ratios=widths, height_ratios=heights, sharex=shared, sharey=shared
    )
    for axes in grid.flat:
        styled(axes, SIZE)
    return figure, np.asarray(grid)


def headed(axes: Any, title: str, x: str = "", y: str = "") -> None:
    """Give axes a title and the names of what they show."""
    axes.set_title(title, color=COLORS["ink"], fontsize=SIZE + 0.5, loc="left")
    axes.set_xlabel(x, color=COLORS["ink"], fontsize=SIZE)
    axes.set_ylabel(y, color=COLORS["ink"], fontsize=SIZE)


def dots(axes: Any, x: Any, y: Any, color: str, size: float) -> None:
    """Draw round dots as one path, which takes a fifth of the file that as many markers take."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    points = np.repeat(np.column_stack([x, y]), 2, axis=0)  # lines of no length, whose round ends are seen
    outline = Outline(points, np.tile([Outline.MOVETO, Outline.LINETO], len(points) // 2))
    outline.should_simplify = False
    axes.add_patch(PathPatch(outline, fill=False, edgecolor=color, linewidth=size, capstyle="round"))


def show_image(axes: Any, image: NDArray[np.uint8], title: str = "") -> None:
    """Show an image (height x width x 3) with its own pixels, without ticks."""
    axes.imshow(image, interpolation="none")
    axes.set_axis_off()
    if title:
        axes.set_title(title, color=COLORS["ink"], fontsize=SIZE)


def save(figure: Figure, path: str | Path, title: str, description: str = "") -> None:
    """Write a figure as an SVG file that follows light and dark, and whose text is as large as that around it.

    The title and the description are for screen readers.
    """
    path = Path(path)
    text = to_file(to_svg(figure, path.stem, title, description or title))
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
