"""The doctor on random generators: those that repeat are named, also beside others that do not; seeds and caches."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from doctored import PHOTOS, brightened, load, normalized
from torch.utils.data import Dataset, get_worker_info

from augreg.doctor import Report, generators, loader

GLOBAL = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


class Factors(Dataset):
    """Photos, each times the factor that a function of (data set, index) draws; `kept` is any object."""

    kept: Any = None

    def __init__(self, factor: Callable[[Any, int], float], kept: Any = None) -> None:
        self.factor, self.kept = factor, kept
        self.cache: dict[int, Any] = {}

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> Any:
        return brightened(PHOTOS[index], 0.5 + 0.5 * self.factor(self, index)), index % 4


def coin() -> float:
    return float(torch.rand(()))


def found(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity != "note"}


class Holder:
    """What keeps a generator, as a Compose does."""

    def __init__(self) -> None:
        self.steps = [{"random": random.Random(0)}]


def closure() -> Callable[[Any, int], float]:
    rng = np.random.default_rng(0)
    return lambda data, index: rng.random()


KEPT: dict[str, tuple[Callable[[], Any], str]] = {
    "an attribute": (
        lambda: Factors(lambda data, index: data.kept.random(), np.random.default_rng(0)),
        "dataset.kept (numpy.random.Generator in Factors)",
    ),
    "a RandomState": (
        lambda: Factors(lambda data, index: data.kept.rand(), np.random.RandomState(0)),
        "dataset.kept (numpy.random.RandomState in Factors)",
    ),
    "a torch.Generator": (
        lambda: Factors(lambda data, index: float(torch.rand((), generator=data.kept)), torch.Generator()),
        "dataset.kept (torch._C.Generator in Factors)",
    ),
    "deep inside": (
        lambda: Factors(lambda data, index: data.kept.steps[0]["random"].random(), Holder()),
        "dataset.kept.steps[0]['random'] (random.Random)",
    ),
    "a closure": (lambda: Factors(closure()), "dataset.factor:rng (numpy.random.Generator, kept by the function"),
    "a global name": (
        lambda: Factors(lambda data, index: GLOBAL.random()), "test_doctor_generators.GLOBAL (numpy.random.Generator"
    ),
    "beside torch's generator": (
        lambda: Factors(lambda data, index: coin() * data.kept.random(), np.random.default_rng(0)),
        "the images differ, but some of their random numbers are the same; the same states in workers 0 and 1: "
        "dataset.kept",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_generators_that_repeat_are_named(name: str) -> None:
    make, text = KEPT[name]
    report = loader(load(make(), 2, persistent_workers=True), samples=24)
    assert found(report) == {"workers repeat draws"}, str(report)
    assert text in report.findings[0].seen


class Lazy(Factors):
    """Makes its generator in the worker that first needs it, from a seed of torch's."""

    def __getitem__(self, index: int) -> Any:
        if self.kept is None:
            self.kept = np.random.default_rng(torch.initial_seed())
        return super().__getitem__(index)


def by_key(data: Any, index: int) -> float:
    """A generator that is kept, and seeded for each sample; torch's draw makes the images differ."""
    data.kept.manual_seed(index)
    return coin() * float(torch.rand((), generator=data.kept))


def by_torch(data: Any, index: int) -> float:
    data.kept.manual_seed(int(torch.randint(2**31, ())))
    return float(torch.rand((), generator=data.kept))


@pytest.mark.parametrize(
    "data",
    [
        Factors(by_torch, torch.Generator()),
        Factors(by_key, torch.Generator()),
        Factors(lambda data, index: coin(), np.random.default_rng(0)),
        Lazy(lambda data, index: data.kept.random()),
        Factors(lambda data, index: np.random.default_rng().random()),
    ],
    ids=["seeded by torch", "seeded by the key", "kept and not used", "made in the worker", "seeded by the system"],
)
def test_generators_that_do_not_repeat_are_not(data: Any) -> None:
    report = loader(load(data, 2), samples=24)
    assert report.ok, str(report)


def recipe(worker: int) -> None:
    np.random.seed(np.random.get_state()[1][0] + worker)  # noqa: NPY002


def renewed(worker: int) -> None:
    get_worker_info().dataset.kept = np.random.default_rng(torch.initial_seed())


def test_the_recipe_for_numpy_seeds_every_epoch_alike() -> None:
    data = Factors(lambda data, index: np.random.rand())  # noqa: NPY002
    report = loader(load(data, 2, worker_init_fn=recipe), samples=24)
    assert found(report) == {"epochs repeat draws"}
    assert "numpy.random, which the worker_init_fn recipe seeds" in report.findings[0].seen
    assert "get_state()[1][0]" in report.findings[0].remedy
    assert loader(load(data, 2), samples=24).ok
    kept = Factors(lambda data, index: data.kept.random(), np.random.default_rng(0))
    assert loader(load(kept, 2, worker_init_fn=renewed), samples=24).ok


