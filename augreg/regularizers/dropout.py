"""Dropout and its kin, attached to modules: their outputs, or inputs, go through a layer of augreg/nn/dropout.py.

`p` is torch's, the chance of being dropped (the papers' p is 1 - p). A module that is such a layer already, torch's
or ours, is given the number and nothing is added. `seed` makes the masks a function of seed, module and call number;
without it they come from torch's own generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from augreg.steps.declare import ModelRule, regularizer
from augreg.steps.fields import Probability
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["AlphaDropout", "Dropout", "GaussianDropout", "SpatialDropout"]

_Mode = Literal["inverted", "original"]
_Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)] | None
_MEAN = "the mean of the output, and of whatever is linear in it"


def _refuse(module: Any, **settings: Any) -> None:
    """ValueError if a layer that the model has already would have to be changed beyond its number."""
    for name, value in settings.items():
        if value is not None and value != getattr(module, name, None):
            raise ValueError(
                f"it is a {type(module).__name__} already, which is only given the rate: "
                f"{name} = {value!r} cannot be set on it; leave {name} out, or take the layer out of the model"
            )


def _no_other(rule: Any, site: Site) -> None:
    """ValueError for a module that is a dropout of another kind: a second one behind it is hardly meant."""
    from torch import nn

    from augreg.nn import dropout

    module = site.module
    ours = (dropout.Dropout, dropout.Dropout1d, dropout.SpatialDropout, dropout.AlphaDropout, dropout.GaussianDropout)
    if isinstance(module, (nn.modules.dropout._DropoutNd, *ours)) and rule.takes_over(module, {}) is None:
        raise ValueError(f"a {type(module).__name__} drops already, in another way; set it by the rule for its kind")


@regularizer(
    "dropout", exact=_MEAN,
    preview=tuple({"at": "features.**", "p": p} for p in (0.1, 0.5, 0.8)),
)  # fmt: skip
class Dropout:
    """Set each unit to zero with probability p, and scale the others up.

    Training gives m x / (1 - p), testing x. With `mode: original` training gives m x and testing (1 - p) x, as the
    paper. `on: input` masks the first input of the module and not its output. Srivastava et al. 2014 (JMLR 15);
    Hinton et al. 2012, arXiv 1207.0580.
    """

    at: At
    p: Probability = 0.5
    mode: _Mode = "inverted"
    on: Literal["output", "input"] = "output"
    seed: _Seed = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def test_rule(self) -> ModelRule:
        return "identity" if self.mode == "inverted" else "scale"

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from torch import nn

        from augreg.nn.dropout import Dropout as Layer

        if type(module) is Layer:
            _refuse(module, mode=self.mode, seed=self.seed)
        elif isinstance(module, nn.Dropout):
            _refuse(module, mode=None if self.mode == "inverted" else self.mode, seed=self.seed)
        else:
            return None
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.dropout import Dropout as Layer
        from augreg.nn.masks import layer_seed

        _no_other(self, site)
        layer = Layer(**self.numbers(site), mode=self.mode, seed=layer_seed(self.seed, "dropout", self.on, site.name))
        (site.before if self.on == "input" else site.after)(layer)


@regularizer(
    "spatial_dropout", exact=_MEAN,
    preview=tuple({"at": "features.**", "p": p} for p in (0.1, 0.3, 0.6)),
)  # fmt: skip
class SpatialDropout:
    """Set whole channels of a feature map to zero with probability p, and scale the others up.

    One draw for each sample and channel, whatever the number of dimensions behind them: neighboring units say nearly
    the same, so that dropping them one by one takes little away. Modes are those of `dropout`. Tompson et al. 2015,
    arXiv 1411.4280.
    """

    at: At
    p: Probability = 0.2
    mode: _Mode = "inverted"
    seed: _Seed = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def test_rule(self) -> ModelRule:
        return "identity" if self.mode == "inverted" else "scale"

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from torch import nn

        from augreg.nn.dropout import Dropout1d
        from augreg.nn.dropout import SpatialDropout as Layer

        if isinstance(module, Layer | Dropout1d):
            _refuse(module, mode=self.mode, seed=self.seed)
        elif isinstance(module, nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
            _refuse(module, mode=None if self.mode == "inverted" else self.mode, seed=self.seed)
        else:
            return None
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.checks import gives_maps
        from augreg.nn.dropout import SpatialDropout as Layer
        from augreg.nn.masks import layer_seed

        _no_other(self, site)
        gives_maps(site.module)
        seed = layer_seed(self.seed, "spatial_dropout", site.name)
        site.after(Layer(**self.numbers(site), mode=self.mode, seed=seed))


@regularizer(
    "alpha_dropout", exact="mean and variance over units of mean 0 and variance 1",
    preview=tuple({"at": "features.**", "p": p} for p in (0.05, 0.1, 0.3)),
)  # fmt: skip
class AlphaDropout:
    """Set each unit to where SELU saturates with probability p, and restore mean 0 and variance 1.

    For networks of SELU units, behind the activation. Klambauer et al. 2017, arXiv 1706.02515.
    """

    at: At
    p: Probability = 0.1
    seed: _Seed = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from torch import nn

        from augreg.nn.dropout import AlphaDropout as Layer

        if not isinstance(module, nn.AlphaDropout | Layer):
            return None
        _refuse(module, seed=self.seed)
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.dropout import AlphaDropout as Layer
        from augreg.nn.masks import layer_seed

        _no_other(self, site)
        site.after(Layer(**self.numbers(site), seed=layer_seed(self.seed, "alpha_dropout", site.name)))


@regularizer(
    "gaussian_dropout", exact=_MEAN,
    preview=tuple({"at": "features.**", "p": p} for p in (0.1, 0.5, 0.8)),
)  # fmt: skip
class GaussianDropout:
    """Multiply each unit by normal noise of mean 1 and variance p / (1 - p), as dropout with p has.

    Srivastava et al. 2014 (JMLR 15), section 10.
    """

    at: At
    p: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    seed: _Seed = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from augreg.nn.dropout import GaussianDropout as Layer

        if not isinstance(module, Layer):
            return None
        _refuse(module, seed=self.seed)
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.dropout import GaussianDropout as Layer
        from augreg.nn.masks import layer_seed

        _no_other(self, site)
        site.after(Layer(**self.numbers(site), seed=layer_seed(self.seed, "gaussian_dropout", site.name)))
