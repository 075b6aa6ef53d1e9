"""The doctor on loaders of Hugging Face datasets, WebDataset, torchdata, Lightning and albumentations."""

from __future__ import annotations

import multiprocessing
from typing import Any

import datasets
import doctored
import lightning
import numpy as np
import pytest
import torch
import webdataset
from doctored import HELD_OUT, PHOTOS, load, normalized
from lightning.fabric import Fabric
from lightning.pytorch.utilities import CombinedLoader
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info
from torchdata.stateful_dataloader import StatefulDataLoader

from augreg.doctor import Report, loader

CLASSES = ["cat", "dog", "cow", "fox"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, about their own use of torch


@pytest.fixture(autouse=True)
def alone() -> Any:
    """One thread, and no worker process that stays behind."""
    before, running = torch.get_num_threads(), set(multiprocessing.active_children())
    torch.set_num_threads(1)
    torch.manual_seed(3)
    yield
    torch.set_num_threads(before)
    assert set(multiprocessing.active_children()) <= running


def found(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity != "note"}


def rows(photos: np.ndarray) -> Any:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
    images = [Image.fromarray(photo) for photo in photos]
    return datasets.Dataset.from_dict(
        {"image": images, "label": [n % 4 for n in range(len(images))]}, features=features
    )


def augment(batch: Any) -> Any:
    images = [normalized(np.asarray(image) * (0.5 + 0.5 * float(torch.rand(())))) for image in batch["image"]]
    return {"pixel_values": images, "label": batch["label"]}


def evaluate(batch: Any) -> Any:
    return {"pixel_values": [normalized(np.asarray(image)) for image in batch["image"]], "label": batch["label"]}


class TestHuggingFace:
    def test_transforms_of_batches(self) -> None:
        train, held = rows(PHOTOS).with_transform(augment), rows(HELD_OUT).with_transform(evaluate)
        report = loader(load(train), load(held, shuffle=False), samples=24)
        assert report.ok, str(report)
        assert any("names of 4 classes" in line for line in report.checked)

    def test_a_division(self) -> None:
        parts = rows(PHOTOS).train_test_split(0.25, seed=0)
        report = loader(
            load(parts["train"].with_transform(augment)), load(parts["test"].with_transform(evaluate)), samples=24
        )
        assert report.ok, str(report)
        assert "both: whether both sides read the same indices of one dataset" in report.checked
        assert "one dataset object" not in {finding.check for finding in report.findings}

    def test_one_table_for_both(self) -> None:
        data = rows(PHOTOS)
        sides = data.with_transform(augment), data.select([3, 5, 7, 11]).with_transform(evaluate)
        assert found(loader(load(sides[0]), load(sides[1], shuffle=False), samples=24)) == {"shared images"}

    def test_a_stream(self) -> None:
        stream = rows(PHOTOS).to_iterable_dataset(num_shards=4).shuffle(seed=0)
        stream = stream.map(
            lambda row: {"pixel_values": augment({"image": [row["image"]], "label": 0})["pixel_values"][0]}
        )
        stream = stream.remove_columns("image").with_format("torch")
        report = loader(DataLoader(stream, batch_size=8, num_workers=2), samples=24)
        assert report.ok, str(report)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(4):
        with webdataset.TarWriter(str(folder / f"{shard}.tar")) as writer:
            for index in range(shard, 40, 4):
                writer.write({"__key__": f"{index:03}", "png": PHOTOS[index], "cls": index // 4 % 4})
    return str(folder / "{0..3}.tar")


def stream(shards: str, divided: bool = True) -> Any:
    split = {} if divided else {"workersplitter": None}
    data = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False, **split)
    return data.decode("rgb8").to_tuple("png", "cls").map_tuple(normalized, lambda label: label)


def test_web_loaders(shards: str) -> None:
    chain = webdataset.WebLoader(stream(shards), batch_size=None, num_workers=2).shuffle(10).batched(8)
    report = loader(chain, samples=24)
    assert report.ok, str(report)
    assert "train: pixel values of 24 images from the loader" in report.checked
    whole = webdataset.WebLoader(stream(shards, divided=False), batch_size=8, num_workers=2)
    assert found(loader(whole, samples=24)) == {"workers repeat the stream"}


def test_stateful_loaders() -> None:
    options: dict[str, Any] = {"batch_size": 8, "shuffle": True, "num_workers": 2, "persistent_workers": True}
    report = loader(StatefulDataLoader(doctored.Torch(), **options), samples=24)
    assert report.ok, str(report)
    given = StatefulDataLoader(doctored.Torch(), batch_size=8)
    before = str(given.state_dict())
    assert loader(given, samples=24, epochs=1).ok
    assert str(given.state_dict()) == before
    kept = StatefulDataLoader(doctored.KeptGenerator(), **options)
    report = loader(kept, samples=24)
    assert found(report) == {"workers repeat draws"}
    assert "dataset.rng (numpy.random.Generator in KeptGenerator)" in report.findings[0].seen


class Module(lightning.LightningDataModule):
    def setup(self, stage: str) -> None:
        self.train = doctored.Torch()

    def train_dataloader(self) -> Any:
        return CombinedLoader({"a": load(self.train), "b": load(doctored.KeptGenerator(), 2)}, "max_size_cycle")

    def val_dataloader(self) -> Any:
        return load(doctored.Photos(held_out=True), shuffle=False)


def test_lightning() -> None:
    module = Module()
    report = loader(module, samples=24, epochs=1)
    (fault,) = [finding for finding in report.findings if finding.severity != "note"]
    assert (fault.where, fault.check) == ("train.b", "workers repeat draws")
    assert not hasattr(module, "train")
    train = doctored.Torch(), doctored.Photos(held_out=True)
    assert loader(lightning.LightningDataModule.from_datasets(*train, batch_size=8), samples=24, epochs=1).ok
    given = Fabric(accelerator="cpu", devices=1).setup_dataloaders(load(doctored.Torch()))
    assert loader(given, samples=24, epochs=1).ok


class Albumented(Dataset):
    classes = CLASSES

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> Any:
        return normalized(self.transform(image=PHOTOS[index])["image"]), index % 4


def reseed(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.transform.set_random_seed(torch.initial_seed() % 2**32)


def test_albumentations() -> None:
    albumentations = pytest.importorskip("albumentations")
    steps = [albumentations.HorizontalFlip(p=0.5), albumentations.RandomBrightnessContrast(p=1.0)]
    data = Albumented(albumentations.Compose(steps, seed=137))
    report = loader(load(data, 2), samples=24)
    assert found(report) == {"workers repeat draws", "epochs repeat draws"}
    assert "dataset.transform.py_random (random.Random in albumentations' Compose)" in report.findings[0].seen
    assert "set_random_seed(torch.initial_seed() % 2**32)" in report.findings[0].remedy
    report = loader(load(data, 2, worker_init_fn=reseed), samples=24)
    assert report.ok, str(report)


class Nothing(IterableDataset):
    def __iter__(self) -> Any:
        return iter([])


def test_an_empty_stream() -> None:
    report = loader(DataLoader(Nothing(), batch_size=8, num_workers=1))
    assert found(report) == {"no batches"}
    assert report.checked == ()
