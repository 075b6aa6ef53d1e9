"""The side of augreg that needs torch: layers, their attachment to models, and the loss.

    from augreg.nn import DropBlock2d, DropConnectLinear, StochasticDepth

Names are resolved on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # say how to get it
    raise ImportError("this part of augreg needs torch: pip install 'augreg[torch]'") from error

if TYPE_CHECKING:
    from augreg.nn.activations import Maxout
    from augreg.nn.drop_block import DropBlock1d, DropBlock2d, DropBlock3d
    from augreg.nn.drop_connect import (
        DropConnectConv1d,
        DropConnectConv2d,
        DropConnectConv3d,
        DropConnectLinear,
        relu_moments,
    )
    from augreg.nn.dropout import (
        AlphaDropout,
        Dropout,
        Dropout1d,
        Dropout2d,
        Dropout3d,
        GaussianDropout,
        SpatialDropout,
    )
    from augreg.nn.noise import GaussianNoise
    from augreg.nn.shake import ShakeDrop, ShakeShake
    from augreg.nn.stochastic_depth import StochasticDepth

__all__ = [
    "AlphaDropout",
    "DropBlock1d",
    "DropBlock2d",
    "DropBlock3d",
    "DropConnectConv1d",
    "DropConnectConv2d",
    "DropConnectConv3d",
    "DropConnectLinear",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "GaussianDropout",
    "GaussianNoise",
    "Maxout",
    "ShakeDrop",
    "ShakeShake",
    "SpatialDropout",
    "StochasticDepth",
    "relu_moments",
]

_HOMES = {
    "AlphaDropout": "dropout",
    "DropBlock1d": "drop_block",
    "DropBlock2d": "drop_block",
    "DropBlock3d": "drop_block",
    "DropConnectConv1d": "drop_connect",
    "DropConnectConv2d": "drop_connect",
    "DropConnectConv3d": "drop_connect",
    "DropConnectLinear": "drop_connect",
    "Dropout": "dropout",
    "Dropout1d": "dropout",
    "Dropout2d": "dropout",
    "Dropout3d": "dropout",
    "GaussianDropout": "dropout",
    "GaussianNoise": "noise",
    "Maxout": "activations",
    "ShakeDrop": "shake",
    "ShakeShake": "shake",
    "SpatialDropout": "dropout",
    "StochasticDepth": "stochastic_depth",
    "relu_moments": "drop_connect",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"augreg.nn.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'augreg.nn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
