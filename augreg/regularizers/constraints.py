"""Constraints on the weights: norms that they may not exceed, and rows at right angles.

`at` selects as for penalties. A weight is looked at as a matrix with one row for each output unit: a row holds all
that multiplies the inputs of a unit, so that of a convolution has inputs * height * width numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from augreg.steps.declare import regularizer
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augreg.loss.penalties import Weight

__all__ = ["MaxNorm", "OrthogonalProjection", "Orthogonality"]


@regularizer("max_norm", section="loss", preview=({"limit": 4}, {"limit": 3}, {"limit": 1}))
class MaxNorm:
    """Keep the Euclidean norm of the incoming weights of each unit at or below a limit.

    After each optimizer step, the rows whose norm is above `limit` are scaled down to it; biases are left alone.
    Srivastava et al. 2014, JMLR 15, who take 3 to 4 together with dropout and high learning rates.
    """

    limit: Annotated[float, Meta(gt=0)] = 3.0
    at: At | None = None

    def weights(self, model: nn.Module) -> list[Weight]:
        from augreg.loss.penalties import weights

        return weights(model, self.at, name="max_norm")

    def constrain(self, model: nn.Module) -> None:
        from augreg.loss.penalties import renormalize

        renormalize(self.weights(model), self.limit)


@regularizer("orthogonality", section="loss", preview=({"strength": 1e-4}, {"strength": 1e-2}))
class Orthogonality:
    """Add to the loss how far the units' incoming weights are from being orthonormal.

    strength * sum ||W W^T - I||^2 (squared Frobenius norm), with W^T W for a matrix that has more rows than columns,
    whose rows cannot be orthonormal. With `diagonal: false` only products of different rows count, so that their
    lengths are free. Bansal et al. 2018, arXiv 1810.09102 (soft orthogonality); Brock et al. 2017, arXiv 1609.07093,
    with absolute values; Brock et al. 2019, arXiv 1809.11096, without the diagonal.
    """

    strength: Annotated[float, Meta(ge=0)] = 1e-4
    at: At | None = None
    diagonal: bool = True

    def weights(self, model: nn.Module) -> list[Weight]:
        from augreg.loss.penalties import weights

        return weights(model, self.at, name="orthogonality")

    def penalty(self, model: nn.Module) -> Tensor:
        from augreg.loss.penalties import gram_distance, total

        return self.strength * total(gram_distance(weight, self.diagonal) for weight in self.weights(model))


@regularizer("orthogonal_projection", section="loss", preview=({"at": "features.**"},))
class OrthogonalProjection:
    """Keep the units' incoming weights orthonormal: after each step, take the nearest matrix that is.

    The nearest in the Frobenius norm, U V^T of the singular value decomposition, with orthonormal rows, or columns
    where there are more rows than columns. It costs a decomposition a matrix at each step. `at` has to be given,
    since a classifier's last layer is better left out. Higham 1986 (the polar factor).
    """

    at: At

    def weights(self, model: nn.Module) -> list[Weight]:
        from augreg.loss.penalties import weights

        return weights(model, self.at, name="orthogonal_projection")

    def constrain(self, model: nn.Module) -> None:
        from augreg.loss.penalties import project

        project(self.weights(model))
