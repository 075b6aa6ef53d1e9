"""The doctor on loaders of real torchvision datasets and transforms: sick ones are told, healthy ones pass."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset, random_split
from torchvision import tv_tensors
from torchvision.transforms import v2

from augreg.doctor import loader

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TO_TENSOR = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
NORMALIZE, HALVES = v2.Normalize(MEAN, STD), v2.Normalize([0.5] * 3, [0.5] * 3)
TRAIN = v2.Compose([v2.RandomResizedCrop(24), v2.RandomHorizontalFlip(), *TO_TENSOR, NORMALIZE])
EVALUATION = v2.Compose([v2.Resize(28), v2.CenterCrop(24), *TO_TENSOR, NORMALIZE])


def photo(number: int, side: int = 32) -> Image.Image:
    """A color photograph in miniature: a gradient, a square and noise."""
    rng = np.random.default_rng(number)
    ramp = np.linspace(0, 200, side)[:, None, None] * rng.random(3) + np.linspace(0, 55, side)[None, :, None]
    row, column = rng.integers(0, side - 8, 2)
    ramp[row : row + 8, column : column + 8] = rng.integers(0, 256, 3)
    return Image.fromarray(np.clip(ramp + rng.normal(0, 4, ramp.shape), 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders `train` and `val`."""
    root = tmp_path_factory.mktemp("photos")
    for side, start, count in (("train", 0, 20), ("val", 100, 8)):
        for number, name in enumerate(("bird", "cat", "dog")):
            (root / side / name).mkdir(parents=True)
            for index in range(count):
                photo(start + 1000 * number + index).save(root / side / name / f"{index}.png")
    return root


def folder(root: Path, side: str = "train", transform: Any = TRAIN, **options: Any) -> Any:
    return torchvision.datasets.ImageFolder(root / side, transform, **options)


def load(dataset: Any, workers: int = 0, **options: Any) -> DataLoader:
    return DataLoader(dataset, **{"batch_size": 8, "num_workers": workers, **options})


class Detection(Dataset):
    """Images and targets as the detection references of torchvision have them; `fault` spoils the targets."""

    def __init__(self, fault: str = "", transform: Any = None, wrapped: bool = False, first: int = 0) -> None:
        self.fault, self.transform, self.wrapped, self.first = fault, transform, wrapped, first

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> Any:
        image = v2.functional.to_dtype(v2.functional.to_image(photo(self.first + index)), torch.float32, scale=True)
        count = index % 3 + 1
        start = torch.tensor([[3.0 + n, 4.0 + n] for n in range(count)])
        boxes = torch.cat([start, start + torch.tensor([12.0, 9.0])], 1)
        target = {"boxes": boxes, "labels": torch.arange(1, count + 1), "image_id": index}
        target["masks"] = torch.zeros(count, 32, 32, dtype=torch.uint8)
        target["area"], target["iscrowd"] = torch.full((count,), 108.0), torch.zeros(count, dtype=torch.int64)
        if index == 4:
            self._spoil(target)
        if self.wrapped:
            target["boxes"] = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=(32, 32))
            target["masks"] = tv_tensors.Mask(target["masks"])
            image = tv_tensors.Image(image)
        return self.transform(image, target) if self.transform else (image, target)

    def _spoil(self, target: Any) -> None:
        if self.fault == "nan":
            target["boxes"][0, 2] = torch.nan
        elif self.fault == "reversed":
            target["boxes"] = target["boxes"][:, [2, 3, 0, 1]]
        elif self.fault == "negative label":
            target["labels"] = target["labels"] - 5
        elif self.fault == "lost label":
            target["labels"] = target["labels"][1:]


def collate(samples: Any) -> Any:
    return tuple(zip(*samples, strict=True))


class Segmentation(Dataset):
    """Images with masks of classes 0 to 3; `fault` gives some pixels another value."""

    classes = ("ground", "house", "tree", "car")

    def __init__(self, values: tuple[int, ...] = (), dtype: torch.dtype = torch.int64) -> None:
        self.values, self.dtype = values, dtype

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> Any:
        mask = torch.arange(32)[:, None].expand(32, 32) // 8
        if self.values:
            mask = torch.tensor(self.values)[torch.arange(32 * 32).reshape(32, 32) % len(self.values)]
        image, mask = TRAIN_DENSE(v2.functional.to_image(photo(index)), tv_tensors.Mask(mask.to(self.dtype)))
        return image, mask.as_subclass(torch.Tensor)


TRAIN_DENSE = v2.Compose([v2.RandomCrop(24), v2.RandomHorizontalFlip(), *TO_TENSOR, NORMALIZE])
JITTER = v2.Compose([v2.RandomHorizontalFlip(), v2.RandomIoUCrop(), v2.SanitizeBoundingBoxes()])


