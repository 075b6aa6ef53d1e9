"""The op Lookup of the images of a batch: equal in every bit (see `tables`).

Either all images have stages of the same names, with numbers in columns, or each has a list of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends import intensity
from augreg.backends.torch_kernels import columns, measuring, tables
from augreg.errors import ImageError
from augreg.ops import ImageStatistic, PointFunction

__all__ = ["column_tables", "merged_tables", "tables_of"]

Stages = Sequence[PointFunction | ImageStatistic]

_POINTS: Final[dict[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "brightness": tables.brightness,
    "posterize": tables.posterize,
    "solarize": tables.solarize,
    "solarize_add": tables.solarize_add,
    "gamma": tables.gamma,
}
_COUNTING: Final = ("equalize", "auto_contrast")


def column_tables(stages: Stages, images: torch.Tensor, total: torch.Tensor | None = None) -> torch.Tensor:
    """Tables of stages that all images have, where an amount may be an array with a number for each image.

    They are N x 256, or N x C x 256 where the channels differ; one row in place of N is for all images. `total` are
    tables to apply first.
    """
    fixed = 0
    while fixed < len(stages) and _is_fixed(stages[fixed]):
        fixed += 1
    if fixed or not stages:  # one table, made on the host
        found = intensity.table(stages[:fixed], *(None,) * 4)  # type: ignore[arg-type]
        total = _after(total, columns.to_device(found[None], images.device))
    rest = stages[fixed:]
    numeric = [stage.amount for stage in rest if not isinstance(stage.amount, bytes)]
    amounts = columns.uploaded(numeric, len(images), images.device)
    counts: torch.Tensor | None = None
    for stage in rest:
        if isinstance(stage.amount, bytes):
            step = columns.to_device(np.frombuffer(stage.amount, np.uint8)[None], images.device)
        else:
            if stage.name in _COUNTING and counts is None:
                counts = measuring.histograms(images)
            step = _made(stage.name, amounts.pop(0), images, total, counts)
        total = _after(total, step)
    return tables.identity(1, images.device) if total is None else total


def merged_tables(parts: Iterable[tuple[Stages, NDArray[np.intp]]], images: torch.Tensor) -> torch.Tensor:
    """Tables, N x C x 256, of stages for some of the images each, in order: the numbers of the images are given too.

    The amounts of the stages are columns for these images. An image may be in several parts, or in none.
    """
    count, channels = images.shape[:2]
    total = tables.identity(count, images.device)[:, None].repeat(1, channels, 1)
    for stages, rows in parts:
        which = columns.to_device(rows, images.device)
        own = column_tables(stages, images.index_select(0, which), total.index_select(0, which))
        total.index_copy_(0, which, own.expand(len(rows), channels, 256))
    return total


def tables_of(stages: Sequence[Stages], images: torch.Tensor) -> torch.Tensor:
    """Tables, N x C x 256, of all stages of each image, one after the other: for `tables.looked_up` or `normalized`.

    The stages are those of the ops; images without stages get a table that changes nothing. Images are grouped by the
    names of their stages, so there are as many groups as different names at a position, not as images.
    """
    parts = []
    for position in range(max(map(len, stages), default=0)):
        groups: dict[tuple[str, Any], list[int]] = {}
        for number, own in enumerate(stages):
            if position < len(own):
                amount = own[position].amount
                bytes_only = amount if isinstance(amount, bytes) else None
                groups.setdefault((own[position].name, bytes_only), []).append(number)
        for (_, table), numbers in groups.items():
            first = stages[numbers[0]][position]
            amounts: Any = np.array(
                [stages[number][position].amount for number in numbers], object if table else float
            )
            stage = type(first)(first.name, table if table is not None else amounts)
            parts.append(((stage,), np.array(numbers, np.intp)))
    return merged_tables(parts, images)


def _is_fixed(stage: PointFunction | ImageStatistic) -> bool:
    """Whether a stage is one table for all images."""
    return isinstance(stage, PointFunction) and not isinstance(stage.amount, np.ndarray)


def _after(first: torch.Tensor | None, second: torch.Tensor) -> torch.Tensor:
    return second if first is None else tables.after(first, second)


def _made(
    name: str,
    amounts: torch.Tensor,
    images: torch.Tensor,
    so_far: torch.Tensor | None,
    counts: torch.Tensor | None,
) -> torch.Tensor:
    """The tables of one kind of stage, for images after the tables so far; `counts` are the histograms before."""
    if name == "invert":
        return tables.invert(1, images.device)
    if name in _POINTS:
        return _POINTS[name](amounts)
    if name == "contrast":
        return measuring.contrast(images if so_far is None else tables.looked_up(images, so_far), amounts)
    if counts is None:
        raise ImageError(f"there is no point function or image statistic named {name!r}")
    if so_far is not None:
        counts = measuring.histograms_after(counts, so_far)
    return measuring.equalize(counts) if name == "equalize" else measuring.auto_contrast(counts, amounts)
