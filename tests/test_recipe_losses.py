"""Losses and targets of many kinds in the recipe, against numbers that are worked out by hand."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from recipe_tasks import mlp, table
from torch import Tensor, nn
from torch.nn import functional

from augreg.recipe import Result, Task, fit, initial_loss, overfit
from augreg.recipe.batches import training_batches
from augreg.recipe.losses import class_axis, default_loss, problem_of, score
from augreg.recipe.measured import Means
from augreg.recipe.probes.baselines import lowest_loss, own_baselines
from augreg.recipe.training import start

X = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
ADAM = partial(torch.optim.Adam, lr=0.01)


def causes(result: Result) -> list[str]:
    return [cause.name for cause in result.causes]


def test_the_problem_is_that_of_all_targets_and_not_of_a_batch() -> None:
    several = torch.eye(4)[torch.arange(400) % 4]
    several[0, :2] = 1  # the only sample with two labels
    counts = (torch.arange(400) % 2).float()[:, None]
    counts[7] = 5.0
    for targets, outputs, problem in ((several, 4, "binary"), (counts, 1, "regression")):
        training = start(Task(partial(mlp, 6, outputs), (X, targets)))
        batch = X[200:208], targets[200:208]
        assert problem_of(torch.zeros(8, outputs), batch[1]) != problem
        assert training.problem(torch.zeros(8, outputs)) == problem
        logits = training.outputs(batch[0])
        expected = functional.binary_cross_entropy_with_logits if problem == "binary" else functional.mse_loss
        assert training.loss(logits, batch[1]) == expected(logits, batch[1])


def test_whole_numbers_for_one_output_are_no_classes() -> None:
    labels, one = torch.arange(400) % 2, torch.zeros(400, 1)
    assert problem_of(one, labels) == "binary" and problem_of(one, labels * 3) == "regression"
    assert float(default_loss(one, labels, "binary")) == pytest.approx(math.log(2))
    assert problem_of(torch.zeros(400, 2), labels) == "classes"
    assert problem_of(torch.zeros(400, 3), torch.zeros(400)) == "other"
    with pytest.raises(ValueError, match="give the task a loss of your own"):
        default_loss(torch.zeros(4, 3), torch.zeros(4), "regression")


def test_targets_that_are_no_class_do_not_count() -> None:
    outputs = torch.eye(3)[[0, 1, 2, 2]]
    assert score(outputs, torch.tensor([0, 2, -100, 2]), "classes").tolist() == [1, 0, 1]
    maps = outputs.T[None]  # one sample, three classes, four pixels
    assert score(maps, torch.tensor([[0, 255, 255, 1]]), "classes").tolist() == [0.5]
    assert score(maps, torch.full((1, 4), 255), "classes").tolist() == []
    tokens = outputs[None]  # one sample, four tokens, three classes in the last axis
    targets = torch.tensor([[0, 1, 0, -100]])
    assert class_axis(tokens, targets) == 2 and class_axis(maps, targets) == 1
    assert score(tokens, targets, "classes").tolist() == pytest.approx([2 / 3])
    assert default_loss(tokens, targets, "classes") == functional.cross_entropy(tokens[0], targets[0])


def test_baselines_of_losses_of_the_tasks_own() -> None:
    zeros = torch.zeros(4, 1)
    labels = torch.tensor([1.0, 0, 0, 0])[:, None]
    weighted = own_baselines(nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0])), zeros, labels, "binary")
    # weights 3 and 3 x 1: the best probability is a half
    assert weighted == pytest.approx((1.5 * math.log(2), 1.5 * math.log(2)), rel=1e-4)
    plain = (math.log(2), -0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert own_baselines(nn.BCELoss(), zeros, labels, "binary") == pytest.approx(plain)
    numbers = torch.tensor([0.0, 0, 0, 4])[:, None]
    assert own_baselines(nn.L1Loss(), zeros, numbers, "regression") == pytest.approx((1, 1), rel=0.02)
    # Huber: zero gives (4 - 1/2) / 4; at c in (0, 1) the slope 3 c - 1 is zero for c = 1/3
    huber = (3.5 / 4, (3 * (1 / 18) + 4 - 1 / 3 - 0.5) / 4)
    assert own_baselines(nn.HuberLoss(), zeros, numbers, "regression") == pytest.approx(huber, rel=1e-4)
    classes = torch.tensor([0, 0, 0, 1])
    entropy = plain[1]
    for loss in (nn.CrossEntropyLoss(), nn.NLLLoss()):
        found = own_baselines(loss, torch.zeros(4, 2), classes, "classes")
        assert found == pytest.approx((math.log(2), entropy), rel=1e-4)
    even = own_baselines(nn.CrossEntropyLoss(torch.tensor([1.0, 3.0])), torch.zeros(4, 2), classes, "classes")
    assert even == pytest.approx((math.log(2), math.log(2)), rel=1e-4)
    refuses = own_baselines(lambda outputs, targets: outputs.item(), zeros, labels, "binary")
    assert math.isnan(refuses.zero)


def test_the_lowest_loss_of_free_outputs() -> None:
    counts = torch.tensor([1.0, 2, 4])[:, None]
    loss = nn.PoissonNLLLoss()
    free = lowest_loss(loss, torch.zeros(3, 1), (3, 1), counts)
    assert free == pytest.approx(sum(t - t * math.log(t) for t in (1, 2, 4)) / 3, rel=1e-4)
    constant = lowest_loss(loss, torch.zeros(1, 1), (3, 1), counts)
    assert constant == pytest.approx(7 / 3 - 7 / 3 * math.log(7 / 3), rel=1e-4)


NUMBERS = X[:, :1] + 0.5 * X[:, 1:2].sin()
LABELS = (X[:, 0] > 0.8).long()
OF_PROBABILITIES = lambda: nn.Sequential(mlp(6, 1), nn.Sigmoid())  # noqa: E731
SOUND: dict[str, Task] = {
    "BCE of probabilities": Task(OF_PROBABILITIES, (X, LABELS.float()[:, None]), loss=nn.BCELoss(), optimizer=ADAM),
    "weighted BCE": Task(
        partial(mlp, 6, 1),
        (X, LABELS.float()[:, None]),
        loss=nn.BCEWithLogitsLoss(pos_weight=torch.tensor([9.0])),
        optimizer=ADAM,
    ),
    "Huber": Task(partial(mlp, 6, 1), (X, NUMBERS), loss=nn.HuberLoss(), optimizer=ADAM),
    "absolute error": Task(partial(mlp, 6, 1), (X, NUMBERS), loss=nn.L1Loss(), optimizer=ADAM),
    "Poisson": Task(partial(mlp, 6, 1), (X, 1 + NUMBERS.exp().floor()), loss=nn.PoissonNLLLoss(), optimizer=ADAM),
    "hinge": Task(partial(mlp, 6, 2), (X, LABELS), loss=nn.MultiMarginLoss(), optimizer=ADAM),
    "quantiles": Task(
        partial(mlp, 6, 3),
        (X, NUMBERS),
        optimizer=ADAM,
        loss=lambda outputs, targets: torch.stack([
            torch.maximum(q * (targets[:, 0] - outputs[:, k]), (q - 1) * (targets[:, 0] - outputs[:, k])).mean()
            for k, q in enumerate((0.1, 0.5, 0.9))
        ]).mean(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_losses_of_many_kinds_raise_no_alarm(name: str) -> None:
    first, second = initial_loss(SOUND[name]), overfit(SOUND[name], labels=100)
    assert first.verdict == "pass" and not first.causes, first
    assert second.verdict == "pass" and not second.causes, second


class Tokens(nn.Module):
    """Gives each token a score for each class, in the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(20, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.words(x))


