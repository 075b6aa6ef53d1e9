"""The loss of a spec: cross-entropy plus the steps of its loss section.

loss = criterion(logits, target, model)   # in training: with the penalties on the weights of the model
loss = criterion(logits, target)          # in validation: without them
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor, nn

from augreg.loss import penalties
from augreg.steps.calls import explains
from augreg.steps.schedules import scheduled
from augreg.steps.step import Step

__all__ = ["Criterion", "DenseTarget"]

_IGNORE = -100
_SMOOTHING = "label_smoothing"
_TOLERANCE = 0.01  # how far the probabilities of a sample may sum from 1: bfloat16 rounds by less
_GRACE = 2  # losses without the model before the warning: one training step may have several


class DenseTarget(Protocol):
    """Soft labels that can be turned into probabilities, such as `augreg.SoftLabels`."""

    def dense(self, classes: int | None = None, /) -> Any:
        """The probabilities, samples x classes."""


class Criterion(nn.Module):
    """Cross-entropy of logits, N x C or N x C x .., with the smoothing, terms and penalties of a loss section.

    The target is one of: class ids, N x .., of any integer type; probabilities of the logits' shape; soft labels with
    a method `dense(classes)` that returns such probabilities. `weight` (one number per class), `reduction` and
    `ignore_index` (for class ids: probabilities are then refused) are those of torch.nn.CrossEntropyLoss, and so is
    the result, also where `mean` divides by the weights of the true classes. With `multi_label` each class is true or
    false independently of the others: the target is 0 to 1 for each logit, and the loss is that of
    torch.nn.BCEWithLogitsLoss, smoothed toward one half.

    Terms, such as the confidence penalty, are added to the loss of each sample, except ignored ones; `mean` averages
    them over samples without class weights. Penalties on the weights (L2, for example) are added once, after the
    reduction, when the model is given. Half-precision logits are converted to float32.

    In evaluation mode (`criterion.eval()`, or as a part of a model in that mode) targets are not smoothed and there
    are no terms, so that the loss is that of the predictions.

    `steps` are those of the loss section. With `classes`, logits for another number of classes are refused. With
    `check` the values of the target are validated. On an accelerator that has to wait for the device, so it is done
    only until a first target was valid, in training and in evaluation each; torch.compile leaves it out. Raises
    TypeError and ValueError for targets that do not fit, and for labels that are already smoothed if the spec smooths
    too.
    """

    weight: Tensor | None

    @explains(
        "criterion()",
        {
            **dict.fromkeys(
                ("smoothing", "label_smoothing", "strength", "l1", "l2"),
                "the section `loss` of the spec says it, as in `loss: [{label_smoothing: 0.1}]`",
            ),
            **dict.fromkeys(("num_classes", "n_classes"), "the spec says it: `classes: 10`"),
            "": "it makes the loss: criterion = pipe.criterion(), then criterion(logits, target)",
        },
    )
    def __init__(
        self,
        steps: Iterable[Step] = (),
        *,
        classes: int | None = None,
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
            raise ValueError("ignore_index is for class ids, and multi-label targets have none: leave it out")
        if weight is not None:
            weight = torch.as_tensor(weight).detach().clone()
            weight = weight if weight.is_floating_point() else weight.to(torch.get_default_dtype())
            if weight.ndim != 1:
                raise ValueError(f"weight takes one number per class, got the shape {list(weight.shape)}")
        # not persistent: checkpoints of a model do not change if the model has a criterion as a submodule
        self.register_buffer("weight", weight, persistent=False)
        self.classes = classes
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.multi_label = multi_label
        self.check = check
        self._steps = tuple(steps)
        self._penalties = [step.name for step in self._steps if callable(getattr(step.transform, "penalty", None))]
        self._penalized_by: Literal["call", "method"] | None = None
        self._without = 0  # losses with a gradient that had no model
        self._looked_at: set[bool] = set()  # the modes, training or not, in which targets on a device were validated
        smoothing = [f"loss[{place}]" for place, step in enumerate(self._steps) if step.name == _SMOOTHING]
        if len(smoothing) > 1:
            raise ValueError(f"{' and '.join(smoothing)} both smooth the labels: keep one label_smoothing")
        self.set_epoch(0.0)

    def set_epoch(self, epoch: float) -> None:
        """Give numbers with a schedule their values at this epoch, which may be fractional; at first it is 0."""
        self.epoch = epoch
        steps = [scheduled(step, epoch) if step.schedules else step for step in self._steps]
        self._terms = [step.transform for step in steps if hasattr(step.transform, "term")]
        targets = [step for step in steps if hasattr(step.transform, "target")]
        # smoothing by 0 changes nothing; smoothing alone is left to torch, which needs no dense targets for it
        targets = [step for step in targets if step.name != _SMOOTHING or step.transform.smoothing > 0]
        self._targets = [step.transform for step in targets]
        alone = [step.name for step in targets] == [_SMOOTHING]
        self._smoothing = float(self._targets[0].smoothing) if alone else 0.0
        if not self.training:
            self._terms, self._targets, self._smoothing = [], [], 0.0

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation, in which nothing is smoothed and no terms are added.

        Penalties are added in both if the model is given.
        """
        super().train(mode)
        self.set_epoch(self.epoch)
        return self

    def penalty(self, model: nn.Module) -> Tensor:
        """The penalties on the weights of a model alone, for a loss of your own: a scalar, 0 if there are none.

        Raises RuntimeError if the criterion adds them to its loss too, except under torch.no_grad(), to log them.
        """
        self._count_once("method")
        return penalties.penalty(self._steps, model, self.epoch)

    def constrain(self, model: nn.Module) -> None:
        """Apply the constraints to the weights of a model, in place; call it after each step of the optimizer."""
        penalties.constrain(self._steps, model, self.epoch)

    if TYPE_CHECKING:

        def __call__(self, logits: Tensor, target: Tensor | DenseTarget, model: nn.Module | None = None) -> Tensor:
            """The loss, by `forward`."""

    def forward(self, logits: Tensor, target: Tensor | DenseTarget, model: nn.Module | None = None) -> Tensor:
        """The loss: a scalar, or with reduction="none" one per sample (multi-label: one per logit).

        With `model` the penalties on its weights are added. Raises ValueError if they would have to be added to one
        loss per sample, and RuntimeError after `penalty` was used, as they would count twice. Warns if a loss section
        has penalties and losses with a gradient are computed without a model.
        """
        if model is not None and not isinstance(model, nn.Module):
            raise TypeError(f"expected the model, a torch.nn.Module, got {type(model).__name__}")
        loss = self._data_loss(logits, target)
        if not self._penalties:
            return loss
        if model is None:
            self._warn_without_model(loss)
            return loss
        if self.reduction == "none":
            raise ValueError(
                "with reduction='none' there is one loss per sample, and penalties on the weights belong to none of "
                "them: leave the model out, and add criterion.penalty(model) after the reduction"
            )
        self._count_once("call")
        return loss + penalties.penalty(self._steps, model, self.epoch).to(loss.device)

    def _count_once(self, by: Literal["call", "method"]) -> None:
        """Note which way adds the penalties. Raises RuntimeError if both do."""
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return
        if self._penalized_by not in (None, by):
            raise RuntimeError(
                "the penalties would count twice: criterion(logits, target, model) adds them, and so does "
                "criterion.penalty(model). Use one of the two; to log the penalty, compute it under torch.no_grad()"
            )
        self._penalized_by = by

    def _warn_without_model(self, loss: Tensor) -> None:
        """Warn once if the penalties seem to be forgotten in training."""
        if torch.compiler.is_compiling() or not loss.requires_grad or self._penalized_by is not None:
            return
        self._without += 1
        if self._without == _GRACE + 1:
            warnings.warn(
                f"the loss section has penalties on the weights ({', '.join(self._penalties)}), and this loss leaves "
                "them out: call criterion(logits, target, model), or add criterion.penalty(model)",
                stacklevel=5,
            )

    def _data_loss(self, logits: Tensor, target: Tensor | DenseTarget) -> Tensor:
        """The loss without penalties on the weights."""
        if logits.ndim < 2 or not logits.is_floating_point():
            raise ValueError(f"logits are floats of samples x classes x .., got {_shown(logits)}")
        if self.classes is not None and logits.shape[1] != self.classes:
            raise ValueError(f"the spec has classes: {self.classes}, and the logits have {logits.shape[1]}")
        if self.weight is not None and len(self.weight) != logits.shape[1]:
            raise ValueError(f"weight is for {len(self.weight)} classes, and the logits have {logits.shape[1]}")
        logits = logits if logits.dtype == torch.float64 else logits.float()
        known = self._known(target, logits)
        target = self._checked_target(target, logits)
        if self.multi_label:
            return self._multi_label_loss(logits, target)
        if target.is_floating_point():
            return self._loss_of_probabilities(logits, target, known)
        return self._loss_of_ids(logits, target)

    def _known(self, target: Any, logits: Tensor) -> Tensor | None:
        """The fraction of each sample that has a label, if soft labels ignore some; else None."""
        known = getattr(target, "known", None) if hasattr(target, "dense") else None
        if known is not None and self.multi_label:
            raise ValueError("multi-label targets have no label that is ignored, and these soft labels contain -100")
        return None if known is None else torch.as_tensor(known).to(logits.device, logits.dtype, non_blocking=True)

    def _checked_target(self, target: Any, logits: Tensor) -> Tensor:
        """The target as int64 class ids or as probabilities of the logits' dtype, checked."""
        soft = hasattr(target, "dense") or (isinstance(target, Tensor) and target.is_floating_point())
        if soft and self.ignore_index != _IGNORE:
            raise ValueError(
                f"ignore_index={self.ignore_index} is for class ids, and these targets are probabilities, for which "
                "nothing is ignored: leave it out, or use reduction='none' and leave samples out yourself"
            )
        if hasattr(target, "dense"):
            softened = any(getattr(transform, "smoothing", 1.0) > 0 for transform in self._targets)
            if softened and getattr(target, "smoothing", 0.0) > 0:
                raise ValueError(
                    f"these labels are already smoothed by {target.smoothing:g}, and the spec's loss section smooths "
                    "too: smooth in one place only"
                )
            known, dense = getattr(target, "known", None), target.dense(logits.shape[1])
            target = torch.as_tensor(dense)
            if known is not None:  # what has a label; samples without any count for nothing, whatever their target is
                known = torch.as_tensor(known)[:, None]
                target = torch.where(known > 0, target / known.clamp(min=1e-6), 1 / logits.shape[1])
            if not isinstance(dense, Tensor):  # NumPy labels give NumPy arrays, which have no device
                target = target.to(logits.device, non_blocking=True)
        if not isinstance(target, Tensor):
            raise TypeError(f"expected a tensor or soft labels as the target, got {type(target).__name__}")
        whole = not (target.is_floating_point() or target.is_complex())
        if target.device != logits.device:
            raise ValueError(f"the logits are on {logits.device} and the target on {target.device}: move one of them")
        if self.multi_label or not whole or target.dtype == torch.bool:
            return self._checked_probabilities(target, logits)
        expected = logits.shape[:1] + logits.shape[2:]
        if target.shape != expected:
            one_hot = "; one-hot targets must be floats" if target.shape == logits.shape else ""
            raise ValueError(
                f"class ids for logits of shape {list(logits.shape)} have the shape {list(expected)}, "
                f"got {list(target.shape)}{one_hot}"
            )
        target = target.long()
        if self._checks_values(target):
            valid = ((target >= 0) & (target < logits.shape[1])) | (target == self.ignore_index)
            if not bool(valid.all()):
                raise ValueError(
                    f"class ids are from 0 to {logits.shape[1] - 1} (or {self.ignore_index}, which is ignored), "
                    f"got {int(target[~valid][0])}"
                )
            self._note_look(target)
        return target

    def _checked_probabilities(self, target: Tensor, logits: Tensor) -> Tensor:
        kind = "labels" if self.multi_label else "probabilities"
        if target.is_complex() or (target.dtype == torch.bool and not self.multi_label):
            raise TypeError(f"a target consists of class ids or probabilities, got {_shown(target)}")
        if target.shape != logits.shape:
            raise ValueError(
                f"{kind} have the shape of the logits, {list(logits.shape)}, got {_shown(target)}"
                + ("" if self.multi_label else "; class ids must be integers")
            )
        target = target.to(logits.dtype)
        if self._checks_values(target):
            if not bool(((target >= 0) & (target <= 1 + _TOLERANCE)).all()):
                raise ValueError(f"{kind} are between 0 and 1, got {_range(target)}")
            sums = target.sum(1)
            if not self.multi_label and not bool(((sums - 1).abs() <= _TOLERANCE).all()):
                raise ValueError(
                    f"the probabilities of a sample sum to 1, got {_range(sums)}; "
                    "if several classes can be true at once, use pipe.criterion(multi_label=True)"
                )
            self._note_look(target)
        return target

    def _checks_values(self, target: Tensor) -> bool:
        if not self.check or torch.compiler.is_compiling():
            return False
        if target.device.type == "cpu":
            return True
        return self.training not in self._looked_at

    def _note_look(self, target: Tensor) -> None:
        """Note that a valid target was looked at; what is not valid is reported at each call."""
        if target.device.type != "cpu":
            self._looked_at.add(self.training)

    def _soft(self, probabilities: Tensor) -> Tensor:
        for transform in self._targets:
            probabilities = transform.target(probabilities)
        return probabilities

    def _loss_of_ids(self, logits: Tensor, ids: Tensor) -> Tensor:
        weight = self._weight(logits)
        counted = ids != self.ignore_index
        known = torch.where(counted, ids, 0)
        if self._targets and not self._smoothing:
            probabilities = self._soft(F.one_hot(known, logits.shape[1]).to(logits.dtype).movedim(-1, 1))
            losses = F.cross_entropy(logits, probabilities, weight, reduction="none")
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
        # if everything is ignored this is 0 / 0 = nan, as torch's loss is
        return losses.sum() / divisor + sum(term.sum() / counted.sum() for term in terms)

    def _loss_of_probabilities(self, logits: Tensor, probabilities: Tensor, known: Tensor | None) -> Tensor:
        probabilities = probabilities if self._smoothing else self._soft(probabilities)
        losses = F.cross_entropy(
            logits, probabilities, self._weight(logits), reduction="none", label_smoothing=self._smoothing
        )
        terms = [transform.term(logits) for transform in self._terms]
        if known is None:
            return self._reduced(losses, terms)
        losses = losses * known
        terms = [torch.where(known > 0, term, 0.0) for term in terms]
        if self.reduction != "mean":
            return self._reduced(losses, terms)
        return losses.sum() / known.sum() + sum(term.sum() / (known > 0).sum() for term in terms)

    def _multi_label_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each label as a problem of two classes: false, with a logit of 0, and true, with its logit."""
        if self._targets:
            labels = self._soft(torch.stack([1 - labels, labels], 1))[:, 1]
        weight = self._weight(logits)
        if weight is not None:
            weight = weight.view(-1, *[1] * (logits.ndim - 2))
        losses = F.binary_cross_entropy_with_logits(logits, labels, weight, reduction="none")
        pairs = torch.stack([torch.zeros_like(logits), logits], 1) if self._terms else logits
        return self._reduced(losses, [transform.term(pairs) for transform in self._terms])

    def _weight(self, logits: Tensor) -> Tensor | None:
        if self.weight is None:
            return None
        return self.weight.to(logits.device, logits.dtype, non_blocking=True)

    def _reduced(self, losses: Tensor, terms: list[Tensor]) -> Tensor:
        for term in terms:
            losses = losses + term
        if self.reduction == "none":
            return losses
        return losses.mean() if self.reduction == "mean" else losses.sum()

    def extra_repr(self) -> str:
        """The kind of loss, the steps and the reduction."""
        kind = "binary cross-entropy" if self.multi_label else "cross-entropy"
        return ", ".join([kind, *map(repr, [*self._targets, *self._terms]), f"reduction={self.reduction!r}"])


def _shown(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of {list(tensor.shape)}"


def _range(values: Tensor) -> str:
    values = values.detach().float()
    return f"values from {values.min().item():.4g} to {values.max().item():.4g}"
