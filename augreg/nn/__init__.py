"""Layers that regularize, for models that you write yourself. They need torch.

    from augreg.nn import DropBlock2d, DropConnectLinear, StochasticDepth

The package shows the names in `__all__` of its modules; functions that only its modules and the regularizers use are
not among them.
"""

# ruff: noqa: F403
from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.nn.activations import *
    from augreg.nn.drop_block import *
    from augreg.nn.drop_connect import *
    from augreg.nn.dropout import *
    from augreg.nn.noise import *
    from augreg.nn.shake import *
    from augreg.nn.stochastic_depth import *

__getattr__, __dir__ = lazy.modules(__name__, needs="torch")
