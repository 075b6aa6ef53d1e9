"""Rows of numbers: lists, arrays or tensors, read as float64 and written in the same form."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.images.codecs import tensor

__all__ = ["Like", "Rows", "count", "is_tensor", "listed", "picked", "read", "write"]

Rows = NDArray[np.float64]


class Like(NamedTuple):
    """The form of the rows in a sample: list, array or tensor, the dtype, and a tensor's device."""

    kind: str
    dtype: np.dtype[Any]
    device: Any = None


def is_tensor(value: Any) -> bool:
    """Whether this is a torch tensor; torch is not imported for the check."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def read(value: Any, key: str, what: str, columns: tuple[int, ...]) -> tuple[Rows, Like]:
    """The rows, n x one of `columns`, n = 0 included. Raises ImageError, which names the sample's key."""
    wanted = f"{what}: give n x {' or n x '.join(map(str, columns))} numbers"
    like = Like("list", np.dtype(np.float64))
    given = value
    if is_tensor(value):
        given = value.detach().cpu()
        try:
            given = given.numpy()
        except (TypeError, RuntimeError) as error:
            raise ImageError(f"{key}: a tensor of {value.dtype} cannot be read: {error}; give float32") from None
    elif not isinstance(value, np.ndarray | list | tuple):
        raise ImageError(f"{key}: a {type(value).__name__} is not {wanted}")
    try:
        rows = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ImageError(f"{key}: not {wanted} ({error})") from None
    if isinstance(given, np.ndarray):
        # integer coordinates come back as floats
        dtype = given.dtype if given.dtype.kind == "f" else np.dtype(np.float32)
        like = Like("tensor", dtype, value.device) if is_tensor(value) else Like("array", dtype)
    if rows.size == 0 and rows.ndim in (1, 2) and len(rows) == 0:
        rows = rows.reshape(0, rows.shape[1] if rows.ndim == 2 and rows.shape[1] else columns[0])
    if rows.ndim != 2 or rows.shape[1] not in columns:
        raise ImageError(f"{key}: the shape {rows.shape} is not that of {wanted}")
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ImageError(f"{key}[{row}]: {rows[row].tolist()} is not finite; leave out unknown values")
    return rows, like


def write(rows: Rows, like: Like, output: str = "auto") -> Any:
    """The rows in the form of the input, or as arrays or tensors if the spec's `output` says so."""
    kind = {"torch": "tensor", "numpy": "array"}.get(output, like.kind)
    if kind == "list":
        return rows.tolist()
    dtype = np.dtype(np.float32) if like.kind == "list" else like.dtype
    array = np.ascontiguousarray(rows.astype(dtype))
    if kind == "array":
        return array
    made = tensor(array)
    return made if like.device is None else made.to(like.device)


def count(value: Any) -> int | None:
    """The number of entries of a list, tuple, array or tensor; None for a single value, such as a string."""
    if is_tensor(value) or isinstance(value, np.ndarray):
        return int(value.shape[0]) if value.ndim else None
    return len(value) if isinstance(value, list | tuple) else None


def listed(value: Any) -> list[Any]:
    """The entries of a list, tuple, array or tensor; of numbers as plain numbers."""
    return list(value.tolist() if is_tensor(value) or isinstance(value, np.ndarray) else value)


def picked(value: Any, places: Sequence[int]) -> Any:
    """These entries of a list, tuple, array or tensor, as the same type."""
    if isinstance(value, list):
        return [value[place] for place in places]
    if isinstance(value, tuple):
        return tuple(value[place] for place in places)
    return value[list(places)]
