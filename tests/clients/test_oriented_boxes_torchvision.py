"""Oriented boxes beside torchvision's: the same corners for the same numbers, and after a mirror and a turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from augreg import Pipeline
from augreg.views.restoring.points import restore_boxes

SIZE = (100, 120)
BOXES = [[60.0, 50.0, 40.0, 16.0, 30.0], [50.0, 45.0, 12.0, 30.0, -70.0], [70.0, 55.0, 20.0, 20.0, 0.0]]
TARGETS = {"boxes": "cxcywhr", "angle": "degrees_counterclockwise"}


def theirs(*changes: Any) -> np.ndarray:
    boxes = tv_tensors.BoundingBoxes(torch.tensor(BOXES, dtype=torch.float64), format="CXCYWHR", canvas_size=SIZE)
    for change in changes:
        boxes = change(boxes)
    corners = functional.convert_bounding_box_format(boxes, new_format=tv_tensors.BoundingBoxFormat.XYXYXYXY)
    return np.asarray(corners.reshape(-1, 4, 2))


def ours(*steps: Any) -> np.ndarray:
    pipe = Pipeline.from_spec({"image": list(steps), "targets": TARGETS})
    boxes = pipe.train({"image": np.zeros((*SIZE, 1), np.uint8), "boxes": np.array(BOXES)}, 0)["boxes"]
    still = Pipeline.from_spec({"image": [], "targets": TARGETS}).train.plan(SIZE)
    return np.asarray(restore_boxes(still, boxes))


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ((), ()),
        (({"horizontal_flip": {"p": 1}},), (functional.horizontal_flip,)),
        (({"rotate": {"degrees": [25, 25]}},), (lambda boxes: functional.rotate(boxes, 25),)),
    ],
    ids=["as they are", "mirrored", "turned"],
)
def test_the_corners_are_the_same(steps: Any, changes: Any) -> None:
    """Whichever is the first: of a box without a heading it may be another one."""
    distance = np.hypot(*(ours(*steps)[:, :, None] - theirs(*changes)[:, None]).transpose(3, 0, 1, 2))
    assert distance.min(axis=1).max() < 0.01 and distance.min(axis=2).max() < 0.01
