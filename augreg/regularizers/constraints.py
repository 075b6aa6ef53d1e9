"""Constraints on the weights: a limit on their norms, and orthonormal rows.

`at` selects as for penalties. A weight is treated as a matrix with one row per output unit. A row has all weights
that multiply the unit's inputs; that of a convolution has inputs * height * width numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg.regularizers.penalties import OfWeights
from augreg.steps.declare import regularizer
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["MaxNorm", "OrthogonalProjection", "Orthogonality"]


@regularizer("max_norm", section="loss", preview=({"limit": 4}, {"limit": 3}, {"limit": 1}))
class MaxNorm(OfWeights):
    """Keep the Euclidean norm of the incoming weights of each unit at or below a limit.

    After each optimizer step, rows with a norm above `limit` are scaled down to it; biases are not changed.
    Srivastava et al. 2014, JMLR 15, use 3 to 4, together with dropout and high learning rates.
    """

    limit: Annotated[float, Meta(gt=0)] = 3.0
    at: At | None = None

    def constrain(self, model: nn.Module) -> None:
        from augreg.loss.penalties import renormalize

        renormalize(self.weights(model), self.limit)


@regularizer("orthogonality", section="loss", preview=({"strength": 1e-4}, {"strength": 1e-2}))
class Orthogonality(OfWeights):
    """Add to the loss how far the units' incoming weights are from being orthonormal.

    strength * sum ||W W^T - I||^2 (squared Frobenius norm). For a matrix with more rows than columns, whose rows
    cannot be orthonormal, it is W^T W. With `diagonal: false` only products of different rows count, so rows may have
    any length. Bansal et al. 2018, arXiv 1810.09102 (soft orthogonality); Brock et al. 2017, arXiv 1609.07093, with
    absolute values; Brock et al. 2019, arXiv 1809.11096, without the diagonal.
    """

    strength: Annotated[float, Meta(ge=0)] = 1e-4
    at: At | None = None
    diagonal: bool = True

    def penalty(self, model: nn.Module) -> Tensor:
        from augreg.loss.penalties import gram_distance, total

        return self.strength * total(gram_distance(weight, self.diagonal) for weight in self.weights(model))


@regularizer("orthogonal_projection", section="loss", preview=({"at": "features.**"},))
class OrthogonalProjection(OfWeights):
    """Keep the units' incoming weights orthonormal: after each step, replace them by the nearest orthonormal matrix.

    The nearest in the Frobenius norm is U V^T of the singular value decomposition. Its rows are orthonormal, or its
    columns if it has more rows than columns. The cost is one decomposition per matrix and step. `at` is required,
    since a classifier's last layer is better left out. Higham 1986 (the polar factor).
    """

    at: At

    def constrain(self, model: nn.Module) -> None:
        from augreg.loss.penalties import project

        project(self.weights(model))
