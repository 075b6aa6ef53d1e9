"""Step 1 of the recipe, against losses that are worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augreg.recipe import Result, Task, initial_loss
from augreg.recipe.losses import default_loss, problem_of
from augreg.recipe.probes.baselines import baselines, constant_outputs

X = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
UNEQUAL = torch.tensor([0] * 300 + [1] * 60 + [2] * 30 + [3] * 10)
ENTROPY = -sum(p * math.log(p) for p in (0.75, 0.15, 0.075, 0.025))


def head(outputs: int, bias: Any = 0.0, weight: float = 0.0) -> Callable[[], nn.Module]:
    """A linear layer with this bias, and weights of this size."""

    def make() -> nn.Module:
        layer = nn.Linear(6, outputs)
        nn.init.normal_(layer.weight, std=weight) if weight else nn.init.zeros_(layer.weight)
        layer.bias.data[:] = torch.as_tensor(bias)
        return layer

    return make


def causes(result: Result) -> list[str]:
    return [cause.name for cause in result.causes]


def test_zero_outputs_have_the_loss_log_c_and_a_good_bias_the_entropy() -> None:
    zero = initial_loss(Task(head(4), (X, UNEQUAL)))
    assert zero.verdict == "pass" and zero.evidence["loss"] == pytest.approx(math.log(4))
    assert zero.evidence["log 4"] == pytest.approx(math.log(4))
    assert zero.evidence["entropy of the labels"] == pytest.approx(ENTROPY)
    logs = torch.tensor([0.75, 0.15, 0.075, 0.025]).log()
    good = initial_loss(Task(head(4, logs), (X, UNEQUAL)))
    assert good.verdict == "pass" and good.evidence["loss"] == pytest.approx(ENTROPY, rel=1e-5)


def test_binary_targets_and_numbers_have_their_own_baselines() -> None:
    binary = (torch.arange(400) % 5 == 0).float()[:, None]
    result = initial_loss(Task(head(1), (X, binary)))
    assert result.verdict == "pass" and result.evidence["loss"] == pytest.approx(math.log(2))
    assert result.evidence["entropy of the labels"] == pytest.approx(-(0.2 * math.log(0.2) + 0.8 * math.log(0.8)))
    numbers = torch.tensor([3.0, 5.0]).repeat(200)[:, None]  # mean 4, variance 1
    result = initial_loss(Task(head(1, 4.0), (X, numbers)))
    assert result.verdict == "pass" and result.evidence["loss"] == pytest.approx(1)
    assert result.evidence["mean square of the targets"] == pytest.approx(17)
    assert result.evidence["variance of the targets"] == pytest.approx(1)


_DRAWS = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        (UNEQUAL, "classes"),
        (torch.rand(50, 3, generator=_DRAWS).round(), "binary"),
        (torch.randn(50, 2, generator=_DRAWS), "regression"),
    ],
    ids=["classes", "several labels", "numbers"],
)
def test_the_best_constant_has_the_loss_that_is_said(targets: Tensor, problem: Any) -> None:
    outputs = torch.zeros(len(targets), 4 if targets.ndim == 1 else targets.shape[1], dtype=torch.float64)
    assert problem_of(outputs, targets) == problem
    found = baselines(outputs, targets, problem)
    targets = targets.double() if targets.ndim > 1 else targets

    def loss(outputs: Tensor) -> float:
        return float(default_loss(outputs, targets, problem))

    best = constant_outputs(outputs, targets, problem)
    assert loss(outputs) == pytest.approx(found.zero) and loss(best) == pytest.approx(found.constant)
    assert loss(best + torch.linspace(0, 0.1, best.shape[1])) > loss(best)


def test_a_loss_below_the_entropy_is_a_leak() -> None:
    class Leak(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(9.0))

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * x

    labels = torch.arange(400) % 6
    result = initial_loss(Task(Leak, (nn.functional.one_hot(labels).float() * 2, labels)))
    assert result.verdict == "fail" and causes(result) == ["leak"] and result.evidence["loss"] < 0.1


def test_a_loss_that_is_too_high_is_the_bias_or_the_outputs() -> None:
    labels = torch.arange(400) % 4
    for make, cause in ((head(4, [9.0, 0, 0, 0]), "bias of the head"), (head(4, 0.0, 3.0), "large outputs")):
        result = initial_loss(Task(make, (X, labels)))
        assert result.verdict == "fail" and causes(result) == [cause], result
    far = torch.randn(400, 1) + 30
    assert causes(initial_loss(Task(head(1), (X, far)))) == []  # the mean square itself is what zeros give
    assert causes(initial_loss(Task(head(1, -30.0), (X, far)))) == ["bias of the head"]


def test_noise_penalties_and_weight_decay_do_not_count() -> None:
    spec = {
        "image": [{"cutout": 4}],
        "batch": ["mixup"],
        "model": [{"dropout": {"p": 0.9, "at": "1"}}],
        "loss": [{"l2": 1e3}],
        "classes": 4,
    }

    def make() -> nn.Module:
        model = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Dropout(0.9), nn.Linear(48, 4))
        nn.init.normal_(model[3].weight, std=0.05)
        return model

    images = torch.rand(40, 3, 4, 4)
    labels = torch.arange(40) % 4
    task = Task(make, (list(images), labels.tolist()), spec=spec, seed=3)
    torch.manual_seed(0)
    expected = initial_loss(task.replace(train=(images, labels), spec=None))
    assert initial_loss(task).evidence["loss"] == pytest.approx(expected.evidence["loss"], rel=1e-5)


def test_probabilities_for_a_loss_of_probabilities_are_no_fault() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 4), nn.Softmax(1))

    labels = torch.arange(400) % 4
    assert causes(initial_loss(Task(model, (X, labels)))) == ["double softmax"]

    def of_probabilities(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.nll_loss(outputs.log(), targets)

    assert causes(initial_loss(Task(model, (X, labels), loss=of_probabilities))) == []
    twice = initial_loss(
        Task(lambda: nn.Sequential(nn.Linear(6, 1), nn.Sigmoid()), (X, (labels == 0).float()[:, None]))
    )
    assert causes(twice) == ["double softmax"]


def test_inputs_count_as_the_first_layer_gets_them() -> None:
    labels = torch.arange(400) % 4
    assert causes(initial_loss(Task(head(4, 0.0, 1e-4), (100 * X, labels)))) == ["inputs not normalized"]
    normalized = initial_loss(Task(lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4)), (100 * X, labels)))
    assert normalized.verdict == "pass" and normalized.evidence["root mean square of the inputs"] < 1.1


def test_a_result_prints_serializes_and_plots() -> None:
    result = initial_loss(Task(head(4, [9.0, 0, 0, 0]), (X, UNEQUAL)))
    text = str(result)
    assert text.startswith("initial loss: fail") and "cause: bias of the head" in text and "next: " in text
    assert Result.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False))) == result.from_dict(
        result.as_dict()
    )
    assert "bias of the head" in result._repr_html_()
    with pytest.raises(ValueError, match="nothing to plot"):
        result.plot()
