"""Labels as arrays or tensors: checks, and the few operations that NumPy and torch spell differently.

Torch is not imported here: if no other code has imported it, there are no tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "IGNORED",
    "add_to_classes",
    "as_floats",
    "as_integers",
    "check_list",
    "check_mixture",
    "check_range",
    "checked_labels",
    "checked_smoothing",
    "compiling",
    "dtype",
    "equal",
    "is_integer",
    "is_number_per_sample",
    "is_tensor",
    "like_labels",
    "mixture_like",
    "on_a_device",
    "zeros",
]


IGNORED = -100
"""The class id of an image without a label, as in torch's losses."""


def is_tensor(value: Any) -> bool:
    """Whether this is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def on_a_device(array: Any) -> bool:
    """Whether this is a tensor on a GPU or another device: to look at its numbers would wait for the device."""
    return is_tensor(array) and array.device.type != "cpu"


def compiling() -> bool:
    """Whether torch.compile is tracing: then no branch may depend on the values of a tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.compiler.is_compiling())


def dtype(array: Any) -> str:
    """The name of the dtype, the same for arrays and tensors."""
    return str(array.dtype).removeprefix("torch.")


def is_integer(array: Any) -> bool:
    """Whether the dtype is an integer type; bool is not."""
    return dtype(array).startswith(("int", "uint"))


def is_number_per_sample(values: Any, count: int) -> bool:
    """Whether these are numbers of `count` samples, one or a row per sample; one bool per sample does not count."""
    if isinstance(values, list | tuple):
        return len(values) == count and all(isinstance(n, int | float) and n is not bool(n) for n in values)
    if not (is_tensor(values) or isinstance(values, np.ndarray)) or values.ndim not in (1, 2) or len(values) != count:
        return False
    return is_integer(values) or "float" in dtype(values) or (dtype(values) == "bool" and values.ndim == 2)


def checked_labels(labels: Any, classes: int | None) -> Any:
    """The labels of a batch as an array or a tensor. Raises TypeError or ValueError.

    The numbers of a tensor on a device are not looked at.
    """
    if not is_tensor(labels):
        if not isinstance(labels, np.ndarray | list | tuple):
            raise TypeError(f"labels are an array, a tensor or a list, got {type(labels).__name__}")
        check_list(labels, classes)
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
        if not on_a_device(labels):
            check_range(labels, classes)
        return labels
    if not (is_integer(labels) or kind == "bool" or "float" in kind):
        raise TypeError(f"N x C labels are numbers from 0 to 1, got {kind}")
    if labels.shape[1] == 1 and is_integer(labels):
        raise ValueError(
            f"class ids have one axis, got integer labels of shape {tuple(labels.shape)}: give labels[:, 0]"
        )
    if classes is not None and labels.shape[1] != classes:
        raise ValueError(f"labels of {classes} classes are N x {classes}, got {tuple(labels.shape)}")
    if len(labels) and kind != "bool" and not on_a_device(labels):
        low, high = _minimum_and_maximum(labels)
        if not (low >= 0.0 and high <= 1.0):
            raise ValueError(f"N x C labels are between 0 and 1, got {low:g} to {high:g}; class ids have one axis, N")
    return labels


def check_list(labels: Any, classes: int | None = None) -> None:
    """Raise TypeError for a list of tensors with axes, which may be rows or columns; ValueError for ragged rows."""
    if isinstance(labels, list | tuple):
        _check_rows(labels, classes)
    if isinstance(labels, list | tuple) and any(is_tensor(row) and row.ndim for row in labels):
        raise TypeError(
            "labels are a list of tensors. torch's default_collate makes one from labels that are Python lists, and "
            "transposes them: use collate_fn=pipe.collate, or let the dataset return labels as tensors. For a list "
            "of rows give torch.stack(labels)"
        )


def _check_rows(labels: Sequence[Any], classes: int | None) -> None:
    """Raise ValueError unless the labels are all class ids, or all rows of as many numbers."""
    rows = [isinstance(label, list | tuple) or bool(getattr(label, "ndim", 0)) for label in labels]
    lengths = sorted({len(label) for label, is_row in zip(labels, rows, strict=True) if is_row})
    if len(lengths) < 2 and (all(rows) or not any(rows)):
        return
    shown = [*([] if all(rows) else ["a class id"]), *map(str, lengths)]
    if len(shown) > 4:
        shown = [*shown[:3], ".."]
    count = classes or lengths[-1]
    found = f"{', '.join(shown[:-1])} and {shown[-1]}"
    raise ValueError(f"labels have {found} numbers: give one class id, or {count} numbers, per image")


