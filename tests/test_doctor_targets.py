"""The doctor on batches of all forms: it finds images and targets, checks them, and names as checked what was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import doctored
import numpy as np
import pytest
import torch
from doctored import HELD_OUT, PHOTOS, normalized
from torch.utils.data import DataLoader, Dataset, default_collate

from augreg.doctor import Report, loader


class Samples(Dataset):
    """The samples that a function makes of an index."""

    def __init__(self, make: Callable[[int], Any], count: int = 24) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


def image(index: int) -> torch.Tensor:
    return normalized(PHOTOS[index])


def found(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity != "note"}


def examined(make: Callable[[int], Any], collate: Any = None, **options: Any) -> Report:
    """The report on a deterministic loader, as validation."""
    return loader(None, DataLoader(Samples(make), 8, collate_fn=collate), samples=24, **options)


def zipped(samples: Any) -> Any:
    return tuple(zip(*samples, strict=True))


def boxes_of(index: int, **changes: Any) -> dict[str, Any]:
    """A target as torchvision's detection models take it, for an image of 12 x 12 pixels."""
    count = index % 3 + 1
    start = torch.tensor([[1.0 + n, 2.0] for n in range(count)])
    target = {"boxes": torch.cat([start, start + torch.tensor([5.0, 4.0])], 1), "labels": torch.arange(1, count + 1)}
    target["masks"] = torch.zeros(count, 12, 12, dtype=torch.uint8)
    return target | ({name: change(target) for name, change in changes.items()} if index == 4 else {})


def mask_of(*values: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype)[torch.arange(144).reshape(12, 12) % len(values)]


CLASSES = ["cat", "dog", "cow", "fox"]

HEALTHY: dict[str, tuple[Callable[[int], Any], Any, dict[str, Any], str]] = {
    # name: the sample, the collate_fn, the options, and a line of what was checked
    "detection": (lambda n: (image(n), boxes_of(n)), zipped, {}, "48 boxes of 24 images"),
    "detection, lists": (
        lambda n: (image(n), boxes_of(n)), lambda s: [list(part) for part in zipped(s)], {}, "48 boxes of 24 images"
    ),
    "detection, samples": (lambda n: (image(n), boxes_of(n)), list, {}, "48 boxes of 24 images"),
    "detection, mappings": (lambda n: {"image": image(n), **boxes_of(n)}, list, {}, "48 boxes of 24 images"),
    "detection, no boxes": (
        lambda n: (image(n), {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}), zipped, {},
        "0 boxes of 24 images",
    ),
    "detection, gray images": (lambda n: (image(n)[0], boxes_of(n)), zipped, {}, "48 boxes of 24 images"),
    "DETR": (
        lambda n: (image(n), {"class_labels": torch.arange(2), "boxes": torch.tensor([[0.5, 0.5, 0.2, 0.4]] * 2)}),
        lambda s: {"pixel_values": torch.stack([x for x, _ in s]), "labels": [y for _, y in s]}, {}, "as cxcywh",
    ),
    "x, y, width, height": (
        lambda n: {"image": image(n), "bboxes": [[5, 6, 3, 4], [2, 1, 8, 9]], "labels": [0, 1]},
        lambda s: {name: [each[name] for each in s] for name in s[0]}, {}, "48 boxes",
    ),
    "YOLO": (
        lambda n: (image(n), torch.rand(n % 3 + 1, 6, generator=torch.Generator().manual_seed(n))),
        lambda s: (torch.stack([x for x, _ in s]), torch.cat([y for _, y in s])), {}, "24 images",
    ),
    "masks": (lambda n: (image(n), mask_of(0, 1, 3)), None, {"classes": CLASSES}, "dense targets are 0 to 3"),
    "masks of 255": (lambda n: (image(n), mask_of(0, 1, 255)), None, {"classes": CLASSES}, "dense targets"),
    "binary masks of floats": (lambda n: (image(n), mask_of(0, 1)[None].float()), None, {}, "dense targets"),
    "masks by name": (lambda n: {"image": image(n), "mask": mask_of(0, 2)}, None, {}, "dense targets are 0 or more"),
    "another ignored id": (
        lambda n: (image(n), mask_of(0, 1, 254)), None, {"classes": CLASSES, "ignore_index": 254}, "dense targets"
    ),
    "depth with gaps": (
        lambda n: {"image": image(n), "depth": torch.where(mask_of(0, 1) > 0, 2.5, torch.nan)}, None, {}, "are finite"
    ),
    "image to image": (lambda n: (image(n), normalized(HELD_OUT[n])), None, {}, "24 images"),
    "bytes to bytes": (
        lambda n: (torch.from_numpy(PHOTOS[n, None, :, :, 0]), torch.from_numpy(HELD_OUT[n, None, :, :, 0])), None,
        {"classes": CLASSES}, "24 images",
    ),
    "views": (lambda n: ([image(n), image(n) / 2], n % 4), None, {"classes": CLASSES}, "0 to 3"),
    "index too": (lambda n: (image(n), n, n % 4), None, {"classes": CLASSES}, "24 images, one number for each"),
    "index first": (lambda n: (n, image(n), n % 4), None, {"classes": CLASSES}, "24 images, one number for each"),
    "path too": (lambda n: (image(n), f"{n}.png", n % 4), None, {"classes": CLASSES}, "one number for each"),
    "label first": (lambda n: (n % 4, image(n)), None, {"classes": CLASSES}, "24 images, one number for each"),
    "label inside": (lambda n: {"image": image(n), "target": {"label": n % 4}}, None, {"classes": CLASSES}, "0 to 3"),
    "several labels": (lambda n: (image(n), torch.tensor([0, 1, n % 2])), None, {"classes": CLASSES}, "several"),
    "unlabeled as -1": (lambda n: (image(n), n % 4 - 1), None, {"ignore_index": -1}, "whole numbers"),
    "one class and its absence": (lambda n: (image(n), n % 2), None, {"classes": ["tumor"]}, "0 to 1"),
    "video": (lambda n: (torch.stack([image(n)] * 3), n % 4), None, {}, "24 images"),
}  # fmt: skip

