"""Additive noise on activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from augreg.regularizers.seed import Seed
from augreg.steps.declare import regularizer
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["ActivationNoise"]


@regularizer(
    "activation_noise", exact="the mean of the output, and of whatever is linear in it",
    preview=tuple({"at": "features.**", "std": std} for std in (0.05, 0.2, 0.5)),
)  # fmt: skip
class ActivationNoise:
    """Add normal noise of standard deviation `std` to each unit, in the units of the activations.

    `on: input` adds it to the module's first input instead of its output. For a small std, noise on the input of a
    network acts like a penalty on the squared gradient of the output: Bishop 1995 (Neural Computation 7).
    """

    at: At
    std: Annotated[float, Meta(ge=0)] = 0.1
    on: Literal["output", "input"] = "output"
    seed: Seed = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"std": self.std}

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from augreg.nn.noise import GaussianNoise

        if not isinstance(module, GaussianNoise):
            return None
        if self.seed is not None:
            raise ValueError("it already is a GaussianNoise, whose seed cannot be set; leave seed out")
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.masks import layer_seed
        from augreg.nn.noise import GaussianNoise

        seed = layer_seed(self.seed, "activation_noise", self.on, site.name)
        (site.before if self.on == "input" else site.after)(GaussianNoise(**self.numbers(site), seed=seed))
