"""Penalties on the size of the weights, which are added to the loss.

`at` selects parameters by name, or by the class of the module that owns them. What does not multiply is left out,
such as biases, norm layers, embeddings and class tokens, unless `include: all` is given. A parameter that is used in
several places counts once; a frozen one does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from augreg.steps.declare import regularizer
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augreg.loss.penalties import Weight

__all__ = ["L1", "L2", "ElasticNet"]

_Strength = Annotated[float, Meta(ge=0)]
_Include = Literal["weights", "all"]


class OfWeights:
    """A step of the loss section with a field `at`, and perhaps `include`, that select weights of the model."""

    def weights(self: Any, model: nn.Module) -> list[Weight]:
        from augreg.loss.penalties import weights

        return weights(model, self.at, getattr(self, "include", "weights"), self.__augreg__.name)


@regularizer("l1", section="loss", preview=({"strength": 1e-6}, {"strength": 1e-5}, {"strength": 1e-4}))
class L1(OfWeights):
    """Add the sum of the absolute weights to the loss, which makes many of them small.

    strength * sum |w|, with the gradient strength * sign(w), and 0 at 0. Tibshirani 1996 (the lasso).
    """

    strength: _Strength = 1e-5
    at: At | None = None
    include: _Include = "weights"

    def penalty(self, model: nn.Module) -> Tensor:
        from augreg.loss.penalties import total

        return self.strength * total(weight.precise.abs().sum() for weight in self.weights(model))


@regularizer("l2", section="loss", preview=({"strength": 1e-5}, {"strength": 1e-4}, {"strength": 1e-3}))
class L2(OfWeights):
    """Add the sum of the squared weights to the loss, which keeps them small and spread out.

    strength * sum w^2, without a factor 1/2: the gradient is 2 * strength * w. With plain SGD this equals
    weight_decay = 2 * strength. With optimizers that scale gradients (Adam) and with decoupled decay (AdamW) it does
    not. Krogh and Hertz 1991; Loshchilov and Hutter 2019, arXiv 1711.05101, on the difference.
    """

    strength: _Strength = 1e-4
    at: At | None = None
    include: _Include = "weights"

    def penalty(self, model: nn.Module) -> Tensor:
        from augreg.loss.penalties import total

        return self.strength * total(weight.precise.square().sum() for weight in self.weights(model))


@regularizer("elastic_net", section="loss", preview=({"l1": 1e-6, "l2": 1e-4}, {"l1": 1e-5, "l2": 1e-4}))
class ElasticNet(OfWeights):
    """Add both the absolute and the squared weights to the loss.

    sum (l1 * |w| + l2 * w^2), without a factor 1/2. Zou and Hastie 2005.
    """

    l1: _Strength = 1e-6
    l2: _Strength = 1e-4
    at: At | None = None
    include: _Include = "weights"

    def penalty(self, model: nn.Module) -> Tensor:
        from augreg.loss.penalties import total

        values = [weight.precise for weight in self.weights(model)]
        return total(self.l1 * value.abs().sum() + self.l2 * value.square().sum() for value in values)
