"""DropBlock, attached to modules that return feature maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from augreg.regularizers.seed import Seed, check_settings
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
    """Set squares of a feature map to zero, and divide every other position by its own probability of being kept.

    `p` is the fraction of the map that is dropped on average, with overlaps of blocks taken into account. Positions
    near the border are covered by fewer blocks and kept more often. Dividing each by its own probability preserves
    the mean everywhere; dividing all by the kept fraction does not. The paper raises p from 0 during training (use a
    schedule) and attaches it to the later groups. Ghiasi et al. 2018, arXiv 1810.12890.
    """

    at: At
    p: Probability = 0.1
    block_size: Annotated[int, Meta(ge=1, le=4096)] = 7
    per: Literal["channel", "sample"] = "channel"
    seed: Seed = None

    def numbers(self, site: Site) -> dict[str, float]:
        return {"p": self.p}

    def takes_over(self, module: Any, numbers: dict[str, float]) -> dict[str, float] | None:
        from augreg.nn.drop_block import MapDropBlock

        if not isinstance(module, MapDropBlock):
            return None
        settings = {"block_size": module.block_size, "per": module.per}
        check_settings(self, "it already is", type(module).__name__, "p", settings)
        return numbers

    def attach(self, site: Site) -> None:
        from augreg.nn.checks import require_feature_map
        from augreg.nn.drop_block import MapDropBlock
        from augreg.nn.masks import layer_seed

        require_feature_map(site)
        seed = layer_seed(self.seed, "drop_block", site.name)
        site.after(MapDropBlock(**self.numbers(site), block_size=self.block_size, per=self.per, seed=seed))
