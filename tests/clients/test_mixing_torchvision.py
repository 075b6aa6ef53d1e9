"""A mixed batch goes into a detection model of torchvision, which trains on its boxes and masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn, maskrcnn_resnet50_fpn
from torchvision.ops import masks_to_boxes

import augreg


def batch(count: int, size: int) -> tuple[list[torch.Tensor], list[dict[str, Any]]]:
    """Images and targets as the references of torchvision have them."""
    generator = torch.Generator().manual_seed(3)
    images, targets = [], []
    for i in range(count):
        masks = torch.zeros(2, size, size, dtype=torch.uint8)
        masks[0, 4 : size // 2, 4 + i : size // 2], masks[1, size // 3 :, size // 3 : size - 2 * i] = 1, 1
        target = {"boxes": masks_to_boxes(masks), "labels": torch.tensor([1, 2]), "masks": masks}
        target["boxes"][:, 2:] += 1  # theirs end at the last pixel
        targets.append({**target, "image_id": i, "iscrowd": torch.zeros(2, dtype=torch.int64)})
        images.append(torch.rand(3, size, size, generator=generator))
    return images, targets


@pytest.mark.parametrize("step", ["mixup", "mosaic", "copy_paste"])
def test_a_model_trains_on_mixed_targets(step: str) -> None:
    targets = {"boxes": "xyxy", "instances": ["masks"], "labels": ["labels", "iscrowd"]}
    pipe = augreg.Pipeline.from_spec({"targets": targets, "batch": [step]})
    images, given = batch(3, 64)
    mixed, found = pipe.batch(images, given, batch=1)
    assert [one["image_id"] for one in found] == [0, 1, 2]
    for one in found:
        count = len(one["boxes"])
        assert one["boxes"].shape == (count, 4) and one["masks"].shape == (count, 64, 64)
        assert one["labels"].shape == one["iscrowd"].shape == one["object_weights"].shape == (count,)
        around = masks_to_boxes(one["masks"])
        around[:, 2:] += 1
        assert torch.allclose(one["boxes"], around)  # the objects are rectangles, pasted with whole pixels
    torch.manual_seed(0)
    make = maskrcnn_resnet50_fpn if step == "copy_paste" else fasterrcnn_mobilenet_v3_large_320_fpn
    model = make(weights=None, weights_backbone=None, num_classes=3, min_size=64, max_size=64)
    losses = model(mixed, found)
    assert all(torch.isfinite(loss) for loss in losses.values())
