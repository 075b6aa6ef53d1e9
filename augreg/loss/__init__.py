"""The loss section of a spec: the criterion, penalties on weights, and parameter groups for weight decay.

Names are resolved on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.loss.criterion import Criterion as Criterion
    from augreg.loss.weight_decay import parameter_groups as parameter_groups

__getattr__, __dir__, __all__ = lazy.names(
    __name__, {"criterion": ("Criterion",), "weight_decay": ("parameter_groups",)}, needs="torch"
)
