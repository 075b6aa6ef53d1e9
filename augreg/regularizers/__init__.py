"""The built-in regularizers: declarations that import no torch; augreg/nn has the layers that they attach.

    from augreg.regularizers import Dropout, LabelSmoothing

Adding one is writing its class: the registry finds it.
"""

# ruff: noqa: F403
from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy
from augreg.steps.other_names import of_class

if TYPE_CHECKING:
    from augreg.regularizers.activation import *
    from augreg.regularizers.constraints import *
    from augreg.regularizers.drop_block import *
    from augreg.regularizers.drop_connect import *
    from augreg.regularizers.dropout import *
    from augreg.regularizers.initialization import *
    from augreg.regularizers.noise import *
    from augreg.regularizers.penalties import *
    from augreg.regularizers.stochastic_depth import *
    from augreg.regularizers.targets import *

__getattr__, __dir__ = lazy.modules(__name__, declared=True, hint=of_class)
