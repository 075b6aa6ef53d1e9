"""DropConnect, attached to linear layers and convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from augreg.regularizers.seed import Seed, check_settings
from augreg.steps.declare import ModelRule, regularizer
from augreg.steps.fields import Probability
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["DropConnect"]


_BEFORE = "the mean of the layer's output before its activation"


def _require_relu(site: Site) -> None:
    """ValueError if it is known that no ReLU follows the module; a note in the report if it is not known."""
    from torch import nn

    from augreg.attachment.deduplicate import output_chain

    following = site.sibling(1)
    if following is not None and isinstance(following[1], nn.ReLU):
        return
    shown = f"{following[0]} ({type(following[1]).__name__})" if following is not None else "nothing"
    if following is not None or output_chain(site.model, site.name)[-1] == "":
        raise ValueError(
            f"inference: moment computes the mean after a ReLU, and {shown} follows this module; "
            f"use inference: scale, or through: none"
        )
    site.note("its output must go through a ReLU")


@regularizer(
    "drop_connect",
    exact=_BEFORE,
    preview=tuple({"at": {"type": "Linear"}, "p": p} for p in (0.1, 0.5, 0.8)),
)
class DropConnect:
    """Set each weight of a linear layer or a convolution to zero with probability p, with one mask per sample.

    Training computes (M * W) v / (1 - p) + b, testing W v + b. `mode: original` scales in testing, as the paper does.
    `per: batch` draws one mask per batch, which is cheap and regularizes less; one mask per sample needs memory for
    batch times as many weights. `per: 8` draws one mask for every 8 samples: an eighth of the cost, and for each
    sample the same distribution. `inference: moment` is for layers followed by a ReLU (`through: relu`): testing
    computes the mean after the ReLU of a normal variable with the output's mean and variance, while plain testing
    ignores the variance. `mask_bias` also drops biases. Wan et al. 2013 (ICML, PMLR 28(3):1058-1066).
    """

    at: At
    p: Probability = 0.5
    per: Literal["sample", "batch"] | Annotated[int, Meta(ge=1)] = "sample"
    mode: Literal["inverted", "original"] = "inverted"
    inference: Literal["scale", "moment"] = "scale"
    through: Literal["relu", "none"] = "relu"
    mask_bias: bool = False
    seed: Seed = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def test_rule(self) -> ModelRule:
        if self.inference == "moment" and self.through == "relu":
            return "moment_match"
        return "identity" if self.mode == "inverted" else "scale"

    def test_exact(self) -> str:
        if self.test_rule() == "moment_match":
            return "the mean of the output after the ReLU, if the layer's output is normally distributed"
        return _BEFORE  # in both modes

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from augreg.nn.drop_connect import DropConnectConv1d, DropConnectConv2d, DropConnectConv3d, DropConnectLinear

        if not isinstance(module, DropConnectLinear | DropConnectConv1d | DropConnectConv2d | DropConnectConv3d):
            return None
        settings = {name: getattr(module, name) for name in ("per", "mode", "inference", "through", "mask_bias")}
        check_settings(self, "it already is", type(module).__name__, "p", settings)
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.drop_connect_subclasses import drop_connect_type
        from augreg.nn.masks import layer_seed, source_of

        if self.test_rule() == "moment_match":
            _require_relu(site)
        cls, needed = drop_connect_type(site.module)
        site.change_class(
            cls,
            **needed,
            **self.numbers(site),
            per=self.per,
            mode=self.mode,
            inference=self.inference,
            through=self.through,
            mask_bias=self.mask_bias,
            source=source_of(layer_seed(self.seed, "drop_connect", site.name)),
        )