class Cached(Dataset):
    """Caches images; `augmented` after the augmentation, which repeats it."""

    def __init__(self, augmented: bool) -> None:
        self.augmented = augmented
        self.cache: dict[int, Any] = {}

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> Any:
        if index not in self.cache:
            self.cache[index] = TRAIN(photo(index)) if self.augmented else photo(index)
        return (self.cache[index] if self.augmented else TRAIN(self.cache[index])), index % 3


class Seeds(Dataset):
    """Seeds global generators with a constant for each sample."""

    def __init__(self, seed: Callable[[], Any]) -> None:
        self.seed = seed

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> Any:
        self.seed()
        return TRAIN(photo(index)), index % 3


class Ranges(Dataset):
    """Images by a function of the number; the label is the number modulo 3."""

    def __init__(self, image: Callable[[int], Any], transform: Any = None) -> None:
        self.image, self.transform = image, transform

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Any:
        image = self.image(index)
        return (image if self.transform is None else self.transform(image)), index % 3


def unit(index: int) -> torch.Tensor:
    return v2.functional.to_dtype(v2.functional.to_image(photo(index)), torch.float32, scale=True)


def bytes_as_floats(index: int) -> torch.Tensor:
    return 255 * unit(index)


def hounsfield(index: int) -> torch.Tensor:
    return (unit(index)[:1] * 3000 - 1000).round()


BYTES_MEAN, BYTES_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def fake(size: int = 40, transform: Any = TRAIN) -> Any:
    return torchvision.datasets.FakeData(size, (3, 32, 32), 4, transform)


def with_transform_of_both(root: Path) -> Any:
    data = folder(root)
    train, held = random_split(data, [40, 20], torch.Generator().manual_seed(0))
    held.dataset.transform = EVALUATION
    return {"train": load(train, shuffle=True), "validation": load(held)}


def two_splits(root: Path, overlap: int = 0) -> Any:
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0)).tolist()
    train, held = Subset(folder(root), order[:40]), Subset(folder(root, transform=EVALUATION), order[40 - overlap :])
    return {"train": load(train, shuffle=True), "validation": load(held)}


def renumbered(root: Path) -> Any:
    class Fewer(torchvision.datasets.ImageFolder):
        def find_classes(self, directory: Any) -> Any:
            return ["cat", "dog"], {"cat": 0, "dog": 1}

    held = Fewer(root / "val", EVALUATION)
    return {"train": load(folder(root), shuffle=True), "validation": load(held)}


def views(image: Any) -> Any:
    return TRAIN(image), TRAIN(image)


def pair(root: Path, workers: int = 0, **options: Any) -> Any:
    train = load(folder(root), workers, shuffle=True, **options)
    return {"train": train, "validation": load(folder(root, "val", EVALUATION), workers)}


def mixing(samples: Any) -> Any:
    mix = v2.RandomChoice([v2.MixUp(num_classes=4), v2.CutMix(num_classes=4)])
    return mix(*torch.utils.data.default_collate(samples))


HEALTHY: dict[str, Callable[[Path], Any]] = {
    "class folders": pair,
    "class folders, two workers": lambda root: pair(root, 2, persistent_workers=True),
    "drop_last": lambda root: pair(root, drop_last=True),
    "two dataset objects, one division": two_splits,
    "fake data": lambda root: {"train": load(fake(), shuffle=True)},
    "mixup and cutmix": lambda root: {"train": load(fake(), collate_fn=mixing, shuffle=True)},
    "two views": lambda root: {"train": load(folder(root, transform=views), shuffle=True)},
    "detection": lambda root: {"train": load(Detection(), collate_fn=collate, shuffle=True)},
    "detection, lists": lambda root: {
        "train": load(Detection(), collate_fn=lambda s: [list(part) for part in zip(*s, strict=True)], shuffle=True)
    },
    "detection, one image": lambda root: {
        "train": load(Detection(), batch_size=1, collate_fn=collate, shuffle=True)
    },
    "detection, samples apart": lambda root: {"train": load(Detection(), collate_fn=list, shuffle=True)},
    "detection, augmented": lambda root: {
        "train": load(Detection(transform=JITTER, wrapped=True), collate_fn=collate, shuffle=True),
        "validation": load(Detection(wrapped=True, first=800), collate_fn=collate),
    },
    "segmentation": lambda root: {"train": load(Segmentation(), shuffle=True)},
    "segmentation, 255 ignored": lambda root: {"train": load(Segmentation((0, 1, 3, 255)), shuffle=True)},
    "segmentation, binary floats": lambda root: {
        "train": load(Segmentation((0, 1), torch.float32), shuffle=True)
    },
    "cached before augmentation": lambda root: {"train": load(Cached(False), shuffle=True)},
    "normalized on the scale of bytes": lambda root: {
        "validation": load(Ranges(bytes_as_floats, v2.Normalize(BYTES_MEAN, BYTES_STD)))
    },
    "one normalization on two scales": lambda root: {
        "train": load(Ranges(lambda n: unit(n + 900), NORMALIZE), shuffle=True),
        "validation": load(Ranges(bytes_as_floats, v2.Normalize(BYTES_MEAN, BYTES_STD))),
    },
    "weighted sampler": lambda root: {
        "train": load(folder(root), sampler=torch.utils.data.WeightedRandomSampler(torch.ones(60), 60))
    },
    "distributed sampler": lambda root: {
        "train": load(folder(root), sampler=torch.utils.data.DistributedSampler(folder(root), 2, 0))
    },
    "batches of the dataset": lambda root: {
        "train": load(fake(), batch_size=1, shuffle=True), "validation": load(fake(10, EVALUATION), batch_size=None)
    },
}  # fmt: skip

