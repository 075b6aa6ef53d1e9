"""Restoring means: predictions on all views, back in one frame, and averaged with the weights of the views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.targets import rows
from augreg.targets.classes import exchanged_channels
from augreg.views.restoring import Correspondence, Size
from augreg.views.restoring_maps import Filling, like, restore_map

__all__ = ["MeanMap", "Space", "mean_map", "mean_scores", "one_each"]

Space: TypeAlias = Literal["probability", "logit", "value"]

_SUM_OFF: Final = 1e-2
"""Probabilities of all classes sum to one but for this; in half precision they are off by some thousandths."""


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
    weight 0 counts nowhere.

    `space` says what the numbers are, and so which mean it is. "probability": probabilities of classes along the
    third axis from the end, which are checked. "logit": scores before softmax, whose mean is, after softmax, the
    normalized geometric mean of probabilities. "value": anything else of which a mean makes sense, such as depth.

    Raises ImageError.
    """
    total: Any = 0
    covered: Any = 0
    dtype: Any = None
    predictions = one_each(predictions, plans)
    for number, (plan, weight, prediction) in enumerate(zip(plans, weights, predictions, strict=True)):
        prediction = _of_floats(prediction, f"predictions[{number}]")
        _check_space(prediction, space, -3, f"predictions[{number}]")
        dtype = dtype or prediction.dtype
        if not weight:  # a test image that training never shows
            continue
        values, seen = restore_map(
            plan,
            _at_least_single(prediction),
            frame=frame,
            size=size,
            interpolation=interpolation,
            fill=0.0,
            key=key,
            classes=classes,
        )
        part = float(weight) * (seen.to(values.dtype) if rows.is_tensor(seen) else seen.astype(values.dtype))
        total, covered = total + part * values, covered + part
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
    dtype: Any = None
    predictions = one_each(predictions, plans)
    for number, (plan, weight, prediction) in enumerate(zip(plans, weights, predictions, strict=True)):
        prediction = _of_floats(prediction, f"predictions[{number}]")
        _check_space(prediction, space, -1, f"predictions[{number}]")
        dtype = dtype or prediction.dtype
        if not weight:
            continue
        targets = plan.settings.targets
        names = targets.classes if classes is None else classes
        if names and Correspondence(plan).mirrored:
            prediction = exchanged_channels(prediction, names, targets, axis=-1)
        total = total + float(weight) * _at_least_single(prediction)
    return total.to(dtype) if rows.is_tensor(total) else total.astype(dtype)


def one_each(predictions: Any, plans: Sequence[Plan]) -> Any:
    """The predictions, one for each view. Raises ImageError for another number."""
    count = rows.count(predictions)
    if count != len(plans):
        got = type(predictions).__name__ if count is None else f"{count} predictions"
        raise ImageError(f"expected a prediction for each of {len(plans)} views, in order, got {got}")
    return predictions


def _of_floats(prediction: Any, name: str) -> Any:
    """A prediction of floats; bools as 0 and 1. Raises ImageError for numbers of classes, which have no mean."""
    if not (isinstance(prediction, np.ndarray) or rows.is_tensor(prediction)):
        raise ImageError(f"{name}: expected an array or a tensor, got {type(prediction).__name__}")
    if "bool" in str(prediction.dtype):
        prediction = like(np.array(0, np.float32), prediction) + prediction
    if not (prediction.is_floating_point() if rows.is_tensor(prediction) else prediction.dtype.kind == "f"):
        raise ImageError(
            f"{name}: {prediction.dtype} are numbers of classes, whose mean is nonsense; give the probabilities or "
            "the logits of the classes, or one-hot floats for a vote"
        )
    return prediction


def _at_least_single(prediction: Any) -> Any:
    """Half precision as float32, so that a mean of many views is not rounded at each."""
    if rows.is_tensor(prediction):
        return prediction if "float64" in str(prediction.dtype) else prediction.float()
    return prediction.astype(np.result_type(prediction.dtype, np.float32), copy=False)


def _check_space(prediction: Any, space: str, axis: int, name: str) -> None:
    """Raise ImageError for probabilities that are none, and for a space that there is not."""
    if space not in ("probability", "logit", "value"):
        raise ImageError(f"space: expected 'probability', 'logit' or 'value', got {space!r}")
    if space != "probability":
        return
    found = prediction.detach() if rows.is_tensor(prediction) else prediction
    if found.ndim < -axis:
        raise ImageError(f"{name}: expected classes on axis {axis}, got the shape {tuple(found.shape)}")
    off = float(abs(found.sum(axis) - 1).max())
    if not (float(found.min()) >= -_SUM_OFF and off <= _SUM_OFF):
        raise ImageError(
            f"{name}: these are no probabilities of classes: they go from {float(found.min()):.3g} to "
            f"{float(found.max()):.3g}, and their sums are off by {off:.3g}; apply softmax along axis {axis}, or "
            "say space='logit' for the mean of logits, or 'value' for independent scores"
        )
