"""Vignette: a transform that runs its own function, because no op does this."""

import numpy as np

from augreg import ops, transform
from augreg.steps.fields import Range


@transform("vignette", kind="texture", preview=({"strength": 0.2}, {"strength": 0.5}, {"strength": 0.9}))
class Vignette:
    """Darken the image toward its corners, as old lenses do: by `strength` in the corners, not in the middle."""

    strength: Range = (0.2, 0.6)

    def check(self):
        """Refuse values that would brighten the image, or darken it below black."""
        if not 0 <= self.strength[0] <= self.strength[1] <= 1:
            raise ValueError(f"strength must lie within 0 and 1, got {list(self.strength)}")

    def sample(self, rng, scene):
        """A call of `darkened` with a random strength; the size of the image stays the same."""
        return ops.call(darkened, {"strength": rng.uniform(*self.strength)}, size=scene.size)


def darkened(array, strength):
    """A height x width x channels image with darker corners and the same dtype."""
    height, width = array.shape[:2]
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    light = 1 - strength * (y[:, None] ** 2 + x[None, :] ** 2) / 2
    darker = array * light[..., None]
    return np.rint(darker).astype(np.uint8) if array.dtype == np.uint8 else darker.astype(array.dtype)
