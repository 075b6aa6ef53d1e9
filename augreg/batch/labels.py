"""Soft labels: the original labels of a batch, and which of them were mixed with which weights.

Class ids stay integers: no arithmetic is done with them, whatever the dtype of the images. Only `dense` makes a
matrix of probabilities, when a loss needs it. Labels are NumPy arrays or torch tensors; torch is not imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from augreg.batch.label_arrays import (
    IGNORED,
    add_to_classes,
    as_floats,
    as_integers,
    check_mixture,
    check_range,
    checked_labels,
    checked_smoothing,
    compiling,
    dtype,
    equal,
    is_integer,
    is_tensor,
    like_labels,
    mixture_like,
    on_a_device,
    zeros,
)

__all__ = ["SoftLabels"]

# torch's losses that take a target of probabilities, by name
_LOSSES = ("cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "mse_loss")


_FIELDS = ("labels", "sources", "weights", "classes", "smoothing", "multi_label")


class SoftLabels:
    """The labels of a batch after mixing; the fields do not change.

    `labels` are the labels before mixing: N class ids, or N x C numbers from 0 to 1. The id -100 is an image without
    a label: it has no part in the targets, and in the losses its weight does not count. `shape`, `ndim`, `size()`,
    `dtype` and `device` are those of `labels`. `sources` and `weights` are N x K: image i is made of the images
    sources[i, k] of the batch with the weights weights[i, k]. Column 0 is the image itself. Weights are float32, or
    float64 if the labels are. Without `sources` and `weights` nothing is mixed. `classes` is the number of classes C,
    or None if only the model knows it.

    `smoothing` e in [0, 1) is applied by `dense`. With `multi_label`, each class is true or false independently, and
    y becomes y (1 - e) + e / 2; without it, exactly one class is true, and y becomes y (1 - e) + e / C. By default it
    is false for class ids and true for N x C labels; for rows of probabilities, pass `multi_label=False`.

    The numbers of labels on a GPU are not looked at here, since that would wait for it. Class ids that are out of
    range fail later, in `dense` and the losses, by an assertion of the device, as in torch's own losses.

    Soft labels can be the target of torch's cross_entropy, binary_cross_entropy, binary_cross_entropy_with_logits,
    kl_div and mse_loss, and of their modules. Raises TypeError or ValueError for labels of another form.
    """

    # not a dataclass: frameworks rebuild those that they find in a batch, and convert every array in them
    labels: Any
    sources: Any
    weights: Any
    classes: int | None
    smoothing: float
    multi_label: bool
    _ignores: bool | None  # whether any label is -100; None if nobody has looked

    def __init__(
        self,
        labels: Any,
        sources: Any = None,
        weights: Any = None,
        classes: int | None = None,
        smoothing: float = 0.0,
        multi_label: bool | None = None,
    ) -> None:
        labels = checked_labels(labels, classes)
        count = len(labels)
        sources = np.arange(count)[:, None] if sources is None else sources
        weights = np.ones((count, 1)) if weights is None else weights
        if not is_tensor(sources):
            sources, weights = np.asarray(sources, np.int64), np.asarray(weights, np.float64)
            if not count:  # empty lists have no K
                sources, weights = sources.reshape(0, 1), weights.reshape(0, 1)
        if tuple(sources.shape) != tuple(weights.shape) or sources.ndim != 2 or len(sources) != count:
            shapes = f"{tuple(sources.shape)} and {tuple(weights.shape)}"
            raise ValueError(f"sources and weights are {count} x K for {count} labels, got {shapes}")
        check_mixture(sources, weights, count)
        sources, weights = mixture_like(sources, weights, labels)
        vars(self).update(
            labels=labels,
            sources=sources,
            weights=weights,
            classes=int(labels.shape[1]) if labels.ndim == 2 else classes,
            smoothing=checked_smoothing(smoothing),
            multi_label=_is_multi_label(labels, multi_label, labels.ndim == 2),
            _ignores=_has_ignored(labels),
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"soft labels do not change: make others, instead of setting {name!r}")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"SoftLabels have no {name!r}: for a metric use labels.expected_accuracy(predictions); labels.dense() is "
            "the matrix for a loss, and labels.labels are the labels before mixing"
        )

    @property
    def shape(self) -> Any:
        """The shape of the labels before mixing: N, or N x C."""
        return self.labels.shape

    @property
    def ndim(self) -> int:
        """The number of axes of the labels before mixing: 1 or 2."""
        return int(self.labels.ndim)

    @property
    def dtype(self) -> Any:
        """The dtype of the labels before mixing."""
        return self.labels.dtype

    @property
    def device(self) -> Any:
        """The device of the labels; "cpu" for arrays."""
        return self.labels.device if is_tensor(self.labels) else "cpu"

    def size(self, dim: int | None = None) -> Any:
        """The shape of the labels before mixing, or its length along one axis, as of a tensor."""
        return self.shape if dim is None else int(self.shape[dim])

    @property
    def known(self) -> Any:
        """The fraction of each image that has a label, N; None if all images have one.

        For class ids on a GPU, which are not looked at, it is never None.
        """
        if self._ignores is False:
            return None
        labeled = as_integers(self.labels) != IGNORED
        return (as_floats(labeled[self.sources], self.weights) * self.weights).sum(-1)

    def dense(self, classes: int | None = None) -> Any:
        """The targets as an N x C matrix: float32, or float64 where the labels are.

        The row of an image sums to the fraction of it that has a label: to 1, unless the labels contain -100.

        `classes` is C, if the labels do not know it. Raises ValueError if C is unknown, or differs from theirs.
        """
        return self._dense(self._classes(classes), self.known)

    def _dense(self, classes: int, known: Any) -> Any:
        ids = self.labels.ndim == 1
        if ids and self.classes is None and not (compiling() or on_a_device(self.labels)):  # else it was checked
            check_range(self.labels, classes)
        labels = as_integers(self.labels) if ids else as_floats(self.labels, self.weights)
        target = zeros(self.weights, (len(self), classes))
        for k in range(self.sources.shape[1]):
            sources = labels[self.sources[:, k]]
            if ids:  # each row once, so that no two numbers are added to the same element
                weights = self.weights[:, k]
                if known is not None:
                    labeled = sources != IGNORED
                    sources, weights = sources * labeled, weights * labeled
                add_to_classes(target, sources, weights)
            else:
                target += self.weights[:, k, None] * sources
        if self.smoothing:
            target *= 1.0 - self.smoothing
            uniform = self.smoothing / (2 if self.multi_label else classes)
            target += uniform if known is None else uniform * known[:, None]
        return target

    def pairs(self) -> tuple[Any, Any, Any]:
        """(labels of the images, labels of their partners, weights of the images), N each, without smoothing.

        loss = weight * loss(logits, own) + (1 - weight) * loss(logits, partners). Raises ValueError if an image is
        mixed from more than two, and for smoothed labels.
        """
        if self.smoothing:
            raise ValueError("pairs() are not smoothed: call it before smoothed(), or use dense()")
        if self.sources.shape[1] > 2:
            raise ValueError(f"up to {self.sources.shape[1]} images are mixed in one, not pairs: use dense()")
        partners = self.sources[:, -1]
        return self.labels, self.labels[partners], self.weights[:, 0]

    def smoothed(self, amount: float, multi_label: bool | None = None) -> SoftLabels:
        """The same labels, smoothed by `amount`. Raises ValueError if they are already smoothed.

        Smoothing and mixing commute. `multi_label` says what N x C labels mean, as for the class.
        """
        if self.smoothing:
            raise ValueError(f"these labels are already smoothed by {self.smoothing:g}; smooth once")
        chosen = _is_multi_label(self.labels, multi_label, self.multi_label)
        return self._with(smoothing=checked_smoothing(amount), multi_label=chosen)

    def expected_accuracy(self, predictions: Any) -> float:
        """The mean weight of the predicted class in the labels, without smoothing, over what has a label.

        `predictions` are N x C logits or probabilities, or N class ids. For an image mixed from two it is
        weight * (1 if the first is right) + (1 - weight) * (1 if the second is right). An empty batch gives nan.
        """
        if is_tensor(predictions) and not is_tensor(self.labels):
            return self.to(predictions.device).expected_accuracy(predictions)
        if not is_tensor(predictions):
            predictions = like_labels(np.asarray(predictions), self.labels)
        if predictions.ndim not in (1, 2) or len(predictions) != len(self):
            shape = tuple(predictions.shape)
            raise ValueError(f"predictions for {len(self)} labels are N x C logits or N class ids, got {shape}")
        if predictions.ndim == 2:
            if self.classes is not None:
                self._classes(int(predictions.shape[1]))
            predictions = predictions.argmax(1)
        elif not is_integer(predictions):
            raise TypeError(f"predicted class ids are integers, got {dtype(predictions)}")
        predictions = as_integers(predictions)
        accuracy = zeros(self.weights, (len(self),))
        for k in range(self.sources.shape[1]):
            if self.labels.ndim == 1:
                hit = as_integers(self.labels)[self.sources[:, k]] == predictions
            else:
                hit = self.labels[self.sources[:, k], predictions]
            accuracy += self.weights[:, k] * hit
        known = self.known
        total = len(self) if known is None else float(known.sum())
        return float(accuracy.sum()) / total if total else float("nan")

    def ne(self, label: int) -> Any:
        """The fraction of each image whose label is not this one, N: `labels.ne(-100).sum()` counts what has a label.

        Trainers count the labels of several batches that are one step in this way. Rows of N x C count as one each.
        """
        if self.labels.ndim == 2:
            return zeros(self.weights, (len(self),)) + 1.0
        return ((as_integers(self.labels) != label)[self.sources] * self.weights).sum(-1)

    def to(self, *args: Any, **kwargs: Any) -> SoftLabels:
        """The same labels as tensors on a device or of a float dtype, as for a tensor; NumPy arrays are converted.

        Only floats get the dtype: class ids and sources stay integers. Raises TypeError for another dtype.
        """
        try:
            from augreg.batch.torch_kernels import converted
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "moving labels to a device needs torch: pip install 'augreg[torch]'", name=error.name
            ) from error
        return self._map(lambda array: converted(array, *args, **kwargs))

    def pin_memory(self, device: Any = None) -> SoftLabels:
        """The same labels in pinned memory, as DataLoader's `pin_memory` asks; NumPy arrays stay as they are."""
        return self._map(lambda array: array.pin_memory()) if is_tensor(self.labels) else self

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        if is_tensor(other) or isinstance(other, np.ndarray):
            raise TypeError(
                "soft labels have several classes per image and cannot be compared with predictions: "
                "use labels.expected_accuracy(predictions); labels.labels are the labels before mixing"
            )
        if not isinstance(other, SoftLabels):
            return NotImplemented
        return all(equal(getattr(self, name), getattr(other, name)) for name in _FIELDS)

    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # NumPy then calls our __eq__ for comparisons with an array

    def __repr__(self) -> str:
        kind = "class ids" if self.labels.ndim == 1 else "multi-hot" if self.multi_label else "probabilities"
        classes = f" of {self.classes} classes" if self.classes is not None else ""
        smoothing = f", smoothed by {self.smoothing:g}" if self.smoothing else ""
        return f"SoftLabels({len(self)} {kind}{classes}, up to {self.sources.shape[1]} mixed{smoothing})"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Torch calls this for its functions of soft labels: losses get the dense matrix for the model's classes."""
        arguments = dict(kwargs or {})
        name = getattr(func, "__name__", str(func))
        target = args[1] if len(args) > 1 else arguments.get("target")
        if name not in _LOSSES or not isinstance(target, SoftLabels):
            raise TypeError(
                f"torch.{name} takes no SoftLabels: give it labels.dense(), or use one of {', '.join(_LOSSES)}. For "
                "a metric, use labels.expected_accuracy(predictions), or labels.labels, the labels before mixing"
            )
        logits = args[0] if args else arguments["input"]
        if logits.ndim != 2 or len(logits) != len(target):
            raise ValueError(f"{name} of {len(target)} soft labels takes N x C numbers, got {tuple(logits.shape)}")
        if arguments.get("label_smoothing") and target.smoothing:
            raise ValueError(
                f"the labels are already smoothed by {target.smoothing:g}, and the loss would smooth them again: "
                "remove its label_smoothing"
            )
        if not is_tensor(target.labels):
            target = target.to(logits.device)
        known = target.known if target._ignores or name == "cross_entropy" else None  # others ignore nothing
        dense = target._dense(target._classes(int(logits.shape[1])), known)
        if logits.is_floating_point():
            dense = dense.to(logits.dtype)
        if known is not None:
            return _loss_of_the_known(func, args, arguments, dense, known)
        if len(args) > 1:
            return func(args[0], dense, *args[2:], **arguments)
        return func(*args, **{**arguments, "target": dense})

    def _classes(self, classes: int | None) -> int:
        """The number of classes. Raises ValueError if it is unknown, or differs from that of the labels."""
        if classes is None and self.classes is None:
            raise ValueError("the number of classes is unknown: use dense(10), or `classes: 10` in the spec")
        if classes is not None and self.classes is not None and classes != self.classes:
            raise ValueError(f"the labels have {self.classes} classes, and {classes} were asked for")
        return int(classes if classes is not None else self.classes)  # type: ignore[arg-type]

    def _with(self, **changes: Any) -> SoftLabels:
        """A copy with other values, which are not checked again."""
        copy = object.__new__(SoftLabels)
        vars(copy).update({**vars(self), **changes})
        return copy

    def _map(self, change: Callable[[Any], Any]) -> SoftLabels:
        return self._with(**{name: change(getattr(self, name)) for name in ("labels", "sources", "weights")})


