"""Looking into a model: receptive fields, output sizes and statistics of activations, layer by layer. Needs torch.

from augreg import inspect
print(inspect.receptive_field(model, (3, 224, 224)))
print(inspect.activations(model, batch))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.inspect.receptive_fields import LayerField, ReceptiveFields, receptive_field
    from augreg.inspect.sizes import output_size, transposed_output_size
    from augreg.inspect.statistics import ActivationTable, LayerActivations, activations

__all__ = [
    "ActivationTable",
    "LayerActivations",
    "LayerField",
    "ReceptiveFields",
    "activations",
    "output_size",
    "receptive_field",
    "transposed_output_size",
]

_HOMES = {
    "ActivationTable": "statistics",
    "LayerActivations": "statistics",
    "LayerField": "receptive_fields",
    "ReceptiveFields": "receptive_fields",
    "activations": "statistics",
    "output_size": "sizes",
    "receptive_field": "receptive_fields",
    "transposed_output_size": "sizes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'augreg.inspect' has no attribute {name!r}")
    try:
        home = importlib.import_module(f"augreg.inspect.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError("augreg.inspect needs torch: pip install 'augreg[torch]'", name="torch") from None
    return getattr(home, name)


def __dir__() -> list[str]:
    return list(__all__)
