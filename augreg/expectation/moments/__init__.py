"""The moments of a model's outputs over its own noise, in one pass: mean and variance, layer by layer.

from augreg.expectation.moments import propagate

moments = propagate(model, images)
print(moments.mean, moments.variance, moments.probabilities())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.expectation.moments.propagation import propagate as propagate
    from augreg.expectation.moments.result import Moments as Moments, MomentsReport as MomentsReport

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {"propagation": ("propagate",), "result": ("Moments", "MomentsReport")},
    needs="torch",
)
