"""The doctor on datasets that read files, of MNIST, VOC and timm: what both sides share, and dense targets."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, tv_tensors
from torchvision.transforms import v2

from augreg.doctor import loader

TO_TENSOR = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
GRAY = v2.Normalize([0.1307], [0.3081])
SHIFT = v2.Compose([v2.RandomAffine(10, (0.1, 0.1)), *TO_TENSOR, GRAY])
EVALUATE = v2.Compose([*TO_TENSOR, GRAY])
FLIP = v2.Compose([v2.RandomHorizontalFlip(), *TO_TENSOR, GRAY])
KINDS = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
DENSE = [v2.ToImage(), v2.ToDtype(KINDS, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]


pytestmark = [  # timm leaves its files to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def photo(number: int, side: int) -> Image.Image:
    rng = np.random.default_rng(number)
    ramp = np.linspace(0, 200, side)[:, None, None] * rng.random(3) + np.linspace(0, 55, side)[None, :, None]
    return Image.fromarray(np.clip(ramp + rng.normal(0, 9, ramp.shape), 0, 255).astype(np.uint8))


def write_digits(root: Path) -> None:
    """The files of MNIST: 40 training images and 20 of the test set."""
    (root / "MNIST" / "raw").mkdir(parents=True)
    for name, count, first in (("train", 40, 0), ("t10k", 20, 3000)):
        images = np.stack([np.asarray(photo(first + n, 28).convert("L")) for n in range(count)])
        for kind, values in (("images-idx3", images), ("labels-idx1", np.arange(count, dtype=np.uint8) % 10)):
            head = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
            (root / "MNIST" / "raw" / f"{name}-{kind}-ubyte").write_bytes(head + values.tobytes())


def write_voc(root: Path) -> None:
    """VOC 2012 with 24 images, masks whose borders are 255, and boxes."""
    voc = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "Annotations", "ImageSets/Segmentation", "ImageSets/Main"):
        (voc / name).mkdir(parents=True)
    for n in range(24):
        photo(7000 + n, 40).save(voc / "JPEGImages" / f"{n:03}.jpg")
        mask = np.zeros((40, 40), np.uint8)
        mask[5:20, 6:30], mask[4, 6:30] = 1 + n % 20, 255
        Image.fromarray(mask).save(voc / "SegmentationClass" / f"{n:03}.png")
        corners = "<xmin>3</xmin><ymin>4</ymin><xmax>25</xmax><ymax>30</ymax>"
        thing = f"<object><name>dog</name><bndbox>{corners}</bndbox></object>"
        size = "<size><width>40</width><height>40</height></size>"
        (voc / "Annotations" / f"{n:03}.xml").write_text(f"<annotation>{size}{thing * (1 + n % 2)}</annotation>")
    for kind in ("Segmentation", "Main"):
        for side, numbers in (("train", range(16)), ("val", range(16, 24))):
            (voc / "ImageSets" / kind / f"{side}.txt").write_text("\n".join(f"{n:03}" for n in numbers))


def write_folders(root: Path) -> None:
    for side, first, count in (("train", 0, 12), ("val", 100, 6)):
        for number, name in enumerate(("bird", "cat", "dog")):
            (root / side / name).mkdir(parents=True)
            for n in range(count):
                photo(first + 1000 * number + n, 32).save(root / side / name / f"{n}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("files")
    write_digits(root)
    write_voc(root)
    write_folders(root)
    return root


def load(dataset: Any, shuffle: bool, **options: Any) -> DataLoader:
    return DataLoader(dataset, batch_size=8, shuffle=shuffle, **options)


def digits(root: Path, train: bool, transform: Any, shuffle: bool = False) -> Any:
    return load(datasets.MNIST(root, train, transform), shuffle)


def voc(root: Path, name: str, side: str, steps: list[Any], **options: Any) -> Any:
    data = getattr(datasets, name)(root, "2012", side, transforms=v2.Compose(steps))
    return load(datasets.wrap_dataset_for_transforms_v2(data), side == "train", **options)


def timms(root: Path, side: str, training: bool) -> Any:
    data = timm.data.create_dataset("", root=str(root / side))
    options = {"num_workers": 0, "device": torch.device("cpu"), "persistent_workers": False}
    return timm.data.create_loader(data, (3, 24, 24), 8, is_training=training, **options)


def collate(samples: Any) -> Any:
    return tuple(zip(*samples, strict=True))


CASES: dict[str, tuple[Callable[[Path], dict[str, Any]], set[str], str]] = {
    # name: the loaders, the faults, and a line of the report
    "MNIST": (
        lambda root: {"train": digits(root, True, SHIFT, True), "validation": digits(root, False, EVALUATE)},
        set(), "checked: both: whether both sides keep equal images in memory",
    ),
    "MNIST, trained on its validation": (
        lambda root: {"train": digits(root, True, SHIFT, True), "validation": digits(root, True, EVALUATE)},
        {"shared images"}, "40 of the 40 images that validation keeps in memory are trained on",
    ),
    "MNIST, mirrored": (
        lambda root: {"train": digits(root, True, FLIP, True)}, {"flips against labels"}, "'0 - zero'"
    ),
    "VOC segmentation": (
        lambda root: {
            "train": voc(root, "VOCSegmentation", "train", [v2.RandomCrop(32), v2.RandomHorizontalFlip(), *DENSE]),
            "validation": voc(root, "VOCSegmentation", "val", [v2.CenterCrop(32), *DENSE]),
        },
        set(), "note: train: ignored pixels",
    ),
    "VOC detection": (
        lambda root: {
            "train": voc(root, "VOCDetection", "train", [v2.RandomHorizontalFlip(), *TO_TENSOR], collate_fn=collate),
            "validation": voc(root, "VOCDetection", "val", TO_TENSOR, collate_fn=collate),
        },
        set(), "checked: train: whether the corners of boxes, as xyxy",
    ),
    "VOC, annotations as they are": (
        lambda root: {"train": load(
            datasets.VOCDetection(root, "2012", "train", transform=v2.Compose(TO_TENSOR)), True, collate_fn=collate)},
        set(), "not checked: train: labels, whose form is not known",
    ),
    "timm, class folders": (
        lambda root: {"train": timms(root, "train", True), "validation": timms(root, "val", False)},
        set(), "checked: both: whether both sides read the same files",
    ),
    "timm, trained on its validation": (
        lambda root: {"train": timms(root, "train", True), "validation": timms(root, "train", False)},
        {"shared images"}, "of the 36 files of validation are trained on",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_datasets_that_read_files(name: str, root: Path) -> None:
    make, checks, line = CASES[name]
    report = loader(**make(root), samples=36)
    assert {finding.check for finding in report.findings if finding.severity != "note"} == checks, str(report)
    assert line in str(report).replace("\n  ", " "), str(report)
