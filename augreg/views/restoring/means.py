"""Restoring means: predictions on all views, back in one frame, and averaged with the weights of the views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.targets import rows
from augreg.targets.classes import exchanged_channels
from augreg.views.restoring.maps import Filling, dtype_name, restore_map
from augreg.views.restoring.routes import Correspondence, Size

__all__ = ["MeanMap", "Space", "counted", "mean_map", "mean_scores", "one_each"]

Space: TypeAlias = Literal["probability", "logit", "value"]

_SUM_OFF: Final = 1e-2
"""Probabilities sum to one but for this: in half precision they are off by some thousandths."""


class MeanMap(NamedTuple):
    """The mean of a dense prediction, and the weight of the views that saw each pixel: height x width, 0 to 1.

    Where no view saw a pixel, `coverage` is 0 and `values` has the fill.
    """

    values: Any
    coverage: Any

    def labels(self, unseen: int = 255) -> Any:
        """The number of the largest channel at each pixel, and `unseen` where no view saw it: .. x height x width."""
        best = self.values.argmax(-3)
        if rows.is_tensor(best):
            return best.where(self.coverage > 0, best.new_full((), unseen))
        return np.where(self.coverage > 0, best, unseen)


def mean_map(
    plans: Sequence[Plan],
    weights: Sequence[float],
    predictions: Any,
    *,
    space: Space = "value",
    frame: Plan | None = None,
    size: Size | None = None,
    interpolation: Filling = "auto",
    fill: float = float("nan"),
    key: str | None = None,
    classes: Sequence[str] | None = None,
) -> MeanMap:
    """The weighted mean of dense predictions on views, in the frame of the image, or of the result of a plan.

    `predictions` has one array or tensor of floats per view, whose last two axes are its height and width; see
    `restore_map` for it and for the other arguments. At each pixel it is the mean over the views that show it, so a
    pixel that one of five crops shows has the prediction of that one. Pixels that no view shows get `fill`. A view of
    weight 0 counts nowhere, and its prediction may be None.

    `space` says what is averaged. "probability" takes logits, with the classes third from the end, and averages their
    softmax. "logit" averages logits, whose softmax is the normalized geometric mean of the probabilities. "value"
    averages the numbers as they are: depth, flow, heatmaps, or the probabilities that a model returns. Raises
    ImageError.
    """
    total: Any = 0
    covered: Any = 0
    for plan, weight, prediction in counted(plans, weights, predictions):
        values, seen = restore_map(
            plan,
            _in_space(prediction, space, -3),
            frame=frame,
            size=size,
            interpolation=interpolation,
            fill=0.0,
            key=key,
            classes=classes,
        )
        part = weight * (seen.to(values.dtype) if rows.is_tensor(seen) else seen.astype(values.dtype))
        total, covered = total + part * values, covered + part
        dtype = values.dtype if dtype_name(prediction) == "bool" else prediction.dtype
    known = covered > 0
    if not rows.is_tensor(total):
        mean = np.divide(total, covered, out=np.full_like(total, fill), where=np.broadcast_to(known, total.shape))
        return MeanMap(mean.astype(dtype), covered)
    mean = (total / covered.where(known, covered.new_ones(()))).where(known, total.new_full((), fill))
    return MeanMap(mean.to(dtype), covered)


def mean_scores(
    plans: Sequence[Plan],
    weights: Sequence[float],
    predictions: Any,
    *,
    space: Space = "value",
    classes: Sequence[str] | None = None,
) -> Any:
    """The weighted mean of scores of classes over views: one array or tensor per view, with the classes last.

    `classes` are their names, by default the spec's `targets: {classes: ..}`: those that `targets: {swap: ..}` pairs
    are exchanged in mirrored views. `space` is as for `mean_map`, along the last axis. Raises ImageError.
    """
    total: Any = 0
    for plan, weight, prediction in counted(plans, weights, predictions):
        values, targets = _in_space(prediction, space, -1), plan.settings.targets
        names = targets.classes if classes is None else classes
        if (names or (names is None and targets.numbers)) and Correspondence(plan).mirrored:
            values = exchanged_channels(values, names, targets, axis=-1)
        total = total + weight * values
        dtype = values.dtype if dtype_name(prediction) == "bool" else prediction.dtype
    return total.to(dtype) if rows.is_tensor(total) else total.astype(dtype)


def one_each(predictions: Any, plans: Sequence[Plan]) -> Any:
    """The predictions, one for each view. Raises ImageError for another number."""
    count = rows.count(predictions)
    if count != len(plans):
        got = type(predictions).__name__ if count is None else f"{count} predictions"
        raise ImageError(f"expected a prediction for each of {len(plans)} views, in order, got {got}")
    return predictions


def counted(plans: Sequence[Plan], weights: Sequence[float], given: Any) -> list[tuple[Plan, float, Any]]:
    """The views that have a weight, with what is given for each. A test image that training never shows has none."""
    every = zip(plans, weights, one_each(given, plans), strict=True)
    return [(plan, float(weight), one) for plan, weight, one in every if weight]


def _in_space(prediction: Any, space: str, axis: int) -> Any:
    """What is averaged of a prediction with its classes along an axis, at least in float32. Raises ImageError."""
    values = _of_floats(prediction)
    if space == "value":
        return values
    if space not in ("probability", "logit"):
        raise ImageError(f"space: expected 'probability', 'logit' or 'value', got {space!r}")
    if values.ndim < -axis or values.shape[axis] < 2:
        raise ImageError(
            f"space={space!r} is for the logits of two or more classes along axis {axis}, got the shape "
            f"{tuple(values.shape)}; use space='value' for other numbers"
        )
    found = values.detach() if rows.is_tensor(values) else values
    if bool((found >= 0).all()) and bool((abs(found.sum(axis) - 1) < _SUM_OFF).all()):
        raise ImageError(
            "these are probabilities, and logits are needed: leave the softmax out, or average them as they are by "
            "space='value'"
        )
    if space == "logit":
        if bool(abs(found).max() == np.inf):
            raise ImageError("there are infinite logits, which have no mean; use space='probability'")
        return values
    if rows.is_tensor(values):
        return values.softmax(axis)
    powers = np.exp(values - values.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _of_floats(prediction: Any) -> Any:
    """A prediction in float32 or float64; bools as 0 and 1. Raises ImageError for numbers of classes."""
    if not (isinstance(prediction, np.ndarray) or rows.is_tensor(prediction)):
        raise ImageError(f"expected an array or a tensor for each view, got {type(prediction).__name__}")
    kind = dtype_name(prediction)
    if "float" not in kind and kind != "bool":
        raise ImageError(
            f"{prediction.dtype} are numbers of classes, whose mean is nonsense; give the probabilities or the "
            "logits of the classes, or one-hot floats for a vote"
        )
    if rows.is_tensor(prediction):
        return prediction if kind == "float64" else prediction.float()
    return prediction.astype(np.result_type(prediction.dtype, np.float32), copy=False)
