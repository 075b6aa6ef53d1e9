"""Measures how far one set of model inputs is from another, in pixel values and in predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augreg.expectation.preprocessing.model_predictions import predictions
from augreg.expectation.preprocessing.report import Effect

if TYPE_CHECKING:
    from torch import nn

    from augreg.expectation.means.outputs import Select

__all__ = ["Inputs", "Measure", "mean_difference"]

Inputs: TypeAlias = Sequence[NDArray[np.float64] | None]
"""Model inputs, channels x height x width each; None for those that cannot be made."""


class Measure:
    """Measures effects, with a model or without; the predictions for a set of inputs are computed once."""

    def __init__(self, model: nn.Module | None = None, select: Select = None, batch_size: int = 64) -> None:
        self.model = model
        self.select = select
        self.batch_size = batch_size
        self._reference: tuple[Any, NDArray[np.float64]] | None = None

    def __call__(self, expected: Inputs, found: Inputs) -> Effect:
        """The effect of these inputs in place of the expected ones."""
        pixels = mean_difference(expected, found)
        if self.model is None or any(one is None for one in found):
            return Effect(pixels)
        if self._reference is None or self._reference[0] is not expected:
            self._reference = expected, self._predictions(expected)
        ours = self._reference[1]
        try:
            theirs = self._predictions(found)
        except RuntimeError:  # a model that takes one size, or one number of channels
            return Effect(pixels)
        same = float((ours.argmax(1) == theirs.argmax(1)).mean())
        return Effect(pixels, same, float(np.abs(ours - theirs).sum(1).mean()) / 2)

    def _predictions(self, inputs: Inputs) -> NDArray[np.float64]:
        assert self.model is not None
        return predictions(self.model, inputs, lambda one: one, self.batch_size, self.select)


def mean_difference(expected: Inputs, found: Inputs) -> float | None:
    """The mean absolute difference over all pixel values; None if any sizes differ."""
    total = count = 0.0
    for one, other in zip(expected, found, strict=True):
        if one is None or other is None or one.shape != other.shape:
            return None
        total += float(np.abs(one - other).sum())
        count += one.size
    return total / count