def _loss_of_the_known(func: Any, args: Sequence[Any], arguments: dict[str, Any], dense: Any, known: Any) -> Any:
    """Cross-entropy with images that have no label, or in part: as torch has it with ignore_index, weighted.

    Raises ValueError for other losses, which ignore nothing.
    """
    if getattr(func, "__name__", "") != "cross_entropy":
        raise ValueError("labels with -100, which is ignored, are a target of cross_entropy only")
    reduction = arguments.pop("reduction", args[6] if len(args) > 6 else "mean")
    weight = arguments.pop("weight", args[2] if len(args) > 2 else None)
    smoothing = arguments.pop("label_smoothing", args[7] if len(args) > 7 else 0.0)
    known = known.to(dense.dtype)
    target = dense / known.clamp(min=1e-6)[:, None]  # whole probabilities, which may be smoothed
    logits = args[0] if args else arguments["input"]
    losses = known * func(logits, target, weight, reduction="none", label_smoothing=smoothing)
    return losses if reduction == "none" else losses.sum() / known.sum() if reduction == "mean" else losses.sum()


def _has_ignored(labels: Any) -> bool | None:
    """Whether any class id is -100; None for those on a device, which are not looked at."""
    if labels.ndim == 2 or compiling():
        return False
    return None if on_a_device(labels) else bool((as_integers(labels) == IGNORED).any())


def _is_multi_label(labels: Any, multi_label: bool | None, default: bool | None) -> bool:
    """The value of `multi_label`, or its default. Raises ValueError if it is true for class ids."""
    if multi_label and labels.ndim == 1:
        raise ValueError("class ids have one class per image; multi_label takes N x C labels")
    return bool(default if multi_label is None else multi_label)
