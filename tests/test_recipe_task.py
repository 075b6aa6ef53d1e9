"""The task of the recipe and its training loop: the same bits every time, resumable, and nothing else is touched."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recipe_tasks import SGD, digits, mlp, regularized, table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from augreg import recipe
from augreg.attachment.attach import attachments
from augreg.data import Augmented, EpochSampler
from augreg.recipe import Task, fit
from augreg.recipe.batches import BatchesAgain, size_of, training_batches, validation_batches
from augreg.recipe.training import start


def wine(**changes: Any) -> Task:
    return Task(partial(mlp, 13, 3), *table("wine"), **changes)


def same_weights(first: nn.Module | None, second: nn.Module | None) -> bool:
    assert first is not None and second is not None
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("make", [wine, regularized], ids=["arrays", "spec"])
def test_a_run_is_the_same_bit_for_bit_and_goes_on_where_it_was(make: Any, tmp_path: Path) -> None:
    task = make()
    whole = fit(task, 3)
    assert len(whole.history["validation metric"]) == 3 and whole.epochs == 3 and whole.finished
    fit(task, 1, folder=tmp_path)

    def interrupt(iteration: int, loss: float) -> None:
        if iteration == len(whole.losses) // 3 + 3:  # in the middle of the second epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(task, 3, folder=tmp_path, progress=interrupt)
    resumed = fit(task, 3, folder=tmp_path)
    assert resumed.losses == whole.losses and resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    with pytest.raises(ValueError, match="another seed"):
        fit(task, 3, seed=5, folder=tmp_path)


def test_the_first_losses_are_those_of_a_plain_loop() -> None:
    task = wine(optimizer=SGD)
    data = training_batches(task)
    training = start(task)
    model, optimizer = training.model, torch.optim.SGD(training.model.parameters(), lr=0.05, momentum=0.9)
    expected = []
    for inputs, targets in data.epoch(0):
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert fit(task, iterations=len(expected)).losses == expected
    assert len({tuple(inputs[:, 0].tolist()) for inputs, _ in (*data.epoch(0), *data.epoch(1))}) == 2 * len(data)


def test_learning_rate_and_weight_decay_keep_the_ratios_of_groups() -> None:
    def two_groups(model: Any) -> torch.optim.Optimizer:
        groups = [
            {"params": model[1].parameters(), "lr": 0.1, "weight_decay": 0.0},
            {"params": model[3].parameters(), "lr": 0.3, "weight_decay": 0.5},
        ]
        return torch.optim.SGD(groups, lr=1.0)

    groups = start(wine(optimizer=two_groups, learning_rate=0.01, weight_decay=0.2)).optimizer.param_groups
    assert [group["lr"] for group in groups] == pytest.approx([0.01, 0.03])
    assert [group["weight_decay"] for group in groups] == [0.0, 0.2]
    assert start(wine(), noise=False).optimizer.param_groups[0]["weight_decay"] == 0.0


def test_a_run_ends_where_the_loss_is_not_finite_or_where_it_is_told_to(tmp_path: Path) -> None:
    diverged = fit(wine(optimizer=partial(torch.optim.SGD, lr=1e30)), 3)
    assert not diverged.finished and "iteration" in diverged.stopped and diverged.history == {}
    stopped = fit(wine(), 9, stop=lambda run: run.epochs == 2, folder=tmp_path)
    assert fit(wine(), 4, folder=tmp_path).losses == fit(wine(), 4).losses
    assert stopped.stopped == "stopped" and len(stopped.history["train loss"]) == 2
    with pytest.raises(ValueError, match="either epochs or iterations"):
        fit(wine())


def _numpy_state() -> list[int]:
    return np.random.get_state()[1].tolist()  # noqa: NPY002


class Stochastic(nn.Module):
    """A model with dropout, batch norm, and draws of Python and NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(13, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        random.random()
        np.random.rand()  # noqa: NPY002
        return self.net(x)


STEPS = {
    "initial loss": recipe.initial_loss,
    "overfit": partial(recipe.overfit, iterations=30, labels=60),
    "learning rate": partial(recipe.learning_rate, iterations=4, finer=2),
    "curves": partial(recipe.curves, epochs=1),
    "fit": partial(fit, epochs=1),
}


@pytest.mark.parametrize("fails", [False, True], ids=["", "after an exception"])
@pytest.mark.parametrize("name", STEPS)
def test_everything_is_as_before_after_a_step(name: str, fails: bool) -> None:
    model = Stochastic()
    model.net[2].eval()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 13)).sum().backward()
    optimizer.step()
    calls = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        calls.append(0)
        if fails and len(calls) > 2:
            raise LookupError("in the middle")
        return nn.functional.cross_entropy(outputs, targets)

    generator = torch.Generator().manual_seed(3)
    (inputs, targets), validation = table("wine")
    loader = DataLoader(TensorDataset(inputs, targets), 32, shuffle=True, generator=generator)

    def state() -> list[Any]:
        moments = [value for slot in optimizer.state.values() for value in slot.values()]
        gradients = [each.grad for each in model.parameters()]
        modes = [module.training for module in model.modules()]
        numbers = [random.getstate(), _numpy_state(), modes, optimizer.param_groups[0]["lr"]]
        tensors = [*model.state_dict().values(), *moments, *gradients, torch.get_rng_state(), generator.get_state()]
        return [*numbers, *(each.clone() for each in tensors if each is not None)]

    before = state()
    task = Task(model, loader, validation, optimizer=optimizer, loss=loss)
    if fails:
        with pytest.raises(LookupError, match="in the middle"):
            STEPS[name](task)
    else:
        STEPS[name](task)
    assert calls
    for old, new in zip(before, state(), strict=True):
        assert torch.equal(old, new) if isinstance(old, Tensor) else old == new


