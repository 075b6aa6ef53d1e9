"""The op Lookup of every image of a batch, each with stages of its own: equal in every bit (see `tables`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from augreg.backends.torch_kernels import measuring, tables
from augreg.errors import ImageError
from augreg.ops import ImageStatistic, PointFunction

__all__ = ["tables_of"]

Stages = Sequence[PointFunction | ImageStatistic]

_POINTS: Final[dict[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "brightness": tables.brightness,
    "posterize": tables.posterize,
    "solarize": tables.solarize,
    "solarize_add": tables.solarize_add,
    "gamma": tables.gamma,
}


def tables_of(stages: Sequence[Stages], images: torch.Tensor) -> torch.Tensor:
    """Tables, N x C x 256, of all stages of each image, one after the other: for `tables.looked_up` or `normalized`.

    The stages are those of the ops; images without stages get a table that changes nothing. Images are grouped by the
    names of their stages, so there are as many groups as different names at a position, not as images.
    """
    count, channels = images.shape[:2]
    total = tables.identity(count, images.device)[:, None].repeat(1, channels, 1)
    for position in range(max(map(len, stages), default=0)):
        groups: dict[str, list[int]] = {}
        for number, own in enumerate(stages):
            if position < len(own):
                groups.setdefault(own[position].name, []).append(number)
        for name, numbers in groups.items():
            which = torch.tensor(numbers).to(images.device)
            amounts = [stages[number][position].amount for number in numbers]
            so_far = total[which]
            total[which] = tables.after(so_far, _made(name, amounts, images[which], so_far))
    return total


def _made(name: str, amounts: list[Any], images: torch.Tensor, so_far: torch.Tensor) -> torch.Tensor:
    """The tables of one kind of stage, for images after the tables so far."""
    if name == "table":
        return torch.frombuffer(bytearray(b"".join(amounts)), dtype=torch.uint8).view(-1, 256).to(images.device)
    if name == "invert":
        return tables.invert(len(images), images.device)
    numbers = torch.tensor(amounts, dtype=torch.float64).to(images.device)
    if name in _POINTS:
        return _POINTS[name](numbers)
    if name == "contrast":
        return measuring.contrast(tables.looked_up(images, so_far), numbers)
    if name not in ("equalize", "auto_contrast"):
        raise ImageError(f"there is no point function or image statistic named {name!r}")
    counts = measuring.histograms_after(measuring.histograms(images), so_far)
    return measuring.equalize(counts) if name == "equalize" else measuring.auto_contrast(counts, numbers)
