"""The Trainer of transformers: a loss for soft labels and penalties, and a callback for epochs and constraints.

Trainer(
    model,
    args,
    train_dataset=Augmented(photos, pipe.train),
    data_collator=collator(pipe),                    # augreg.data.huggingface
    compute_loss_func=Loss(criterion, model),
    callbacks=[Regularized(attached, criterion)],
)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from augreg.attachment.attach import Attachment
from augreg.loss.criterion import Criterion
from augreg.nn.masks import SeededSource
from augreg.training.epochs import HasEpoch, hold, let_go
from augreg.training.rng_state import seeded_sources, set_counted_calls

__all__ = ["Loss", "Regularized"]

_STATE = "augreg"
"""The name of the state of `Regularized` in the trainer_state.json of a checkpoint."""


class Loss:
    """The `compute_loss_func` of a Trainer: the criterion with the penalties on the weights of the model.

    In evaluation it is that of the predictions, without smoothing and penalties. Batches that are one step of the
    optimizer count by their numbers of labels, as for the Trainer's own losses, so that the step is that of one
    large batch.
    """

    def __init__(self, criterion: Criterion, model: nn.Module) -> None:
        """`criterion` is what `pipe.criterion()` returned, with the reduction "mean"; `model` is the Trainer's."""
        if criterion.reduction != "mean":
            raise ValueError(f"the Trainer needs a criterion with reduction='mean', got {criterion.reduction!r}")
        self.criterion = criterion
        self.model = model

    def __call__(self, outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Tensor:
        """The loss of a batch. `num_items_in_batch` is the number of labels in all batches of the step."""
        if labels is None:
            raise ValueError(
                "the batch has no labels: give the Trainer data_collator=collator(pipe), and "
                "TrainingArguments(label_names=['labels']) if the model is not one of transformers"
            )
        training = self.model.training
        if self.criterion.training is not training:
            self.criterion.train(training)
        loss = self.criterion(_logits(outputs), labels, self.model if training else None)
        if not training or num_items_in_batch is None:
            return loss
        return loss * (labels.ne(-100).sum() / num_items_in_batch).to(loss)


class Regularized(TrainerCallback):
    """Sets the epoch of the images, the schedules and the criterion, and applies constraints after each step.

    `attached` is what `pipe.regularize(model)` returned, `criterion` is what `pipe.criterion()` returned; either may
    be left out. The dataset of the Trainer gets the epoch if it is an `Augmented`; `parts` are other objects with
    `set_epoch`, such as a `transform` of augreg.data.huggingface. A resumed run continues with the epoch and the
    masks of an uninterrupted one, also in the middle of an epoch.
    """

    def __init__(
        self, attached: Attachment | None = None, criterion: HasEpoch | None = None, *parts: HasEpoch
    ) -> None:
        self.attached = attached
        self.parts = [part for part in (attached, criterion, *parts) if part is not None]
        self._held: list[HasEpoch] = []
        self._sources: dict[str, SeededSource] = {}
        self._epoch = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Continue from the state of a checkpoint, if the run is resumed from one."""
        batches = len(others["train_dataloader"]) if hasattr(others["train_dataloader"], "__len__") else 0
        steps = -(-batches // args.gradient_accumulation_steps) or 1
        self._epoch = state.global_step // steps if batches else int(state.epoch or 0)
        self._sources = seeded_sources(others["model"])
        saved = state.stateful_callbacks.get(_STATE)
        if state.global_step and saved is not None:
            set_counted_calls(others["model"], saved["calls"])

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Set the epoch, before the Trainer begins the pass."""
        data: Any = getattr(others["train_dataloader"], "dataset", None)
        self._held = [*self.parts, data] if callable(getattr(data, "set_epoch", None)) else self.parts
        hold(self._held, self._epoch)
        self._epoch += 1

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Apply the constraints, and note the state for a checkpoint."""
        if self.attached is not None:
            self.attached.constrain()
        if self._sources:
            calls = {name: int(source.calls) for name, source in self._sources.items()}
            state.stateful_callbacks[_STATE] = {"calls": calls}

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Let the epochs of samplers and datasets go."""
        let_go(self._held)


def _logits(outputs: Any) -> Tensor:
    """The logits in what a model returned: under this name, or its only or first tensor. Raises TypeError."""
    found = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", outputs)
    if isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, torch.Tensor):
        has = f"; it has: {', '.join(map(repr, outputs))}" if isinstance(outputs, Mapping) else ""
        raise TypeError(f"the {type(outputs).__name__} that the model returned has no logits{has}")
    return found
