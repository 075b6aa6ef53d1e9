"""Crops and sizes of albumentations: edges and sides worked out by hand, over many draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import augreg
from augreg import Pipeline

ONE = [[40.0, 30.0, 120.0, 90.0]]
TWO = [[40.0, 30.0, 100.0, 60.0], [90.0, 50.0, 150.0, 100.0]]


def given(name: str, version: str = "2.0.8", **arguments: Any) -> Any:
    return augreg.from_albumentations(
        {"__version__": version, "transform": {"__class_fullname__": name, "p": 1.0, **arguments}}
    )


def edges(found: Any, boxes: list[list[float]], draws: int = 400) -> np.ndarray[Any, Any]:
    """Top, left, bottom and right of the first crop of an image with 120 rows and 200 columns."""
    pipe = Pipeline.from_spec({**found.spec, "targets": {"boxes": "xyxy"}})
    sample = {"image": np.zeros((120, 200, 3), np.uint8), "boxes": boxes}
    crops = []
    for index in range(draws):
        ops = pipe.train.plan(sample, index=index).ops
        crops.append((ops[0].top, ops[0].left, ops[0].top + ops[0].height, ops[0].left + ops[0].width) if ops else
                     (0, 0, 120, 200))  # fmt: skip
    return np.array(crops)


@pytest.mark.parametrize(
    ("version", "erosion", "boxes", "inner"),
    [
        ("2.0.8", 0.0, TWO, (30, 40, 100, 150)), ("2.0.8", 0.3, ONE, (30, 40, 90, 120)),
        ("2.0.8", 0.4, TWO, (44, 62, 86, 128)),  # a fifth of 70 and of 110, at each edge
        ("1.3.1", 0.25, ONE, (45, 60, 75, 100)), ("1.3.1", 0.2, TWO, (36, 52, 90, 138)),  # a fifth of each box
        ("1.3.1", 0.5, ONE, (60, 80, 61, 81)),  # a pixel is left
    ],
)  # fmt: skip
def test_a_crop_keeps_what_erosion_leaves_of_boxes(
    version: str, erosion: float, boxes: list[list[float]], inner: tuple[int, ...]
) -> None:
    found = given("BBoxSafeRandomCrop", version, erosion_rate=erosion)
    assert not found.report
    tops, lefts, bottoms, rights = edges(found, boxes).T
    for drawn, low, high in (
        (tops, 0, inner[0]), (lefts, 0, inner[1]), (bottoms, inner[2], 120), (rights, inner[3], 200),
    ):  # fmt: skip
        assert drawn.min() >= low and drawn.max() <= high
        assert drawn.min() - low <= (high - low) * 0.05 and high - drawn.max() <= (high - low) * 0.05
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.08 * (high - low) + 0.01)


def test_an_image_without_boxes_shrinks_by_the_erosion_or_not_at_all() -> None:
    assert (edges(given("BBoxSafeRandomCrop", erosion_rate=0.0), [], 9) == (0, 0, 120, 200)).all()
    tops, lefts, bottoms, rights = edges(given("BBoxSafeRandomCrop", erosion_rate=0.3), []).T
    heights, widths = bottoms - tops, rights - lefts
    assert {*heights} == {*range(84, 121)}  # 70 % of 120 rows, and up to all
    assert (widths == heights * 200 // 120).all()
    assert tops.max() > 30 and (bottoms == 120).any() and (tops == 0).any()
    with pytest.raises(augreg.SpecError, match="half a box"):
        Pipeline.from_spec([{"crop_around_boxes": {"erosion": 0.6, "erode": "boxes"}}])
    sized = given("RandomSizedBBoxSafeCrop", height=8, width=9, erosion_rate=0.2, interpolation=3)
    assert sized.spec["image"] == [{"crop_around_boxes": {
        "size": [8, 9], "without_boxes": "shrink", "erosion": 0.2, "interpolation": "area", "p": 1.0,
    }}]  # fmt: skip


def test_the_longer_side_is_rounded() -> None:
    """97 of 300 rows: 451 columns become 145.8."""
    image = np.zeros((300, 451, 3), np.uint8)
    for name, sizes, shapes in (
        ("SmallestMaxSize", 97, {(97, 146)}), ("LongestMaxSize", 128, {(85, 128)}),
        ("SmallestMaxSize", [97, 150], {(97, 146), (150, 226)}),  # 225.5, to even
    ):  # fmt: skip
        found = given(name, max_size=sizes)
        assert not [line for line in found.report if "test: off" not in line]
        pipe = Pipeline.from_spec(found.spec)
        assert {pipe.train(image, index).shape[:2] for index in range(20)} == shapes
    default, down = (
        Pipeline.from_spec([{"resize": 97}]),
        Pipeline.from_spec([{"resize": {"shorter": 97, "rounding": "down"}}]),
    )
    assert default.fingerprint == down.fingerprint and default.test(image).shape[:2] == (97, 145)
    assert "max_size_hw" in given("LongestMaxSize", max_size=None, max_size_hw=[5, None]).report[0]


def test_masks_show_the_fill_of_most_steps() -> None:
    moved = {"__class_fullname__": "Rotate", "limit": [20.0, 20.0], "p": 1.0}
    padded = {"__class_fullname__": "PadIfNeeded", "min_height": 90, "min_width": 90, "p": 1.0}
    nothing = {"__class_fullname__": "Compose", "p": 1.0}

    def of(*steps: dict[str, Any]) -> Any:
        return augreg.from_albumentations({**nothing, "transforms": [*steps]})

    found = of({**moved, "fill_mask": 255.0}, {**padded, "fill_mask": [255, 255]})
    assert not found.report and found.spec["targets"] == {"mask_fill": 255}
    sample = {"image": np.zeros((40, 60, 3), np.uint8), "mask": np.ones((40, 60), np.int64)}
    mask = Pipeline.from_spec(found.spec).train(sample, index=0)["mask"]
    assert {*np.unique(mask)} == {1, 255} and mask[0, 0] == 255
    # a border that is mirrored shows no fill, and holes are none
    hole = {"__class_fullname__": "CoarseDropout", "fill_mask": None}
    assert not of({**moved, "fill_mask": 255}, {**padded, "fill_mask": 0, "border_mode": 4}, hole).report
    several = of({**moved, "fill_mask": 7}, {**moved, "fill_mask": 7}, {**padded, "fill_mask": 0})
    assert several.spec["targets"] == {"mask_fill": 7}
    assert [line for line in several.report if "fill_mask=0 is not kept" in line and "PadIfNeeded" in line]
    assert not of({**moved, "fill_mask": 0}, padded).report
    assert "targets" not in of({**moved, "fill_mask": 0}, padded).spec


def test_a_compose_inside_may_repeat_the_targets() -> None:
    boxes = {"format": "coco", "label_fields": ["labels"], "min_visibility": 0.4}
    flip = {"__class_fullname__": "HorizontalFlip", "p": 0.5}
    for inner, lost in ((boxes, 0), ({**boxes, "min_visibility": 0.2}, 1), (None, 0)):
        inside = {"__class_fullname__": "Compose", "p": 1.0, "transforms": [flip], "bbox_params": inner}
        whole = {"__class_fullname__": "Compose", "p": 1.0, "transforms": [inside], "bbox_params": boxes}
        found = augreg.from_albumentations(whole)
        assert len(found.report) == lost and found.spec["targets"]["min_visible"] == 0.4