def check_range(ids: Any, classes: int | None) -> None:
    """Raise ValueError unless class ids are 0 or more, and less than the number of classes if it is known.

    -100 is allowed: an image without a label.
    """
    if not len(ids):
        return
    low, high = _minimum_and_maximum(ids)
    if low == IGNORED:
        ids = ids[ids != IGNORED]
        if not len(ids):
            return
        low, high = _minimum_and_maximum(ids)
    if low < 0:
        raise ValueError(f"class ids start at 0, got {low}")
    if classes is not None and high >= classes:
        raise ValueError(f"the ids of {classes} classes are 0 to {classes - 1}, got {high}")


def check_mixture(sources: Any, weights: Any, count: int) -> None:
    """Raise ValueError unless sources are positions in the batch, and the weights of each image sum to 1.

    The numbers of tensors on a device are not looked at.
    """
    if on_a_device(sources) or on_a_device(weights):
        return
    if is_tensor(sources):
        if compiling():
            return
        sources, weights = sources.cpu().numpy(), weights.double().cpu().numpy()
    if sources.size and not (sources.min() >= 0 and sources.max() < count):
        raise ValueError(f"sources are positions in a batch of {count}, got {sources.min()} to {sources.max()}")
    if weights.size and not (weights.min() >= 0.0 and np.abs(weights.sum(axis=-1) - 1.0).max() <= 2e-5):
        raise ValueError("the weights of each image are 0 or more and sum to 1")


def checked_smoothing(amount: float) -> float:
    """The amount of smoothing as a float. Raises ValueError unless it is in [0, 1)."""
    amount = float(amount)
    if not 0.0 <= amount < 1.0:
        raise ValueError(f"smoothing must be at least 0 and less than 1, got {amount!r}")
    return amount


def _minimum_and_maximum(array: Any) -> tuple[Any, Any]:
    if is_tensor(array) and "uint" in dtype(array):  # torch has no minimum of uint16 to uint64
        array = array.long()
    return array.min().item(), array.max().item()


def like_labels(array: Any, labels: Any, kind: str | None = None) -> Any:
    """An array or tensor as a tensor on the device of the labels if they are one, else as an array.

    `kind` names another dtype.
    """
    if is_tensor(labels):
        torch = sys.modules["torch"]
        return torch.as_tensor(array, dtype=getattr(torch, kind) if kind else None, device=labels.device)
    return np.asarray(array.cpu() if is_tensor(array) else array, dtype=kind)


def mixture_like(sources: Any, weights: Any, labels: Any) -> tuple[Any, Any]:
    """`like_labels` of both columns of a mixture. Weights are float32, or float64 if the labels are."""
    if on_a_device(labels) and isinstance(sources, np.ndarray) and isinstance(weights, np.ndarray):
        from augreg.batch.torch_batched import send

        sources, weights = send([sources, weights], labels.device)
    precision = "float64" if dtype(labels) == "float64" else "float32"
    return like_labels(sources, labels, "int64"), like_labels(weights, labels, precision)


def as_integers(array: Any) -> Any:
    """As int64, which both libraries can index with."""
    return array.long() if is_tensor(array) else array.astype(np.int64, copy=False)


def as_floats(array: Any, like: Any) -> Any:
    """With the dtype of another array."""
    return array.to(like.dtype) if is_tensor(array) else array.astype(like.dtype, copy=False)


def zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros with the dtype and the device of another array."""
    return like.new_zeros(shape) if is_tensor(like) else np.zeros(shape, like.dtype)


def add_to_classes(target: Any, ids: Any, weights: Any) -> None:
    """target[i, ids[i]] += weights[i]. Ids are classes: negative ones do not count from the end, but are errors."""
    if is_tensor(target):
        columns = ids[:, None]
        target.scatter_(1, columns, target.gather(1, columns) + weights[:, None])
    else:
        target[np.arange(len(target)), ids] += weights


def equal(a: Any, b: Any) -> bool:
    """Whether two fields of soft labels are equal; an array and a tensor, or tensors of two devices, are not."""
    if is_tensor(a) or is_tensor(b):
        return is_tensor(a) and is_tensor(b) and a.device == b.device and bool(a.equal(b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b))
    return bool(a == b)
