"""Stochastic depth and shake-drop, attached to residual blocks.

`survival` is the probability that a branch is kept. With `rule: linear` it applies to the last selected block, and
block l of L has 1 - (l / L)(1 - survival), l = 1 .. L in the order of the model. With `rule: uniform` all blocks have
the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from augreg.regularizers.seed import Seed, check_settings
from augreg.steps.declare import ModelRule, regularizer
from augreg.steps.fields import Probability
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["ShakeDrop", "StochasticDepth", "survival_at"]

_Rule = Literal["linear", "uniform"]
_BLOCK = "the mean of each block's output"


def survival_at(rule: _Rule, survival: float, index: int, count: int) -> float:
    """The probability that the branch of block `index` (from 0) of `count` is kept.

    Linear: 1 - (l / L)(1 - survival) with l = index + 1 and L = count, as Huang et al. 2016 (arXiv 1603.09382): the
    first block is dropped with (1 - survival) / L, the last with 1 - survival. Some libraries start at 0 or end
    before 1 - survival.
    """
    return survival if rule == "uniform" else 1.0 - (index + 1) / count * (1.0 - survival)


class _OfBlocks:
    """A rule with `survival` and `rule`, for each of several blocks."""

    def numbers(self: Any, site: Site) -> dict[str, float]:
        return {"survival": survival_at(self.rule, self.survival, site.index, site.count)}


@regularizer(
    "stochastic_depth", exact=_BLOCK,
    preview=tuple({"at": "blocks.*", "survival": survival} for survival in (0.9, 0.8, 0.5)),
)  # fmt: skip
class StochasticDepth(_OfBlocks):
    """Drop the branches of residual blocks in training, for each sample or for the whole batch.

    Training computes x + b f(x) / survival, testing x + f(x). With `scaling: original`, as in the paper, training
    computes x + b f(x) and testing x + survival f(x); the paper also draws one b per batch (`mode: batch`). With
    `skip` a dropped branch is not computed if the parts of the block are known. If a block already has a drop path,
    its rate is set. Huang et al. 2016, arXiv 1603.09382.
    """

    at: At
    survival: Probability = 0.8
    rule: _Rule = "linear"
    mode: Literal["row", "batch"] = "row"
    scaling: Literal["inverted", "original"] = "inverted"
    skip: bool = False
    seed: Seed = None

    def test_rule(self) -> ModelRule:
        return "identity" if self.scaling == "inverted" else "scale"

    def test_exact(self) -> str:
        return _BLOCK  # in both scalings

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        """For the drop paths of timm and torchvision, whose number is the probability of being dropped, and ours."""
        from augreg.nn.stochastic_depth import StochasticDepth as Layer

        cls = type(module).__name__
        if isinstance(module, Layer):
            values, settings = numbers, {"mode": module.mode, "scaling": module.scaling}
        elif cls == "DropPath" and hasattr(module, "drop_prob"):
            values, settings = {"drop_prob": 1.0 - numbers["survival"]}, {"mode": "row", "scaling": "inverted"}
        elif cls == "StochasticDepth" and hasattr(module, "p") and hasattr(module, "mode"):
            values, settings = {"p": 1.0 - numbers["survival"]}, {"mode": module.mode, "scaling": "inverted"}
        else:
            return None
        check_settings(self, "the block already has", cls, "the rate", settings)
        return values

    def attach(self, site: Site) -> None:
        from augreg.nn.masks import layer_seed
        from augreg.nn.stochastic_depth import StochasticDepth as Layer

        seed = layer_seed(self.seed, "stochastic_depth", site.name)
        layer = Layer(**self.numbers(site), mode=self.mode, scaling=self.scaling, skip=self.skip, seed=seed)
        site.residual(layer)


@regularizer(
    "shake_drop", rule="scale", exact=_BLOCK,
    preview=tuple({"at": "blocks.*", "survival": survival} for survival in (0.9, 0.7, 0.5)),
)  # fmt: skip
class ShakeDrop(_OfBlocks):
    """Multiply the branches of residual blocks by random numbers, and their gradients by different ones.

    A branch that is not kept is multiplied by alpha ~ U(-1, 1), and its gradient by beta ~ U(0, 1). In testing every
    branch is multiplied by `survival`. Yamada et al. 2018, arXiv 1802.02375.
    """

    at: At
    survival: Probability = 0.5
    rule: _Rule = "linear"
    per: Literal["batch", "sample", "channel", "element"] = "sample"
    seed: Seed = None

    def own_gradients(self) -> bool:
        return True

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from augreg.nn.shake import ShakeDrop as Layer

        if not isinstance(module, Layer):
            return None
        check_settings(self, "the block already has", "ShakeDrop", "survival", {"per": module.per})
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.masks import layer_seed
        from augreg.nn.shake import ShakeDrop as Layer

        seed = layer_seed(self.seed, "shake_drop", site.name)
        site.residual(Layer(self.numbers(site)["survival"], self.per, seed=seed))
