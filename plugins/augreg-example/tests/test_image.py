"""What the transforms of the image section do, and the preset."""

import numpy as np
import pytest

import augreg

WHITE = np.full((40, 60, 3), 200, np.uint8)


def test_snow_is_white_and_counted():
    """Ten flakes of four pixels, a little fewer if they overlap."""
    pipe = augreg.Pipeline.from_spec([{"example/snow": {"flakes": 10}}])
    white = (pipe.train(WHITE, index=3) == 255).all(axis=2).sum()
    assert 20 <= white <= 40


def test_vignette_leaves_the_middle_and_darkens_the_corners():
    """They become darker by the given strength."""
    image = augreg.Pipeline.from_spec([{"example/vignette": 0.5}]).train(WHITE, index=0)
    assert image[20, 30].tolist() == [200, 200, 200]
    assert 100 <= image[0, 0, 0] <= 110


def test_a_strength_above_one_is_refused():
    """The error has the location in the spec."""
    with pytest.raises(augreg.SpecError, match=r"image\[0\].example/vignette.strength: strength must lie within"):
        augreg.Pipeline.from_spec([{"example/vignette": 2}])


def test_the_preset_is_found():
    """Its name starts with the namespace."""
    assert augreg.Pipeline.from_spec("example/winter").train(WHITE, index=1).shape == (3, 224, 224)
