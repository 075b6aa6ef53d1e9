"""Snow: a transform made of ops."""

from typing import Annotated

from msgspec import Meta

from augreg import ops, transform
from augreg.steps.fields import Counts


@transform("snow", kind="erasing", preview=({"flakes": 20}, {"flakes": 60}, {"flakes": 200, "size": 3}))
class Snow:
    """Paint a random number of white flakes, squares of `size` pixels, at random places."""

    flakes: Counts = (20, 80)
    size: Annotated[int, Meta(ge=1, le=32)] = 2

    def sample(self, rng, scene):
        """One painted box for each flake."""
        low, high = self.flakes
        height, width = min(self.size, scene.height), min(self.size, scene.width)
        return tuple(
            ops.paint(
                scene,
                rng.integers(scene.height - height + 1),
                rng.integers(scene.width - width + 1),
                height,
                width,
                (255.0,),
            )
            for _ in range(low + rng.integers(high - low + 1))
        )
