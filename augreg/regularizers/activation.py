"""The activation functions of a model, swapped for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from augreg.steps.declare import regularizer
from augreg.steps.selectors import At, Selector

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["Activation"]

_HIDDEN = (
    *("ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish"),
    *("Hardswish", "Hardtanh", "Tanh", "Softplus", "Softsign"),
)


@regularizer("activation", rule="same", preview=({"to": "leaky_relu"}, {"to": "gelu"}, {"to": "selu"}))
class Activation:
    """Swap activation modules for another function: `activation: gelu`, or `{to: gelu, at: features.*}`.

    By default every module of a known activation type is swapped but sigmoids, which are mostly gates and outputs;
    name them to swap them: `at: {type: Sigmoid}`. What a forward calls as a function (`torch.relu(x)`) is no module
    and cannot be swapped. `inplace` is kept where the new function has it. `slope` is that of leaky_relu for negative
    inputs (by default 0.01), or the one that prelu starts to learn from (0.25).

    `prelu` adds one parameter to each place, and so a key to `state_dict`; attach it before the optimizer is made.
    `selu` keeps the mean at 0 and the variance at 1 only with `init: lecun` and with alpha dropout in the place of
    dropout (Klambauer et al. 2017, arXiv 1706.02515): with `alpha_dropout`, each nn.Dropout whose name the patterns
    of `at` fit becomes an nn.AlphaDropout of the same p. `maxout` is refused, as it needs a wider layer before it:
    use `augreg.nn.activations.Maxout` in the model itself.

    Hendrycks and Gimpel 2016, arXiv 1606.08415 (gelu); He et al. 2015, arXiv 1502.01852 (prelu); Clevert et al. 2015,
    arXiv 1511.07289 (elu); Elfwing et al. 2017, arXiv 1702.03118 (silu); Howard et al. 2019, arXiv 1905.02244
    (hardswish).
    """

    hint: ClassVar[str] = "functions that a forward calls (F.relu, torch.tanh) cannot be swapped; only modules can"

    to: Literal[
        "sigmoid", "tanh", "relu", "leaky_relu", "prelu", "gelu", "elu", "selu", "silu", "mish", "hardswish", "maxout"
    ]
    at: At = (Selector(type=_HIDDEN),)
    slope: Annotated[float, Meta(ge=0, le=1)] | None = None
    alpha_dropout: bool = True

    def check(self) -> None:
        if self.to == "maxout":
            raise ValueError(
                "maxout leaves one channel of each `pieces`, so it cannot take another place: make the layer "
                "before it `pieces` times as wide and put augreg.nn.activations.Maxout(pieces) in the model"
            )
        if self.slope is not None and self.to not in ("leaky_relu", "prelu"):
            raise ValueError(f"slope belongs to leaky_relu and prelu, not to {self.to}")

    def attach(self, site: Site) -> None:
        from augreg.nn.activations import ACTIVATIONS, replace_dropouts, swapped

        old = site.module
        if not isinstance(old, ACTIVATIONS):
            site.refuse(f"a {type(old).__name__} is no activation module", *ACTIVATIONS)
        site.replace(swapped(old, self.to, self.slope, site.model))
        site.note(f"was {type(old).__name__}")
        if self.to == "prelu":
            site.note(f"state_dict has {site.name}.weight now")
        if self.to == "selu" and self.alpha_dropout and site.index == 0:
            replace_dropouts(site, self.at)
