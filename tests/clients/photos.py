"""The photos of the gallery, and comparisons of evaluation transforms on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import augreg
from augreg.importers.translation import Imported

PHOTOS = [
    Image.open(path).convert("RGB")
    for path in sorted((Path(__file__).parents[2] / "gallery/photos").glob("*.jpg"))
]  # fmt: skip
"""480x480, 451x300 (width x height), and two of 480x320."""
SHAPES = [*PHOTOS, PHOTOS[1].rotate(90, expand=True), PHOTOS[2].crop((0, 0, 331, 97)), PHOTOS[3].resize((61, 223))]
"""Also upright, wide, and smaller than most models take."""


def pixels(normalized: Any, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """The bytes that a normalized image was made of; every value must be one of the 256 within float32's rounding."""
    found = (np.asarray(normalized, np.float64) * np.reshape(std, (3, 1, 1)) + np.reshape(mean, (3, 1, 1))) * 255
    assert np.abs(found - found.round()).max() < 1e-3
    return found.round().astype(np.uint8)


def assert_same_evaluation(
    imported: Imported, theirs: Callable[[Any], Any], mean: Sequence[float], std: Sequence[float]
) -> None:
    """The imported test pipeline gives the pixels of `theirs` bit for bit, and the same floats but for rounding.

    They normalize in float32 in three steps, and augreg once in float64: values differ in the last digits.
    """
    pipe = augreg.Pipeline.from_spec(imported.spec)
    for photo in SHAPES:
        ours, wanted = pipe.test(photo), theirs(photo)
        assert type(ours) is type(wanted)
        assert ours.shape == wanted.shape
        np.testing.assert_array_equal(pixels(ours, mean, std), pixels(wanted, mean, std))
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=3e-7 / min(std))
