"""Steps of the recipe leave everything as it was: weights, optimizers, buffers, gradients, modes and generators."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch
from recipe_tasks import table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import augreg.recipe
from augreg.data import Augmented, EpochSampler
from augreg.pipeline import Pipeline
from augreg.recipe import Patch, Result, Task
from augreg.recipe.patches.patch import Change
from augreg.recipe.search import Range, Study, TrainedTask

RATES = {"learning_rate": Range(1e-3, 1e-1, log=True)}
PATCH = Patch((Change("weight_decay", "set", 0.1, "a test"),))
SHORT: dict[str, dict[str, Any]] = {
    "overfit": {"samples": 4, "iterations": 4, "labels": 30},
    "learning rate": {"iterations": 2, "rates": [1e-3, 1e-2, 1e-1, 1.0], "finer": 0},
    "coarse search": {"trials": 2, "epochs": 1, "widen": 0},
    "fine search": {"trials": 2, "epochs": 1, "widen": 0},
    "curves": {"epochs": 1},
    "advice": {"seeds": 1},
}


class Fault:
    """Raises an error at one of its calls."""

    def __init__(self) -> None:
        self.left, self.error = 0, BaseException

    def set(self, number: int, error: type[BaseException]) -> None:
        self.left, self.error = number, error

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error("in the middle")


FAULTS = {name: Fault() for name in ("model", "loss", "data")}


class Model(nn.Module):
    """Draws with all generators in training; some of it is frozen, and some in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))
        self.net[0].bias.requires_grad_(False)
        self.net[3].eval()

    def forward(self, x: Tensor) -> Tensor:
        FAULTS["model"]()
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        return self.net(x)


