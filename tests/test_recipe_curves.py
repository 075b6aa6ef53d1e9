"""Step 6 of the recipe: curves made by hand, and what is found out about validation."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from recipe_tasks import mlp, table
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from augreg.recipe import Result, Run, Task, curves, judge_curves
from augreg.recipe.probes.validation_checks import validation_causes


def run(train: Any, validation: Any, accuracy: Any, validation_accuracy: Any, **changes: Any) -> Run:
    history = {
        "train loss": list(train),
        "validation loss": list(validation),
        "train metric": list(accuracy),
        "validation metric": list(validation_accuracy),
    }
    losses = list(np.linspace(2.3, train[-1], 100))
    return Run(losses, history, {"train loss": 2.3, "train metric": 0.1}, len(train), 1000, **changes)


GOOD = run([1.0, 0.12, 0.1, 0.1], [1.0, 0.15, 0.15, 0.145], [0.7, 0.98, 0.98, 0.98], [0.7, 0.97, 0.97, 0.97])
STATES = {
    "good": GOOD,
    "still rising": run([1.5, 1.3, 1.1, 0.9], [1.5, 1.3, 1.1, 1.0], [0.4, 0.5, 0.6, 0.7], [0.4, 0.5, 0.6, 0.68]),
    "underfitting": run([1.6, 1.51, 1.5, 1.5], [1.6, 1.52, 1.5, 1.5], [0.4, 0.5, 0.5, 0.5], [0.4, 0.49, 0.49, 0.49]),
    "overfitting": run([1.0, 0.3, 0.1, 0.05], [1.2, 1.0, 0.95, 0.95], [0.7, 0.9, 0.98, 1], [0.6, 0.7, 0.72, 0.72]),
    "validation loss rising": run(
        [1.0, 0.3, 0.1, 0.05, 0.01],
        [1.0, 0.5, 0.55, 0.6, 0.7],
        [0.7, 0.9, 0.95, 0.95, 0.95],
        [0.7, 0.9, 0.9, 0.9, 0.9],
    ),
    "no progress": run([2.3, 2.29, 2.28], [2.3, 2.3, 2.3], [0.1, 0.11, 0.1], [0.1, 0.1, 0.1]),
    "too early": Run([2.3] * 99, {"train loss": [2.29]}, {"train loss": 2.3}, 1),
    "diverged": Run([2.3, 9.0, math.nan], {}, {"train loss": 2.3}, stopped="the loss is nan at iteration 3"),
}


@pytest.mark.parametrize("state", STATES)
def test_the_state_of_curves(state: str) -> None:
    result = judge_curves(STATES[state])
    assert result.evidence["state"] == state
    alarm = {"no progress": "fail", "diverged": "fail", "overfitting": "warning", "validation loss rising": "warning"}
    assert result.verdict == alarm.get(state, "pass") and result.action
    assert Result.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False))) == Result.from_dict(
        result.as_dict()
    )


def test_spikes_are_losses_far_above_those_around_them() -> None:
    losses = list(np.linspace(2.3, 0.1, 100))
    losses[60] = 30.0
    spiked = Run(losses, GOOD.history, GOOD.start, 4, 1000)
    assert judge_curves(spiked).evidence["state"] == "spikes"
    noisy = np.linspace(2.3, 0.1, 100) * np.random.default_rng(0).lognormal(0, 0.4, 100)
    assert judge_curves(Run(list(noisy), GOOD.history, GOOD.start, 4, 1000)).evidence["state"] == "good"


def test_a_gap_counts_beyond_the_error_of_few_validation_samples() -> None:
    small = run([1.0, 0.1, 0.1], [1.0, 0.5, 0.5], [0.7, 0.98, 0.98], [0.7, 0.85, 0.85])
    small.validation_samples = 20  # the standard error of 0.85 is then 0.08
    assert judge_curves(small).verdict == "pass"
    small.validation_samples = 2000
    assert judge_curves(small).evidence["state"] == "overfitting"


def test_a_validation_loss_that_rises_with_that_of_training_is_not_overfitting() -> None:
    both = run([1.0, 0.3, 0.35, 0.4, 0.5], [1.0, 0.5, 0.55, 0.6, 0.7], [0.7] + [0.9] * 4, [0.7] + [0.9] * 4)
    assert judge_curves(both).evidence["state"] == "underfitting"


def test_a_gap_of_metrics_is_chance_if_the_losses_agree() -> None:
    early = run([2.2, 2.2, 2.17], [2.2, 2.2, 2.18], [0.1, 0.3, 0.33], [0.1, 0.2, 0.21])
    assert judge_curves(early).verdict == "pass"
    early.history["validation loss"][-1] = 2.4
    assert judge_curves(early).evidence["state"] == "overfitting"


def test_a_loss_near_zero_that_still_falls_is_no_reason_to_go_on() -> None:
    learned = run([0.5, 0.03, 0.02, 0.01], [0.5, 0.04, 0.03, 0.02], [0.9, 1, 1, 1], [0.9, 1, 1, 1])
    learned.start |= {"validation loss": 2.3}
    assert judge_curves(learned).evidence["state"] == "good"
    learned.start["validation loss"] = 0.5  # its fall of 0.02 is 4 %
    assert judge_curves(learned).evidence["state"] == "still rising"


def test_curves_are_plotted_from_the_start() -> None:
    figure = judge_curves(GOOD).plot()
    loss, metric = figure.axes
    assert loss.lines[0].get_ydata().tolist() == [2.3, 1.0, 0.12, 0.1, 0.1]
    assert [line.get_label() for line in metric.lines] == ["train", "validation"]


def test_a_run_of_the_task_is_judged() -> None:
    result = curves(Task(partial(mlp, 13, 3), *table("wine")), 3)
    assert result.verdict == "pass" and result.evidence["epochs"] == 3 and result.evidence["state"] == "still rising"


def causes(model: Any, train: Any, validation: Any, **options: Any) -> list[str]:
    return [cause.name for cause in validation_causes(Task(model, train, validation, **options))]


class Drawn(Dataset[Any]):
    """Images to which noise is added."""

    def __init__(self, pair: Any, noise: float) -> None:
        self.pair, self.noise = pair, noise

    def __len__(self) -> int:
        return len(self.pair[0])

    def __getitem__(self, index: int) -> Any:
        image = self.pair[0][index]
        return image + self.noise * torch.randn_like(image), self.pair[1][index]


class Functional(nn.Module):
    def __init__(self, always: bool) -> None:
        super().__init__()
        self.layer, self.always = nn.Linear(13, 3), always

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(functional.dropout(x, 0.5, training=self.always or self.training))


def test_what_is_wrong_with_validation() -> None:
    train, validation = table("wine")
    model = partial(mlp, 13, 3)
    assert causes(model, train, validation) == []
    assert causes(model, Drawn(train, 0.1), validation, clean=train) == []
    assert causes(model, train, Drawn(validation, 0.1)) == ["augmentation in validation"]
    both = tuple(torch.cat([a, b[:9]]) for a, b in zip(train, validation, strict=True))
    assert causes(model, both, validation) == ["validation in training"]
    assert causes(model, train, (3 * validation[0], validation[1])) == ["other inputs in validation"]
    assert causes(model, train, (validation[0] + 2, validation[1])) == ["other inputs in validation"]
    assert causes(partial(Functional, False), train, validation) == []
    assert causes(partial(Functional, True), train, validation) == ["noise in evaluation"]


class Flipped(Drawn):
    """Images of which half are mirrored."""

    def __getitem__(self, index: int) -> Any:
        image = self.pair[0][index]
        return (image.flip(0) if torch.rand(()) < 0.5 else image), self.pair[1][index]


def test_validation_images_that_are_flipped_now_and_then() -> None:
    train, validation = table("wine")
    model = partial(mlp, 13, 3)
    assert causes(model, train, Flipped(validation, 0)) == ["augmentation in validation"]


@pytest.mark.parametrize("flipped", [False, True])
def test_a_loader_that_shuffles_is_read_in_parts(flipped: bool) -> None:
    train, validation = table("digits")
    data: Any = Flipped(validation, 0) if flipped else torch.utils.data.TensorDataset(*validation)
    loader: Any = torch.utils.data.DataLoader(data, 50, shuffle=True)
    task = Task(partial(mlp, 64, 10), train, loader)
    found = [cause.name for cause in validation_causes(task, most=300)]
    assert found == (["augmentation in validation"] if flipped else [])


def test_a_gap_is_compared_with_the_errors_of_both_sides() -> None:
    def gap(train_error: float, error: float) -> Run:
        made = run([1.0, 0.1, 0.1], [1.0, 0.5, 0.5], [0.7, 0.98, 0.98], [0.7, 0.83, 0.83])
        made.history |= {"train metric error": [train_error], "validation metric error": [error]}
        return made

    assert judge_curves(gap(0.0, 0.07)).evidence["state"] == "overfitting"
    result = judge_curves(gap(0.03, 0.07))  # twice the root of 0.03^2 + 0.07^2 is 0.1523
    assert result.evidence["state"] != "overfitting"
    assert result.evidence["standard error of the gap"] == pytest.approx(math.hypot(0.03, 0.07))


def test_batches_that_are_hard_from_the_start_are_no_spikes() -> None:
    losses = list(np.linspace(2.3, 0.1, 100))
    losses[60] = 12.0
    start = {**GOOD.start, "train largest loss": 9.0}
    assert judge_curves(Run(losses, GOOD.history, start, 4, 1000)).evidence["state"] == "good"
    losses[60] = 14.0  # more than 1.5 times
    assert judge_curves(Run(losses, GOOD.history, start, 4, 1000)).evidence["state"] == "spikes"


def test_repeated_images_explain_some_overlap() -> None:
    inputs, targets = table("wine")[0]
    repeated = (inputs.round(), targets)
    coarse = (inputs[:, :2].round(), targets)
    model = partial(mlp, 2, 3)
    assert causes(model, (coarse[0][:90], targets[:90]), (coarse[0][90:], targets[90:])) == []
    assert causes(partial(mlp, 13, 3), repeated, (repeated[0][:40], targets[:40])) == ["validation in training"]
