"""DropConnect, attached to linear layers and convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from augreg.steps.declare import ModelRule, regularizer
from augreg.steps.fields import Probability
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["DropConnect"]


def _relu_behind(site: Site) -> None:
    """ValueError where something else than a ReLU is known to follow the module; a note where that is not known."""
    from torch import nn

    from augreg.attachment.deduplicate import flow

    behind = site.sibling(1)
    if behind is not None and isinstance(behind[1], nn.ReLU):
        return
    what = f"{behind[0]} ({type(behind[1]).__name__})" if behind is not None else "nothing"
    if behind is not None or flow(site.model, site.name)[-1] == "":
        raise ValueError(
            f"inference: moment tests with the mean behind a ReLU, and {what} follows this module; "
            f"write inference: scale, or through: none"
        )
    site.note("its forward must send it through a ReLU")


@regularizer(
    "drop_connect",
    exact="the mean of the layer's output before its activation",
    preview=tuple({"at": {"type": "Linear"}, "p": p} for p in (0.1, 0.5, 0.8)),
)
class DropConnect:
    """Set each weight of a linear layer or a convolution to zero with probability p, by a mask for each sample.

    Training gives (M * W) v / (1 - p) + b, testing W v + b. `mode: original` scales when testing, as the paper.
    `per: batch` draws one mask a batch, which is cheap and regularizes less; a mask per sample makes batch times as
    many weights. `inference: moment` tests with the mean behind a ReLU (`through: relu`) of a normal variable with
    the output's mean and variance, where plain testing ignores the variance: for layers that a ReLU follows.
    `mask_bias` also drops biases. Wan et al. 2013 (ICML, PMLR 28(3):1058-1066).
    """

    at: At
    p: Probability = 0.5
    per: Literal["sample", "batch"] = "sample"
    mode: Literal["inverted", "original"] = "inverted"
    inference: Literal["scale", "moment"] = "scale"
    through: Literal["relu", "none"] = "relu"
    mask_bias: bool = False
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def test_rule(self) -> ModelRule:
        if self.inference == "moment" and self.through == "relu":
            return "moment_match"
        return "identity" if self.mode == "inverted" else "scale"

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from augreg.nn.drop_connect import DropConnectConv1d, DropConnectConv2d, DropConnectConv3d, DropConnectLinear

        if not isinstance(module, DropConnectLinear | DropConnectConv1d | DropConnectConv2d | DropConnectConv3d):
            return None
        for name in ("per", "mode", "inference", "through", "mask_bias"):
            if getattr(self, name) != getattr(module, name) or self.seed is not None:
                raise ValueError(
                    f"it is a {type(module).__name__} already, which is only given p; write {name}: "
                    f"{getattr(module, name)}, as it has, and no seed"
                )
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.drop_connect import drop_connect_class
        from augreg.nn.masks import layer_seed, source_of

        if self.test_rule() == "moment_match":
            _relu_behind(site)
        site.become(
            drop_connect_class(site.module),
            **self.numbers(site),
            per=self.per,
            mode=self.mode,
            inference=self.inference,
            through=self.through,
            mask_bias=self.mask_bias,
            source=source_of(layer_seed(self.seed, "drop_connect", site.name)),
        )