SICK: dict[str, tuple[Callable[[Path], Any], set[str]]] = {
    "random validation": (
        lambda root: {"validation": load(folder(root, "val", TRAIN))}, {"random validation"}
    ),
    "random.seed in a sample": (
        lambda root: {"train": load(Seeds(lambda: random.seed(0)), shuffle=True)}, {"seeds a global generator"}
    ),
    "torch.manual_seed in a sample": (
        lambda root: {"train": load(Seeds(lambda: torch.manual_seed(0)), shuffle=True)},
        {"seeds a global generator", "frozen draws"},
    ),
    "cached after augmentation": (lambda root: {"train": load(Cached(True), shuffle=True)}, {"cached draws"}),
    "a mean for bytes, images of 0..1": (
        lambda root: {"validation": load(Ranges(unit, v2.Normalize(BYTES_MEAN, BYTES_STD)))},
        {"normalized after a second division by 255"},
    ),
    "values of CT": (lambda root: {"validation": load(Ranges(hounsfield))}, {"wide pixel values"}),
    "never scaled": (lambda root: {"validation": load(Ranges(bytes_as_floats))}, {"not scaled"}),
    "scale=True is missing": (
        lambda root: {"validation": load(folder(root, "val", v2.Compose(
            [v2.ToImage(), v2.Resize((24, 24)), v2.ToDtype(torch.float32), NORMALIZE])))},
        {"normalized on the wrong scale"},
    ),
    "normalized twice": (
        lambda root: {"validation": load(folder(root, "val", v2.Compose([EVALUATION, NORMALIZE])))},
        {"normalized twice"},
    ),
    "another normalization": (
        lambda root: {
            "train": load(folder(root), shuffle=True),
            "validation": load(folder(root, "val", v2.Compose([v2.CenterCrop(24), *TO_TENSOR, HALVES]))),
        },
        {"normalizations differ"},
    ),
    "one dataset for both": (
        lambda root: {
            "train": load(folder(root), shuffle=True), "validation": load(folder(root, transform=EVALUATION))
        },
        {"shared images"},
    ),
    "a division that overlaps": (lambda root: two_splits(root, 10), {"shared images"}),
    "unshuffled class folders": (lambda root: {"train": load(folder(root))}, {"sorted by class"}),
    "classes numbered apart": (renumbered, {"classes differ"}),
    "one label": (
        lambda root: {"train": load(folder(root, target_transform=lambda label: 0), shuffle=True)}, {"one label"}
    ),
    "labels of -4": (
        lambda root: {"train": load(folder(root, target_transform=lambda label: label - 4), shuffle=True)},
        {"labels out of range"},
    ),
    "nothing in it": (
        lambda root: {"train": load(Subset(folder(root), range(5)), drop_last=True, shuffle=True)}, {"no batches"}
    ),
    "masks of 200": (
        lambda root: {"train": load(Segmentation((0, 1, 3, 200)), shuffle=True)}, {"mask values out of range"}
    ),
    "masks of 0 and 255": (
        lambda root: {"train": load(Segmentation((0, 255), torch.uint8), shuffle=True)}, {"masks not scaled"}
    ),
    "boxes of NaN": (
        lambda root: {"train": load(Detection("nan"), collate_fn=collate, shuffle=True)}, {"boxes not finite"}
    ),
    "reversed boxes": (
        lambda root: {"train": load(Detection("reversed"), collate_fn=collate, shuffle=True)}, {"reversed boxes"}
    ),
    "negative labels of boxes": (
        lambda root: {"train": load(Detection("negative label"), collate_fn=collate, shuffle=True)},
        {"labels out of range"},
    ),
    "fewer labels than boxes": (
        lambda root: {"train": load(Detection("lost label"), collate_fn=collate, shuffle=True)},
        {"boxes and labels differ"},
    ),
}  # fmt: skip


def found(report: Any) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity != "note"}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_loaders_pass(name: str, root: Path) -> None:
    report = loader(**HEALTHY[name](root), samples=64)
    assert report.ok, str(report)
    assert not [line for line in report.unchecked if "could not do" in line], str(report)


@pytest.mark.parametrize("name", SICK)
def test_sick_loaders_are_told(name: str, root: Path) -> None:
    make, checks = SICK[name]
    report = loader(**make(root), samples=64)
    assert found(report) == checks, str(report)
    assert not [line for line in report.unchecked if "could not do" in line], str(report)
