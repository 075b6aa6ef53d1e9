"""iou_crop, random_shorter, random_scale that fits, and boxes that go with their centers: by hand and by counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import augreg
from augreg import Pipeline

IMAGE = np.zeros((60, 80, 3), np.uint8)
BOXES = [[10.0, 20.0, 50.0, 44.0], [70.0, 5.0, 78.0, 9.0]]


def pixels(box: Any) -> Any:
    """The pixels of a box of whole pixels."""
    drawn = np.zeros(IMAGE.shape[:2], bool)
    x0, y0, x1, y1 = map(int, box)
    drawn[y0:y1, x0:x1] = True
    return drawn


@pytest.mark.parametrize("wanted", [0.0, 0.3, 0.7])
def test_crops_overlap_a_box_whose_center_they_contain(wanted: float) -> None:
    """The overlap is counted in pixels."""
    pipe = Pipeline.from_spec(
        {"image": [{"iou_crop": {"overlaps": [wanted]}}], "targets": {"boxes": "xyxy", "centers": "drop"}}
    )
    crops = 0
    for index in range(200):
        sample = {"image": IMAGE, "boxes": BOXES, "labels": ["large", "small"]}
        ops = pipe.train.plan(sample, index).ops
        found = pipe.train(sample, index)
        if not ops:
            assert found["labels"] == ["large", "small"]  # no crop was found: a small overlap always is
            assert wanted == 0.7
            continue
        crops += 1
        op = ops[0]
        assert 0.3 * 60 - 1 < op.height <= 60 and 0.3 * 80 - 1 < op.width <= 80
        assert 0.5 <= op.width / op.height <= 2.0
        crop = pixels((op.left, op.top, op.left + op.width, op.top + op.height))
        inside = {
            name: (pixels(box) & crop).sum() / (pixels(box) | crop).sum()
            for name, box, (x, y) in (("large", BOXES[0], (30, 32)), ("small", BOXES[1], (74, 7)))
            if op.left < x < op.left + op.width and op.top < y < op.top + op.height
        }
        assert inside and max(inside.values()) >= wanted
        assert found["labels"] == [*inside]
    assert crops > 150


def test_images_stay_where_nothing_is_asked_for_or_found() -> None:
    for overlaps, boxes in (([1.0], BOXES), ([0.0, 0.5], []), ([0.999], BOXES[1:])):
        pipe = Pipeline.from_spec(
            {"image": [{"iou_crop": {"overlaps": overlaps, "tries": 2}}], "targets": {"boxes": "xyxy"}}
        )
        for index in range(20):
            found = pipe.train({"image": IMAGE, "boxes": boxes}, index)
            assert found["image"].shape == IMAGE.shape and len(found["boxes"]) == len(boxes)
    share = Pipeline.from_spec(
        {"image": [{"iou_crop": {"overlaps": [0.0, 1.0], "scale": [0.3, 0.9]}}], "targets": {"boxes": "xyxy"}}
    )
    whole = [not share.train.plan({"image": IMAGE, "boxes": BOXES}, index).ops for index in range(400)]
    assert np.mean(whole) == pytest.approx(0.5, abs=0.1)
    for arguments, said in (({"overlaps": []}, "overlaps"), ({"scale": [0, 1]}, "scale"), ({"ratio": -1}, "ratio")):
        with pytest.raises(augreg.SpecError, match=said):
            Pipeline.from_spec([{"iou_crop": arguments}])


def test_boxes_go_with_their_centers() -> None:
    """A crop from row 10 and column 20 on, of 30 x 40 pixels: the last box has its center on the edge."""
    boxes = [[0.0, 10, 39, 30], [0, 10, 41, 30], [50, 38, 70, 46], [55, 0, 60, 19], [10, 15, 30, 25]]
    for centers, left in (("keep", [0, 1, 2, 3, 4]), ("drop", [1])):
        targets = {"boxes": "xyxy", "min_visible": 0.0, "centers": centers}
        pipe = Pipeline.from_spec(
            {"image": [{"crop_box": {"top": 10, "left": 20, "size": [30, 40]}}], "targets": targets}
        )
        sample = {"image": IMAGE, "boxes": boxes, "labels": [*range(5)]}
        assert pipe.train(sample, 0)["labels"] == left
        assert ("centers" in pipe.to_spec()["targets"]) is (centers == "drop")


def test_sizes_by_hand() -> None:
    """60 x 80 fits into 30 x 20 at a quarter; into 90 x 200 at 1.5. 31 of 60 rows makes 41 of 41.3 columns."""
    for fit, factor, size in (((30, 20), 1.0, (15, 20)), ((90, 200), 1.0, (90, 120)), ((30, 20), 2.5, (37, 50))):
        step = {"random_scale": {"scale": [factor, factor], "fit": list(fit)}}
        assert Pipeline.from_spec([step]).train(IMAGE, 0).shape[:2] == size
    shorter = Pipeline.from_spec([{"random_shorter": {"shorter": [31, 36]}}])
    sizes = {shorter.train(IMAGE, index).shape[:2] for index in range(60)}
    assert sizes == {(31, 41), (32, 42), (33, 44), (34, 45), (35, 46), (36, 48)}
    assert shorter.test(IMAGE).shape[:2] == (33, 44)
    assert shorter.train(IMAGE.transpose(1, 0, 2), 0).shape[0] > 40
    plain = Pipeline.from_spec(["random_scale"])
    assert plain.fingerprint == Pipeline.from_spec([{"random_scale": {"fit": None}}]).fingerprint
