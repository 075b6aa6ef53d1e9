"""The training loop of the recipe: seeded, the same bit for bit on the CPU, and resumable.

    run = fit(task, epochs=5, folder="runs/first")
    print(run.history["validation metric"][-1])

Every epoch begins with generators that are seeded by the seed and the number of the epoch. A run that was killed goes
on at its last whole epoch, as the run that was not killed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from augreg.files.whole_files import whole_file
from augreg.recipe.batches import Batch, training_batches, validation_batches
from augreg.recipe.state import kept, seed_everything
from augreg.recipe.task import Task
from augreg.recipe.training import Training, identity_of, start
from augreg.training.rng_state import RngState

__all__ = ["Run", "fit"]

_FILE = "run.pt"
_MEASURED = 2000  # training samples on which an epoch is measured, at most


@dataclass
class Run:
    """A run of a task: what was measured, and the trained model.

    `losses` has the loss of every update, with noise. `history` has lists with one number per epoch: `train loss` and
    `train metric`, measured in evaluation mode on images without augmentation; `validation loss` and `validation
    metric`; and `train metric error` and `validation metric error`, the standard errors of the metrics. `start` has
    the same numbers before the first update, and the largest loss of a batch. `stopped` says why it ended early, or
    is empty.
    """

    losses: list[float] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    validation_samples: int = 0
    stopped: str = ""
    model: nn.Module | None = None

    @property
    def finished(self) -> bool:
        """Whether it ended as planned."""
        return not self.stopped

    def last(self, name: str) -> float:
        """The last number of a part of the history, such as "validation metric"; NaN if there is none."""
        return self.history[name][-1] if self.history.get(name) else math.nan

    def as_dict(self) -> dict[str, Any]:
        """The run as plain data, without the model."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "model"}


def fit(
    task: Task,
    epochs: int | None = None,
    *,
    iterations: int | None = None,
    noise: bool = True,
    seed: int | None = None,
    folder: str | Path | None = None,
    stop: Callable[[Run], bool] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Run:
    """Train a task for so many epochs, and measure training and validation after each; or for so many updates.

    With `folder`, the state after each epoch is written to `run.pt` there, and a run that finds one goes on from it.
    `stop(run)` is called after each epoch, and ends the run if it returns True. `progress(iteration, loss)` is called
    after each update. Without `noise`, images are not augmented, and nothing regularizes; `seed` replaces the task's.

    Ends early if the loss is not finite. Global generators, and those of loaders, are as before at the end, also
    after an exception; the task's model and optimizer are never touched. Raises ValueError unless one of `epochs` and
    `iterations` is given, and for a folder with a run of another task, another seed or more epochs.
    """
    if (epochs is None) is (iterations is None):
        raise ValueError("give either epochs or iterations")
    with kept(task):
        training = start(task, noise=noise, seed=seed)
        loop = _Loop(
            task, training, noise, task.seed if seed is None else seed, None if folder is None else Path(folder)
        )
        if epochs is not None:
            loop.train_epochs(epochs, stop, progress)
        else:
            loop.train_iterations(iterations or 0, progress)
        loop.run.model = training.model
        return loop.run


class _Loop:
    def __init__(self, task: Task, training: Training, noise: bool, seed: int, folder: Path | None) -> None:
        self.task = task
        self.training = training
        self.seed = seed
        self.folder = folder
        self.identity = "" if folder is None else identity_of(task, training)
        self.data = training_batches(task, clean=not noise)
        self.data.augment, self.data.seed = True if noise else self.data.augment, seed
        self.clean = training_batches(task, clean=True)
        self.validation = validation_batches(task)
        self.run = Run()

    def train_epochs(
        self, count: int, stop: Callable[[Run], bool] | None, progress: Callable[[int, float], None] | None
    ) -> None:
        self._resume(count)
        if not self.run.start:
            seed_everything(self.seed, -1)
            self.run.start = self._measured("largest loss")
        while self.run.epochs < count and not self.run.stopped:
            epoch = self.run.epochs
            seed_everything(self.seed, epoch)
            self.training.set_epoch(epoch)
            self._updates(self.data.epoch(epoch), progress)
            if self.run.stopped:
                break
            for name, value in self._measured().items():
                self.run.history.setdefault(name, []).append(value)
            self.run.epochs += 1
            if stop is not None and stop(self.run):
                self.run.stopped = "stopped"
            self._save()

    def train_iterations(self, count: int, progress: Callable[[int, float], None] | None) -> None:
        epoch = 0
        while len(self.run.losses) < count and not self.run.stopped:
            seed_everything(self.seed, epoch)
            self.training.set_epoch(epoch)
            before = len(self.run.losses)
            self._updates(self.data.epoch(epoch), progress, count)
            if len(self.run.losses) == before and not self.run.stopped:
                raise ValueError("the training data has no batches")
            epoch += 1
        self.run.epochs = epoch

    def _updates(
        self, batches: Iterable[Batch], progress: Callable[[int, float], None] | None, most: int | None = None
    ) -> None:
        for batch in batches:
            if most is not None and len(self.run.losses) >= most:
                return
            loss = self.training.update(batch)
            self.run.losses.append(loss)
            if progress is not None:
                progress(len(self.run.losses), loss)
            if not math.isfinite(loss):
                self.run.stopped = f"the loss is {loss} at iteration {len(self.run.losses)}"
                return

    def _measured(self, *more: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for side, batches, most in (("train", self.clean, _MEASURED), ("validation", self.validation, None)):
            if batches is not None:
                measured = self.training.measure(batches.epoch(0), most)
                found |= {f"{side} {name}": measured[name] for name in ("loss", "metric", "metric error", *more)}
                if side == "validation":
                    self.run.validation_samples = int(measured["samples"])
        return found

    def _save(self) -> None:
        """Write the state after an epoch, whole or not at all."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        training = self.training
        state = {
            "model": training.model.state_dict(),
            "optimizer": training.optimizer.state_dict(),
            "rng": RngState(training.model).state_dict(),
            "run": self.run.as_dict(),
            "seed": self.seed,
            "task": self.identity,
        }
        path = self.folder / _FILE
        try:
            with whole_file(path) as part:
                torch.save(state, part)
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError where the disk is full
            raise OSError(f"{path} cannot be written; is the disk full? {str(error).splitlines()[0]}") from error

    def _resume(self, count: int) -> None:
        path = None if self.folder is None else self.folder / _FILE
        if path is None or not path.is_file():
            return
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
            saved = state["seed"], state["task"], Run(**state["run"])
        except Exception as error:  # many kinds
            raise OSError(f"{path} is damaged, or no run of augreg: remove it, or choose another folder") from error
        if saved[:2] != (self.seed, self.identity):
            raise ValueError(
                f"{path} is of a run with another seed, another spec or other numbers: choose another folder"
            )
        if saved[2].epochs > count:
            raise ValueError(f"{path} is of a run of {saved[2].epochs} epochs, not {count}: choose another folder")
        self.training.model.load_state_dict(state["model"])
        self.training.optimizer.load_state_dict(state["optimizer"])
        RngState(self.training.model).load_state_dict(state["rng"])
        self.run = saved[2]
        if self.run.stopped == "stopped":
            self.run.stopped = ""
