"""How a function may prepare an image: the combinations of a crop, a filter and a channel order to try."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg import ops
from augreg.expectation.image_size.apparent_size import composed
from augreg.expectation.preprocessing.prepared_image import PreparedImage
from augreg.ops import Enlarge, Normalize, Op, Resize

__all__ = ["Guess", "guessed_geometry", "guesses", "made_by", "orders", "own_guess", "resized_by"]

_FILTERS = (
    ("bilinear", True), ("bicubic", True), ("lanczos", True), ("bilinear", False), ("bicubic", False),
    ("nearest", False),
)  # fmt: skip
_LUMA = (0.299, 0.587, 0.114)
_CROPS = (1.0, 0.965, 0.95, 0.9, 0.875, 0.8)


class Guess(NamedTuple):
    """A crop (`own` is the pipeline's), a filter with or without antialiasing, and a channel order.

    The crop is a fraction of the shorter side that the result shows; or `stretch`: all of the image, in another
    aspect ratio; or `stretch and crop`: the center of that, with the pipeline's fraction.
    """

    crop: float | str
    interpolation: str
    antialias: bool
    order: str

    def changes(self, own: Guess) -> int:
        """In how many respects it differs from another; nearest has no antialiasing, so that is no second one."""
        antialias = self.antialias != own.antialias and self.interpolation != "nearest"
        others = self.crop != own.crop, self.interpolation != own.interpolation, self.order != own.order
        return antialias + sum(others)


def own_guess(image: PreparedImage) -> Guess:
    """What the pipeline itself does."""
    resize: Any = next((op for op in image.ops if isinstance(op, Resize | Enlarge)), None)
    name, antialias = ("bilinear", True) if resize is None else (resize.interpolation, bool(resize.antialias))
    antialias = antialias and name != "nearest"  # it has no antialiasing, whatever the field says
    return Guess("own", name, antialias, "RGB" if image.scene.channels == 3 else "gray")


def guesses(image: PreparedImage, shape: tuple[int, ...]) -> Iterator[Guess]:
    """Those with the pipeline's channel order that may give results of this shape, channels x height x width."""
    own, same_size = own_guess(image), shape[1:] == image.size
    crops: list[float | str] = ["own"] if same_size else []
    filters = [own[1:3]]
    if not same_size or any(isinstance(op, Resize | Enlarge) for op in image.ops):
        crops += [*dict.fromkeys([shown_fraction(image), *_CROPS]), "stretch", "stretch and crop"]
        filters += [one for one in _FILTERS if one != own[1:3]]
    for crop in crops:
        for name, antialias in filters:
            yield Guess(crop, name, antialias, own.order)


def orders(image: PreparedImage, channels: int) -> dict[str, NDArray[np.float64]]:
    """The possible channel orders, each as the matrix from the pipeline's channels to those of the results."""
    if image.scene.channels != 3:
        return {"gray": np.ones((channels, 1))}
    gray = np.tile(_LUMA, (channels, 1))
    return {"gray": gray} if channels == 1 else {"RGB": np.eye(3), "BGR": np.eye(3)[::-1], "gray": gray}


def shown_fraction(image: PreparedImage) -> float:
    """Which fraction of the height or of the width the pipeline's test image shows, whichever is larger."""
    whole, after = composed(image.ops, image.scene)
    scale_x, scale_y = (float(np.hypot(*whole[:2, column])) for column in (0, 1))
    return min(1.0, max(after.width / scale_x / image.scene.width, after.height / scale_y / image.scene.height))


def made_by(guess: Guess, image: PreparedImage, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The image as guessed, channels x height x width of this shape, on the 0..1 scale and not normalized."""
    return np.tensordot(orders(image, shape[0])[guess.order], resized_by(guess, image, shape), 1)


def resized_by(guess: Guess, image: PreparedImage, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The image after the guessed crop and filter, with the pipeline's channels, on the 0..1 scale."""
    changed = image.with_ops([op for op in image.ops if not isinstance(op, Normalize)])
    if guess.crop != "own":
        changed = changed.with_geometry(guessed_geometry(guess.crop, image, shape))
    return (
        changed.with_fields(interpolation=guess.interpolation, antialias=guess.antialias).values / image.scene.white
    )


def guessed_geometry(crop: float | str, image: PreparedImage, shape: tuple[int, ...]) -> list[Op]:
    """Resize so that a central crop shows this fraction of the shorter side, and crop; or stretch first."""
    _, height, width = shape
    given = image.scene.size
    if crop == "own":
        return list(image.geometry)
    if crop == "stretch":
        return [ops.resize(height, width)]
    if isinstance(crop, float):
        zoom = max(height / given[0], width / given[1]) / crop
        shorter = round(min(given) * zoom)
        longer = int(shorter * max(given) / min(given))
        new = (shorter, longer) if given[0] <= given[1] else (longer, shorter)
        new = max(new[0], height), max(new[1], width)
    else:
        shown = shown_fraction(image)
        new = round(height / shown), round(width / shown)
    top, left = round((new[0] - height) / 2), round((new[1] - width) / 2)
    return [ops.resize(*new), ops.crop(top, left, height, width)]
