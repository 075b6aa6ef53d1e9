"""Labels as arrays or tensors: what they must be, and the few operations that NumPy and torch spell differently.

Torch is not imported here: where nobody did, there are no tensors.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = [
    "arange",
    "as_floats",
    "as_integers",
    "as_labels_are",
    "check_mixture",
    "check_range",
    "checked_labels",
    "checked_smoothing",
    "compiling",
    "dtype",
    "equal",
    "is_integer",
    "is_number_each",
    "is_tensor",
    "zeros",
]


def is_tensor(value: Any) -> bool:
    """Whether this is a torch tensor; there is none where torch was never imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def compiling() -> bool:
    """Whether torch.compile is reading this code: then nothing may depend on the numbers in a tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_compiling())


def dtype(array: Any) -> str:
    """The dtype by its name alone."""
    return str(array.dtype).removeprefix("torch.")


def is_integer(array: Any) -> bool:
    """Whether it holds integers; bools do not count."""
    return dtype(array).startswith(("int", "uint"))


def is_number_each(values: Any, count: int) -> bool:
    """Whether these are numbers of `count` samples, one each or a row each; one bool each is no number."""
    if isinstance(values, list | tuple):
        return len(values) == count and all(isinstance(one, int | float) and one is not bool(one) for one in values)
    if not (is_tensor(values) or isinstance(values, np.ndarray)) or values.ndim not in (1, 2) or len(values) != count:
        return False
    return is_integer(values) or "float" in dtype(values) or (dtype(values) == "bool" and values.ndim == 2)


def checked_labels(labels: Any, classes: int | None) -> Any:
    """The labels of a batch as an array or a tensor. Raises TypeError or ValueError."""
    if not is_tensor(labels):
        if not isinstance(labels, np.ndarray | list | tuple):
            raise TypeError(f"labels are an array, a tensor or a list, got {type(labels).__name__}")
        labels = (
            np.asarray(labels, np.int64) if isinstance(labels, list | tuple) and not labels else np.asarray(labels)
        )
    if labels.ndim not in (1, 2):
        shape = tuple(labels.shape)
        raise ValueError(f"labels are N class ids or N x C numbers from 0 to 1, got an array of shape {shape}")
    kind = dtype(labels)
    if labels.ndim == 1:
        if not is_integer(labels):
            hint = "; floats cannot hold every id" if "float" in kind else ""
            raise TypeError(f"class ids are integers, got {kind}{hint}: give integers, or N x C numbers from 0 to 1")
        check_range(labels, classes)
        return labels
    if not (is_integer(labels) or kind == "bool" or "float" in kind):
        raise TypeError(f"N x C labels are numbers from 0 to 1, got {kind}")
    if labels.shape[1] == 1 and is_integer(labels):
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} are no class ids, which have one axis: take labels[:, 0]"
        )
    if classes is not None and labels.shape[1] != classes:
        raise ValueError(f"labels of {classes} classes are N x {classes}, got {tuple(labels.shape)}")
    if len(labels) and kind != "bool":
        low, high = _extent(labels)
        if not (low >= 0.0 and high <= 1.0):
            raise ValueError(f"N x C labels lie between 0 and 1, got {low:g} to {high:g}; class ids are one axis, N")
    return labels


def check_range(ids: Any, classes: int | None) -> None:
    """Raise ValueError unless class ids are from 0 up to the number of classes, where that is known."""
    if not len(ids):
        return
    low, high = _extent(ids)
    if low < 0:
        raise ValueError(f"class ids start at 0, got {low}")
    if classes is not None and high >= classes:
        raise ValueError(f"the ids of {classes} classes are 0 to {classes - 1}, got {high}")


def check_mixture(sources: Any, weights: Any, count: int) -> None:
    """Raise ValueError unless these are places in the batch, and shares of a whole."""
    if is_tensor(sources):
        if compiling():
            return
        sources, weights = sources.cpu().numpy(), weights.double().cpu().numpy()
    if sources.size and not (sources.min() >= 0 and sources.max() < count):
        raise ValueError(f"sources are places in a batch of {count}, got {sources.min()} to {sources.max()}")
    if weights.size and not (weights.min() >= 0.0 and np.allclose(weights.sum(axis=-1), 1.0, atol=1e-5)):
        raise ValueError("the weights of each image are 0 or more and sum to 1")


def checked_smoothing(amount: float) -> float:
    """An amount of smoothing. Raises ValueError unless it is from 0 up to, and less than, 1."""
    amount = float(amount)
    if not 0.0 <= amount < 1.0:
        raise ValueError(f"smoothing is from 0 up to 1, and less than 1, got {amount!r}")
    return amount


def _extent(array: Any) -> tuple[Any, Any]:
    if is_tensor(array) and "uint" in dtype(array):  # torch has no minimum of wide unsigned kinds
        array = array.long()
    return array.min().item(), array.max().item()


def as_labels_are(array: Any, labels: Any, kind: str | None = None) -> Any:
    """An array or tensor as the labels are one or the other, on their device; of another dtype if one is named."""
    if is_tensor(labels):
        torch = sys.modules["torch"]
        return torch.as_tensor(array, dtype=getattr(torch, kind) if kind else None, device=labels.device)
    return np.asarray(array.cpu() if is_tensor(array) else array, dtype=kind)


def as_integers(array: Any) -> Any:
    """As 64-bit integers, which both libraries index by."""
    return array.long() if is_tensor(array) else array.astype(np.int64, copy=False)


def as_floats(array: Any, like: Any) -> Any:
    """As floats of the kind that another array has."""
    return array.to(like.dtype) if is_tensor(array) else array.astype(like.dtype, copy=False)


def zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of the kind, and on the device, that another array has."""
    return like.new_zeros(shape) if is_tensor(like) else np.zeros(shape, like.dtype)


def arange(like: Any, count: int) -> Any:
    """0 .. count - 1, to index an array of this kind by."""
    if is_tensor(like):
        return sys.modules["torch"].arange(count, device=like.device)
    return np.arange(count)


def equal(one: Any, other: Any) -> bool:
    """Whether two fields of soft labels are equal; an array never equals a tensor, nor one on another device."""
    if is_tensor(one) or is_tensor(other):
        return is_tensor(one) and is_tensor(other) and one.device == other.device and bool(one.equal(other))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    return bool(one == other)
