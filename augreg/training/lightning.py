"""Callbacks for Lightning, for what its own do not do.

Lightning's EarlyStopping, ModelCheckpoint, WeightAveraging and EMAWeightAveraging are used as they are. Ours apply
the schedules and constraints of a spec (`Regularized`), keep the best weights in memory and load them at the end
(`BestWeights`), and recompute batch norm for averaged weights (`RecalibrateBatchNorm`). They are callbacks of
`lightning.pytorch` or of `pytorch_lightning`, whichever is in use, and trainers of both take them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch

from augreg.training.averaging import batch_norms, first_tensor, recalibrate
from augreg.training.early_stopping import BestSnapshot

__all__ = ["BestWeights", "RecalibrateBatchNorm", "Regularized"]


def _callback() -> Any:
    """The base class of callbacks: of the package that is imported already, or else of the first that is there."""
    for name in sorted(("lightning.pytorch", "pytorch_lightning"), key=lambda name: name not in sys.modules):
        try:
            return importlib.import_module(name).Callback
        except ModuleNotFoundError as error:
            if error.name not in ("lightning", "lightning.pytorch", "pytorch_lightning"):
                raise
    raise ImportError("augreg.training.lightning needs Lightning: pip install lightning")


_Callback: Any = _callback()


class Regularized(_Callback):
    """Keeps what a spec regularizes in step with the training: schedules at each epoch, constraints at each step.

    `attached` is what `pipe.regularize(model)` returned, `criterion` what `pipe.criterion()` did; either may be left
    out. Penalties are for the training step to add: `criterion(logits, y) + attached.penalty()`. Put it before
    callbacks that average weights, so that they average constrained ones.
    """

    def __init__(self, attached: Any = None, criterion: Any = None) -> None:
        if attached is None and criterion is None:
            raise ValueError("Regularized needs what pipe.regularize(model) or pipe.criterion() returned")
        self.attached = attached
        self.criterion = criterion
        self._steps = 0

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the numbers of the epoch."""
        for part in (self.attached, self.criterion):
            if part is not None:
                part.step(trainer.current_epoch)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Apply the constraints if the optimizer has made a step."""
        if self.attached is not None and trainer.global_step != self._steps:
            self._steps = trainer.global_step
            self.attached.constrain()


class BestWeights(_Callback):
    """Keeps the weights of the best validation in memory, and loads them when training ends.

    `monitor` is the name of a logged metric, and `mode` says whether low or high is good. It goes with Lightning's
    EarlyStopping, which stops but does not go back. The weights are part of Lightning's checkpoints, so that a
    resumed run knows them. All processes follow the score of the first. With WeightAveraging use ModelCheckpoint:
    it is the averaged weights that are validated there. For weights that are sharded over processes it is not.
    """

    def __init__(
        self, monitor: str, mode: Literal["min", "max"] = "min", device: str | torch.device | None = "cpu"
    ) -> None:
        self.monitor = monitor
        self.best = BestSnapshot(mode, device)

    @property
    def state_key(self) -> str:
        """What its state is called in a checkpoint: one of each metric."""
        return f"BestWeights[{self.monitor}, {self.best.mode}]"

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Refuse callbacks that validate other weights than the model's."""
        for other in trainer.callbacks:
            if any(cls.__name__ == "WeightAveraging" for cls in type(other).__mro__):
                raise ValueError(
                    f"{type(other).__name__} validates averaged weights, which BestWeights does not see: "
                    "use Lightning's ModelCheckpoint instead"
                )

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Look at the score, and keep the weights if it is the best."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            known = ", ".join(sorted(metrics)) or "none"
            raise ValueError(f"BestWeights monitors {self.monitor!r}, which was not logged; logged are: {known}")
        self.best.update(trainer.strategy.broadcast(float(metrics[self.monitor])), pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Load the best weights."""
        self.best.restore(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The best weights and their score."""
        return self.best.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best.load_state_dict(state_dict)


class RecalibrateBatchNorm(_Callback):
    """Recomputes batch norm's statistics when training ends, for weights that were averaged.

    Put it behind WeightAveraging or EMAWeightAveraging, which at the end put the averages into the model. `batches`
    are the training batches unless others are given; `take` and `noise` are those of `augreg.training.recalibrate`.
    Checkpoints that are written afterwards have the new statistics. Each process uses the batches that it gets. The
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
        """Refuse, before the training, a module that cannot be called at its end."""
        owner = next(cls for cls in type(pl_module).__mro__ if "forward" in vars(cls))
        if owner.__name__ == "LightningModule" and "forward" not in vars(pl_module) and batch_norms(pl_module):
            raise TypeError(
                "RecalibrateBatchNorm calls the module on images when training ends, and "
                f"{type(pl_module).__name__} has no forward: define forward(self, images), which calls its model"
            )

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin anew."""
        self._done = False

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Recompute the statistics for the weights that the model has now."""
        batches = trainer.train_dataloader if self.batches is None else self.batches
        with trainer.precision_plugin.forward_context():
            recalibrate(pl_module, batches, take=self.take, device=pl_module.device, noise=self.noise)
        self._done = True

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Put the new statistics where the averaging callback has put its own."""
        if self._done:
            state = pl_module.state_dict()
            buffers = {name for name, _ in pl_module.named_buffers()} & state.keys() & checkpoint["state_dict"].keys()
            checkpoint["state_dict"].update({name: state[name] for name in buffers})
