"""Scale noise: a regularizer. The declaration does not import torch; the layer that it attaches does."""

from typing import Annotated

from msgspec import Meta

from augreg import regularizer
from augreg.steps.selectors import At


@regularizer("scale_noise", exact="every activation's mean", preview=({"std": 0.1, "at": "**"},))
class ScaleNoise:
    """Multiply each sample's output by a random number from a normal distribution N(1, std) in training."""

    std: Annotated[float, Meta(ge=0, le=1)]
    at: At

    def attach(self, site):
        """Run the layer on the module's output; augreg removes it on `detach()`."""
        from augreg_example.layers import ScaleNoiseLayer

        site.after(ScaleNoiseLayer(self.std))
