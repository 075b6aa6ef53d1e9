"""A vignette: a transform with a function of its own, for what no op does."""

import numpy as np

from augreg import ops, transform
from augreg.steps.fields import Range


@transform("vignette", kind="texture", preview=({"strength": 0.2}, {"strength": 0.5}, {"strength": 0.9}))
class Vignette:
    """Darken the corners, as old lenses do: by `strength` in the corners, not at all in the middle."""

    strength: Range = (0.2, 0.6)

    def check(self):
        """Refuse what would brighten, or darken below black."""
        if not 0 <= self.strength[0] <= self.strength[1] <= 1:
            raise ValueError(f"strength must lie within 0 and 1, got {list(self.strength)}")

    def sample(self, rng, scene):
        """One call of `darkened`, with the number that was drawn; the image keeps its size."""
        return ops.call(darkened, {"strength": rng.uniform(*self.strength)}, size=scene.size)


def darkened(array, strength):
    """A height x width x channels image with darker corners, in the dtype that it came in."""
    height, width = array.shape[:2]
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    light = 1 - strength * (y[:, None] ** 2 + x[None, :] ** 2) / 2
    darker = array * light[..., None]
    return np.rint(darker).astype(np.uint8) if array.dtype == np.uint8 else darker.astype(array.dtype)
