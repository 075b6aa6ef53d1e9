"""Tests of this plugin: its own, and the conformance checks of augreg on everything in it."""

import numpy as np
import pytest

import augreg
from augreg.testing import parametrize

WHITE = np.full((40, 60, 3), 200, np.uint8)


@parametrize("example")
def test_conformance(check):
    """One test for each object and check."""
    check()


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


def test_horizontal_concat_mixes_images_and_labels():
    """A quarter of the width, 15 of 60 columns, is the image's own; the rest is that of its partner."""
    images = np.stack([np.full((40, 60, 3), value, np.uint8) for value in (0, 50, 100, 150)])
    pipe = augreg.Pipeline.from_spec({"batch": [{"example/horizontal_concat": 0.25}]})
    mixed, labels = pipe.batch(images, np.arange(4), batch=0)
    partners = mixed[:, 0, 59, 0] // 50
    assert sorted(partners) == [0, 1, 2, 3] and (partners != np.arange(4)).any()
    assert (mixed[:, :, :15] == images[:, :, :15]).all() and (mixed[:, :, 15:] == images[partners][:, :, 15:]).all()
    assert np.allclose(labels.dense(4), 0.25 * np.eye(4) + 0.75 * np.eye(4)[partners])


def test_logit_squeezing_adds_the_squared_length():
    """0.1 (3 * 3 + 4 * 4) = 2.5 for the first sample and 0 for the second: 1.25 on average."""
    torch = pytest.importorskip("torch")
    logits, labels = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([0, 1])
    criterion = augreg.Pipeline.from_spec({"loss": [{"example/logit_squeezing": 0.1}]}).criterion()
    plain = torch.nn.functional.cross_entropy(logits, labels)
    assert torch.isclose(criterion(logits, labels), plain + 1.25)


def test_scale_noise_keeps_the_mean():
    """In training the mean is that of the layer without noise; in eval mode nothing changes."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.Linear(4, 3)), torch.ones(20_000, 4)
    plain = model(x)
    with augreg.regularize(model, [{"example/scale_noise": {"std": 0.1, "at": "0"}}]):
        noisy = model.train()(x)
        assert not torch.equal(noisy, plain)
        assert torch.allclose(noisy.mean(0), plain.mean(0), rtol=0.01)
        assert torch.equal(model.eval()(x), plain)


def test_the_preset_is_found():
    """Its name starts with the namespace."""
    assert augreg.Pipeline.from_spec("example/winter").train(WHITE, index=1).shape == (3, 224, 224)
