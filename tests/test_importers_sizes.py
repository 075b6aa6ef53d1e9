"""Crops and sizes of albumentations: edges and sides worked out by hand, over many draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import augreg
from augreg import Pipeline
from augreg.importers.translation import Imported

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


def test_boxes_that_are_eroded_to_nothing_keep_their_middle() -> None:
    """The middle of 10..50 and 90..130 along x is 70, and that of 20..80 along y is 50."""
    step = Imported({"image": [{"crop_around_boxes": {"erosion": 1.0}}]}, ())
    tops, lefts, bottoms, rights = edges(step, [[10, 20, 50, 60], [90, 40, 130, 80]]).T
    assert tops.max() == 50 and bottoms.min() == 51 and 67 <= lefts.max() <= 70 and 71 <= rights.min() <= 74
    assert tops.min() == 0 and rights.max() == 200


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


@pytest.mark.parametrize(("name", "shape"), [("SmallestMaxSize", (96, 144)), ("LongestMaxSize", (64, 96))])
def test_one_size_for_both_sides_is_the_size_of_a_side(name: str, shape: tuple[int, int]) -> None:
    """The scale is the larger, or the smaller, of 96 / 300 and 96 / 450."""
    found = given(name, max_size=None, max_size_hw=[96, 96])
    assert not found.report
    assert Pipeline.from_spec(found.spec).test(np.zeros((300, 450, 3), np.uint8)).shape[:2] == shape
    for sides in ([5, None], [None, 5], [5, 6]):
        assert f"max_size_hw={sides}" in given(name, max_size=None, max_size_hw=sides).report[0]


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


def shown(found: Any, draws: int, size: tuple[int, int] = (40, 50)) -> np.ndarray[Any, Any]:
    """Where the corners of the image come to lie, x0, y0, x1, y1, and the rows and columns of the result."""
    pipe = Pipeline.from_spec({**found.spec, "targets": {"keypoints": "keep"}})
    height, width = size
    sample = {"image": np.full((height, width, 3), 9, np.uint8), "keypoints": [[0.0, 0.0], [width, height]]}
    rows = []
    for index in range(draws):
        made = pipe.train(sample, index)
        rows.append([*made["keypoints"][0], *made["keypoints"][1], *made["image"].shape[:2]])
    return np.array(rows)


def test_crop_and_pad_moves_each_edge() -> None:
    """At first by fixed amounts: 10 more at the top, 20 less on the right, 4 less below, 5 more on the left."""
    found = given("CropAndPad", px=[10, -20, -4, 5], keep_size=False, border_mode=0, fill=7)
    assert shown(found, 1).tolist() == [[5, 10, 55, 50, 46, 35]]
    image = Pipeline.from_spec(found.spec).train(np.full((40, 50, 3), 9, np.uint8), 0)
    assert (image[:10] == 7).all() and (image[:, :5] == 7).all() and (image[10:, 5:] == 9).all()
    # kept in size: 46 rows become 40, and 35 columns 50
    kept = given("CropAndPad", px=[10, -20, -4, 5], keep_size=True)
    assert np.allclose(shown(kept, 1), [[5 * 50 / 35, 10 * 40 / 46, 55 * 50 / 35, 50 * 40 / 46, 40, 50]])
    # pixels of a range end before its second number, and each edge has its own
    drawn = shown(given("CropAndPad", px=[-3, 3], keep_size=False), 400)
    assert {*drawn[:, 0]} == {*drawn[:, 1]} == {-3, -2, -1, 0, 1, 2}
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.2
    assert ((drawn[:, 4] - 40 - drawn[:, 1]) >= -3).all() and ((drawn[:, 4] - 40 - drawn[:, 1]) <= 2).all()
    # a quarter of 40 rows is 10, and of 50 columns 12 of 12.5
    fractions = shown(given("CropAndPad", percent=[0.25, -0.25, 0.0, 0.25], keep_size=False), 1)
    assert fractions.tolist() == [[12, 10, 62, 50, 50, 50]]
    one = shown(given("CropAndPad", percent=[-0.2, 0.2], sample_independently=False, keep_size=False), 60)
    assert len({*one[:, 1]}) > 8 and (np.trunc(one[:, 1] * 1.25) - one[:, 0]).max() <= 1  # 50 columns for 40 rows
    assert (one[:, 4] == 40 + 2 * one[:, 1]).all() and (one[:, 5] == 50 + 2 * one[:, 0]).all()
    assert shown(given("CropAndPad", px=-30, keep_size=False), 1)[0, 4:].tolist() == [1, 1]  # of 40 rows, one is left
    for arguments in ({"px": [[1, 2, 3], 0, 0, 0]}, {"px": 3, "fill": [0, 9]}):
        assert "one of" in given("CropAndPad", **arguments).report[0]


def test_random_crop_from_borders_cuts_whole_pixels() -> None:
    """Of 40 rows and 50 columns: up to 5 on the left, 20 on the right, none at the top, and 10 at the bottom."""
    found = given("RandomCropFromBorders", crop_left=0.1, crop_right=0.4, crop_top=0.0, crop_bottom=0.25)
    assert not found.report
    drawn = shown(found, 500)
    left, right = -drawn[:, 0], 50 + drawn[:, 0] - drawn[:, 5]
    top, bottom = -drawn[:, 1], 40 + drawn[:, 1] - drawn[:, 4]
    assert ({*left}, {*right}, {*top}, {*bottom}) == ({*range(6)}, {*range(21)}, {0}, {*range(11)})
    assert np.bincount(left.astype(int)).min() > 50  # each a sixth of 500
    with pytest.raises(augreg.SpecError, match="at most 1 together"):
        Pipeline.from_spec([{"crop_edges": {"top": 0.6, "bottom": 0.5}}])


def test_a_padded_crop_shows_the_border_that_is_asked_for() -> None:
    """Of 40 x 50 pixels, 60 x 50: ten rows more at the top and at the bottom, which repeat the edge, or show fill."""
    image = np.arange(40, dtype=np.uint8)[:, None, None].repeat(50, axis=1).repeat(3, axis=2)
    for options, top in (({"border_mode": 1}, 0), ({"fill": 7}, 7), ({"border_mode": 4}, 10)):
        found = given("RandomCrop", height=60, width=50, pad_if_needed=True, **options)
        assert not found.report
        made = Pipeline.from_spec(found.spec).train(image, 0)
        assert made.shape == (60, 50, 3) and (made[0] == top).all() and (made[10:50] == image).all()
    assert (
        "border_mode=1 is not kept"
        in given("CenterCrop", height=60, width=50, pad_if_needed=True, border_mode=1).report[0]
    )
