"""The objects of one run of a task: the model, its optimizer and its loss, and what one update does."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from augreg.attachment.attach import attachments
from augreg.recipe.batches import Batch, size_of, sliced, targets_of
from augreg.recipe.losses import Problem, default_loss, problem_of, score, takes_probabilities
from augreg.recipe.measured import Means, Measured
from augreg.recipe.noise_off import noise_off
from augreg.recipe.state import kept, seed_everything
from augreg.recipe.task import Task

__all__ = ["Training", "identity_of", "start"]


class Training:
    """A model in training: `update` does one step of the optimizer, `measure` evaluates without noise."""

    def __init__(self, task: Task, model: nn.Module, optimizer: Optimizer, noise: bool) -> None:
        self.task = task
        self.model = model
        self.optimizer = optimizer
        self.noise = noise
        pipe = task.pipe
        self.attached = pipe.regularize(model) if noise and pipe is not None else None
        self.criterion = None
        if task.loss is None and pipe is not None and pipe.options.classes is not None:
            self.criterion = pipe.criterion().to(self.device)
        self.own_loss = hasattr(model, "training_step")  # a LightningModule
        self._problem: Problem | None = None
        self._threshold: float | None = None

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next((each.device for each in self.model.parameters()), torch.device("cpu"))

    def set_epoch(self, epoch: float) -> None:
        """Set the epoch of numbers with a schedule."""
        for part in (self.attached, self.criterion):
            if part is not None:
                part.set_epoch(epoch)

    def moved(self, batch: Batch) -> Batch:
        """The batch on the device of the model."""
        return _moved(batch[0], self.device), _moved(batch[1], self.device)

    def outputs(self, inputs: Any) -> Tensor:
        """The outputs of the model for the inputs of a batch: its `logits` if it returns several things."""
        found = self.model(**inputs) if isinstance(inputs, Mapping) else self.model(inputs)
        return _logits(found)

    def problem(self, outputs: Tensor) -> Problem:
        """The problem of the task, by the shape of its outputs and a few hundred of its training targets."""
        if self._problem is None:
            with kept(self.task):
                self._problem = problem_of(outputs, targets_of(self.task))
        return self._problem

    def loss(self, outputs: Tensor, targets: Any) -> Tensor:
        """The loss of these outputs, without penalties on weights."""
        if self.task.loss is not None:
            return _scalar(self.task.loss(outputs, targets))
        if self.criterion is not None:
            return self.criterion(outputs, targets)
        return default_loss(outputs, targets, self.problem(outputs))

    def score(self, outputs: Tensor, targets: Any) -> Tensor:
        """The default metric, one number per sample; of binary outputs as the loss takes them."""
        problem = self.problem(outputs)
        if self._threshold is None:
            probabilities = problem == "binary" and takes_probabilities(self.loss, outputs, targets, problem)
            self._threshold = 0.5 if probabilities else 0.0
        return score(outputs, targets, problem, self._threshold)

    def noise_off(self, batch: Batch) -> contextlib.AbstractContextManager[tuple[str, ...]]:
        """A context in which the model trains without random draws, which two samples of the batch show."""
        return noise_off(self.model, lambda: self.outputs(sliced(batch, 0, 2)[0]))

    def batch_loss(self, batch: Batch) -> Tensor:
        """The loss of a batch in the current mode, without penalties; a LightningModule computes its own."""
        if self.own_loss and self.task.loss is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # self.log without a Trainer
                found = self.model.training_step(batch, 0)
            return _scalar(found["loss"] if isinstance(found, Mapping) else found)
        return self.loss(self.outputs(batch[0]), batch[1])

    def update(self, batch: Batch) -> float:
        """One step of the optimizer on a batch, by the task's own `step` if it has one. Returns the loss."""
        inputs, targets = batch = self.moved(batch)
        if self.task.step is not None:
            loss = self.task.step(self.model, self.optimizer, inputs, targets)
        else:
            self.optimizer.zero_grad()
            loss = self.batch_loss(batch)
            total = loss
            if self.criterion is not None and self.noise:
                total = loss + self.criterion.penalty(self.model).to(loss.device)
            total.backward()
            self.optimizer.step()
        if self.attached is not None:
            self.attached.constrain()
        return float(loss.detach() if isinstance(loss, Tensor) else loss)

    @torch.no_grad()
    def measure(self, batches: Iterable[Batch], most: int | None = None) -> Measured:
        """The mean loss and metric in evaluation mode over all samples, or over batches until there are `most`."""
        with self._evaluating():
            return self._means(batches, most)

    def _means(self, batches: Iterable[Batch], most: int | None) -> Measured:
        means = Means()
        for batch in batches:
            inputs, targets = self.moved(batch)
            outputs = self.outputs(inputs)
            size = size_of(batch)
            loss = self.batch_loss((inputs, targets)) if self._needs_step else self.loss(outputs, targets)
            if self.task.metric is not None:
                found = torch.as_tensor(self.task.metric(outputs, targets)).float()
                means.add(loss, found if found.shape == (size,) else found.mean(), size)
            else:
                numbers = targets if self.problem(outputs) == "regression" else None
                means.add(loss, self.score(outputs, targets), size, numbers)
            if most is not None and means.samples >= most:
                break
        return means.measured()

    @property
    def _needs_step(self) -> bool:
        return self.own_loss and self.task.loss is None

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Call `eval()` of the model and the criterion, as an evaluation does; and `train()` at the end."""
        if self.criterion is not None:
            self.criterion.eval()
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()
            if self.criterion is not None:
                self.criterion.train()


def start(task: Task, *, noise: bool = True, seed: int | None = None) -> Training:
    """A new run of a task: generators are seeded, and the model is made or copied. See `kept`, which restores them.

    Without `noise`, nothing is attached to the model, and there are no penalties, label smoothing and weight decay.
    """
    task = task if noise else task.without_noise()
    seed_everything(task.seed if seed is None else seed)
    model, optimizer = _made(task)
    if not noise:
        for attached in attachments(model):
            attached.detach()
    model.train()
    _set_numbers(optimizer, task)
    return Training(task, model, optimizer, noise)


def identity_of(task: Task, training: Training) -> str:
    """A hash of the task of a new run: spec, seed, numbers, and the names and shapes of the weights."""
    group = training.optimizer.param_groups[0]
    numbers = {name: value for name, value in group.items() if isinstance(value, int | float | str | bool | tuple)}
    seen = {
        "name": task.name,
        "seed": task.seed,
        "batch_size": task.batch_size,
        "spec": "" if task.pipe is None else task.pipe.fingerprint,
        "optimizer": [type(training.optimizer).__name__, numbers],
        "model": [[name, list(each.shape)] for name, each in training.model.state_dict().items()],
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def _made(task: Task) -> tuple[nn.Module, Optimizer]:
    given: Any = task.optimizer
    if not isinstance(task.model, nn.Module):
        model = task.model()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: the function returned {model!r}, expected a torch.nn.Module")
        if isinstance(given, Optimizer):
            raise TypeError("optimizer: it belongs to another model; give a function of the model instead")
    else:
        model, given = _copied(task.model, given)
    return model, given if isinstance(given, Optimizer) else _optimizer(model, given)


def _copied(model: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
    try:
        if isinstance(optimizer, Optimizer):
            return copy.deepcopy((model, optimizer))
        return copy.deepcopy(model), optimizer
    except Exception as error:
        raise TypeError(
            f"model: the {type(model).__name__} cannot be copied ({error}); give a function that makes it instead"
        ) from error


def _optimizer(model: nn.Module, given: Any) -> Optimizer:
    """The optimizer of a model: by the function or the class given, by the LightningModule, or AdamW."""
    if given is None and hasattr(model, "configure_optimizers"):
        made = _of_lightning(model.configure_optimizers())
    elif given is None:
        made = torch.optim.AdamW(model.parameters(), lr=1e-3)
    else:
        function = given.func if isinstance(given, functools.partial) else given
        by_class = isinstance(function, type) and issubclass(function, Optimizer)
        made = given(model.parameters()) if by_class else given(model)
    if not isinstance(made, Optimizer):
        raise TypeError(f"optimizer: expected a torch.optim.Optimizer, got {made!r}")
    return made


def _of_lightning(configured: Any) -> Any:
    """The optimizer of what `configure_optimizers` returned, which may have schedulers beside it."""
    if isinstance(configured, Mapping):
        return configured["optimizer"]
    while isinstance(configured, tuple | list) and configured:
        configured = configured[0]
    return configured


def _set_numbers(optimizer: Optimizer, task: Task) -> None:
    groups = optimizer.param_groups
    if task.learning_rate is not None:
        first = groups[0]["lr"] or 1.0
        for group in groups:
            group["lr"] = task.learning_rate * (float(group["lr"]) / float(first) if len(groups) > 1 else 1.0)
    if task.weight_decay is not None:
        some = any(group.get("weight_decay", 0.0) for group in groups)
        for group in groups:
            if "weight_decay" in group and (group["weight_decay"] or not some):
                group["weight_decay"] = task.weight_decay


def _logits(outputs: Any) -> Tensor:
    found = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", outputs)
    if isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        raise TypeError(f"the model returned {type(outputs).__name__}, in which no tensor of outputs was found")
    return found


def _scalar(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        shape = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise TypeError(f"loss: expected one number, the mean over the batch, got {shape}")
    return loss


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Mapping):
        return {name: _moved(each, device) for name, each in value.items()}
    return value.to(device) if hasattr(value, "to") else torch.as_tensor(value, device=device)
