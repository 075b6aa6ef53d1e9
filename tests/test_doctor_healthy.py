"""The doctor on healthy loaders that look faulty at first, and on the wording of its findings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doctored import MEAN, PHOTOS, STD, Photos, load, normalized
from torch.utils.data import Dataset

from augreg.doctor import Report, loader
from augreg.doctor.findings import Findings, guarded
from augreg.doctor.masks import _percent


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def severities(report: Report) -> dict[str, str]:
    return {finding.check: finding.severity for finding in report.findings}


class Made(Dataset):
    """Samples by a function of the normalized image and the index."""

    def __init__(self, make: Any, classes: Any = None) -> None:
        self.make = make
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Any:
        return self.make(normalized(PHOTOS[index]), index)


def turned(image: torch.Tensor, index: int) -> Any:
    turn = int(torch.randint(4, ()))
    return torch.rot90(image, turn, (1, 2)), turn


def shuffled(image: torch.Tensor, index: int) -> Any:
    return (image.flip(-1) if torch.rand(()) < 0.5 else image), int(torch.randint(4, ()))


def always_new(image: torch.Tensor, index: int) -> Any:
    return image * (1 + torch.rand(())), int(torch.randint(4, ()))


@pytest.mark.parametrize(("make", "severity"), [(turned, "note"), (shuffled, "fault"), (always_new, "warning")])
def test_labels_that_are_made_from_the_draw(make: Any, severity: str) -> None:
    report = loader(load(Made(make)), epochs=1)
    assert severities(report)["labels change"] == severity, str(report)


def test_the_index_as_label() -> None:
    report = loader(load(Made(lambda image, index: (image, index), list("abc"))), epochs=1)
    assert severities(report)["labels out of range"] == "note"
    report = loader(load(Made(lambda image, index: (image, index % 5), list("abc"))), epochs=1)
    assert severities(report)["labels out of range"] == "fault"


class Collate:
    def __init__(self, augments: bool) -> None:
        self.augments = augments

    def __call__(self, samples: Any) -> Any:
        images = torch.stack([sample[0] for sample in samples])
        return (images * (1 + 0.1 * torch.rand(())) if self.augments else images), [sample[1] for sample in samples]


@pytest.mark.parametrize("augments", [True, False])
def test_a_collate_fn_that_augments(augments: bool) -> None:
    report = loader(load(Photos(), collate_fn=Collate(augments)))
    assert ("no augmentation" in severities(report)) is not augments
    assert any("vary by the collate_fn" in line for line in report.checked) is augments


@pytest.mark.parametrize("names", [(), ("labels",), ("labels", "masks")])
def test_only_what_stands_beside_boxes_is_checked(names: tuple[str, ...]) -> None:
    beside = {"labels": torch.tensor([1]), "masks": torch.zeros(1, 12, 12)}

    def make(image: torch.Tensor, index: int) -> Any:
        return image, {"boxes": torch.tensor([[1.0, 1, 9, 9]]), **{name: beside[name] for name in names}}

    report = loader(load(Made(make), collate_fn=lambda batch: tuple(zip(*batch, strict=True))), epochs=1)
    each = ["", " and have one label each", " and have one label and mask each"][len(names)]
    assert f"train: whether 40 boxes of 40 images are finite{each}" in report.checked
    missing = {f"train: {name} of the boxes of 40 images; none were recognized" for name in {*beside} - {*names}}
    assert {line for line in report.unchecked if "of the boxes" in line} == missing


@pytest.mark.parametrize("channel", [True, False])
def test_missing_values_of_depth_beside_an_image(channel: bool) -> None:
    def make(image: torch.Tensor, index: int) -> Any:
        depth = image.mean(0, keepdim=channel) + 5
        depth[..., 3, :] = float("nan")
        return image, depth

    report = loader(load(Made(make)), epochs=1)
    assert severities(report)["dense targets not finite"] == "note"
    assert not any("form is not known" in line for line in report.unchecked)


class Series(list):
    """As one of pandas."""


class Frame:
    """As a DataFrame of pandas, which the tests do not need then."""

    def __init__(self, **columns: list[Any]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __len__(self) -> int:
        return len(self._columns[self.columns[0]])

    def __getitem__(self, name: str) -> Series:
        return Series(self._columns[name])


class Listed(Photos):
    def __init__(self, files: list[str], folder: Any, **settings: Any) -> None:
        super().__init__(len(files), **settings)
        self.folder = folder
        self.frame = Frame(label=["a"] * len(files), file=files)


@pytest.mark.parametrize("module", ["pandas", "pandas.core.frame"])  # from version 3 on, and before
def test_files_in_a_data_frame(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Frame, "__module__", module)
    names = [f"{number}.png" for number in range(40)]
    for name in names:
        (tmp_path / name).touch()
    sides = [load(Listed(part, tmp_path), shuffle=False) for part in (names[:24], names[20:])]
    report = loader(*sides, samples=8, epochs=1)
    (finding,) = [each for each in report.findings if each.check == "shared images" and "files" in each.seen]
    assert finding.seen == "4 of the 20 files of validation are trained on"
    assert set(finding.samples) == {os.fspath(tmp_path / name) for name in names[20:24]}
    report = loader(load(Photos()), load(Photos(held_out=True), shuffle=False), samples=8, epochs=1)
    assert "both: whether both sides read the same files: no list of files was found" in report.unchecked


def test_normalized_images_times_255() -> None:
    report = loader(None, load(Made(lambda image, index: (image * 255, 0)), shuffle=False), samples=8)
    (finding,) = [each for each in report.findings if each.check == "wide pixel values"]
    assert "multiplied by 255 after normalizing" in finding.remedy
    assert "Hounsfield" not in finding.remedy
    gray = Made(lambda image, index: ((image[:1] * STD[0] + MEAN[0]) * 2000 - 1000, 0))
    (finding,) = loader(None, load(gray, shuffle=False), samples=8).findings[:1]
    assert "Hounsfield" in finding.remedy


def test_the_wording_of_numbers_and_tracebacks() -> None:
    assert [_percent(count, 77) for count in (77, 76, 10, 1)] == ["100%", "98.7%", "13%", "1.3%"]
    zeros = Made(lambda image, index: (torch.full((3, 4, 4), -0.0), 0))
    assert not any("-0" in finding.seen for finding in loader(load(zeros), epochs=1).findings)
    findings = Findings()
    guarded(findings, "train", "counting", lambda: np.arange(3).reshape(2, 2))
    lines = findings.report().findings[0].seen.splitlines()
    assert lines[1].startswith('  File "')
    assert lines[-1] == "ValueError: cannot reshape array of size 3 into shape (2,2)"
    assert not any(set(line.strip()) <= {"^", "~"} for line in lines)
    assert "overflow-wrap:anywhere" in findings.report()._repr_html_()
