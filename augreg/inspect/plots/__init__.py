"""The plots of a lecture on training networks, made by augreg: each function returns a matplotlib figure.

    from augreg.inspect import plots

    plots.dropout(keep=0.8).savefig("dropout.png")

`augreg plots` writes them as SVG. They need matplotlib (`pip install 'augreg[plots]'`), and most of them torch. What
is drawn at random depends on `seed` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.inspect.plots.activation_functions import activations as activations
    from augreg.inspect.plots.batch_statistics import batch_norm as batch_norm
    from augreg.inspect.plots.fields_on_images import receptive_fields as receptive_fields
    from augreg.inspect.plots.images import auto_augment as auto_augment, mixup as mixup
    from augreg.inspect.plots.lecture import LECTURE as LECTURE, Drawing as Drawing
    from augreg.inspect.plots.masks import (
        drop_connect as drop_connect,
        dropout as dropout,
        stochastic_depth as stochastic_depth,
    )
    from augreg.inspect.plots.scaling import preprocessing as preprocessing
    from augreg.inspect.plots.signals import initializations as initializations
    from augreg.inspect.plots.stopping import early_stopping as early_stopping
    from augreg.inspect.plots.weights import penalties as penalties
    from augreg.pages.canvas import save as save

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "activation_functions": ("activations",),
        "batch_statistics": ("batch_norm",),
        "..pages.canvas": ("save",),
        "fields_on_images": ("receptive_fields",),
        "images": ("auto_augment", "mixup"),
        "lecture": ("LECTURE", "Drawing"),
        "masks": ("drop_connect", "dropout", "stochastic_depth"),
        "scaling": ("preprocessing",),
        "signals": ("initializations",),
        "stopping": ("early_stopping",),
        "weights": ("penalties",),
    },
    needs="torch",
)
