"""Inspects a model layer by layer: receptive fields, output sizes and statistics of activations. Needs torch.

`augreg.inspect.plots` draws the plots of a lecture on training networks.

from augreg import inspect

print(inspect.receptive_field(model, (3, 224, 224)))
print(inspect.activations(model, batch))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.inspect import plots as plots
    from augreg.inspect.activation_statistics import (
        ActivationTable as ActivationTable,
        LayerActivations as LayerActivations,
        activations as activations,
    )
    from augreg.inspect.output_sizes import (
        output_size as output_size,
        transposed_output_size as transposed_output_size,
    )
    from augreg.inspect.receptive_fields import (
        LayerField as LayerField,
        ReceptiveFields as ReceptiveFields,
        receptive_field as receptive_field,
    )

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "receptive_fields": ("LayerField", "ReceptiveFields", "receptive_field"),
        "output_sizes": ("output_size", "transposed_output_size"),
        "activation_statistics": ("ActivationTable", "LayerActivations", "activations"),
    },
    submodules=("plots",),
    needs="torch",
)
