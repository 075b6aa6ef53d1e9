"""Soft labels: who was mixed with whom and with which weight, beside the labels as they were.

Class ids stay integers: no arithmetic touches them, whatever the images' dtype. Only `dense` makes a matrix of
probabilities, once, when a loss asks for it. NumPy arrays and torch tensors both do; torch is not imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from augreg.batch.label_arrays import (
    arange,
    as_floats,
    as_integers,
    as_labels_are,
    check_mixture,
    check_range,
    checked_labels,
    checked_smoothing,
    compiling,
    dtype,
    equal,
    is_integer,
    is_tensor,
    zeros,
)

__all__ = ["SoftLabels"]

# torch's losses that are linear in a target of probabilities, or say so themselves, by name
_LOSSES = ("cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "mse_loss")


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """The labels of a batch after mixing.

    `labels` are those before it: N class ids, or N x C numbers from 0 to 1. Of image i, the share weights[i, k]
    shows the image that was number sources[i, k] of the batch; both are N x K, column 0 is the image itself, and
    weights are float32, or float64 where the labels are. Without them nothing is mixed. `classes` is the number of
    classes, or None where only the model knows it.

    `smoothing` e is how far `dense` moves targets away from certainty (0: not at all). With `multi_label` every class
    is a question of its own, y becomes y (1 - e) + e / 2; without it the classes share one answer, and y becomes
    y (1 - e) + e / C. It is taken from the labels: false for class ids, true for N x C. For rows of
    probabilities, say `multi_label=False`.

    It may be given to torch's cross_entropy, binary_cross_entropy, binary_cross_entropy_with_logits, kl_div and
    mse_loss, and to their modules, as the target. Raises TypeError or ValueError for labels that are none.
    """

    labels: Any
    sources: Any = None
    weights: Any = None
    classes: int | None = None
    smoothing: float = 0.0
    multi_label: bool | None = None

    def __post_init__(self) -> None:
        labels = checked_labels(self.labels, self.classes)
        count = len(labels)
        sources = np.arange(count)[:, None] if self.sources is None else self.sources
        weights = np.ones((count, 1)) if self.weights is None else self.weights
        if not is_tensor(sources):
            sources, weights = np.asarray(sources, np.int64), np.asarray(weights, np.float64)
            if not count:  # empty lists do not tell their K
                sources, weights = sources.reshape(0, 1), weights.reshape(0, 1)
        if tuple(sources.shape) != tuple(weights.shape) or sources.ndim != 2 or len(sources) != count:
            shapes = f"{tuple(sources.shape)} and {tuple(weights.shape)}"
            raise ValueError(f"sources and weights are {count} x K for {count} labels, got {shapes}")
        check_mixture(sources, weights, count)
        precision = "float64" if dtype(labels) == "float64" else "float32"
        set_ = object.__setattr__
        set_(self, "labels", labels)
        set_(self, "sources", as_labels_are(sources, labels, "int64"))
        set_(self, "weights", as_labels_are(weights, labels, precision))
        set_(self, "classes", int(labels.shape[1]) if labels.ndim == 2 else self.classes)
        set_(self, "smoothing", checked_smoothing(self.smoothing))
        set_(self, "multi_label", _asks_each_class(labels, self.multi_label, labels.ndim == 2))

    def dense(self, classes: int | None = None) -> Any:
        """The targets as an N x C matrix: float32, or float64 where the labels are.

        `classes` is C where the labels do not say. Raises ValueError where nobody says, or two say different things.
        """
        classes = self._classes(classes)
        rows = arange(self.labels, len(self))
        ids = self.labels.ndim == 1
        if ids and self.classes is None and not compiling():  # else they were checked when this was made
            check_range(self.labels, classes)
        labels = as_integers(self.labels) if ids else as_floats(self.labels, self.weights)
        target = zeros(self.weights, (len(self), classes))
        for k in range(self.sources.shape[1]):
            shown = labels[self.sources[:, k]]
            if ids:  # every row once, so that nothing is added to the same place at the same time
                target[rows, shown] += self.weights[:, k]
            else:
                target += self.weights[:, k, None] * shown
        if self.smoothing:
            target *= 1.0 - self.smoothing
            target += self.smoothing / (2 if self.multi_label else classes)
        return target

    def pairs(self) -> tuple[Any, Any, Any]:
        """(labels of the images, labels of their partners, weights of the images), N each; no smoothing.

        loss = weight * loss(logits, own) + (1 - weight) * loss(logits, partners). Raises ValueError where more than
        two images show in one, and for smoothed labels.
        """
        if self.smoothing:
            raise ValueError("pairs() cannot say that labels are smoothed: take them before smoothed(), or dense()")
        if self.sources.shape[1] > 2:
            raise ValueError(f"up to {self.sources.shape[1]} images show in one, which are no pairs; use dense()")
        partners = self.sources[:, -1]
        return self.labels, self.labels[partners], self.weights[:, 0]

    def smoothed(self, amount: float, multi_label: bool | None = None) -> SoftLabels:
        """The same labels, smoothed by `amount`. Raises ValueError where they are smoothed already.

        Smoothing and mixing may be done in either order. `multi_label` says what N x C labels are; see the class.
        """
        if self.smoothing:
            raise ValueError(f"these labels are smoothed by {self.smoothing:g} already; smooth once")
        chosen = _asks_each_class(self.labels, multi_label, self.multi_label)
        return self._with(smoothing=checked_smoothing(amount), multi_label=chosen)

    def expected_accuracy(self, predictions: Any) -> float:
        """The mean share of what an image shows that is of the predicted class; smoothing has no say.

        `predictions` are N x C logits or probabilities, or N class ids. For two images it is weight * right for
        the one + (1 - weight) * right for the other. An empty batch gives nan.
        """
        if is_tensor(predictions) and not is_tensor(self.labels):
            return self.to(predictions.device).expected_accuracy(predictions)
        if not is_tensor(predictions):
            predictions = as_labels_are(np.asarray(predictions), self.labels)
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
        right = zeros(self.weights, (len(self),))
        for k in range(self.sources.shape[1]):
            if self.labels.ndim == 1:
                hit = as_integers(self.labels)[self.sources[:, k]] == predictions
            else:
                hit = self.labels[self.sources[:, k], predictions]
            right += self.weights[:, k] * hit
        return float(right.mean()) if len(self) else float("nan")

    def to(self, device: Any, non_blocking: bool = False) -> SoftLabels:
        """The same labels as tensors on a device; NumPy arrays become tensors."""
        try:
            from augreg.batch.torch_kernels import moved
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "labels go to a device as torch tensors: pip install 'augreg[torch]'", name=error.name
            ) from error
        return self._each(lambda array: moved(array, device, non_blocking))

    def pin_memory(self, device: Any = None) -> SoftLabels:
        """The same labels in page-locked memory; NumPy arrays stay where they are. DataLoader calls this."""
        return self._each(lambda array: array.pin_memory()) if is_tensor(self.labels) else self

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        if is_tensor(other) or isinstance(other, np.ndarray):
            raise TypeError(
                "soft labels name several classes an image, and no prediction equals that: "
                "labels.expected_accuracy(predictions) says how right they are; labels.labels are those before"
            )
        if not isinstance(other, SoftLabels):
            return NotImplemented
        return all(equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # NumPy leaves comparisons with an array to us

    def __repr__(self) -> str:
        kind = "class ids" if self.labels.ndim == 1 else "multi-hot" if self.multi_label else "probabilities"
        classes = f" of {self.classes} classes" if self.classes is not None else ""
        smoothing = f", smoothed by {self.smoothing:g}" if self.smoothing else ""
        return f"SoftLabels({len(self)} {kind}{classes}, up to {self.sources.shape[1]} mixed{smoothing})"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Torch hands its calls with soft labels here: losses get the dense matrix for the model's classes."""
        given = dict(kwargs or {})
        name = getattr(func, "__name__", str(func))
        target = args[1] if len(args) > 1 else given.get("target")
        if name not in _LOSSES or not isinstance(target, SoftLabels):
            raise TypeError(
                f"torch.{name} takes no SoftLabels; give it labels.dense(), or use one of {', '.join(_LOSSES)}"
            )
        logits = args[0] if args else given["input"]
        if logits.ndim != 2 or len(logits) != len(target):
            raise ValueError(f"{name} of {len(target)} soft labels takes N x C numbers, got {tuple(logits.shape)}")
        if given.get("label_smoothing") and target.smoothing:
            raise ValueError(
                f"the labels are smoothed by {target.smoothing:g} already, and the loss would smooth them again; "
                "leave label_smoothing out of it"
            )
        if not is_tensor(target.labels):
            target = target.to(logits.device)
        dense = target.dense(int(logits.shape[1]))
        if len(args) > 1:
            return func(args[0], dense, *args[2:], **given)
        return func(*args, **{**given, "target": dense})

    def _classes(self, asked: int | None) -> int:
        """The number of classes, of which those who know it must agree."""
        if asked is None and self.classes is None:
            raise ValueError(
                "class ids do not tell how many classes there are: dense(10), or `classes: 10` in the spec"
            )
        if asked is not None and self.classes is not None and asked != self.classes:
            raise ValueError(f"the labels are of {self.classes} classes, and {asked} were asked for")
        return int(asked if asked is not None else self.classes)  # type: ignore[arg-type]

    def _with(self, **changes: Any) -> SoftLabels:
        """A copy with other values, which are right already."""
        made = object.__new__(SoftLabels)
        vars(made).update({**vars(self), **changes})
        return made

    def _each(self, change: Callable[[Any], Any]) -> SoftLabels:
        return self._with(**{name: change(getattr(self, name)) for name in ("labels", "sources", "weights")})


def _asks_each_class(labels: Any, asked: bool | None, otherwise: bool | None) -> bool:
    """Whether every class is a question of its own. Raises ValueError where there is but one id an image."""
    if asked and labels.ndim == 1:
        raise ValueError("class ids name one class an image; multi_label takes N x C labels")
    return bool(otherwise if asked is None else asked)
