"""Replace the activation functions of a model by others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from augreg.steps.declare import regularizer
from augreg.steps.selectors import At, Selector, around, selects

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["Activation"]

_HIDDEN = (
    *("ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish"),
    *("Hardswish", "Hardtanh", "Tanh", "Softplus", "Softsign"),
)


@regularizer("activation", rule="same", preview=({"to": "leaky_relu"}, {"to": "gelu"}, {"to": "selu"}))
class Activation:
    """Replace activation modules by another function: `activation: gelu`, or `{to: gelu, at: features.*}`.

    By default every module that computes a known activation is replaced, including those of other libraries, such as
    transformers' GELUActivation. Sigmoids are not replaced, because most of them are gates and outputs; to replace
    them, select them: `at: {type: Sigmoid}`. Functions that are called in `forward` (`torch.relu(x)`) are not modules
    and cannot be replaced. `inplace` is kept if the new module supports it. `slope` is the slope of leaky_relu for
    negative inputs (default 0.01), or the initial slope of prelu (default 0.25).

    `prelu` adds one parameter per module, and so a key to `state_dict`; attach it before you create the optimizer.
    `selu` keeps mean 0 and variance 1 only with `init: lecun`, and with alpha dropout instead of dropout (Klambauer
    et al. 2017, arXiv 1706.02515). With `alpha_dropout`, each nn.Dropout whose name matches a pattern of `at` is
    replaced by an nn.AlphaDropout with the same p. `maxout` is refused, as the layer before it must be wider: use
    `augreg.nn.activations.Maxout` in the model instead.

    Hendrycks and Gimpel 2016, arXiv 1606.08415 (gelu); He et al. 2015, arXiv 1502.01852 (prelu); Clevert et al. 2015,
    arXiv 1511.07289 (elu); Elfwing et al. 2017, arXiv 1702.03118 (silu); Howard et al. 2019, arXiv 1905.02244
    (hardswish).
    """

    hint: ClassVar[str] = "only modules can be replaced, not functions that a forward calls (F.relu, torch.tanh)"

    to: Literal[
        "sigmoid", "tanh", "relu", "leaky_relu", "prelu", "gelu", "elu", "selu", "silu", "mish", "hardswish", "maxout"
    ]
    at: At = (Selector(type=_HIDDEN),)
    slope: Annotated[float, Meta(ge=0, le=1)] | None = None
    alpha_dropout: bool = True

    def check(self) -> None:
        if self.to == "maxout":
            raise ValueError(
                "maxout divides the number of channels by `pieces`, so it cannot replace an activation: make the "
                "layer before it `pieces` times as wide and put augreg.nn.activations.Maxout(pieces) in the model"
            )
        if self.slope is not None and self.to not in ("leaky_relu", "prelu"):
            raise ValueError(f"slope is for leaky_relu and prelu, not for {self.to}")

    def attach(self, site: Site) -> None:
        from augreg.attachment.activations import MODULES, computes
        from augreg.nn.activations import activation

        old = site.module
        if not isinstance(old, MODULES) and computes(old) is None:
            site.refuse(f"a {type(old).__name__} is not an activation module", *MODULES)
        new = activation(self.to, self.slope, bool(getattr(old, "inplace", False)))
        parameter = next((p for p in site.model.parameters() if p.is_floating_point()), None)
        site.replace(new if parameter is None else new.to(device=parameter.device, dtype=parameter.dtype))
        site.note(f"was {type(old).__name__}")
        if self.to == "prelu":
            site.note(f"adds {site.name}.weight to state_dict")
        if self.to == "selu" and self.alpha_dropout and site.index == 0:
            self._replace_dropouts(site)

    def _replace_dropouts(self, site: Site) -> None:
        """Replace every nn.Dropout whose name matches a pattern of `at` by alpha dropout."""
        from torch import nn

        from augreg.loss.penalties import type_names

        modules = dict(site.model.named_modules())
        types = {name: type_names(module) for name, module in modules.items()}
        names = [Selector(name=selector.name, exclude=selector.exclude) for selector in self.at]
        for name, old in modules.items():
            if type(old) is nn.Dropout and selects(names, name, types[name], partial(around, name, types)):
                site.replace(nn.AlphaDropout(old.p, old.inplace), old, copied=("p",))
                site.note(f"{name} is alpha dropout now")
