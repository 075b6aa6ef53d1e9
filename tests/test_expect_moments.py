"""expect(by="moments"): one pass gives a Prediction whose parts agree with enumeration and quadrature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from enumerated_networks import Networks
from torch import Tensor, nn

import augreg
from augreg.nn import GaussianNoise, StochasticDepth


def as_model(networks: Networks) -> tuple[nn.Module, Tensor]:
    """The first of the networks, as layers, and its input."""
    first, second = nn.Linear(8, 8, bias=False).double(), nn.Linear(8, 5, bias=False).double()
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(networks.first[0]))
        second.weight.copy_(torch.from_numpy(networks.second[0]))
    model = nn.Sequential(nn.Dropout(0.5), first, nn.ReLU(), nn.Dropout(0.5), second)
    return model, torch.from_numpy(networks.inputs)


def test_moments_are_nearer_than_weight_scaling() -> None:
    off: dict[str, list[float]] = {"moments": [], "scaling": [], "logits": [], "scaled logits": []}
    for seed in range(8):
        networks = Networks.random(1, seed)
        model, x = as_model(networks)
        truth, logits = networks.probabilities(), networks.logits()
        p = augreg.expect(model, by="moments")(x)
        with torch.no_grad():
            scaled = model.eval()(x)
        off["moments"].append(np.abs(p.mean.numpy() - truth).sum() / 2)
        off["scaling"].append(np.abs(scaled.softmax(1).numpy() - truth).sum() / 2)
        mean = augreg.expect(model, by="moments", space="logit")(x).mean
        off["logits"].append(np.abs(mean.numpy() - logits).mean())
        off["scaled logits"].append(np.abs(scaled.numpy() - logits).mean())
    assert np.mean(off["moments"]) < 0.068
    assert np.mean(off["moments"]) < np.mean(off["scaling"]) / 3
    assert np.mean(off["logits"]) < 0.03 < np.mean(off["scaled logits"]) / 5


def gaussian(bias: float) -> nn.Sequential:
    """A model whose two logits differ by a normal number: mean `bias`, variance 2 * 1.5^2."""
    linear = nn.Linear(2, 2).double()
    nn.init.eye_(linear.weight)
    with torch.no_grad():
        linear.bias.copy_(torch.tensor([bias, 0.0]))
    return nn.Sequential(GaussianNoise(1.5), linear)


def test_probabilities_and_entropies_of_normal_logits() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    difference = 0.7 + 1.5 * np.sqrt(2) * nodes
    q = 1 / (1 + np.exp(-difference))
    mean = (weights * q).sum() / weights.sum()
    entropy = -(mean * np.log(mean) + (1 - mean) * np.log(1 - mean))
    inner = (weights * -(q * np.log(q) + (1 - q) * np.log(1 - q))).sum() / weights.sum()
    p = augreg.expect(gaussian(0.7), by="moments")(torch.zeros(3, 2, dtype=torch.float64))
    assert p.mean[:, 0].numpy() == pytest.approx(mean, abs=0.002)
    assert p.entropy is not None and p.mutual_information is not None
    assert p.entropy.numpy() == pytest.approx(entropy, abs=0.001)
    assert p.mutual_information.numpy() == pytest.approx(entropy - inner, abs=0.005)
    assert ((p.mean[:, 0] - mean).abs() < 5 * p.standard_error[:, 0]).all()
    assert (p.standard_error < 0.002).all() and p.samples.tolist() == [1, 1, 1]
    assert "by moments" in str(p) and "moments approximate" in str(p)


def test_images_that_are_dropped_whole_have_both_results() -> None:
    """A branch that is dropped half of the time: the logits are 0 or twice what it gives, and nothing between."""
    linear = nn.Linear(2, 2).double()
    model = nn.Sequential(linear, StochasticDepth(0.5)).eval()
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    kept = (2 * linear(x)).softmax(1)[0].detach().numpy()
    p = augreg.expect(model, by="moments")(x)
    assert p.mean[0].numpy() == pytest.approx((kept + 0.5) / 2, abs=1e-9)
    assert p.entropy is not None and p.mutual_information is not None
    mean = (kept + 0.5) / 2
    inner = (-(kept * np.log(kept)).sum() + np.log(2)) / 2
    assert p.mutual_information.item() == pytest.approx(-(mean * np.log(mean)).sum() - inner, abs=1e-9)
    labels = augreg.expect(model, by="moments", multi_label=True)(x)
    sigmoids = 1 / (1 + np.exp(-2 * linear(x)[0].detach().numpy()))
    assert labels.mean[0].numpy() == pytest.approx((sigmoids + 0.5) / 2, abs=1e-9)


def test_other_spaces() -> None:
    x = torch.zeros(1, 2, dtype=torch.float64)
    logits = augreg.expect(gaussian(0.7), by="moments", space="logit")(x)
    assert torch.allclose(logits.mean, torch.tensor([[0.7, 0.0]], dtype=torch.float64))
    assert not logits.standard_error.any() and logits.entropy is not None
    values = augreg.expect(gaussian(0.7), by="moments", space="value")(x)
    assert torch.equal(values.mean, logits.mean) and values.entropy is None
    labels = augreg.expect(gaussian(0.7), by="moments", multi_label=True)(x)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    expected = [(weights / (1 + np.exp(-bias - 1.5 * nodes))).sum() / weights.sum() for bias in (0.7, 0.0)]
    assert labels.mean[0].numpy() == pytest.approx(expected, abs=0.002)


def test_ensembles_and_views_are_averaged_around_it() -> None:
    x = torch.zeros(1, 2, dtype=torch.float64)
    members = [gaussian(0.0), gaussian(4.0)]
    p = augreg.expect(members, by="moments", space="logit")(x)
    assert torch.allclose(p.mean, torch.tensor([[2.0, 0.0]], dtype=torch.float64))
    both = augreg.expect(members, by="moments")(x)
    one, other = (augreg.expect(member, by="moments")(x) for member in members)
    assert torch.allclose(both.mean, (one.mean + other.mean) / 2)
    assert both.mutual_information is not None and one.mutual_information is not None
    assert both.mutual_information > one.mutual_information

    torch.manual_seed(0)
    spec = {"image": ["horizontal_flip", {"normalize": {"mean": [0.5] * 3, "std": [0.25] * 3}}]}
    pipe = augreg.Pipeline.from_spec(spec)
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 2))
    views = augreg.expect(model, pipe, by="moments", space="logit")(image)
    inputs = torch.from_numpy(np.asarray(pipe.test(image)))
    with torch.no_grad():
        expected = model.eval()(torch.stack([inputs, inputs.flip(-1)])).mean(0)
    assert torch.allclose(views.mean[0].float(), expected, atol=1e-5)
    assert views.samples.tolist() == [2] and not views.standard_error.any()


class Bessel(nn.Module):
    """A layer that has no moments."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


