"""The op Lookup: stages that all images of a batch have, with numbers of its own for each; equal in every bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch

from augreg.backends import intensity
from augreg.backends.torch_kernels import columns, measuring, tables
from augreg.errors import ImageError
from augreg.ops import ImageStatistic, PointFunction

__all__ = ["Stages", "column_tables"]

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
    numbers: list[Any] = [stage.amount for stage in rest if _has_number(stage)]
    amounts = columns.uploaded(numbers, len(images), images.device)
    counts: torch.Tensor | None = None
    for stage in rest:
        if isinstance(stage.amount, bytes):
            step = columns.to_device(np.frombuffer(stage.amount, np.uint8)[None], images.device)
        else:
            if stage.name in _COUNTING and counts is None:
                counts = measuring.histograms(images)
            amount = amounts.pop(0) if _has_number(stage) else None
            step = _made(stage.name, amount, images, total, counts)
        total = _after(total, step)
    return tables.identity(1, images.device) if total is None else total


def _is_fixed(stage: PointFunction | ImageStatistic) -> bool:
    """Whether a stage is one table for all images."""
    return isinstance(stage, PointFunction) and not isinstance(stage.amount, np.ndarray)


def _has_number(stage: PointFunction | ImageStatistic) -> bool:
    """Whether its tables depend on its amount, which then has to be on the device."""
    if isinstance(stage.amount, bytes):
        return False
    cuts = stage.name == "auto_contrast" and bool(np.any(stage.amount))
    return cuts or stage.name == "contrast" or stage.name in _POINTS


def _after(first: torch.Tensor | None, second: torch.Tensor) -> torch.Tensor:
    return second if first is None else tables.after(first, second)


def _made(
    name: str,
    amounts: torch.Tensor | None,
    images: torch.Tensor,
    so_far: torch.Tensor | None,
    counts: torch.Tensor | None,
) -> torch.Tensor:
    """The tables of one kind of stage, for images after the tables so far; `counts` are the histograms before."""
    if name == "invert":
        return tables.invert(1, images.device)
    if amounts is not None and name in _POINTS:
        return _POINTS[name](amounts)
    if amounts is not None and name == "contrast":
        return measuring.contrast(images if so_far is None else tables.looked_up(images, so_far), amounts)
    if name not in _COUNTING or counts is None:
        raise ImageError(f"there is no point function or image statistic named {name!r}")
    if so_far is not None:
        counts = measuring.histograms_after(counts, so_far)
    return measuring.equalize(counts) if name == "equalize" else measuring.auto_contrast(counts, amounts)
