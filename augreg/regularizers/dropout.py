"""Dropout and its variants: the output or input of a module passes through a layer of augreg/nn/dropout.py.

As in torch, `p` is the probability of being dropped (the papers' p is 1 - p). If the selected module is already such
a layer, of torch or of augreg, its p is set and nothing is added. With a `seed`, masks are a function of the seed,
the module's name and the number of the call; without, they come from torch's generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta

from augreg.regularizers.seed import Seed
from augreg.steps.declare import ModelRule, regularizer
from augreg.steps.fields import Probability
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["AlphaDropout", "Dropout", "GaussianDropout", "SpatialDropout"]

_Mode = Literal["inverted", "original"]
_MEAN = "the mean of the output, and of whatever is linear in it"


def _rule_for(module: Any) -> str | None:
    """The rule for dropout layers of this class; "" if there is none, None for a module that is not dropout."""
    from torch import nn

    from augreg.nn import dropout

    rules = {
        "dropout": (nn.Dropout, dropout.Dropout),
        "spatial_dropout": (*(nn.Dropout1d, nn.Dropout2d, nn.Dropout3d), dropout.SpatialDropout, dropout.Dropout1d),
        "alpha_dropout": (nn.AlphaDropout, dropout.AlphaDropout),
        "gaussian_dropout": (dropout.GaussianDropout,),
        "": (nn.modules.dropout._DropoutNd,),
    }
    known = {cls: rule for rule, classes in rules.items() for cls in classes}
    return next((known[cls] for cls in type(module).__mro__ if cls in known), None)


class _Dropout:
    """The base of the four rules. The layer has the name of the rule's class."""

    def numbers(self: Any, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def takes_over(self: Any, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        if _rule_for(module) != self.__augreg__.name:
            return None
        # torch's layers have none of them
        for name, default in (("mode", "inverted"), ("seed", None), ("remove_infinities", False)):
            value = getattr(self, name, default)
            if value != getattr(module, name, default):
                raise ValueError(
                    f"it already is a {type(module).__name__}, of which only p can be set, not {name} = {value!r}; "
                    f"leave {name} out, or remove the layer from the model"
                )
        return numbers

    def attach(self, site: Site) -> None:
        site.after(self._layer(site))

    def _layer(self: Any, site: Site, *names: str) -> Any:
        from augreg.nn import dropout
        from augreg.nn.masks import layer_seed

        rule = _rule_for(site.module)
        if rule not in (None, self.__augreg__.name):
            site.refuse(f"it is already a dropout layer of another kind{f'; use the rule {rule}' if rule else ''}")
        seed = layer_seed(self.seed, self.__augreg__.name, *names, site.name)
        settings = {name: getattr(self, name) for name in ("mode", "remove_infinities") if hasattr(self, name)}
        return getattr(dropout, type(self).__name__)(**self.numbers(site), **settings, seed=seed)


class _MaskingDropout(_Dropout):
    """Dropout with a mode."""

    def test_rule(self: Any) -> ModelRule:
        return "identity" if self.mode == "inverted" else "scale"

    def test_exact(self) -> str:
        return _MEAN  # in both modes


@regularizer(
    "dropout", exact=_MEAN,
    preview=tuple({"at": "features.**", "p": p} for p in (0.1, 0.5, 0.8)),
)  # fmt: skip
class Dropout(_MaskingDropout):
    """Set each unit to zero with probability p, and scale the others up.

    Training computes m x / (1 - p), testing x. With `mode: original`, as in the paper, training computes m x and
    testing (1 - p) x. `on: input` masks the module's first input instead of its output. On a GPU a dropped infinity
    gives NaN, as in torch, unless `remove_infinities` is set, which costs time. Srivastava et al. 2014 (JMLR 15);
    Hinton et al. 2012, arXiv 1207.0580.
    """

    later: ClassVar = ("remove_infinities",)  # it is left out of canonical specs if it is false

    at: At
    p: Probability = 0.5
    mode: _Mode = "inverted"
    on: Literal["output", "input"] = "output"
    seed: Seed = None
    remove_infinities: bool = False

    def attach(self, site: Site) -> None:
        (site.before if self.on == "input" else site.after)(self._layer(site, self.on))


@regularizer(
    "spatial_dropout", exact=_MEAN,
    preview=tuple({"at": "features.**", "p": p} for p in (0.1, 0.3, 0.6)),
)  # fmt: skip
class SpatialDropout(_MaskingDropout):
    """Set whole channels of a feature map to zero with probability p, and scale the others up.

    One draw per sample and channel, for any number of spatial dimensions. Neighboring units are strongly correlated,
    so dropping them one by one would remove little information. The modes are those of `dropout`. Tompson et al.
    2015, arXiv 1411.4280.
    """

    at: At
    p: Probability = 0.2
    mode: _Mode = "inverted"
    seed: Seed = None

    def attach(self, site: Site) -> None:
        from augreg.nn.checks import require_feature_map

        layer = self._layer(site)
        require_feature_map(site)
        site.after(layer)


@regularizer(
    "alpha_dropout", exact="mean and variance over units of mean 0 and variance 1",
    preview=tuple({"at": "features.**", "p": p} for p in (0.05, 0.1, 0.3)),
)  # fmt: skip
class AlphaDropout(_Dropout):
    """Set each unit with probability p to the value where SELU saturates, and restore mean 0 and variance 1.

    For networks with SELU activations, after the activation. Klambauer et al. 2017, arXiv 1706.02515.
    """

    at: At
    p: Probability = 0.1
    seed: Seed = None


@regularizer(
    "gaussian_dropout", exact=_MEAN,
    preview=tuple({"at": "features.**", "p": p} for p in (0.1, 0.5, 0.8)),
)  # fmt: skip
class GaussianDropout(_Dropout):
    """Multiply each unit by normal noise of mean 1 and variance p / (1 - p), the variance of dropout with p.

    Srivastava et al. 2014 (JMLR 15), section 10.
    """

    at: At
    p: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    seed: Seed = None
