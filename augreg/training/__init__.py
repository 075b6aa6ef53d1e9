"""Around a training loop: epochs, early stopping, averages of weights, ensembles, and Lightning callbacks.

Names are resolved on first use; `augreg.training.lightning` has the callbacks and needs Lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.training.averaging import ema as ema, recalibrate as recalibrate, swa as swa
    from augreg.training.early_stopping import BestSnapshot as BestSnapshot, EarlyStopping as EarlyStopping
    from augreg.training.ensembles import Ensemble as Ensemble
    from augreg.training.epochs import Epochs as Epochs

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "averaging": ("ema", "recalibrate", "swa"),
        "early_stopping": ("BestSnapshot", "EarlyStopping"),
        "ensembles": ("Ensemble",),
        "epochs": ("Epochs",),
    },
    needs="torch",
)
