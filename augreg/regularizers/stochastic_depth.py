"""Stochastic depth and shake-drop, attached to residual blocks.

`survival` is the chance that a branch is kept. By `rule: linear` it is that of the last selected block, and block l
of L has 1 - (l / L)(1 - survival), l = 1 .. L in the order of the model; by `rule: uniform` all have the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from augreg.steps.declare import ModelRule, regularizer
from augreg.steps.fields import Probability
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["ShakeDrop", "StochasticDepth", "survival_at"]

_Rule = Literal["linear", "uniform"]
_Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)] | None


def survival_at(rule: _Rule, survival: float, index: int, count: int) -> float:
    """The chance that the branch of block `index` (from 0) of `count` is kept.

    Linear: 1 - (l / L)(1 - survival) with l = index + 1 and L = count, as Huang et al. 2016 (arXiv 1603.09382): the
    first block is dropped a little already, the last with 1 - survival. Some libraries start at 0 or end before it.
    """
    return survival if rule == "uniform" else 1.0 - (index + 1) / count * (1.0 - survival)


@regularizer(
    "stochastic_depth", exact="the mean of each block's output",
    preview=tuple({"at": "blocks.*", "survival": survival} for survival in (0.9, 0.8, 0.5)),
)  # fmt: skip
class StochasticDepth:
    """Drop the branches of residual blocks in training, for each sample or for the whole batch.

    Training gives x + b f(x) / survival, testing x + f(x); with `scaling: original` training gives x + b f(x) and
    testing x + survival f(x), as the paper, which also draws one b a batch (`mode: batch`). With `skip` a dropped
    branch is not computed, where the parts of the block are known. A drop path that a block has of its own is set.
    Huang et al. 2016, arXiv 1603.09382.
    """

    at: At
    survival: Probability = 0.8
    rule: _Rule = "linear"
    mode: Literal["row", "batch"] = "row"
    scaling: Literal["inverted", "original"] = "inverted"
    skip: bool = False
    seed: _Seed = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"survival": survival_at(self.rule, self.survival, site.index, site.count)}

    def test_rule(self) -> ModelRule:
        return "identity" if self.scaling == "inverted" else "scale"

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        """The drop paths of timm and torchvision, which take the chance of being dropped, and ours."""
        from augreg.nn.stochastic_depth import StochasticDepth as Layer

        kind = type(module).__name__
        if isinstance(module, Layer):
            found, has = numbers, {"mode": module.mode, "scaling": module.scaling}
        elif kind == "DropPath" and hasattr(module, "drop_prob"):
            found, has = {"drop_prob": 1.0 - numbers["survival"]}, {"mode": "row", "scaling": "inverted"}
        elif kind == "StochasticDepth" and hasattr(module, "p") and hasattr(module, "mode"):
            found, has = {"p": 1.0 - numbers["survival"]}, {"mode": module.mode, "scaling": "inverted"}
        else:
            return None
        for name, value in has.items():
            if getattr(self, name) != value or self.seed is not None:
                raise ValueError(
                    f"the block has a {kind} of its own, which is only given its rate; write {name}: {value}, "
                    f"as it has, and no seed"
                )
        return found

    def attach(self, site: Site) -> None:
        from augreg.nn.masks import layer_seed
        from augreg.nn.stochastic_depth import StochasticDepth as Layer

        seed = layer_seed(self.seed, "stochastic_depth", site.name)
        layer = Layer(**self.numbers(site), mode=self.mode, scaling=self.scaling, skip=self.skip, seed=seed)
        site.residual(layer)


@regularizer(
    "shake_drop", rule="scale", exact="the mean of each block's output",
    preview=tuple({"at": "blocks.*", "survival": survival} for survival in (0.9, 0.7, 0.5)),
)  # fmt: skip
class ShakeDrop:
    """Multiply the branches of residual blocks by random numbers, other ones for the gradient.

    A branch that is not kept is multiplied by alpha ~ U(-1, 1), and its gradient by beta ~ U(0, 1); testing
    multiplies it by `survival`. Yamada et al. 2018, arXiv 1802.02375.
    """

    at: At
    survival: Probability = 0.5
    rule: _Rule = "linear"
    per: Literal["batch", "sample", "channel", "element"] = "sample"
    seed: _Seed = None

    def own_gradients(self) -> bool:
        return True

    def numbers(self, site: Site) -> dict[str, float]:
        return {"survival": survival_at(self.rule, self.survival, site.index, site.count)}

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from augreg.nn.shake import ShakeDrop as Layer

        if not isinstance(module, Layer):
            return None
        if self.per != module.per or self.seed is not None:
            raise ValueError(
                f"the block has a ShakeDrop of its own, which is only given survival; write per: {module.per}, "
                f"as it has, and no seed"
            )
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.masks import layer_seed
        from augreg.nn.shake import ShakeDrop as Layer

        seed = layer_seed(self.seed, "shake_drop", site.name)
        site.residual(Layer(self.numbers(site)["survival"], self.per, seed=seed))