def test_a_layer_without_moments_is_named_and_may_be_sampled() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), Bessel())
    x = torch.randn(2, 6)
    with pytest.raises(NotImplementedError, match=r"(?s)2: special_bessel_j0.*monte_carlo="):
        augreg.expect(model, by="moments", space="value")(x)
    p = augreg.expect(model, by="moments", space="value", monte_carlo="2")(x)
    with torch.no_grad():
        hidden = model[0](x)
        expected = (1.0 + torch.special.bessel_j0(2 * hidden)) / 2  # dropped: J0(0) = 1; kept: doubled
    assert torch.allclose(p.mean.float(), expected, atol=0.2)


def test_select_is_the_same() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = gaussian(0.7)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": self.inner(x)}

    x = torch.zeros(1, 2, dtype=torch.float64)
    p = augreg.expect(Wrapped(), by="moments", space="logit", select="logits")(x=x)
    assert p.mean[0, 0] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_statistics": True}, "moments use the running statistics"),
        ({"gradients": True}, "moments have none"),
        ({"over": "image"}, "is about the noise of the model"),
    ],
)
def test_what_moments_cannot_do(arguments: dict[str, Any], message: str) -> None:
    pipe = augreg.Pipeline(["horizontal_flip"])
    with pytest.raises(ValueError, match=message):
        augreg.expect(gaussian(0.0), pipe, by="moments", **arguments)
