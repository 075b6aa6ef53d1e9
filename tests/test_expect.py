"""expect over model noise and ensembles: means, standard errors and entropies against enumeration of all masks."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from enumerated_networks import Networks
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import augreg
from augreg.expectation import Prediction

YARDSTICK = Networks.random(20, seed=1)


def predicted(networks: Networks, **arguments: object) -> Prediction:
    return augreg.expect(networks.model(), **arguments)(*networks.arguments())


class Masked(nn.Module):
    """A linear layer with one fixed mask on its input."""

    def __init__(self, linear: nn.Linear, mask: Tensor) -> None:
        super().__init__()
        self.linear = linear
        self.mask = mask

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x * self.mask)


def all_masks(linear: nn.Linear) -> list[nn.Module]:
    masks = itertools.product((0.0, 2.0), repeat=linear.in_features)
    return [Masked(linear, torch.tensor(mask, dtype=torch.float64)) for mask in masks]


def test_monte_carlo_converges_with_the_root_of_the_samples() -> None:
    truth, deviation = YARDSTICK.logits(), YARDSTICK.logit_deviations()
    known = {10: 0.467, 50: 0.207, 1000: 0.047}  # published for other random networks of this shape
    for samples, published in known.items():
        errors = []
        for seed in range(3 if samples < 1000 else 1):
            p = predicted(YARDSTICK, space="logit", samples=samples, seed=seed)
            errors.append(np.abs(p.mean.numpy() - truth))
        expected = deviation.mean() * np.sqrt(2 / np.pi / samples)
        assert np.mean(errors) == pytest.approx(expected, rel=0.15)
        assert np.mean(errors) == pytest.approx(published, rel=0.35)


def test_the_standard_error_is_the_deviation_over_the_root_of_the_samples() -> None:
    p = predicted(YARDSTICK, space="logit", samples=1000)
    expected = YARDSTICK.logit_deviations() / np.sqrt(1000)
    assert p.standard_error.numpy() == pytest.approx(expected, rel=0.15)
    z = (p.mean.numpy() - YARDSTICK.logits()) / p.standard_error.numpy()
    assert 0.75 < z.std() < 1.3


def test_probabilities_and_their_entropy() -> None:
    few = Networks.random(3, seed=2)
    truth = few.probabilities()
    p = predicted(few, samples=4000)
    assert np.all(np.abs(p.mean.numpy() - truth) < 4.5 * p.standard_error.numpy())
    assert p.probabilities is not None and torch.equal(p.probabilities, p.mean)
    assert p.entropy is not None
    assert p.entropy.numpy() == pytest.approx(-(truth * np.log(truth)).sum(1), abs=0.01)


def test_the_geometric_mean_of_softmax_regression_is_weight_scaling() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(6, 4).double()
    x = torch.randn(3, 6, dtype=torch.float64)
    scaled = linear(x).softmax(1)
    mean_logits = augreg.expect(all_masks(linear), space="logit")(x)
    assert torch.allclose(mean_logits.mean.softmax(1), scaled, rtol=0, atol=1e-12)
    mean = augreg.expect(all_masks(linear))(x)
    assert (mean.mean - scaled).abs().max() > 0.01  # the arithmetic mean differs


def test_entropies_of_an_ensemble_are_exact() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(4, 3).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    members = all_masks(linear)
    with torch.no_grad():
        each = np.stack([member(x).softmax(1).numpy() for member in members])
    mean = each.mean(0)
    entropy = -(mean * np.log(mean)).sum(1)
    information = entropy + (each * np.log(each)).sum(-1).mean(0)
    for space in ("probability", "logit"):
        p = augreg.expect(members, space=space)(x)
        assert p.probabilities is not None and p.entropy is not None and p.mutual_information is not None
        assert p.probabilities.numpy() == pytest.approx(mean, abs=1e-12)
        assert p.entropy.numpy() == pytest.approx(entropy, abs=1e-12)
        assert p.mutual_information.numpy() == pytest.approx(information, abs=1e-12)
        assert not p.standard_error.any()
        assert p.samples.tolist() == [16] * 5 and p.report.members == 16


def test_models_that_agree_have_no_mutual_information() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    p = augreg.expect([copy.deepcopy(model) for _ in range(3)])(torch.randn(200, 4, dtype=torch.float64))
    assert p.mutual_information is not None
    assert (p.mutual_information >= 0).all() and p.mutual_information.max() < 1e-15


def test_the_entropies_of_few_samples_are_too_low_by_the_bias_that_is_reported() -> None:
    network = Networks.random(1, seed=3)
    truth = network.probabilities()[0]
    entropy = -(truth * np.log(truth)).sum()
    copies = Networks(*(np.repeat(part, 2000, 0) for part in (network.first, network.second, network.inputs)))
    p = predicted(copies, samples=16)
    assert p.entropy is not None and p.entropy_bias is not None
    missing = entropy - p.entropy.mean().item()
    assert missing > 0.01
    assert p.entropy_bias.mean().item() == pytest.approx(missing, rel=0.2)


def test_several_labels_have_entropies_of_their_own() -> None:
    torch.manual_seed(0)
    members = [nn.Linear(4, 2), nn.Linear(4, 2)]
    x = torch.randn(3, 4)
    p = augreg.expect(members, multi_label=True)(x)
    q = np.stack([member(x).detach().double().sigmoid().numpy() for member in members])

    def entropy(q: np.ndarray) -> np.ndarray:
        return -(q * np.log(q) + (1 - q) * np.log(1 - q)).sum(-1)

    assert p.mean.numpy() == pytest.approx(q.mean(0), abs=1e-7)
    assert p.entropy is not None and p.mutual_information is not None
    assert p.entropy.numpy() == pytest.approx(entropy(q.mean(0)), abs=1e-6)
    assert p.mutual_information.numpy() == pytest.approx(entropy(q.mean(0)) - entropy(q).mean(0), abs=1e-6)


def test_members_with_noise_are_strata() -> None:
    """Two models that differ much: the error of their mean is that of the noise within each."""
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 2)).double() for _ in range(2)]
    nn.init.constant_(models[1][1].bias, 100.0)
    x = torch.randn(1, 6, dtype=torch.float64).repeat(400, 1)
    p = augreg.expect(models, samples=32, space="value")(x)
    with torch.no_grad():
        truth = sum(model.eval()(x[:1]) for model in models) / 2
    assert p.standard_error.mean(0).numpy() == pytest.approx(p.mean.std(0).numpy(), rel=0.12)
    assert p.mean.mean(0).numpy() == pytest.approx(truth[0].numpy(), abs=4 * p.mean.std(0).max().item() / 20)
    assert p.entropy is None and p.mutual_information is None and p.probabilities is None
    assert p.samples.tolist() == [32] * 400 and p.observations.tolist() == [16] * 400


def test_an_ensemble_is_averaged_member_by_member() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    states = [{name: torch.randn_like(value) for name, value in model.state_dict().items()} for _ in range(3)]
    ensemble = augreg.training.Ensemble.of_snapshots(model, states)
    x = torch.randn(2, 4)
    p = augreg.expect(ensemble)(x)
    assert torch.allclose(p.mean.float(), ensemble(x), atol=1e-6)
    assert p.mutual_information is not None and (p.mutual_information > 0.01).all()
    assert augreg.expect(augreg.training.Ensemble([model], multi_label=True)).settings.multi_label


class SharedMask(nn.Module):
    """Drops weights, so that all rows of a call share a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, functional.dropout(self.linear.weight, 0.5, self.training))