def seeding(seed: Callable[[int], Any], draw: Callable[[], float]) -> Callable[[Any, int], float]:
    def factor(data: Any, index: int) -> float:
        seed(0)
        return draw()

    return factor


@pytest.mark.parametrize(
    ("seed", "draw", "name"),
    [
        (lambda n: random.seed(n), lambda: random.random(), "random"),
        (np.random.seed, np.random.rand, "numpy.random"),
        (lambda n: torch.manual_seed(n), coin, "torch"),
    ],
    ids=["random", "numpy", "torch"],
)
def test_a_constant_seed_in_each_sample(seed: Any, draw: Any, name: str) -> None:
    report = loader(load(Factors(seeding(seed, draw))), samples=24)
    assert found(report) == {"seeds a global generator", "frozen draws"}
    assert any(f"fixed number: {name} (24 of 24 samples)" in finding.seen for finding in report.findings)
    assert not any("does not draw from global generators" in line for line in report.checked)


class Cached(Factors):
    """Caches after augmenting (faulty) or, if `raw`, before."""

    raw = False

    def __getitem__(self, index: int) -> Any:
        if self.raw:
            self.cache.setdefault(index, PHOTOS[index])
        elif index not in self.cache:
            self.cache[index] = super().__getitem__(index)
        return super().__getitem__(index) if self.raw else self.cache[index]


class CachedWell(Cached):
    raw = True


def test_a_cache_of_augmented_images() -> None:
    for draw, kept, name in (
        (lambda data, index: coin(), None, "torch"),
        (lambda data, index: data.kept.random(), np.random.default_rng(0), "dataset.kept"),
    ):
        report = loader(load(Cached(draw, kept)), samples=24)
        assert found(report) == {"cached draws"}, str(report)
        assert name in report.findings[0].seen
    assert "cache the decoded image" in report.findings[0].remedy
    assert loader(load(CachedWell(lambda data, index: coin())), samples=24).ok


def test_workers_that_end_lose_their_caches() -> None:
    for persistent, checks in ((True, {"cached draws"}), (False, set())):
        report = loader(load(Cached(lambda data, index: coin()), 2, persistent_workers=persistent), samples=24)
        assert found(report) == checks, str(report)
        assert "cached draws" in {finding.check for finding in report.findings}


class Synthetic(Dataset):
    """Healthy: images of random numbers by a seed of their index, without augmentation."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> Any:
        noise = np.random.default_rng(index).normal(0, 20, PHOTOS[0].shape)
        return normalized(np.clip(PHOTOS[index] + noise, 0, 255)), index % 4


def test_a_synthetic_dataset_is_not_frozen_augmentation() -> None:
    report = loader(load(Synthetic()), samples=24)
    assert report.ok, str(report)
    assert [finding.check for finding in report.findings] == ["no augmentation"]
    assert found(loader(load(Factors(lambda data, n: np.random.default_rng(n).random())), samples=24)) == {
        "frozen draws"
    }


@pytest.mark.parametrize("name", KEPT)
def test_kept_generators_are_left_as_they_were(name: str) -> None:
    data = KEPT[name][0]()
    kept = [each.generator for each in generators.find(dataset=data)]
    before = [str(generators.get_state(each)) for each in kept]
    loader(load(data), samples=8, epochs=1)
    assert [str(generators.get_state(each)) for each in kept] == before
    assert kept


def test_the_global_generators_are_not_found_as_kept_ones() -> None:
    keeps = {"numpy": np.random.mtrand._rand, "torch": torch.default_generator, "random": random._inst}  # type: ignore[attr-defined]
    assert generators.find(dataset=keeps) == []
    assert [each.path for each in generators.find(dataset={"own": random.Random(0)})] == ["dataset['own']"]


class LazyAndSeeded(Factors):
    """Faulty: each worker makes its generator when it first needs it, from one seed; one bit for each image."""

    def __getitem__(self, index: int) -> Any:
        if self.kept is None:
            self.kept = random.Random(self.factor(self, index))
        return normalized(PHOTOS[index][:, :: 1 if self.kept.random() < 0.5 else -1]), index % 4


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_generators_that_samples_make_are_found(seed: int) -> None:
    report = loader(load(LazyAndSeeded(lambda data, index: seed), 2), samples=24)
    assert found(report) == {"workers repeat draws", "epochs repeat draws"}, str(report)
    for finding in report.findings[:2]:
        assert finding.severity == "fault"
        assert "dataset.kept (random.Random in LazyAndSeeded)" in finding.seen