SICK: dict[str, tuple[Callable[[int], Any], Any, dict[str, Any], str]] = {
    "boxes of NaN": (
        lambda n: (image(n), boxes_of(n, boxes=lambda t: t["boxes"] * torch.nan)), zipped, {}, "boxes not finite"
    ),
    "reversed boxes": (
        lambda n: (image(n), boxes_of(n, boxes=lambda t: t["boxes"][:, [2, 3, 0, 1]])), zipped, {}, "reversed boxes"
    ),
    "labels of boxes": (
        lambda n: (image(n), boxes_of(n, labels=lambda t: t["labels"] - 5)), zipped, {}, "labels out of range"
    ),
    "classes of boxes": (
        lambda n: (image(n), boxes_of(n, labels=lambda t: t["labels"] + 5)), zipped, {"classes": CLASSES},
        "labels out of range",
    ),
    "fewer labels": (
        lambda n: (image(n), boxes_of(n, labels=lambda t: t["labels"][1:])), zipped, {}, "boxes and labels differ"
    ),
    "masks of another size": (
        lambda n: (image(n), boxes_of(n, masks=lambda t: t["masks"][:, :6])), zipped, {}, "boxes and labels differ"
    ),
    "no boxes in one axis": (
        lambda n: (image(n), boxes_of(n, boxes=lambda t: torch.zeros(0), labels=lambda t: t["labels"][:0],
                                      masks=lambda t: t["masks"][:0])), zipped, {}, "shape of no boxes",
    ),
    "masks of 7": (lambda n: (image(n), mask_of(0, 1, 7)), None, {"classes": CLASSES}, "mask values out of range"),
    "masks of -4": (lambda n: (image(n), mask_of(0, 1, -4)), None, {}, "mask values out of range"),
    "masks of 0 and 255": (lambda n: (image(n), mask_of(0, 255, dtype=torch.uint8)), None, {}, "masks not scaled"),
    "label inside": (lambda n: {"image": image(n), "target": {"label": n % 4 - 4}}, None, {}, "labels out of range"),
    "label after a path": (
        lambda n: (image(n), f"{n}.png", n % 4 + 3), None, {"classes": CLASSES}, "labels out of range"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_batches_pass_and_are_named(name: str) -> None:
    make, collate, options, line = HEALTHY[name]
    report = examined(make, collate, **options)
    assert report.ok, str(report)
    assert any(line in each for each in report.checked), report.checked
    assert any(each.startswith("validation: pixel values of 24 images") for each in report.checked), report.checked


@pytest.mark.parametrize("name", SICK)
def test_sick_targets_are_told(name: str) -> None:
    make, collate, options, check = SICK[name]
    report = examined(make, collate, **options)
    assert found(report) == {check}, str(report)


@pytest.mark.parametrize("value", [255, -1])
def test_ignored_pixels_are_noted_with_their_share(value: int) -> None:
    report = examined(lambda n: (image(n), mask_of(0, 1, 2, value)), classes=CLASSES)
    (note,) = [finding for finding in report.findings if finding.check == "ignored pixels"]
    assert f"{value} (25%)" in note.seen
    assert f"ignore_index={value}" in note.remedy
    assert "ignored pixels" not in {f.check for f in examined(
        lambda n: (image(n), mask_of(0, 1, 2, value)), classes=CLASSES, ignore_index=value).findings}  # fmt: skip


def test_places_of_boxes() -> None:
    report = examined(lambda n: (image(n), boxes_of(n, boxes=lambda t: t["boxes"][:, [2, 3, 0, 1]])), zipped)
    assert report.findings[0].samples == (
        "batch 0, image 4: [6, 6, 1, 2]",
        "batch 0, image 4: [7, 6, 2, 2]",
    )


@pytest.mark.parametrize(
    "sample",
    [
        lambda n: (torch.arange(4.0) + n, n % 2),
        lambda n: (torch.rand(100, 3) * 255, n % 2),
        lambda n: {"input_ids": torch.arange(16), "attention_mask": torch.ones(16), "labels": n % 2},
    ],
    ids=["table", "points", "text"],
)
def test_what_is_no_image_is_not_checked(sample: Any) -> None:
    report = examined(sample)
    assert report.findings == (), str(report)
    assert any("no image was recognized" in line for line in report.unchecked)
    assert not any("images" in line for line in report.checked), report.checked


def test_labels_of_an_unknown_form_are_not_checked() -> None:
    report = examined(lambda n: (image(n), {"question": n % 4, "answers": [n, n + 1]}))
    assert not any("labels" in line for line in report.checked), report.checked
    assert any("labels" in line for line in report.unchecked), report.unchecked


def test_batches_that_the_dataset_makes() -> None:
    """As Hugging Face recommends: the sampler yields lists of indices, and the loader makes no batches."""
    batches = torch.utils.data.BatchSampler(range(24), 8, drop_last=False)
    data = Samples(lambda keys: default_collate([(image(n), n % 4) for n in keys]))
    report = loader(None, DataLoader(data, sampler=batches, batch_size=None), samples=24, classes=CLASSES)
    assert report.ok, str(report)
    assert any("24 images" in line for line in report.checked)


def at_scale(factor: float, offset: float, channels: int = 3) -> Callable[[int], Any]:
    def make(index: int) -> Any:
        floats = torch.from_numpy(np.float32(PHOTOS[index]).transpose(2, 0, 1)[:channels])
        return floats * factor + offset, index % 4

    return make


class Normalize:
    """What a dataset's transform looks like."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        self.mean, self.std = mean, std


class TestRemedies:
    """Values on another scale, and what to do about them."""

    def test_units_of_ct(self) -> None:
        report = examined(at_scale(3000 / 255, -1000.0, 1))
        (finding,) = [each for each in report.findings if each.severity != "note"]
        assert finding.check == "wide pixel values"
        assert "Hounsfield" in finding.remedy
        assert "0..255" not in finding.why

    def test_a_window_of_ct_is_noted(self) -> None:
        report = examined(at_scale(400 / 255, -150.0, 1))
        assert report.ok
        assert [each.check for each in report.findings] == ["wide pixel values"]

    def test_a_mean_for_bytes_beside_images_of_0_to_1(self) -> None:
        mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
        data = Samples(lambda n: ((image(n) - image(n) + _unit(n) - _column(mean)) / _column(std), n % 4))
        data.transform = Normalize(mean, std)  # type: ignore[attr-defined]
        report = loader(None, DataLoader(data, 8), samples=24)
        assert found(report) == {"normalized after a second division by 255"}
        assert "divide mean and std by 255" in report.findings[0].remedy

    def test_the_same_mean_beside_bytes_is_well(self) -> None:
        mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
        assert examined(lambda n: ((255 * _unit(n) - _column(mean)) / _column(std), n % 4)).ok


def _unit(index: int) -> torch.Tensor:
    return torch.from_numpy(np.float32(PHOTOS[index]).transpose(2, 0, 1)) / 255


def _column(values: list[float]) -> torch.Tensor:
    return torch.tensor(values)[:, None, None]


def test_the_photos_of_both_sides_differ() -> None:
    assert not (doctored.PHOTOS == doctored.HELD_OUT).all(axis=(1, 2, 3)).any()
