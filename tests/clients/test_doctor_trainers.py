"""The doctor on the loaders of timm, accelerate, Fabric and Lightning: it looks inside, and leaves nothing behind."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import lightning
import numpy as np
import pytest
import timm.data
import torch
import torchvision
from accelerate import Accelerator
from accelerate.data_loader import skip_first_batches
from lightning.fabric import Fabric
from lightning.pytorch.utilities import CombinedLoader
from PIL import Image
from timm.data.loader import MultiEpochsDataLoader, PrefetchLoader
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset
from torchvision.transforms import v2

from augreg.doctor import loader

NORMALIZE = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
TRAIN = v2.Compose(
    [v2.RandomResizedCrop(24), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, True), NORMALIZE]
)
EVALUATION = v2.Compose([v2.Resize((24, 24)), v2.ToImage(), v2.ToDtype(torch.float32, True), NORMALIZE])


pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of Lightning's CombinedLoader


def photo(number: int, side: int = 32) -> Image.Image:
    rng = np.random.default_rng(number)
    ramp = np.linspace(0, 200, side)[:, None, None] * rng.random(3) + np.linspace(0, 55, side)[None, :, None]
    return Image.fromarray(np.clip(ramp + rng.normal(0, 9, ramp.shape), 0, 255).astype(np.uint8))


class Photos(Dataset):
    """Photographs, their labels, and timm's attribute for the transform; `kept` draws from a generator of its own."""

    def __init__(self, transform: Any = TRAIN, first: int = 0, kept: bool = False) -> None:
        self.transform, self.first = transform, first
        self.rng = np.random.default_rng(0) if kept else None

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> Any:
        image = photo(self.first + index)
        if self.rng is not None and self.rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        return self.transform(image), index % 4


class Kept(torch.nn.Module):
    """A transform that keeps a generator."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def forward(self, image: Any) -> Any:
        return EVALUATION(image) * float(self.rng.uniform(0.7, 1.0))


class Stream(IterableDataset):
    """A stream that its workers divide."""

    def __iter__(self) -> Any:
        info = torch.utils.data.get_worker_info()
        start, step = (info.id, info.num_workers) if info is not None else (0, 1)
        for number in range(start, 200, step):
            yield TRAIN(photo(number)), number % 4


def load(dataset: Any = None, workers: int = 0, shuffle: bool = True, **options: Any) -> DataLoader:
    if not isinstance(dataset, IterableDataset):
        options["shuffle"] = shuffle
    return DataLoader(Photos() if dataset is None else dataset, batch_size=8, num_workers=workers, **options)


def held() -> DataLoader:
    return load(Photos(EVALUATION, 500), shuffle=False)


def timms(training: bool, workers: int = 0, **options: Any) -> Any:
    """timm's loader with its prefetcher, on the CPU."""
    given = {"num_workers": workers, "device": torch.device("cpu"), "persistent_workers": workers > 0, **options}
    return timm.data.create_loader(
        Photos(first=0 if training else 500), (3, 24, 24), 8, is_training=training, **given
    )


def mixup(**options: Any) -> Any:
    mix = timm.data.FastCollateMixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=4)
    return timms(True, collate_fn=mix, **options)


class Module(lightning.LightningDataModule):
    """A data module whose setup makes the datasets, as is usual; `test` is whether it has test loaders."""

    def __init__(self, kept: bool = False) -> None:
        super().__init__()
        self.kept = kept

    def setup(self, stage: str) -> None:
        if stage == "fit":
            self.train, self.held = Photos(kept=self.kept), Photos(EVALUATION, 500)

    def train_dataloader(self) -> Any:
        return load(self.train)

    def val_dataloader(self) -> Any:
        return [load(self.held, shuffle=False), load(Photos(EVALUATION, 600), shuffle=False)]


class ModuleWithTests(Module):
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "test":
            self.tested = Photos(TRAIN, 700)

    def test_dataloader(self) -> Any:
        return load(self.tested, shuffle=False)


def prepared(*loaders: Any, **options: Any) -> Any:
    return Accelerator(cpu=True, **options).prepare(*loaders)


def fabric(*loaders: Any) -> Any:
    return Fabric(accelerator="cpu", devices=1).setup_dataloaders(*loaders)


