"""Around a training loop: epochs, early stopping, averages of weights, ensembles, the random state, and trainers.

Names are resolved on first use. `augreg.training.lightning` has callbacks and needs Lightning;
`augreg.training.huggingface` has a loss and a callback for the Trainer and needs transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.training.averaging import ema as ema, recalibrate as recalibrate, swa as swa
    from augreg.training.early_stopping import BestSnapshot as BestSnapshot, EarlyStopping as EarlyStopping
    from augreg.training.ensembles import Ensemble as Ensemble
    from augreg.training.epochs import Epochs as Epochs
    from augreg.training.rng_state import RngState as RngState

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "averaging": ("ema", "recalibrate", "swa"),
        "early_stopping": ("BestSnapshot", "EarlyStopping"),
        "ensembles": ("Ensemble",),
        "epochs": ("Epochs",),
        "rng_state": ("RngState",),
    },
    needs="torch",
)
