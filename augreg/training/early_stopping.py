"""Early stopping, and keeping the weights of the best epoch.

    stopping = EarlyStopping(patience=10, mode="max")
    for epoch in range(200):
        train(model)
        if stopping.step(accuracy(model), model):
            break
    stopping.restore(model)

Early stopping is a regularizer: it limits how far the weights move from their initial values (Prechelt 1998).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["BestSnapshot", "EarlyStopping"]

Mode = Literal["min", "max"]


def _number(score: float | Tensor) -> float:
    return score.item() if isinstance(score, Tensor) else float(score)


def _better(score: float, than: float | None, mode: Mode, by: float = 0.0) -> bool:
    if not math.isfinite(score):
        return False
    if than is None:
        return True
    return score < than - by if mode == "min" else score > than + by


def _checked(mode: Mode) -> Mode:
    if mode not in ("min", "max"):
        raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
    return mode


class BestSnapshot:
    """A copy of a model's state_dict at its best score.

    `mode` says whether low or high scores are good. The copy is on `device`, or on the device of the model if that is
    None. Of equal scores the first is kept; a score that is NaN or infinite is never the best.
    """

    def __init__(self, mode: Mode = "min", device: str | torch.device | None = "cpu") -> None:
        self.mode = _checked(mode)
        self.device = device
        self.score: float | None = None
        self.count = 0
        self.best_at: int | None = None
        self.state: dict[str, Any] | None = None

    def update(self, score: float | Tensor, model: nn.Module) -> bool:
        """Copy the model if this score is the best so far. Returns whether it is."""
        score = _number(score)
        self.count += 1
        if not _better(score, self.score, self.mode):
            return False
        self.score, self.best_at = score, self.count - 1
        state, plain = model.state_dict(), _plain_names(model)
        self.state = {plain.get(name, name): self._copied(value) for name, value in state.items()}
        return True

    def _copied(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.detach().to(self.device or value.device, copy=True)
        return copy.deepcopy(value)  # extra state of a module, which may be anything

    def restore(self, model: nn.Module) -> None:
        """Load the best state into a model. Raises RuntimeError if there was no finite score.

        Either may be compiled, in DistributedDataParallel or an average: their prefixes of names do not count.
        """
        if self.state is None:
            raise RuntimeError(f"there is no snapshot to restore: none of {self.count} scores was finite")
        state, own = dict(self.state), model.state_dict()
        names = {plain: name for name, plain in _plain_names(model).items()}
        if _UPDATES in own and _UPDATES not in state:
            state[_UPDATES] = own[_UPDATES]
        elif _UPDATES in state and _UPDATES not in own:
            del state[_UPDATES]
        model.load_state_dict({names.get(name, name): value for name, value in state.items()})

    def state_dict(self) -> dict[str, Any]:
        """The state to save: numbers, strings and tensors only."""
        return {"score": self.score, "count": self.count, "best_at": self.best_at, "state": self.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.score, self.count, self.best_at = state["score"], state["count"], state["best_at"]
        self.state = None if state["state"] is None else dict(state["state"])


_UPDATES = "n_averaged"  # the only entry that an AveragedModel adds to those of its model
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def _plain_names(model: nn.Module) -> dict[str, str]:
    """The names in a model's state_dict, and what they are without wrappers, also of parts of the model."""
    prefixes = []
    for path, module in model.named_modules(remove_duplicate=False):
        inner = "_orig_mod" if hasattr(module, "_orig_mod") else "module" if isinstance(module, _WRAPPERS) else None
        if inner is not None:
            prefixes.append((f"{path}." if path else "", f"{inner}."))
    prefixes.sort(key=lambda prefix: -len(prefix[0]))  # the innermost first, so that the others stay right
    names = {}
    for name in model.state_dict():
        plain = name
        for outer, inner in prefixes:
            if plain.startswith(outer + inner):
                plain = outer + plain.removeprefix(outer + inner)
        names[name] = plain
    return names


class EarlyStopping:
    """Stops after `patience` scores in a row without progress.

    A score is progress if it is better, by more than `min_delta`, than the last score that was progress, so small
    gains that add up count as progress in the end. NaN and infinite scores are not progress; with `nan="stop"` the
    first one stops. If the model is given, `best` keeps the weights of the best score, progress or not.

    If several processes train together, give all of them the same score, or they stop at different times.
    """

    def __init__(
        self,
        patience: int = 10,
        mode: Mode = "min",
        min_delta: float = 0.0,
        *,
        nan: Literal["wait", "stop"] = "wait",
        device: str | torch.device | None = "cpu",
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"patience must be an integer of at least 1, got {patience!r}")
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"min_delta must be finite and not negative, got {min_delta!r}; `mode` is the direction")
        if nan not in ("wait", "stop"):
            raise ValueError(f"nan must be 'wait' or 'stop', got {nan!r}")
        self.patience = patience
        self.mode = _checked(mode)
        self.min_delta = min_delta
        self.nan = nan
        self.best = BestSnapshot(mode, device)
        self.waited = 0
        self.stopped = False
        self._progress: float | None = None

    def step(self, score: float | Tensor, model: nn.Module | None = None) -> bool:
        """Take the score of an epoch, and keep the weights if it is the best so far. Returns whether to stop."""
        score = _number(score)
        if model is not None:
            self.best.update(score, model)
        if _better(score, self._progress, self.mode, self.min_delta):
            self._progress, self.waited = score, 0
        else:
            self.waited += 1
        self.stopped = self.waited >= self.patience or (self.nan == "stop" and not math.isfinite(score))
        return self.stopped

    def restore(self, model: nn.Module) -> None:
        """Load the best weights into a model. Raises RuntimeError if there was no finite score."""
        self.best.restore(model)

    def state_dict(self) -> dict[str, Any]:
        """The state to save, best weights included; torch.load reads it with weights_only=True."""
        return {
            "waited": self.waited,
            "stopped": self.stopped,
            "progress": self._progress,
            "best": self.best.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state; patience, mode and min_delta are not part of it."""
        self.waited, self.stopped, self._progress = state["waited"], state["stopped"], state["progress"]
        self.best.load_state_dict(state["best"])