HEALTHY: dict[str, Callable[[], dict[str, Any]]] = {
    "timm": lambda: {"train": timms(True), "validation": timms(False)},
    "timm, workers that persist": lambda: {"train": timms(True, 2), "validation": timms(False, 2)},
    "timm, no prefetcher": lambda: {"train": timms(True, use_prefetcher=False, re_prob=0.5)},
    "timm, erasing and AutoAugment": lambda: {
        "train": timms(True, re_prob=0.5, re_mode="pixel", auto_augment="rand-m9-mstd0.5-inc1"),
    },
    "timm, mixup": lambda: {"train": mixup()},
    "timm, repeating loader": lambda: {
        "train": timms(True, use_multi_epochs_loader=True), "validation": timms(False, use_multi_epochs_loader=True)
    },
    "accelerate": lambda: dict(zip(("train", "validation"), prepared(load(), held()), strict=True)),
    "accelerate, seedable sampler": lambda: {
        "train": prepared(load(), dataloader_config=_configuration(use_seedable_sampler=True))
    },
    "accelerate, skipped batches": lambda: {"train": skip_first_batches(prepared(load()), 1)},
    "accelerate, a stream": lambda: {"train": prepared(load(Stream()))},
    "Fabric": lambda: dict(zip(("train", "validation"), fabric(load(), held()), strict=True)),
    "Fabric, timm inside": lambda: {"train": fabric(load()), "validation": timms(False)},
    "combined": lambda: {"train": CombinedLoader({"a": load(), "b": load(Photos(first=90))}, "max_size_cycle")},
    "lists": lambda: {"train": [load(), load(Photos(first=90))], "test": [held()]},
    "a mapping of loaders": lambda: {"train": load(), "validation": {"clean": held(), "more": held()}},
    "data module": lambda: {"train": Module()},
    "data module of datasets": lambda: {
        "train": lightning.LightningDataModule.from_datasets(Photos(), Photos(EVALUATION, 500), batch_size=8)
    },
}  # fmt: skip

SICK: dict[str, tuple[Callable[[], dict[str, Any]], set[str], str]] = {
    "timm with a generator that is kept": (
        lambda: {"train": _with_transform(timms(True, 2), Kept())},
        {"workers repeat draws"}, "dataset.transform.rng (numpy.random.Generator in Kept)",
    ),
    "timm, training transforms in validation": (
        lambda: {"validation": timms(True)}, {"random validation"}, "32 of 32 images differ",
    ),
    "accelerate with a generator that is kept": (
        lambda: {"train": prepared(load(Photos(EVALUATION, kept=True), 2))},
        {"workers repeat draws", "epochs repeat draws"}, "dataset.rng (numpy.random.Generator in Photos)",
    ),
    "Fabric with a generator that is kept": (
        lambda: {"train": fabric(load(Photos(EVALUATION, kept=True), 2))},
        {"workers repeat draws", "epochs repeat draws"}, "dataset.rng",
    ),
    "one of two combined": (
        lambda: {"train": CombinedLoader({"a": load(), "b": load(Photos(EVALUATION, 90, kept=True), 2)})},
        {"workers repeat draws", "epochs repeat draws"}, "train.b",
    ),
    "a data module with a generator that is kept": (
        lambda: {"train": Module(kept=True)}, {"workers repeat draws"},
        "with 2, the images differ, but some of their random numbers are the same; the same states in workers 0 "
        "and 1: dataset.rng (numpy.random.Generator in Photos)",
    ),
    "a data module with random tests": (
        lambda: {"train": ModuleWithTests()}, {"random validation"}, "fault: test: random validation",
    ),
    "empty": (lambda: {"train": fabric(load(Subset(Photos(), []), shuffle=False))}, {"no batches"}, "0 samples"),
}  # fmt: skip


def _configuration(**options: Any) -> Any:
    from accelerate.utils import DataLoaderConfiguration

    return DataLoaderConfiguration(**options)


def _with_transform(given: Any, transform: Any) -> Any:
    """A loader of timm without its prefetcher's normalization, since the transform normalizes."""
    given.dataset.transform = transform
    given.loader.collate_fn = torch.utils.data.default_collate
    return given.loader


def found(report: Any) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity != "note"}


@pytest.fixture(autouse=True)
def no_processes() -> Any:
    """No worker process stays behind."""
    yield
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_loaders_pass(name: str) -> None:
    report = loader(**HEALTHY[name](), samples=40)
    assert report.ok, str(report)
    assert not [line for line in report.unchecked if "could not do" in line or "no DataLoader" in line], str(report)


@pytest.mark.parametrize("name", SICK)
def test_sick_loaders_are_told(name: str) -> None:
    make, checks, text = SICK[name]
    report = loader(**make(), samples=40)
    assert found(report) == checks, str(report)
    assert " ".join(text.split()) in " ".join(str(report).split()), str(report)


def test_a_loader_is_used_as_before() -> None:
    """Its epochs, its batches and its persistent workers."""
    for make in (lambda: prepared(load(Photos(EVALUATION))), lambda: fabric(load(Photos(EVALUATION)))):
        passes = []
        for examined in (False, True):
            given = make()
            if examined:
                loader(given, samples=8)
            torch.manual_seed(1)
            passes.append([labels.tolist() for _, labels in given])
        assert passes[0] == passes[1]


def test_the_class_of_each_wrapper() -> None:
    assert isinstance(timms(True), PrefetchLoader)
    assert isinstance(timms(True, use_multi_epochs_loader=True).loader, MultiEpochsDataLoader)
    assert torchvision.__version__
