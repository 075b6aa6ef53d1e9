"""The loss of a spec: cross-entropy for class ids, probabilities or soft labels, with what its loss section says.

    loss = criterion(logits, target) + attached.penalty()

The criterion is the data's part of the loss. Penalties on the weights are not in it, since it does not see the model:
`attached.penalty()`, or `criterion.penalty(model)`, is the other part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor, nn

from augreg.loss import penalties
from augreg.steps.schedules import scheduled
from augreg.steps.step import Step

__all__ = ["Criterion"]

_IGNORE = -100
_SMOOTHING = "label_smoothing"
_TOLERANCE = 0.01  # of the sum of a sample's probabilities: what bfloat16 labels are off by


class Criterion(nn.Module):
    """Cross-entropy of logits, N x C or N x C x .., with smoothing and terms as a spec's loss section says.

    The target is one of: class ids, N x .., of any whole type; probabilities of the logits' shape; soft labels, with
    a method `dense(classes)` that returns such probabilities. `weight` (one number a class), `reduction` and
    `ignore_index` (of class ids: probabilities are then refused) are those of torch.nn.CrossEntropyLoss, and so is
    the result, also where `mean` divides by the weights of the true classes. With `multi_label` each class is true or
    not by itself: the target is 0 to 1 for each logit, and the loss that of torch.nn.BCEWithLogitsLoss, smoothed
    towards one half.

    Terms, such as the confidence penalty, are added to each sample's loss, those of ignored ones left out; `mean`
    averages them over samples without class weights. Half-precision logits are computed with in float32.

    With `check` the target's values are looked at, which on an accelerator waits for the device at each call;
    torch.compile leaves it out. Raises TypeError and ValueError for targets that do not fit, and for labels that are
    smooth already where the spec smooths too.
    """

    weight: Tensor | None

    def __init__(
        self,
        steps: Iterable[Step] = (),
        *,
        weight: Any = None,
        reduction: Literal["mean", "sum", "none"] = "mean",
        ignore_index: int = _IGNORE,
        multi_label: bool = False,
        check: bool = True,
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is 'mean', 'sum' or 'none', got {reduction!r}")
        if multi_label and ignore_index != _IGNORE:
            raise ValueError("ignore_index is for class ids, and labels of several classes are none: leave it out")
        if weight is not None:
            weight = torch.as_tensor(weight).detach().clone()
            weight = weight if weight.is_floating_point() else weight.to(torch.get_default_dtype())
            if weight.ndim != 1:
                raise ValueError(f"weight takes one number a class, got the shape {list(weight.shape)}")
        # not persistent: a model that keeps its criterion has the checkpoints of one that does not
        self.register_buffer("weight", weight, persistent=False)
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.multi_label = multi_label
        self.check = check
        self._steps = tuple(steps)
        smoothing = [f"loss[{place}]" for place, step in enumerate(self._steps) if step.name == _SMOOTHING]
        if len(smoothing) > 1:
            raise ValueError(f"{' and '.join(smoothing)} both smooth the labels: keep one label_smoothing")
        self.step(0.0)

    def step(self, epoch: float) -> None:
        """Take the numbers that hold in an epoch; halves are fine. Without a call, those of epoch 0."""
        self.epoch = epoch
        steps = [scheduled(step, epoch) if step.schedules else step for step in self._steps]
        self._terms = [step.transform for step in steps if hasattr(step.transform, "term")]
        targets = [step for step in steps if hasattr(step.transform, "target")]
        # a smoothing of 0 changes nothing, and one by itself is torch's: it makes no probabilities of class ids
        targets = [step for step in targets if step.name != _SMOOTHING or step.transform.smoothing > 0]
        self._targets = [step.transform for step in targets]
        alone = [step.name for step in targets] == [_SMOOTHING]
        self._smoothing = float(self._targets[0].smoothing) if alone else 0.0

    def penalty(self, model: nn.Module) -> Tensor:
        """What the loss section adds for the weights of a model."""
        return penalties.penalty(self._steps, model, self.epoch)

    def constrain(self, model: nn.Module) -> None:
        """Apply the loss section's constraints to the weights of a model, in place."""
        penalties.constrain(self._steps, model, self.epoch)

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        """The loss: a number, or with the reduction `none` one a sample (multi-label: one a logit)."""
        if logits.ndim < 2 or not logits.is_floating_point():
            raise ValueError(f"logits are floats of samples x classes x .., got {_shown(logits)}")
        if self.weight is not None and len(self.weight) != logits.shape[1]:
            raise ValueError(f"weight is for {len(self.weight)} classes, and the logits have {logits.shape[1]}")
        logits = logits if logits.dtype == torch.float64 else logits.float()
        target = self._taken(target, logits)
        if self.multi_label:
            return self._of_labels(logits, target)
        if target.is_floating_point():
            return self._of_probabilities(logits, target)
        return self._of_ids(logits, target)

    def _taken(self, target: Any, logits: Tensor) -> Tensor:
        """The target as int64 ids or as probabilities of the logits' type, checked."""
        soft = hasattr(target, "dense") or (isinstance(target, Tensor) and target.is_floating_point())
        if soft and self.ignore_index != _IGNORE:
            raise ValueError(
                f"ignore_index={self.ignore_index} is for class ids, and these targets are probabilities, in which "
                "nothing is ignored: leave it out, or take reduction='none' and leave samples out yourself"
            )
        if hasattr(target, "dense"):
            softened = any(getattr(transform, "smoothing", 1.0) > 0 for transform in self._targets)
            if softened and getattr(target, "smoothing", 0.0) > 0:
                raise ValueError(
                    f"these labels are smoothed by {target.smoothing:g} already, and the spec's loss section smooths "
                    "too: take label_smoothing out of one of them"
                )
            target = torch.as_tensor(target.dense(logits.shape[1]))  # those of arrays are arrays
        if not isinstance(target, Tensor):
            raise TypeError(f"a target is a tensor or soft labels, got {type(target).__name__}")
        whole = not (target.is_floating_point() or target.is_complex())
        if target.device != logits.device:
            raise ValueError(f"the logits are on {logits.device} and the target on {target.device}: move one of them")
        if self.multi_label or not whole or target.dtype == torch.bool:
            return self._checked_probabilities(target, logits)
        expected = logits.shape[:1] + logits.shape[2:]
        if target.shape != expected:
            one_hot = "; one-hot targets have to be floats" if target.shape == logits.shape else ""
            raise ValueError(
                f"class ids for logits of {list(logits.shape)} have the shape {list(expected)}, "
                f"got {list(target.shape)}{one_hot}"
            )
        target = target.long()
        if self._looking():
            valid = ((target >= 0) & (target < logits.shape[1])) | (target == self.ignore_index)
            if not bool(valid.all()):
                raise ValueError(
                    f"class ids go from 0 to {logits.shape[1] - 1} (or {self.ignore_index}, which is ignored), "
                    f"got {int(target[~valid][0])}"
                )
        return target

    def _checked_probabilities(self, target: Tensor, logits: Tensor) -> Tensor:
        kind = "labels" if self.multi_label else "probabilities"
        if target.is_complex() or (target.dtype == torch.bool and not self.multi_label):
            raise TypeError(f"a target is class ids or probabilities, got {_shown(target)}")
        if target.shape != logits.shape:
            raise ValueError(
                f"{kind} have the shape of the logits, {list(logits.shape)}, got {_shown(target)}"
                + ("" if self.multi_label else "; class ids have to be whole numbers")
            )
        target = target.to(logits.dtype)
        if self._looking():
            if not bool(((target >= 0) & (target <= 1 + _TOLERANCE)).all()):
                raise ValueError(f"{kind} lie between 0 and 1, got {_range(target)}")
            sums = target.sum(1)
            if not self.multi_label and not bool(((sums - 1).abs() <= _TOLERANCE).all()):
                raise ValueError(
                    f"the probabilities of a sample sum to 1, got {_range(sums)}; "
                    "where several classes can be true at once, give the criterion multi_label=True"
                )
        return target

    def _looking(self) -> bool:
        return self.check and not torch.compiler.is_compiling()

    def _soft(self, probabilities: Tensor) -> Tensor:
        for transform in self._targets:
            probabilities = transform.target(probabilities)
        return probabilities

    def _of_ids(self, logits: Tensor, ids: Tensor) -> Tensor:
        weight = self._weight(logits)
        counted = ids != self.ignore_index
        known = torch.where(counted, ids, 0)
        if self._targets and not self._smoothing:
            shares = self._soft(F.one_hot(known, logits.shape[1]).to(logits.dtype).movedim(-1, 1))
            losses = F.cross_entropy(logits, shares, weight, reduction="none")
            losses = torch.where(counted, losses, 0.0)
        else:
            losses = F.cross_entropy(
                logits, ids, weight,
                reduction="none", ignore_index=self.ignore_index, label_smoothing=self._smoothing,
            )  # fmt: skip
        terms = [torch.where(counted, transform.term(logits), 0.0) for transform in self._terms]
        if self.reduction != "mean":
            return self._reduced(losses, terms)
        divisor = counted.sum() if weight is None else torch.where(counted, weight[known], 0.0).sum()
        # with nothing to average this is 0 / 0 = nan, as torch's
        return losses.sum() / divisor + sum(term.sum() / counted.sum() for term in terms)

    def _of_probabilities(self, logits: Tensor, shares: Tensor) -> Tensor:
        shares = shares if self._smoothing else self._soft(shares)
        losses = F.cross_entropy(
            logits, shares, self._weight(logits), reduction="none", label_smoothing=self._smoothing
        )
        return self._reduced(losses, [transform.term(logits) for transform in self._terms])

    def _of_labels(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Each label is a problem of two classes, false and true, whose logits are 0 and its own."""
        if self._targets:
            labels = self._soft(torch.stack([1 - labels, labels], 1))[:, 1]
        weight = self._weight(logits)
        if weight is not None:
            weight = weight.view(-1, *[1] * (logits.ndim - 2))
        losses = F.binary_cross_entropy_with_logits(logits, labels, weight, reduction="none")
        pairs = torch.stack([torch.zeros_like(logits), logits], 1) if self._terms else logits
        return self._reduced(losses, [transform.term(pairs) for transform in self._terms])

    def _weight(self, logits: Tensor) -> Tensor | None:
        return None if self.weight is None else self.weight.to(logits)

    def _reduced(self, losses: Tensor, terms: list[Tensor]) -> Tensor:
        for term in terms:
            losses = losses + term
        if self.reduction == "none":
            return losses
        return losses.mean() if self.reduction == "mean" else losses.sum()

    def extra_repr(self) -> str:
        """What the loss consists of."""
        kind = "binary cross-entropy" if self.multi_label else "cross-entropy"
        return ", ".join([kind, *map(repr, [*self._targets, *self._terms]), f"reduction={self.reduction!r}"])


def _shown(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of {list(tensor.shape)}"


def _range(values: Tensor) -> str:
    values = values.detach().float()
    return f"values from {values.min().item():.4g} to {values.max().item():.4g}"
