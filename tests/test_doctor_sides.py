"""The doctor on what train and validation share, on the order of classes, and on wrappers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doctored import HELD_OUT, PHOTOS, Photos, PixelValues, Torch, load, normalized
from PIL import Image
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    random_split,
)

from augreg.doctor import Report, loader


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


def found(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity != "note"}


def notes(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity == "note"}


def compared(train: Any, validation: Any, **options: Any) -> Report:
    """The report on the two, of one epoch and few samples."""
    return loader(train, validation, samples=24, epochs=1, **options)


def held_out(**options: Any) -> DataLoader:
    return load(Photos(held_out=True), shuffle=False, **options)


class Each(Dataset):
    """A wrapper of each sample, with a transform of its own."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


class Files(Dataset):
    """Reads files of a list, as ImageFolder does; `augmented` by torch's generator."""

    def __init__(self, paths: list[Path], augmented: bool = False, classes: str = "abcd") -> None:
        self.samples = [(str(path), index % 4) for index, path in enumerate(paths)]
        self.augmented = augmented
        self.class_to_idx = {f"class {name}": number for number, name in enumerate(classes)}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        path, label = self.samples[index]
        image = normalized(np.asarray(Image.open(path)))
        return image * (0.5 + 0.5 * float(torch.rand(()))) if self.augmented else image, label


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    for number, image in enumerate([*PHOTOS, *HELD_OUT]):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


class TestShared:
    """Images on both sides."""

    def test_one_dataset_for_both(self) -> None:
        data = Photos()
        report = compared(load(data), load(data, shuffle=False))
        assert found(report) == {"shared images"}
        assert "40 of the 40 indices of validation" in report.findings[0].seen

    @pytest.mark.parametrize("overlap", [0, 1])
    def test_parts_of_one_dataset(self, overlap: int) -> None:
        data = ConcatDataset([Photos(20), Photos(20, held_out=True)])
        train, held = Subset(Subset(data, range(4, 40)), range(26)), Subset(data, range(30 - overlap, 40))
        report = compared(load(train), load(held, shuffle=False))
        assert found(report) == ({"shared images"} if overlap else set()), str(report)

    def test_disjoint_samplers_of_one_dataset(self) -> None:
        data, order = Photos(), torch.randperm(40).tolist()
        samplers = SubsetRandomSampler(order[:30]), SubsetRandomSampler(order[30:])
        report = compared(*(load(data, sampler=sampler) for sampler in samplers))
        assert report.ok, str(report)
        assert "one dataset object" in notes(report)

    def test_a_transform_behind_random_split_is_noted(self) -> None:
        sides = random_split(Photos(), [30, 10], torch.Generator().manual_seed(0))
        assert "one dataset object" in notes(compared(load(sides[0]), load(sides[1], shuffle=False)))
        wrapped = [Each(side) for side in sides]
        assert "one dataset object" not in notes(compared(load(wrapped[0]), load(wrapped[1], shuffle=False)))

    def test_wrappers_are_looked_through(self) -> None:
        data = Torch()
        report = compared(load(Each(data)), load(Each(Each(data)), shuffle=False))
        assert "shared images" in found(report)

    def test_files_behind_augmentation(self, paths: list[Path]) -> None:
        report = compared(load(Files(paths[:40], augmented=True)), load(Files(paths[36:60]), shuffle=False))
        assert found(report) == {"shared images"}
        assert "4 of the 24 files" in report.findings[0].seen
        assert compared(load(Files(paths[:40], augmented=True)), load(Files(paths[40:]), shuffle=False)).ok

    def test_arrays_behind_augmentation(self) -> None:
        class Kept(Files):
            def __init__(self, data: np.ndarray, augmented: bool) -> None:
                self.data, self.augmented = data, augmented

            def __len__(self) -> int:
                return len(self.data)

            def __getitem__(self, index: int) -> Any:
                factor = 0.5 + 0.5 * float(torch.rand(())) if self.augmented else 1.0
                return normalized(self.data[index] * factor), index % 4

        sides = load(Kept(PHOTOS.copy(), True)), load(Kept(PHOTOS.copy(), False), shuffle=False)
        assert found(compared(*sides)) == {"shared images"}
        assert compared(sides[0], load(Kept(HELD_OUT, False), shuffle=False)).ok

    def test_equal_images_of_any_dataset(self) -> None:
        assert found(compared(load(Photos(12)), load(Photos(8), shuffle=False))) == {"shared images"}
        assert compared(load(Photos()), held_out()).ok
        blank = TensorDataset(torch.zeros(24, 3, 4, 4), torch.arange(24) % 4)
        report = compared(list(load(blank)), list(load(blank)))
        assert "shared images" not in found(report)

    def test_classes_with_other_numbers(self, paths: list[Path]) -> None:
        train = load(Files(paths[:40], augmented=True))
        assert found(compared(train, load(Files(paths[40:], classes="acbd"), shuffle=False))) == {"classes differ"}
        assert "classes differ" in found(compared(train, load(Files(paths[40:], classes="bcd"), shuffle=False)))
        assert compared(train, load(Files(paths[40:], classes="abc"), shuffle=False), classes=list("wxyz")).ok

    def test_normalizations_by_name(self) -> None:
        class Normalize:
            def __init__(self, mean: list[float], std: list[float]) -> None:
                self.mean, self.std = mean, std

        sides = [load(Torch()), held_out()]
        for mean, std, checks in (
            ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], set()),
            ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], set()),
            ([0.5], [0.5], {"normalizations differ"}),
        ):
            sides[0].dataset.transform = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])  # type: ignore[attr-defined]
            sides[1].dataset.transform = Normalize(mean, std)  # type: ignore[attr-defined]
            assert found(compared(*sides)) == checks


