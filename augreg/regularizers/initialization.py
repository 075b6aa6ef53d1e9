"""How the weights of a model start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta

from augreg.steps.declare import regularizer
from augreg.steps.selectors import At, Selector

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["Initialization"]

_LAYERS = ("Linear", *(f"Conv{transposed}{n}d" for transposed in ("", "Transpose") for n in (1, 2, 3)))


@regularizer("init", rule="same", preview=({"rule": "kaiming"}, {"rule": "normal", "std": 0.01}))
class Initialization:
    """Write starting weights into linear layers and convolutions: `init: kaiming`, or `{rule: {normal: 0.01}}`.

    The standard deviation of a weight, with g the gain of the `activation` that follows (torch's: 1 for linear and
    sigmoid, 5/3 for tanh, sqrt(2) for relu) or the `gain` given:

    - `kaiming`: g / sqrt(fan), with the gain of relu by default (He et al. 2015, arXiv 1502.01852); `fan` is `in`,
      which keeps the outputs' size, or `out`, which keeps the gradients'
    - `xavier`: g sqrt(2 / (fan in + fan out)) (Glorot and Bengio 2010)
    - `lecun`: 1 / sqrt(fan in), which selu needs (Klambauer et al. 2017, arXiv 1706.02515)
    - `orthogonal`: g times a matrix with orthonormal rows or columns (Saxe et al. 2013, arXiv 1312.6120)
    - `normal`: `std`, the same for all

    For the first three, `distribution` is normal or uniform. Fans are counted as torch.nn.init does. Biases become 0;
    norm layers are never touched. With a `seed`, each weight is drawn on the CPU from the seed and the module's
    name, so that the order does not matter; without, from torch's generator. It happens once, when it is attached:
    load a checkpoint afterwards. `detach` does not bring the old weights back.
    """

    hint: ClassVar[str] = "init writes into nn.Linear and nn.Conv layers"

    rule: Literal["kaiming", "xavier", "lecun", "orthogonal", "normal"]
    at: At = (Selector(type=_LAYERS),)
    std: Annotated[float, Meta(gt=0)] | None = None
    activation: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] | None = None
    gain: Annotated[float, Meta(gt=0)] | None = None
    fan: Literal["in", "out"] = "in"
    distribution: Literal["normal", "uniform"] = "normal"
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None

    @classmethod
    def complete(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """`rule: {normal: 0.01}` is short for `rule: normal, std: 0.01`."""
        rule = arguments.get("rule")
        if isinstance(rule, Mapping) and list(rule) == ["normal"] and arguments.get("std") is None:
            return {**arguments, "rule": "normal", "std": rule["normal"]}
        return arguments

    def check(self) -> None:
        if (self.rule == "normal") != (self.std is not None):
            raise ValueError(f"std goes with the rule normal, which needs it; got rule {self.rule}, std {self.std}")
        if self.rule in ("lecun", "normal") and (self.activation or self.gain):
            raise ValueError(f"the rule {self.rule} takes no activation and no gain")
        if self.activation and self.gain:
            raise ValueError("give the activation or its gain, not both")
        if self.fan == "out" and self.rule != "kaiming":
            raise ValueError(f"fan: out goes with the rule kaiming, not with {self.rule}")
        if self.distribution == "uniform" and self.rule in ("orthogonal", "normal"):
            raise ValueError(f"the rule {self.rule} has no uniform distribution")

    def attach(self, site: Site) -> None:
        from torch.nn.parameter import UninitializedParameter

        from augreg.nn.initialization import LAYERS, initialize, scale

        if not isinstance(site.module, LAYERS):
            site.refuse(f"a {type(site.module).__name__} is no linear layer and no convolution", *LAYERS)
        if isinstance(site.module.weight, UninitializedParameter):
            site.refuse("its weights are not there before its first run; run the model once, then attach")
        if site.module._parameters.get("weight") is None:
            site.refuse("its weight is computed from others by a parametrization", *LAYERS)
        what = "gain" if self.rule == "orthogonal" else "std"
        site.note(f"{self.rule}, {what} {scale(self, site.module):.4g}")
        site.touch(initialize, self, site.name)
