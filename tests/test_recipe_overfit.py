"""Step 2 of the recipe: noise is off, and what keeps a model from learning a few samples is found by probes."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
import torch
from recipe_tasks import cnn, digits, mlp, regularized, table
from torch import Tensor, nn
from torch.nn import functional

from augreg.recipe import Result, Task, overfit
from augreg.recipe.noise_off import drawing_modules, noise_off
from augreg.recipe.probes.label_agreement import agreement_of_neighbors, labels_change

quick = partial(overfit, iterations=150, labels=150)


def wine(**changes: Any) -> Task:
    return Task(**{"model": partial(mlp, 13, 3), "train": table("wine")[0], **changes})


def causes(result: Result) -> list[str]:
    return [cause.name for cause in result.causes]


def test_a_sound_model_learns_a_few_samples() -> None:
    result = quick(wine())
    assert result.verdict == "pass" and not result.causes
    assert result.evidence["samples"] == 16 and result.evidence["accuracy"] == 1
    assert result.evidence["agreement of labels of neighbors"] > 10
    assert len(result.charts[0].x) == result.evidence["iterations"] < 150
    regression = Task(partial(mlp, 10, 1), table("diabetes")[0], optimizer=partial(torch.optim.SGD, lr=0.05))
    result = overfit(regression)
    assert result.verdict == "pass" and result.evidence["R²"] >= 0.99


def test_a_spec_with_much_noise_does_not_matter() -> None:
    task = regularized()
    assert task.pipe is not None
    noisy = task.replace(
        spec=task.pipe.replace(
            model=[{"dropout": {"p": 0.99, "at": "2"}}],
            image=[*task.pipe.to_spec()["image"], {"cutout": {"size": 1.0}}],
        )
    )
    assert quick(noisy).verdict == "pass"


class DropPath(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.new_empty(len(x), 1).bernoulli_(0.5) if self.training else x


class Noisy(nn.Module):
    """Dropout as a module, as a function and in attention; stochastic depth; batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.5)
        self.path = DropPath()
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
        self.lstm = nn.LSTM(8, 8, num_layers=2, dropout=0.5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(self.path(self.dropout(self.norm(x))), 0.5, self.training)
        x = self.attention(x[:, None], x[:, None], x[:, None], need_weights=False)[0]
        x = functional.scaled_dot_product_attention(x, x, x, None, 0.5 if self.training else 0.0)
        return self.lstm(x)[0][:, 0]


def test_every_noise_is_off_and_batch_norm_is_not() -> None:
    model = Noisy().eval()
    x = torch.randn(16, 8)
    with noise_off(model, lambda: model(x)) as still:
        first, again = model(x), model(x)
        assert still == () and torch.equal(first, again) and model.norm.training
        first.sum().backward()
    assert not any(module.training for module in model.modules())
    expected = Noisy()
    expected.load_state_dict(model.state_dict())
    expected.eval()
    expected.norm.train()
    assert torch.allclose(first, expected(x), atol=1e-6)
    model.train()
    assert not torch.equal(model(x), model(x))
    assert set(drawing_modules(model, lambda: model(x))) == {*("dropout", "path", "(the model)", "attention", "lstm")}


class Skipped(nn.Module):
    """Skips its layer by a draw of Python."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x if self.training and random.random() < 0.5 else self.layer(x)


@pytest.mark.parametrize(
    "layer",
    [nn.RReLU(), nn.Sequential(*(Skipped() for _ in range(4))), nn.GRU(8, 8, 2, dropout=0.5)],
    ids=["RReLU", "Python", "GRU"],
)
def test_draws_of_other_layers_and_of_python_are_off(layer: nn.Module) -> None:
    model = nn.Sequential(nn.BatchNorm1d(8), layer).train()
    x = torch.randn(16, 8)
    runs = lambda: {str(model(x)) for _ in range(9)}  # noqa: E731
    assert len(runs()) > 1
    with noise_off(model, lambda: model(x)) as still:
        assert still == () and len(runs()) == 1 and model[0].training
    assert len(runs()) > 1


def test_what_cannot_be_turned_off_is_named() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.randn_like(x)

    model = nn.Sequential(nn.Linear(13, 3), Always())
    with noise_off(model, lambda: model(torch.zeros(2, 13))) as still:
        assert still == ("1",)


def plain_step(model: Any, optimizer: Any, x: Tensor, y: Tensor, zero: bool = True, clip: float = 0.0) -> Tensor:
    loss = functional.cross_entropy(model(x), y)
    loss.backward()
    if clip:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    if zero:
        optimizer.zero_grad()
    return loss


class Accumulating:
    """A step of the optimizer for every third batch, on purpose."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, model: Any, optimizer: Any, x: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        loss = functional.cross_entropy(model(x), y)
        (loss / 3).backward()
        if self.calls % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss


@pytest.mark.parametrize("optimizer", [partial(torch.optim.SGD, lr=0.1), None], ids=["SGD", "AdamW"])
@pytest.mark.parametrize("clip", [0.0, 1.0], ids=["", "clipped"])
def test_gradients_that_are_never_cleared_are_found(optimizer: Any, clip: float) -> None:
    task = wine(optimizer=optimizer)
    assert causes(quick(task.replace(step=partial(plain_step, zero=False, clip=clip)))) == ["missing zero_grad"]
    assert causes(quick(task.replace(step=partial(plain_step, clip=clip)))) == []


def test_accumulating_gradients_on_purpose_is_no_fault() -> None:
    assert causes(overfit(wine(step=Accumulating()), iterations=300, labels=150)) == []


class TwoLayers(nn.Module):
    def __init__(self, between: Any = None, after: Any = None) -> None:
        super().__init__()
        self.first, self.last, self.spare = nn.Linear(13, 32), nn.Linear(32, 3), nn.Linear(3, 3)
        self.between, self.after = between or nn.Identity(), after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.last(self.between(functional.relu(self.first(x)))))


