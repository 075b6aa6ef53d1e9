"""DropBlock, attached to modules that give feature maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from augreg.steps.declare import regularizer
from augreg.steps.fields import Probability
from augreg.steps.selectors import At

if TYPE_CHECKING:
    from augreg.attachment.site import Site

__all__ = ["DropBlock"]


@regularizer(
    "drop_block", exact="the mean of the output at every position, and of whatever is linear in it",
    preview=tuple({"at": "features.**", "p": p, "block_size": 3} for p in (0.05, 0.1, 0.3)),
)  # fmt: skip
class DropBlock:
    """Set squares of a feature map to zero, and scale each other position by its own chance of being kept.

    `p` is the share of the map that is dropped on the mean, overlaps of blocks taken into account. A position near
    the border is covered by fewer blocks and kept more often, so each is divided by its own chance, which keeps the
    mean everywhere; dividing by the share that was kept does not. The paper raises p from 0 over training (a
    schedule) and attaches it to the later groups. Ghiasi et al. 2018, arXiv 1810.12890.
    """

    at: At
    p: Probability = 0.1
    block_size: Annotated[int, Meta(ge=1, le=4096)] = 7
    per: Literal["channel", "sample"] = "channel"
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from augreg.nn.drop_block import MapDropBlock

        if not isinstance(module, MapDropBlock):
            return None
        if (self.block_size, self.per, self.seed) != (module.block_size, module.per, None):
            raise ValueError(
                f"it is a {type(module).__name__} already, which is only given p; write block_size: "
                f"{module.block_size} and per: {module.per}, as it has, and no seed"
            )
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.checks import gives_maps
        from augreg.nn.drop_block import MapDropBlock
        from augreg.nn.masks import layer_seed

        gives_maps(site.module)
        seed = layer_seed(self.seed, "drop_block", site.name)
        site.after(MapDropBlock(**self.numbers(site), block_size=self.block_size, per=self.per, seed=seed))
