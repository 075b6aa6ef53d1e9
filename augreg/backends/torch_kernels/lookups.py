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

__all__ = ["NAMES", "Stages", "column_tables", "numbers"]

Stages = Sequence[PointFunction | ImageStatistic]

_POINTS: Final[dict[str, Callable[..., torch.Tensor]]] = {
    "brightness": tables.brightness,
    "posterize": tables.posterize,
    "solarize": tables.solarize,
    "solarize_add": tables.solarize_add,
    "gamma": tables.gamma,
    "multiply_add": tables.multiply_add,
    "curve": tables.curve,
}
_COUNTING: Final = ("equalize", "auto_contrast", "multiply_add_mean")

NAMES: Final = frozenset((*_POINTS, *_COUNTING, "contrast", "invert", "table"))
"""Of the functions that have a kernel."""


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
    amounts = iter(columns.uploaded([each for stage in rest for each in numbers(stage)], len(images), images.device))
    counts: torch.Tensor | None = None
    for stage in rest:
        if isinstance(stage.amount, bytes):
            step = columns.to_device(np.frombuffer(stage.amount, np.uint8)[None], images.device)
        else:
            if stage.name in _COUNTING and counts is None:
                counts = measuring.histograms(images)
            own = [next(amounts) for _ in numbers(stage)]
            step = _made(stage.name, own, images, total, counts)
        total = _after(total, step)
    return tables.identity(1, images.device) if total is None else total


def _is_fixed(stage: PointFunction | ImageStatistic) -> bool:
    """Whether a stage is one table for all images."""
    return isinstance(stage, PointFunction) and not columns.differ(*_amounts(stage))


def _amounts(stage: PointFunction | ImageStatistic) -> tuple[Any, ...]:
    return stage.amount if isinstance(stage.amount, tuple) else (stage.amount,)


def numbers(stage: PointFunction | ImageStatistic) -> tuple[Any, ...]:
    """The numbers that the tables of a stage depend on, which then have to be on the device; each may be an array."""
    if isinstance(stage.amount, bytes) or stage.name in ("invert", "equalize"):
        return ()
    if stage.name == "auto_contrast" and not np.any(stage.amount):
        return ()
    return _amounts(stage)


def _after(first: torch.Tensor | None, second: torch.Tensor) -> torch.Tensor:
    return second if first is None else tables.after(first, second)


def _made(
    name: str,
    amounts: Sequence[torch.Tensor],
    images: torch.Tensor,
    so_far: torch.Tensor | None,
    counts: torch.Tensor | None,
) -> torch.Tensor:
    """The tables of one kind of stage, for images after the tables so far; `counts` are the histograms before."""
    if name == "invert":
        return tables.invert(1, images.device)
    if name in _POINTS:
        return _POINTS[name](*amounts)
    if name == "contrast":
        return measuring.contrast(images if so_far is None else tables.looked_up(images, so_far), *amounts)
    if name not in _COUNTING or counts is None:
        raise ImageError(f"there is no point function or image statistic named {name!r}")
    if so_far is not None:
        counts = measuring.histograms_after(counts, so_far)
    if name == "equalize":
        return measuring.equalize(counts)
    measured = measuring.auto_contrast if name == "auto_contrast" else measuring.multiply_add_mean
    return measured(counts, *amounts)