class Rows(Dataset[Any]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Any:
        FAULTS["data"]()
        inputs, labels = table("iris")[0]
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        return inputs[index], labels[index]


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    FAULTS["loss"]()
    return nn.functional.cross_entropy(outputs, targets)


class Everything:
    """A task with a given model, optimizer and loaders, each of which has a state, and what all of these are now."""

    def __init__(self) -> None:
        self.model = Model()
        self.optimizer = torch.optim.Adam([each for each in self.model.parameters() if each.requires_grad], lr=1e-2)
        self.model(torch.randn(8, 4)).sum().backward()
        self.optimizer.step()
        self.generators = [torch.Generator().manual_seed(number) for number in range(2)]
        self.loaders = [DataLoader(Rows(), 10, shuffle=True, generator=each) for each in self.generators]
        self.task = Task(self.model, *self.loaders, optimizer=self.optimizer, loss=cross_entropy, batch_size=10)

    def now(self) -> list[Any]:
        parameters = list(self.model.parameters())
        moments = [value for slot in self.optimizer.state.values() for value in slot.values()]
        tensors = [*self.model.state_dict().values(), *(each.grad for each in parameters), *moments]
        tensors += [torch.get_rng_state(), *(each.get_state() for each in self.generators)]
        name, words, *rest = np.random.get_state()  # noqa: NPY002
        return [
            [None if each is None else each.tolist() for each in tensors],
            [id(each) for each in parameters],
            [each.requires_grad for each in parameters],
            [module.training for module in self.model.modules()],
            [list(module._forward_pre_hooks) + list(module._forward_hooks) for module in self.model.modules()],
            [{**group, "params": len(group["params"])} for group in self.optimizer.param_groups],
            [random.getstate(), name, words.tolist(), rest],
            [torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()],
            [torch.are_deterministic_algorithms_enabled(), torch.overrides._get_current_function_mode()],
        ]


def judged(step: str = "curves", **evidence: Any) -> Result:
    return Result(step, "pass", "", {"state": "overfitting", "epochs": 1, "gap": 0.5, **evidence})


COARSE = {
    "best": {"learning_rate": 1e-2},
    "maximize": True,
    "trial": 0,
    "space": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
    "trials": [{"number": 0, "parameters": {"learning_rate": 1e-2}, "value": 0.5, "loss": 1.0, "state": "complete"}],
}


def study(task: Task) -> Study:
    return Study(TrainedTask(task, 1), RATES, 2)


STEPS: dict[str, Callable[[Task], Any]] = {
    "initial loss": augreg.recipe.initial_loss,
    "overfit": lambda task: augreg.recipe.overfit(task, **SHORT["overfit"]),
    "learning rate": lambda task: augreg.recipe.learning_rate(task, **SHORT["learning rate"]),
    "coarse search": lambda task: augreg.recipe.coarse_search(task, **SHORT["coarse search"]),
    "fine search": lambda task: augreg.recipe.fine_search(task, COARSE, **SHORT["fine search"]),
    "curves": lambda task: augreg.recipe.curves(task, 1),
    "advice": lambda task: augreg.recipe.advice(task, judged(), seeds=1),
    "measure_patch": lambda task: augreg.recipe.measure_patch(task, PATCH, 1, seeds=1),
    "Study.run": lambda task: study(task).run(),
    "Study.run_again": lambda task: study(task).run().run_again(0),
    "fit": lambda task: augreg.recipe.fit(task, 1),
    "run": lambda task: augreg.recipe.run(task, settings=SHORT, go_on=True),
}


@pytest.mark.parametrize("name", STEPS)
def test_everything_is_as_before_after_a_step(name: str) -> None:
    everything = Everything()
    before = everything.now()
    STEPS[name](everything.task)
    assert everything.now() == before


@pytest.mark.parametrize("where", FAULTS)
@pytest.mark.parametrize("name", STEPS)
def test_everything_is_as_before_after_an_exception(name: str, where: str) -> None:
    everything = Everything()
    before = everything.now()
    later = 45 if where == "data" else 8
    for number, error in (
        (1, KeyboardInterrupt),
        (4, LookupError),
        (later, KeyboardInterrupt),
        (later, RuntimeError),
    ):
        fault = FAULTS[where]
        fault.set(number, error)
        caught = None
        try:
            STEPS[name](everything.task)
        except error as raised:
            caught = raised  # with the frames of the step, and the iterators in them
        if error is KeyboardInterrupt:  # others may mean that what was tried does not work: a rate, a trial
            assert (caught is None) is (fault.left > 0)  # a short step makes few calls
        fault.left = 0
        assert everything.now() == before
        del caught
        assert everything.now() == before


class Shuffled(torch.utils.data.Sampler[int]):
    """A sampler of the user with an epoch and a generator, as DistributedSampler and RandomSampler have them."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(5)
        self.epoch = 3

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Any:
        yield from torch.randperm(15, generator=self.generator).tolist()

    def __len__(self) -> int:
        return 15


@pytest.mark.parametrize("own", [False, True], ids=["", "around a sampler"])
def test_loaders_of_the_users_own_loop_are_as_before_after_an_exception(own: bool) -> None:
    pipe = Pipeline.from_spec({"image": [{"horizontal_flip": {}}, {"normalize": {"mean": [0.5], "std": [0.5]}}]})
    pixels = torch.arange(240, dtype=torch.uint8).reshape(15, 1, 4, 4)
    data = Augmented([(image, k % 3) for k, image in enumerate(pixels)], pipe.train)
    inner = Shuffled()
    sampler = EpochSampler(inner if own else data)
    loader = DataLoader(data, 5, sampler=sampler, collate_fn=pipe.collate)
    for part in (sampler, data):
        part.hold_epoch(7)
    first = next(iter(loader))[0]

    def now() -> list[Any]:
        return [
            data.epoch,
            vars(data).copy(),
            vars(sampler).copy(),
            inner.epoch,
            inner.generator.get_state().tolist(),
        ]

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        raise LookupError

    before = now()
    task = Task(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), loader, loss=loss)
    for step in ("initial loss", "curves", "learning rate"):
        with pytest.raises(LookupError) as caught:
            STEPS[step](task)
        assert now() == before
        del caught  # and with it the iterators of the step
        assert now() == before
    assert torch.equal(next(iter(loader))[0], first)
    data.set_epoch(2)
    assert data.epoch == 7  # it is held