def frozen() -> nn.Module:
    model = TwoLayers()
    model.first.requires_grad_(False)
    return model


def test_parameters_that_are_not_trained_are_named() -> None:
    result = quick(wine(model=frozen))
    assert causes(result) == ["frozen parameters"] and "first.weight, first.bias" in result.causes[0].because
    meant = wine(model=frozen, frozen=("first.*",), optimizer=partial(torch.optim.Adam, lr=0.02))
    assert quick(meant).verdict == "pass"
    half = wine(model=TwoLayers, optimizer=lambda model: torch.optim.Adam(model.last.parameters(), lr=0.1))
    result = quick(half)
    assert causes(result) == ["parameters without optimizer"] and "first.weight" in result.causes[0].because
    result = quick(wine(model=TwoLayers))
    assert result.evidence["parameters that did not run"] == ["spare.weight", "spare.bias"]
    assert not result.causes


class Step(nn.Module):
    """A step function, whose gradient is zero everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0 + (x.detach() > 0)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"model": partial(TwoLayers, after=Step())}, "dead layers"),
        ({"step": lambda model, optimizer, x, y: functional.cross_entropy(model(x), y)}, "missing step"),
        ({"optimizer": partial(torch.optim.SGD, lr=1e-5)}, "rate too low"),
        ({"optimizer": partial(torch.optim.SGD, lr=30.0)}, "rate too high"),
        ({"train": (torch.ones(99, 13), torch.arange(99) % 3)}, "model or loss"),
    ],
)
def test_why_the_samples_are_not_learned(changes: Any, cause: str) -> None:
    result = overfit(wine(**changes), iterations=60, labels=20)
    assert result.verdict == "fail" and causes(result)[0] == cause, result


def test_labels_that_change_between_reads_are_found() -> None:
    class Changing(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 80

        def __getitem__(self, index: int) -> Any:
            return table("wine")[0][0][index], torch.randint(3, ())

    task = wine(train=Changing())
    assert labels_change(task) and not labels_change(wine())
    assert causes(quick(task))[0] == "labels shuffled"


def test_neighbors_agree_unless_labels_are_shuffled() -> None:
    (images, labels), _ = digits()
    shuffled = labels[:300][torch.randperm(300, generator=torch.Generator().manual_seed(1))]
    outputs = torch.zeros(300, 10)
    assert (agreement_of_neighbors((images[:300], labels[:300]), outputs, "classes") or 0) > 20
    assert abs(agreement_of_neighbors((images[:300], shuffled), outputs, "classes") or 9) < 4
    assert agreement_of_neighbors((images[:20], labels[:20]), outputs[:20], "classes") is None
    (inputs, targets), _ = table("diabetes")
    assert (agreement_of_neighbors((inputs, targets), targets, "regression") or 0) > 5
    assert agreement_of_neighbors((inputs.long(), targets), targets, "regression") is None


def test_labels_that_neighbors_do_not_share_are_no_fault_if_the_model_learns_them() -> None:
    x = torch.randn(240, 200, generator=torch.Generator().manual_seed(0))
    labels = (x[:, 0] > 0).long()
    x[:, 0] *= 10  # neighbors are those of standardized inputs
    task = Task(partial(mlp, 200, 2), (x, labels), optimizer=partial(torch.optim.Adam, lr=0.003))
    result = overfit(task)
    assert result.evidence["agreement of labels of neighbors"] < 4 and causes(result) == []
    assert result.evidence["accuracy on samples held out, beyond chance"] > 3


def test_few_samples_do_not_show_that_labels_are_shuffled() -> None:
    x = torch.randn(150, 120, generator=torch.Generator().manual_seed(0))
    task = Task(partial(mlp, 120, 2), (x, torch.arange(150) % 2), optimizer=partial(torch.optim.Adam, lr=0.003))
    assert causes(overfit(task)) == []
    x = torch.randn(400, 120, generator=torch.Generator().manual_seed(0))
    result = overfit(task.replace(train=(x, torch.arange(400) % 2)))
    assert result.verdict == "warning" and causes(result) == ["labels shuffled"]


def test_it_goes_on_while_the_loss_falls() -> None:
    result = overfit(wine(optimizer=partial(torch.optim.SGD, lr=0.02)), iterations=20, labels=150)
    assert result.verdict == "pass" and result.evidence["iterations"] > 20


def test_functions_that_always_drop_are_off_and_not_reported() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x[:, None, :2]
            dropped = functional.scaled_dot_product_attention(y, y, y, None, 0.5)
            dropped = dropped + functional.scaled_dot_product_attention(y, y, y, dropout_p=0.5)
            return functional.dropout(x, 0.5) + dropped.sum()

    model = Always()
    x = torch.ones(4, 3)
    with noise_off(model, lambda: model(x)) as still:
        assert still == () and torch.equal(model(x), model(x))


def test_double_softmax_is_found_here_too() -> None:
    assert causes(quick(Task(lambda: nn.Sequential(cnn(), nn.Softmax(1)), digits()[0])))[0] == "double softmax"
