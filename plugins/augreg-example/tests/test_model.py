"""What the regularizer of the model section does."""

import pytest

import augreg


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