def test_samples_share_a_call_only_if_each_row_draws() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6)
    by_row = augreg.expect(nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3)), samples=64)(x)
    assert by_row.report.batches == 1 and by_row.report.forwards == 128
    shared = augreg.expect(SharedMask(), samples=64)(x)
    assert shared.report.batches == 64
    torch.manual_seed(0)
    permuting = augreg.expect(_Permuting(), samples=8)(x)
    assert permuting.report.batches == 8


class _Permuting(nn.Module):
    """Adds rows of the batch to one another, as mixup inside a model does."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x[torch.randperm(len(x))] if self.training else x


def test_the_error_of_shared_masks_is_honest() -> None:
    torch.manual_seed(0)
    model, x = SharedMask().double(), torch.randn(1, 6, dtype=torch.float64)
    found = [augreg.expect(model, samples=8, space="value", seed=seed)(x) for seed in range(100)]
    spread = torch.stack([p.mean for p in found]).std(0)
    error = torch.stack([p.standard_error for p in found]).square().mean(0).sqrt()
    assert error.numpy() == pytest.approx(spread.numpy(), rel=0.25)


def test_a_small_variance_beside_a_large_mean_is_not_lost() -> None:
    class Far(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1e6 + functional.dropout(x, 0.5, self.training)

    p = augreg.expect(Far(), samples=4096, space="value")(torch.full((1, 3), 1.0, dtype=torch.float64))
    assert p.standard_error.numpy() == pytest.approx(1 / 64, rel=0.01)


def test_what_draws_without_being_asked_has_a_standard_error() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(x, 0.5)

    pipe = augreg.Pipeline.from_spec({"image": [{"normalize": {"mean": [0.5] * 3, "std": [0.5] * 3}}]})
    image = np.full((2, 2, 3), 200, np.uint8)
    p = augreg.expect(nn.Sequential(Always(), nn.Flatten()), pipe, over="image", samples=16)(image)
    assert (p.standard_error > 0).all() and p.samples.tolist() == [16]
    assert "draws in evaluation, too" in str(p)


def test_without_noise_one_forward_is_exact() -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(4, 3), torch.randn(2, 4)
    p = augreg.expect(model)(x)
    assert torch.allclose(p.mean.float(), model(x).softmax(1))
    assert not p.standard_error.any() and p.samples.tolist() == [1, 1]
    assert "nothing draws in the model" in str(p)


def test_only_some_modules_draw() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3), nn.Dropout(0.5))
    x = torch.zeros(1, 6)  # dropout on the input does nothing
    assert augreg.expect(model, only="0", space="value")(x).standard_error.max() == 0
    assert augreg.expect(model, only="2", space="value")(x).standard_error.min() > 0
    with pytest.raises(ValueError, match="nearest names"):
        augreg.expect(model, only="1")(x)


def test_functional_dropout_that_never_draws_is_named() -> None:
    class Never(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(x, 0.5, False)

    p = augreg.expect(nn.Sequential(nn.Linear(4, 3), Never()))(torch.ones(1, 4))
    assert any(note.startswith("does not draw: 1:") for note in p.report.notes)


def test_it_prints_and_is_plain_data() -> None:
    p = predicted(YARDSTICK, samples=32)
    lines = str(p).splitlines()
    assert lines[0].split()[:3] == ["image", "top", "class"]
    assert len(lines) == 1 + 10 + 1 + 1
    assert lines[-2] == "and 10 more images"
    assert lines[-1].startswith("mean probability over the noise of 2 modules by samples: 640 rows in 1 forward")
    assert "<table>" in p._repr_html_() and len(p) == 20
    plain = p.report.as_dict()
    assert plain["forwards"] == 640 and plain["noise"][0]["sources"][0]["name"] == "on_input"


def test_the_first_call_does_not_import_the_compiler_of_torch(python: Any) -> None:
    if not hasattr(TorchDispatchMode, "_should_skip_dynamo"):
        pytest.skip("this torch imports its compiler for every mode")
    code = (
        "import augreg, sys, torch\n"
        "augreg.expect(torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(4, 2)))(torch.ones(1, 4))\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = python("-c", code)
    assert done.stdout == "False\n", done.stderr
