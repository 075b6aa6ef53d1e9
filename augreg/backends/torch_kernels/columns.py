"""Numbers of ops: plain ones, which all images share, and NumPy arrays with one for each image; and their uploads.

They are read on the host as much as a kernel likes. Each copy to a device has all numbers of an op, and nothing waits
for it: a blocking copy would wait until the device has done all work before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Number", "compact", "differ", "host", "shared", "table", "to_device", "uploaded"]

Number: TypeAlias = float | NDArray[Any]


def differ(*numbers: Number) -> bool:
    """Whether any of them is an array."""
    return any(isinstance(number, np.ndarray) for number in numbers)


def shared(number: Number, what: str) -> int:
    """A whole number that all images have to share. Raises ValueError if they do not."""
    if not isinstance(number, np.ndarray):
        return int(number)
    if not number.size or (number != number.flat[0]).any():
        raise ValueError(f"the images of a batch must share the {what}, got {sorted(set(number.tolist()))}")
    return int(number.flat[0])


def host(numbers: Any) -> NDArray[Any]:
    """A column or a table of a NumPy array or of a tensor on the CPU."""
    return np.asarray(numbers)


def table(numbers: Sequence[Number], count: int) -> NDArray[np.float64]:
    """The numbers in a row each, with a column for each of `count` images."""
    found = np.empty((len(numbers), count))
    for row, number in zip(found, numbers, strict=True):
        row[:] = number
    return found


def compact(numbers: Sequence[Number], count: int) -> NDArray[np.float64]:
    """As `table`, with one column for all images if none of the numbers is an array."""
    return table(numbers, count if differ(*numbers) else 1)


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """A copy of the array on the device."""
    return torch.from_numpy(np.array(array)).to(device, non_blocking=True)


def uploaded(numbers: Sequence[Number], count: int, device: torch.device) -> list[torch.Tensor]:
    """Each as a column of float64, one for each of `count` images, after one copy of all."""
    return list(to_device(table(numbers, count), device).unbind(0)) if numbers else []