class Classes(Photos):
    """Labels by a function of the index."""

    def label(self, index: int) -> Any:
        return self.settings["label"](index)


class TestClassOrder:
    """Training in the order of classes."""

    @pytest.mark.parametrize(
        ("label", "shuffle", "checks"),
        [
            (lambda n: n // 10, False, {"sorted by class"}),
            (lambda n: 3 - n // 10, False, {"sorted by class"}),
            (lambda n: n // 2, False, {"sorted by class"}),
            (lambda n: n // 10, True, set()),
            (lambda n: n % 4, False, set()),
            (lambda n: n, False, set()),
        ],
    )
    def test_sorted_by_class(self, label: Any, shuffle: bool, checks: set[str]) -> None:
        report = loader(load(Classes(label=label), shuffle=shuffle), samples=40, epochs=1)
        assert found(report) == checks, str(report)
        assert ("not shuffled" in notes(report)) is not (shuffle or bool(checks))

    def test_validation_may_be_sorted(self) -> None:
        assert loader(None, load(Classes(label=lambda n: n // 10), shuffle=False), samples=40).ok

    def test_one_label(self) -> None:
        data = Classes(label=lambda n: 2)
        report = loader(None, load(data, shuffle=False), samples=40, classes=["cat", "dog", "cow"])
        assert found(report) == {"one label"}
        assert notes(loader(None, load(data, shuffle=False), samples=40)) == {"one label"}
        sorted_rows = Classes(label=lambda n: n // 39)
        assert loader(None, load(sorted_rows, shuffle=False), samples=8, classes=["cat", "dog"]).ok


class Scaled:
    """Yields what a loader yields, times a factor, as the wrappers of other libraries do."""

    def __init__(self, loader: Any, factor: float = 255) -> None:
        self.loader, self.factor = loader, factor

    def __iter__(self) -> Any:
        return ((images * self.factor, labels) for images, labels in self.loader)


class CombinedLoader:
    """Called as Lightning's is, with its attribute."""

    def __init__(self, iterables: Any) -> None:
        self.iterables = iterables

    def __iter__(self) -> Any:
        raise AssertionError("its loaders are examined, one by one")


class Module:
    """As Lightning's modules are."""

    ready = False

    def setup(self, stage: str) -> None:
        self.ready = True

    def train_dataloader(self) -> Any:
        assert self.ready
        return load(Torch())

    def val_dataloader(self) -> Any:
        return [held_out(), load(PixelValues(kind="nan"), shuffle=False)]


class TestGiven:
    """Whatever loaders are given."""

    @pytest.mark.parametrize(
        ("given", "names"),
        [
            (lambda: [load(Torch()), load(Torch())], {"train[0]", "train[1]"}),
            (lambda: [load(Torch())], {"train"}),
            (lambda: {"a": load(Torch()), "b": [load(Torch())]}, {"train.a", "train.b"}),
            (lambda: CombinedLoader({"a": load(Torch()), "b": load(Torch())}), {"train.a", "train.b"}),
            (lambda: CombinedLoader(load(Torch())), {"train"}),
            (lambda: Scaled(Scaled(load(Torch(), 1, persistent_workers=True), 1), 1), {"train"}),
        ],
        ids=["list", "list of one", "mapping", "combined", "combined of one", "wrappers"],
    )
    def test_loaders_are_found(self, given: Callable[[], Any], names: set[str]) -> None:
        running = set(multiprocessing.active_children())
        report = loader(given(), samples=8, epochs=1)
        assert report.ok, str(report)
        assert {line.partition(":")[0] for line in report.checked} == names
        assert any("draws in 1 epochs" in line for line in report.checked)
        assert set(multiprocessing.active_children()) <= running

    def test_pixel_values_are_those_of_the_wrapper(self) -> None:
        given = load(PixelValues(kind="unit"), shuffle=False)
        assert found(loader(None, given, samples=16)) == set()
        assert found(loader(None, Scaled(given), samples=16)) == {"not scaled"}

    def test_names_of_sides(self) -> None:
        report = loader(
            {"train": load(Torch()), "valid": [held_out()], "test": load(Torch(), shuffle=False)}, samples=8
        )
        assert [(f.where, f.check) for f in report.findings if f.severity != "note"] == [
            ("test", "random validation")
        ]

    def test_a_dataset_is_no_loader(self) -> None:
        with pytest.raises(TypeError, match="train must be a DataLoader, got the dataset Photos"):
            loader(Photos())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="validation must be a DataLoader, got the dataset TensorDataset"):
            loader(None, TensorDataset(torch.zeros(4, 3, 4, 4)))

    def test_a_module(self) -> None:
        module = Module()
        report = loader(module, samples=24, epochs=1)
        assert not module.ready
        (fault,) = [finding for finding in report.findings if finding.severity != "note"]
        assert (fault.where, fault.check) == ("validation[1]", "not finite")

    def test_a_module_that_fails(self) -> None:
        class Fails(Module):
            def setup(self, stage: str) -> None:
                raise FileNotFoundError("no photos")

        (fault,) = loader(Fails()).findings
        assert "FileNotFoundError: no photos" in fault.seen

    def test_a_test_loader(self) -> None:
        report = loader(load(Photos()), held_out(), test=load(Torch(), shuffle=False), samples=24, epochs=1)
        assert [(f.where, f.check) for f in report.findings if f.severity != "note"] == [
            ("test", "random validation")
        ]
        assert any(line.startswith("train, test: channels") for line in report.checked)

    @pytest.mark.parametrize(
        ("given", "cause"),
        [
            (lambda: load(Subset(Photos(), []), shuffle=False), "the dataset has 0 samples"),
            (lambda: load(Subset(Photos(), range(5)), drop_last=True), "use a batch size of at most 5"),
            (lambda: iter([]), "read once"),
            (list, "no batch"),
        ],
        ids=["dataset", "drop_last", "iterator", "list"],
    )
    def test_no_batches(self, given: Callable[[], Any], cause: str) -> None:
        report = loader(None, given())
        assert found(report) == {"no batches"}
        assert cause in str(report.findings[0]).replace("\n  ", " ")
        assert report.checked == ()
