"""Lightning callbacks: schedules and constraints, the best weights, and batch norm for averaged weights.

They complement Lightning's own EarlyStopping, ModelCheckpoint, WeightAveraging and EMAWeightAveraging. `Regularized`
applies the schedules and constraints of a spec, and makes masks resumable, `BestWeights` keeps the best
weights in memory and loads them at the end, and `RecalibrateBatchNorm` recomputes the statistics of batch norm for
averaged weights. They work with the trainers of both `lightning.pytorch` and `pytorch_lightning`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch

from augreg.attachment.attach import Attachment
from augreg.training.averaging import batch_norms, first_tensor, recalibrate
from augreg.training.early_stopping import BestSnapshot
from augreg.training.epochs import HasEpoch
from augreg.training.rng_state import counted_calls, hashed_seed, of_ranks, set_counted_calls

__all__ = ["BestWeights", "RecalibrateBatchNorm", "Regularized", "epoch_to_load"]


def _callback() -> Any:
    """The base class of callbacks, of the Lightning package that is imported already, or else of an installed one."""
    for name in sorted(("lightning.pytorch", "pytorch_lightning"), key=lambda name: name not in sys.modules):
        try:
            return importlib.import_module(name).Callback
        except ModuleNotFoundError as error:
            if error.name not in ("lightning", "lightning.pytorch", "pytorch_lightning"):
                raise
    raise ImportError("augreg.training.lightning needs Lightning: pip install lightning")


_Callback: Any = _callback()


def epoch_to_load(trainer: Any) -> int:
    """The epoch for which Lightning calls `train_dataloader`, for `EpochSampler(data, epoch=epoch_to_load(trainer))`.

    It is `trainer.current_epoch`, except in a run that is resumed from a checkpoint of the end of an epoch: there the
    trainer goes on to the next epoch only after the loader has begun.
    """
    loop = trainer.fit_loop
    progress = loop.epoch_progress.current
    over = progress.started > progress.processed and loop.epoch_loop.batch_progress.is_last_batch
    return int(progress.processed) + bool(over)


class Regularized(_Callback):
    """Applies the schedules of a spec at the start of each epoch, and its constraints after each optimizer step.

    `attached` is what `pipe.regularize(model)` returned, `criterion` is what `pipe.criterion()` returned; either may
    be left out. Penalties are added by the training step: `criterion(logits, y, model)`. Put the callback before
    those that average weights, so that they average constrained weights.

    Before each batch it seeds torch by (seed, epoch, number of the batch), where the seed is that of the run, set by
    `seed_everything` or `torch.manual_seed`, or a random one. Lightning's checkpoints get this seed, and the calls of
    regularizers with a `seed` of their own. So a resumed run draws the masks of an uninterrupted one, and everything
    else that a training step draws, wherever the checkpoint was made.
    """

    def __init__(self, attached: Attachment | None = None, criterion: HasEpoch | None = None) -> None:
        if attached is None and criterion is None:
            raise ValueError("Regularized needs what pipe.regularize(model) or pipe.criterion() returned")
        self.attached = attached
        self.criterion = criterion
        self._steps = 0
        self._seeds: list[int] = []  # of the run, for each rank
        self._module: Any = None
        self._loaded: Mapping[str, Any] | None = None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the seed of the run, or what a checkpoint says."""
        self._module = pl_module
        if self._loaded is None:
            self._seeds = of_ranks(torch.initial_seed())
        else:
            self._seeds = self._loaded["seeds"]
            set_counted_calls(pl_module, self._loaded["calls"])
        self._loaded = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Set the epoch, since no epoch starts in a run that is resumed in the middle of one."""
        self._steps = trainer.global_step
        self._set_epoch(trainer)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Set the epoch of the schedules."""
        self._set_epoch(trainer)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Seed the draws of this batch."""
        seed = self._seeds[trainer.global_rank % len(self._seeds)]
        torch.manual_seed(hashed_seed(seed, trainer.current_epoch, batch_idx))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Apply the constraints if the optimizer has made a step."""
        if self.attached is not None and trainer.global_step != self._steps:
            self._steps = trainer.global_step
            self.attached.constrain()

    def state_dict(self) -> dict[str, Any]:
        """What the draws of the next batches depend on."""
        if self._module is None:
            return {}
        return {"seeds": list(self._seeds), "calls": counted_calls(self._module)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a checkpoint, when the fit starts."""
        self._loaded = state_dict or None

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Forget a checkpoint that was loaded for a validation or a test."""
        self._loaded = None

    def _set_epoch(self, trainer: Any) -> None:
        for part in (self.attached, self.criterion):
            if part is not None:
                part.set_epoch(trainer.current_epoch)


class BestWeights(_Callback):
    """Keeps the weights of the best validation in memory, and loads them when training ends.

    `monitor` is the name of a logged metric, and `mode` says whether a low or a high value is good. Use it together
    with Lightning's EarlyStopping, which stops but does not restore weights. The weights are saved in Lightning's
    checkpoints, so that a resumed run has them. All processes use the score of the first. It does not support weights
    that are sharded over processes, nor WeightAveraging, which validates the averaged weights: use ModelCheckpoint
    there.
    """

    def __init__(
        self, monitor: str, mode: Literal["min", "max"] = "min", device: str | torch.device | None = "cpu"
    ) -> None:
        self.monitor = monitor
        self.best = BestSnapshot(mode, device)

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint, which differs between metrics."""
        return f"BestWeights[{self.monitor}, {self.best.mode}]"

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Raise ValueError if another callback validates other weights than the model's."""
        for other in trainer.callbacks:
            if any(cls.__name__ == "WeightAveraging" for cls in type(other).__mro__):
                raise ValueError(
                    f"{type(other).__name__} validates averaged weights, which BestWeights does not see: "
                    "use Lightning's ModelCheckpoint instead"
                )

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep the weights if their score is the best so far."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            known = ", ".join(sorted(metrics)) or "none"
            raise ValueError(f"BestWeights monitors {self.monitor!r}, which was not logged; logged are: {known}")
        self.best.update(trainer.strategy.broadcast(float(metrics[self.monitor])), pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Load the best weights. Warns, and keeps those of the last epoch, if there was no finite score."""
        if self.best.state is None:
            reason = f"none of {self.best.count} scores was finite" if self.best.count else "no validation was run"
            warnings.warn(
                f"BestWeights has no best {self.monitor!r}, as {reason}: the weights are those of the last epoch",
                stacklevel=2,
            )
            return
        self.best.restore(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The best weights and their score."""
        return self.best.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.best.load_state_dict(state_dict)


class RecalibrateBatchNorm(_Callback):
    """Recomputes the statistics of batch norm for averaged weights when training ends.

    Put it after WeightAveraging or EMAWeightAveraging, which load the averages into the model at the end. `batches`
    are the training batches unless others are given; `take` and `noise` are those of `augreg.training.recalibrate`.
    Checkpoints that are written afterward have the new statistics. Each process uses its own batches. The
    LightningModule needs a `forward` that takes images: a fit raises TypeError at its start if there is none.
    """

    def __init__(
        self,
        batches: Iterable[Any] | None = None,
        *,
        take: Callable[[Any], Any] = first_tensor,
        noise: bool = False,
    ) -> None:
        self.batches = batches
        self.take = take
        self.noise = noise
        self._done = False

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Raise TypeError before training if the module cannot be called on images at the end."""
        owner = next(cls for cls in type(pl_module).__mro__ if "forward" in vars(cls))
        if owner.__name__ == "LightningModule" and "forward" not in vars(pl_module) and batch_norms(pl_module):
            raise TypeError(
                "RecalibrateBatchNorm calls the module on images when training ends, and "
                f"{type(pl_module).__name__} has no forward: define forward(self, images), which calls its model"
            )

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Note that the statistics of this run are not recomputed yet."""
        self._done = False

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Recompute the statistics for the current weights."""
        batches = trainer.train_dataloader if self.batches is None else self.batches
        with trainer.precision_plugin.forward_context():
            recalibrate(pl_module, batches, take=self.take, device=pl_module.device, noise=self.noise)
        self._done = True

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Replace the statistics that the averaging callback has written by the new ones."""
        if self._done:
            state = pl_module.state_dict()
            buffers = {name for name, _ in pl_module.named_buffers()} & state.keys() & checkpoint["state_dict"].keys()
            checkpoint["state_dict"].update({name: state[name] for name in buffers})