def test_tokens_some_of_which_are_ignored() -> None:
    words = torch.randint(20, (200, 6), generator=torch.Generator().manual_seed(0))
    targets = torch.where(words < 15, words % 4, -100)
    task = Task(
        Tokens,
        (words, targets),
        (words, targets),
        loss=lambda outputs, targets: functional.cross_entropy(outputs.flatten(0, 1), targets.flatten()),
        optimizer=partial(torch.optim.Adam, lr=0.05),
    )
    assert initial_loss(task).verdict == "pass" and overfit(task).verdict == "pass"
    assert fit(task, 5).last("validation metric") > 0.95


def test_a_model_that_was_trained_is_no_leak() -> None:
    task = Task(partial(mlp, 13, 3), table("wine")[0], optimizer=ADAM)
    trained = fit(task, iterations=40).model
    result = initial_loss(task.replace(model=trained))
    assert result.verdict == "warning" and causes(result) == ["trained weights"]


def test_a_sigmoid_before_cross_entropy_is_found() -> None:
    task = Task(lambda: nn.Sequential(mlp(6, 3), nn.Sigmoid()), (X, torch.arange(400) % 3))
    assert causes(initial_loss(task)) == ["double softmax"]
    hard = task.replace(model=lambda: nn.Sequential(mlp(6, 3), nn.Hardtanh(0, 1)))
    assert causes(initial_loss(hard)) == []


