"""Horizontal concat: a batch transform."""

from augreg import batch_transform
from augreg.batch.blends import Paste, Patch
from augreg.steps.fields import Range


@batch_transform("horizontal_concat", preview=({"kept": 0.75}, {"kept": [0.2, 0.8]}))
class HorizontalConcat:
    """Show the left part of each image beside the right part of another one, split at a random column.

    The left part has a fraction `kept` of the width, drawn for each image.
    Summers and Dinneen 2018, arXiv 1805.11272.
    """

    kept: Range = (0.2, 0.8)

    def check(self):
        """Refuse fractions that no image has."""
        if not 0 <= self.kept[0] <= self.kept[1] <= 1:
            raise ValueError(f"kept must lie within 0 and 1, got {list(self.kept)}")

    def sample(self, rng, count, scene):
        """One patch for each image; the weights of the labels follow from the area that it covers."""
        patches = []
        for image, partner in enumerate(rng.permutation(count)):
            left = round(rng.uniform(*self.kept) * scene.width)
            if left < scene.width:
                box = (0, left, scene.height, scene.width - left)
                patches.append(Patch(image, box, partner, box))
        return Paste(tuple(patches)) if patches else ()
