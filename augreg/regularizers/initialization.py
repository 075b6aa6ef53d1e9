"""Initial weights of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta

from augreg.regularizers.seed import Seed
from augreg.steps.declare import regularizer
from augreg.steps.selectors import At, Selector

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["Initialization"]

_LAYERS = ("Linear", *(f"Conv{transposed}{n}d" for transposed in ("", "Transpose") for n in (1, 2, 3)))


@regularizer("init", rule="same", preview=({"rule": "kaiming"}, {"rule": "normal", "std": 0.01}))
class Initialization:
    """Write initial weights into linear layers and convolutions: `init: kaiming`, or `{rule: {normal: 0.01}}`.

    The standard deviation of a weight depends on g, which is `gain`, or the gain of the `activation` that follows (as
    in torch: 1 for linear and sigmoid, 5/3 for tanh, sqrt(2) for relu):

    - `kaiming`: g / sqrt(fan), with the gain of relu by default (He et al. 2015, arXiv 1502.01852); `fan` is `in`,
      which preserves the size of the outputs, or `out`, which preserves that of the gradients
    - `xavier`: g sqrt(2 / (fan in + fan out)) (Glorot and Bengio 2010)
    - `lecun`: 1 / sqrt(fan in), required by selu (Klambauer et al. 2017, arXiv 1706.02515)
    - `orthogonal`: g times a matrix with orthonormal rows or columns (Saxe et al. 2013, arXiv 1312.6120)
    - `normal`: `std` for every weight

    For the first three, `distribution` is normal or uniform. Fans are computed as in torch.nn.init. Biases become 0;
    norm layers never change. With a `seed`, each weight is drawn on the CPU from the seed and the module's name, so
    the order does not matter; without, from torch's generator. Weights are written once, when the rule is attached,
    so load a checkpoint afterward. `detach` does not restore the old weights.
    """

    hint: ClassVar[str] = "init writes the weights of nn.Linear and nn.Conv layers"

    rule: Literal["kaiming", "xavier", "lecun", "orthogonal", "normal"]
    at: At = (Selector(type=_LAYERS),)
    std: Annotated[float, Meta(gt=0)] | None = None
    activation: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] | None = None
    gain: Annotated[float, Meta(gt=0)] | None = None
    fan: Literal["in", "out"] = "in"
    distribution: Literal["normal", "uniform"] = "normal"
    seed: Seed = None

    @classmethod
    def complete(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """`rule: {normal: 0.01}` is short for `rule: normal, std: 0.01`."""
        rule = arguments.get("rule")
        if isinstance(rule, Mapping) and list(rule) == ["normal"] and arguments.get("std") is None:
            return {**arguments, "rule": "normal", "std": rule["normal"]}
        return arguments

    def check(self) -> None:
        if (self.rule == "normal") != (self.std is not None):
            raise ValueError(
                f"the rule normal needs std, and only it takes std; got rule {self.rule}, std {self.std}"
            )
        if self.rule in ("lecun", "normal") and (self.activation or self.gain):
            raise ValueError(f"the rule {self.rule} takes no activation and no gain")
        if self.activation and self.gain:
            raise ValueError("give the activation or the gain, not both")
        if self.fan == "out" and self.rule != "kaiming":
            raise ValueError(f"fan: out is for the rule kaiming, not for {self.rule}")
        if self.distribution == "uniform" and self.rule in ("orthogonal", "normal"):
            raise ValueError(f"the rule {self.rule} has no uniform distribution")

    def attach(self, site: Site) -> None:
        from torch.nn.parameter import UninitializedParameter

        from augreg.nn.initialization import LAYERS, initialize, seed_for, weight_scale

        module = site.module
        if not isinstance(module, LAYERS):
            site.refuse(f"a {type(module).__name__} is not a linear layer or a convolution", *LAYERS)
        if isinstance(module.weight, UninitializedParameter):
            raise ValueError(
                "its weights do not exist before its first forward pass; run the model once, then attach"
            )
        if module._parameters.get("weight") is None:
            raise ValueError("its weight is computed by a parametrization")
        scale = weight_scale(module.weight, self.rule, self.fan, self.gain, self.activation, self.std)
        orthogonal = self.rule == "orthogonal"
        site.note(f"{self.rule}, {'gain' if orthogonal else 'std'} {scale:.4g}")
        seed = None if self.seed is None else seed_for(self.seed, site.name)
        site.run_once(initialize, "orthogonal" if orthogonal else self.distribution, scale, seed)
