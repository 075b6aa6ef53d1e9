"""What helps around a training loop: early stopping, averages of weights, ensembles, and Lightning callbacks.

Names are resolved on first use; `augreg.training.lightning` has the callbacks and needs Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.nn.parameter_groups import parameter_groups
    from augreg.training.averaging import ema, recalibrate, swa
    from augreg.training.early_stopping import BestSnapshot, EarlyStopping
    from augreg.training.ensembles import Ensemble

__all__ = ["BestSnapshot", "EarlyStopping", "Ensemble", "ema", "parameter_groups", "recalibrate", "swa"]

_HOMES = {
    "BestSnapshot": "augreg.training.early_stopping",
    "EarlyStopping": "augreg.training.early_stopping",
    "Ensemble": "augreg.training.ensembles",
    "ema": "augreg.training.averaging",
    "parameter_groups": "augreg.nn.parameter_groups",
    "recalibrate": "augreg.training.averaging",
    "swa": "augreg.training.averaging",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'augreg.training' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(f"augreg.training.{name} needs torch: pip install 'augreg[torch]'") from error


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