class Rows(Dataset[Any]):
    def __len__(self) -> int:
        return 50

    def __getitem__(self, index: int) -> dict[str, Any]:
        (images, labels), _ = digits()
        return {"pixel_values": images[index], "labels": labels[index]}


class Keywords(nn.Module):
    """Takes keywords and returns an object with logits, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, pixel_values: Tensor) -> Any:
        return SimpleNamespace(logits=self.net(pixel_values), hidden_states=None)


def test_batches_of_mappings_are_keywords_of_the_model() -> None:
    run = fit(Task(Keywords, Rows(), Rows(), batch_size=10), 1)
    assert len(run.losses) == 5 and run.validation_samples == 50
    assert run.history["train loss"] == run.history["validation loss"]


def test_images_of_mappings_are_augmented_whatever_their_key() -> None:
    spec = {
        "image": ["horizontal_flip", {"normalize": {"mean": [0.3], "std": [0.2]}}],
        "batch": [{"mixup": {"alpha": 0.5}}],
        "classes": 10,
    }
    rows = [((image * 30 + 80).clamp(0, 255).byte(), int(label)) for image, label in zip(*digits()[0], strict=True)][
        :30
    ]

    def losses_of(model: Any, *keys: str) -> list[float]:
        data = [dict(zip(keys, row, strict=True)) for row in rows] if keys else rows
        return fit(Task(model, data, spec=spec, batch_size=10), 1).losses

    found = losses_of(mlp)
    assert losses_of(Keywords, "pixel_values", "labels") == losses_of(mlp, "image", "label") == found
    assert len(found) == 3


def test_a_lightning_module_brings_its_loss_and_its_optimizer() -> None:
    import lightning

    class Lit(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(13, 3)

        def forward(self, x: Tensor) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, index: int) -> Tensor:
            loss = 2 * nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.25)
            return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1)}

    task = Task(Lit, *table("wine"))
    training = start(task)
    assert training.optimizer.param_groups[0]["lr"] == 0.25
    losses = fit(task, 1).losses
    plain = fit(wine(optimizer=partial(torch.optim.SGD, lr=0.25)), iterations=1).losses
    assert losses[0] == pytest.approx(2 * plain[0])  # the same initial weights, the same batch


def test_a_loader_of_augmented_images_is_measured_without_augmentation() -> None:
    task = regularized()
    pipe = task.pipe
    assert pipe is not None
    images = list(zip(*task.train, strict=True))
    data = Augmented(images, pipe.train)
    loader = DataLoader(data, 20, sampler=EpochSampler(data), collate_fn=pipe.collate)
    given = Task(task.model, loader)
    clean, expected = training_batches(given, clean=True), training_batches(task, clean=True)
    assert size_of(next(iter(clean.epoch(0)))) == 20
    (inputs, targets), (others, true) = clean.few(30), expected.samples(range(30), 0)
    assert torch.equal(inputs, torch.as_tensor(others)) and torch.equal(targets, torch.as_tensor(true))
    first = [next(iter(training_batches(given).epoch(epoch)))[0] for epoch in (0, 0, 1)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def test_loaders_are_as_before_and_resumed_runs_see_the_same_batches(tmp_path: Path) -> None:
    task = regularized()
    pipe = task.pipe
    assert pipe is not None
    data = Augmented(list(zip(*task.train, strict=True))[:60], pipe.train)
    keyed = DataLoader(data, 20, sampler=EpochSampler(data), collate_fn=pipe.collate)
    before = vars(keyed.sampler).copy()
    augmented = fit(Task(task.model, keyed), 2)
    assert data.epoch is None and vars(keyed.sampler) == before
    assert fit(Task(task.model, keyed), 2).losses == augmented.losses
    generator = torch.Generator().manual_seed(1)
    loader = DataLoader(TensorDataset(*table("wine")[0]), 32, shuffle=True, generator=generator)
    shuffled = wine().replace(train=loader)
    whole = fit(shuffled, 2)
    fit(shuffled, 1, folder=tmp_path)
    assert fit(shuffled, 2, folder=tmp_path).losses == whole.losses
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(1).get_state())


def test_the_sides_of_a_spec() -> None:
    task = regularized()
    batch = next(iter(training_batches(task).epoch(0)))
    assert hasattr(batch[1], "dense")  # mixed labels
    validation = validation_batches(task)
    assert validation is not None and len(validation) == 7
    pipe = task.pipe
    assert pipe is not None
    first = next(iter(validation.epoch(0)))[0]
    assert torch.equal(first[3], torch.as_tensor(pipe.test(task.validation[0][3])))
    quiet = task.without_noise().pipe
    assert quiet is not None and not quiet.spec.batch and not quiet.spec.model and not quiet.spec.loss


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model: expected a function"),
        ({"train": None}, "train: expected data"),
        ({"loss": "cross_entropy"}, "loss: expected a function"),
        ({"batch_size": 0}, "batch_size: expected a whole number"),
        ({"learning_rate": -1.0}, "learning_rate: expected a number from 0"),
        ({"frozen": "net.*"}, "frozen: expected a tuple"),
    ],
)
def test_what_a_task_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Task(**{"model": mlp, "train": table("wine")[0], **arguments})


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (lambda: Task(lambda: 3, table("wine")[0]), "the function returned 3"),
        (lambda: wine(optimizer=torch.optim.SGD(mlp().parameters(), lr=1)), "belongs to another model"),
        (lambda: wine(optimizer=lambda model: 3), "expected a torch.optim.Optimizer"),
        (lambda: wine(loss=lambda outputs, targets: outputs), "loss: expected one number"),
        (lambda: Task(mlp, (torch.zeros(3, 64), torch.zeros(2))), "3 inputs and 2 targets"),
        (lambda: Task(mlp, 3), "expected a pair"),
        (lambda: Task(mlp, (torch.zeros(0, 64), torch.zeros(0))), "no samples"),
        (lambda: Task(mlp, DataLoader(TensorDataset(torch.zeros(3, 64)))), "batches of"),
        (lambda: Task(mlp, DataLoader([{"x": torch.zeros(64)}])), "none of labels"),
    ],
)
def test_errors_say_what_was_expected(task: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fit(task(), iterations=1)


def test_schedules_follow_the_epoch_and_constraints_each_step() -> None:
    task = regularized()
    assert task.pipe is not None
    p = {"linear": [0.0, 0.9], "over": [0, 1]}
    plain = task.replace(spec=task.pipe.replace(model=[], loss=[]))
    scheduled = task.replace(spec=task.pipe.replace(model=[{"dropout": {"p": p, "at": "2"}}], loss=[]))
    first, second = fit(plain, 2).losses, fit(scheduled, 2).losses
    half = len(first) // 2
    assert first[:half] == second[:half] and first[half] != second[half]
    run = fit(task.replace(spec=task.pipe.replace(loss=[{"max_norm": 0.1}])), iterations=2)
    assert run.model is not None and run.model[-1].weight.norm(dim=1).max().item() <= 0.1001


def test_measured_losses_have_no_smoothing_and_runs_without_noise_nothing_attached() -> None:
    task = regularized()
    training = start(task)
    batch = training_batches(task, clean=True).few(50)
    training.model.eval()
    expected = nn.functional.cross_entropy(training.model(batch[0]), batch[1])
    assert training.measure([batch])["loss"] == pytest.approx(expected.item())
    model = task.model()
    assert task.pipe is not None
    task.pipe.regularize(model)
    assert not attachments(start(Task(model, task.train, spec=task.spec), noise=False).model)
    assert attachments(model)


@pytest.mark.parametrize("most", [1, 1e9], ids=["made again", "kept"])
def test_the_same_batches_again(most: float) -> None:
    batches = BatchesAgain(training_batches(wine()), 9, most)
    first = [(epoch, inputs.clone()) for epoch, (inputs, _) in batches()]
    assert [epoch for epoch, _ in first] == [0] * 5 + [1] * 4
    for _ in range(2):
        for (epoch, expected), (number, (inputs, _)) in zip(first, batches(), strict=True):
            assert epoch == number and torch.equal(expected, inputs)
            inputs.zero_()
    assert (batches._kept is None) is (most == 1)