def test_probabilities_for_a_loss_of_log_probabilities() -> None:
    task = Task(lambda: nn.Sequential(mlp(6, 3), nn.LogSoftmax(1)), (X, torch.arange(400) % 3), loss=nn.NLLLoss())
    assert causes(initial_loss(task)) == []
    wrong = task.replace(model=lambda: nn.Sequential(mlp(6, 3), nn.Softmax(1)))
    assert causes(initial_loss(wrong)) == ["missing logarithm"]


def test_targets_that_are_far_smaller_than_outputs() -> None:
    result = initial_loss(Task(partial(mlp, 6, 1), (X, NUMBERS * 1e-3)))
    assert result.verdict == "warning" and causes(result) == ["targets not normalized"]


def test_inputs_of_recurrent_layers_count() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.GRU(6, 8, batch_first=True), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layer(x[:, None])[0][:, -1])

    assert causes(initial_loss(Task(Recurrent, (100 * X, LABELS)))) == ["inputs not normalized"]


def test_labels_of_several_columns_and_of_maps_that_are_shuffled() -> None:
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    several = (X[:, :3] > 0).float()
    task = Task(partial(mlp, 6, 3), (X, several), optimizer=ADAM)
    assert causes(overfit(task)) == [] and causes(overfit(task.replace(train=(X, several[order])))) == [
        "labels shuffled"
    ]
    images = X.reshape(400, 1, 2, 3)
    maps = (images[:, 0] > 0).long()
    pixels = Task(lambda: nn.Conv2d(1, 2, 1), (images, maps), optimizer=partial(torch.optim.Adam, lr=0.1))
    assert causes(overfit(pixels)) == []
    assert causes(overfit(pixels.replace(train=(images, maps[order])), iterations=30)) == ["labels shuffled"]


def test_the_standard_errors_of_metrics() -> None:
    means = Means()
    means.add(1.0, torch.tensor([1.0, 1, 1, 0]), 4)
    means.add(3.0, torch.tensor([0.0]), 1)
    found = means.measured()
    assert found["loss"] == pytest.approx(7 / 5) and found["largest loss"] == 3 and found["samples"] == 5
    assert found["metric"] == pytest.approx(0.6) and found["metric error"] == pytest.approx(math.sqrt(0.3 / 5))
    means = Means()  # R²: the mean squared error 2 of a variance of 4, of squared errors 1 and 3
    means.add(2.0, torch.tensor([-1.0, -3.0]), 2, torch.tensor([[0.0], [4.0]]))
    found = means.measured()
    assert found["metric"] == pytest.approx(0.5) and found["metric error"] == pytest.approx(1 / 4)
    means = Means()  # means of batches
    means.add(1.0, 0.5, 10)
    assert math.isnan(means.measured()["metric error"])
    means.add(1.0, 0.8, 5)
    found = means.measured()
    assert found["metric"] == pytest.approx(0.6) and found["metric error"] == pytest.approx(0.15)


def test_a_loader_of_mappings_with_bytes() -> None:
    images = (X.abs() * 60).clamp(0, 255).to(torch.uint8)
    rows: Any = [{"image": image, "label": int(label)} for image, label in zip(images, LABELS, strict=True)]
    loader: Any = torch.utils.data.DataLoader(rows, 50, shuffle=True, drop_last=True)
    task = Task(lambda: _Bytes(), loader, optimizer=ADAM)
    assert len(list(training_batches(task).epoch(0))) == 8
    assert initial_loss(task).verdict == "pass" and overfit(task).verdict == "pass"


class _Bytes(nn.Module):
    """Normalizes its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.float() / 60)
