"""Oriented boxes: what their numbers mean, what a cut leaves of them, and what is refused; worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle import remapped
from restoring_plans import FLIP, TURN, WARPS, plan_of

from augreg import ImageError, Pipeline, SpecError
from augreg.gallery.overlays import overlaid
from augreg.targets.conventions import Targets
from augreg.views.restoring.points import restore_boxes

IMAGE = np.zeros((100, 120, 3), np.uint8)
CROP = {"center_crop": [60, 60]}  # columns 30 to 90, rows 20 to 80
FIVE = {"boxes": "cxcywhr", "angle": "degrees"}
EIGHT = {"boxes": "xyxyxyxy"}
UPSIDE_DOWN = {"vertical_flip": {"p": 1}}


def moved(boxes: Any, *steps: Any, image: Any = IMAGE, **targets: Any) -> Any:
    pipe = Pipeline.from_spec({"image": list(steps), "targets": {**FIVE, **targets}})
    return pipe.train({"image": image, "boxes": boxes}, 0)["boxes"]


def eight(given: Any, *steps: Any, **targets: Any) -> Any:
    pipe = Pipeline.from_spec({"image": list(steps), "targets": {**EIGHT, **targets}})
    return pipe.train({"image": IMAGE, "boxes": given}, 0)["boxes"]


@pytest.mark.parametrize(
    ("angle", "given", "expected"),
    [
        ("degrees", 30.0, -30.0), ("degrees_counterclockwise", 30.0, -30.0), ("radians", 0.5, -0.5),
        ("radians_counterclockwise", -0.5, 0.5), ("degrees", 135.0, 45.0), ("degrees", -90.0, -90.0),
    ],
)  # fmt: skip
def test_a_mirror_image_turns_the_other_way(angle: str, given: float, expected: float) -> None:
    found = moved([[40.0, 30.0, 30.0, 10.0, given]], FLIP, angle=angle)
    assert np.allclose(found, [[80, 30, 30, 10, expected]], atol=1e-9)


def test_the_way_that_an_angle_turns() -> None:
    """A long box, its right end further down: the pixel there is within it, and the one further up is not."""
    for angle, degrees in (("degrees", 30.0), ("degrees_counterclockwise", -30.0)):
        # a crop of 8 pixels around the middle of its right end, at 60 + 40 cos 30 and 50 + 40 sin 30, keeps it
        for top, there in ((66, 1), (26, 0)):
            crop = {"crop_box": {"size": [8, 8], "top": top, "left": 90}}
            assert len(moved([[60.0, 50.0, 80.0, 8.0, degrees]], crop, angle=angle, min_visible=0)) == there


@pytest.mark.parametrize("degrees", [-90.0, -61.0, -45.0, 0.0, 12.5, 45.0, 89.0])
def test_corners_are_those_of_opencv(degrees: float) -> None:
    cv2 = pytest.importorskip("cv2")
    corners = cv2.boxPoints(((60.0, 50.0), (40.0, 16.0), degrees))
    plan = plan_of((100, 120), targets=FIVE)
    (found,) = restore_boxes(plan, [[60.0, 50.0, 40.0, 16.0, degrees]])
    distance = np.hypot(*(np.array(found)[:, None] - corners).transpose(2, 0, 1))
    assert distance.min(axis=0).max() < 1e-4 and distance.min(axis=1).max() < 1e-4


def test_a_heading_is_kept_if_the_spec_says_so() -> None:
    boxes = [[40.0, 30.0, 30.0, 10.0, 0.0], [60.0, 50.0, 30.0, 10.0, 100.0]]
    assert np.allclose(moved(boxes, FLIP, heading=True), [[80, 30, 30, 10, 180], [60, 50, 30, 10, 80]])
    assert np.allclose(moved(boxes, FLIP), [[80, 30, 30, 10, 0], [60, 50, 30, 10, 80]])
    up = [[60.0, 50.0, 30.0, 10.0, -90.0]]
    assert np.allclose(moved(up, UPSIDE_DOWN, heading=True), [[60, 50, 30, 10, 90]])
    assert np.allclose(moved(up, UPSIDE_DOWN), [[60, 50, 30, 10, -90]])


def test_corners_keep_their_order() -> None:
    box = [50, 40, 80, 40, 80, 50, 50, 50]
    assert eight([box], FLIP) == [[70, 40, 40, 40, 40, 50, 70, 50]]
    assert eight([box], TURN) == [[50, 60, 50, 30, 60, 30, 60, 60]]  # counterclockwise, around (60, 50)
    fractions = np.array([box]) / ([120, 100] * 4)
    found = eight(fractions, FLIP, boxes="xyxyxyxy_normalized")
    assert np.allclose(found * ([120, 100] * 4), [[70, 40, 40, 40, 40, 50, 70, 50]])


def test_a_mirrored_box_that_is_cut_keeps_the_order_of_its_corners() -> None:
    """Mirrored it is from column 40 to 70, and columns 50 to 70 are left."""
    found = eight([[50, 40, 80, 40, 80, 50, 50, 50]], FLIP, {"center_crop": [100, 20]})
    assert np.allclose(found, [[20, 40, 0, 40, 0, 50, 20, 50]])


def test_corners_next_to_the_border_are_on_it() -> None:
    box = [[29.9995, 40, 50, 40, 50, 50, 29.9995, 50], [29.9, 20, 50, 20, 50, 30, 29.9, 30]]
    assert eight(box, CROP)[0] == [0, 20, 20, 20, 20, 30, 0, 30]
    assert np.allclose(eight(box, CROP)[1], [0, 0, 20, 0, 20, 10, 0, 10])


def test_fractions_of_six_digits_end_at_the_border() -> None:
    """A trapezoid that seems to end 0.004 pixels beyond the border stays one; a cut one would become a rectangle."""
    pipe = Pipeline.from_spec({"image": [], "targets": {"boxes": "xyxyxyxy_normalized"}})
    box = [[0.5, 0.2, 1.0000005, 0.4, 1.0000005, 0.6, 0.5, 0.8]]
    found = pipe.train({"image": np.zeros((10, 8000, 1), np.uint8), "boxes": box}, 0)["boxes"]
    assert np.allclose(found, [[0.5, 0.2, 1, 0.4, 1, 0.6, 0.5, 0.8]], atol=1e-9) and max(found[0]) == 1


def test_a_box_that_its_dtype_makes_empty_is_dropped() -> None:
    """Numbers of float16 around 2000 are whole."""
    boxes = np.array([[1, 1, 1.25, 1, 1.25, 5, 1, 5], [1, 1, 8, 1, 8, 5, 1, 5]], np.float16)
    found = eight(boxes, {"pad": {"padding": [0, 0, 2000, 0]}})
    assert found.tolist() == [[2001, 1, 2008, 1, 2008, 5, 2001, 5]]


def test_a_box_leaves_with_its_mask() -> None:
    there, gone = (np.zeros((100, 120), np.uint8) for _ in range(2))
    there[45:55, 55:65], gone[0:5, 0:5] = 1, 1
    boxes = [[50.0, 40.0, 90.0, 60.0, 0.0], [60.0, 50.0, 20.0, 12.0, 30.0]]
    spec = {"image": [CROP], "targets": {**FIVE, "instances": ["masks"]}}
    found = Pipeline.from_spec(spec).train({"image": IMAGE, "boxes": boxes, "masks": [gone, there]}, 0)
    assert np.allclose(found["boxes"], [[30, 30, 20, 12, 30]]) and len(found["masks"]) == 1


def test_corners_come_back_in_the_form_in_which_they_are_given() -> None:
    torch = pytest.importorskip("torch")
    pairs = [[[50, 40], [80, 40], [80, 50], [50, 50]]]
    expected = [[[70, 40], [40, 40], [40, 50], [70, 50]]]
    assert eight(pairs, FLIP) == expected and eight([[*map(tuple, pairs[0])]], FLIP) == expected
    found = eight(np.array(pairs, np.int32), FLIP)
    assert found.dtype == np.float32 and np.array_equal(found, expected)
    assert torch.equal(eight(torch.tensor(pairs), FLIP), torch.tensor(expected, dtype=torch.float32))
    assert eight(np.zeros((0, 4, 2)), FLIP).shape == (0, 4, 2) and eight(np.zeros((0, 8)), FLIP).shape == (0, 8)
    assert eight([], FLIP) == [] == moved([], FLIP) and moved(np.zeros((0, 5)), FLIP).shape == (0, 5)


def test_the_smallest_rectangle_is_around_a_sheared_box() -> None:
    """Against OpenCV's search of the smallest one around the four corners."""
    cv2 = pytest.importorskip("cv2")
    shear = {"affine": {"degrees": [10, 10], "translate": [0, 0], "shear_x": [25, 25]}}
    for box in ([60.0, 50.0, 40.0, 15.0, 20.0], [60.0, 50.0, 12.0, 30.0, -35.0], [60.0, 50.0, 30.0, 29.0, 50.0]):
        plan = Pipeline.from_spec({"image": [shear], "targets": FIVE}).train.plan(IMAGE, 0)
        (found,) = plan.run({"image": IMAGE, "boxes": [box]})["boxes"]
        corners = np.array(cv2.boxPoints(((box[0], box[1]), (box[2], box[3]), box[4])))
        a, b, c, d, e, f = (plan.ops[0].point_map(100, 120))[:6]
        quad = np.stack((corners @ [a, b] + c, corners @ [d, e] + f), axis=1)
        assert not np.allclose(quad, corners, atol=1)
        center, sides, _ = cv2.minAreaRect(quad.astype(np.float32))
        assert np.allclose(found[:2], center, atol=0.01)
        assert np.allclose(sorted(found[2:4]), sorted(sides), atol=0.01)


def test_what_is_left_of_a_cut_box_keeps_its_direction() -> None:
    # straight: 50 of 80 columns are left, and the fraction that is visible is 5/8
    assert np.allclose(moved([[80.0, 50.0, 80.0, 10.0, 0.0]], CROP), [[25 + 10, 30, 50, 10, 0]])
    assert len(moved([[80.0, 50.0, 80.0, 10.0, 0.0]], CROP, min_visible=0.62))
    assert not len(moved([[80.0, 50.0, 80.0, 10.0, 0.0]], CROP, min_visible=0.63))
    # a square turned by 45 degrees, whose left corner is at (70, 50), in an image that ends at column 90: a triangle
    # is left, whose other corners are (90, 30) and (90, 70); the rectangle around it in the direction of the box has
    # two sides of 20 sqrt(2), and goes beyond the border
    side = 20 * np.sqrt(2)
    center = 70 + 50 * np.sqrt(2)
    (found,) = moved([[center, 50.0, 100.0, 100.0, 45.0]], {"center_crop": [100, 60]}, min_visible=0)
    assert np.allclose(found, [40 + 20, 50, side, side, 45])


def test_boxes_are_drawn_around_masks_in_their_own_direction() -> None:
    """A thin bar from one corner of a square to the other in a box that is far too wide, which is then turned."""
    ys, xs = np.mgrid[:100, :120] + 0.5
    bar = ((np.abs((xs - 60) - (ys - 50)) < 4) & (np.abs((xs - 60) + (ys - 50)) < 40)).astype(np.uint8)
    sample = {"image": IMAGE, "boxes": [[60.0, 50.0, 80.0, 30.0, 45.0]], "masks": [bar]}
    targets = {**FIVE, "instances": ["masks"], "boxes_from": "masks"}
    for turn, expected in ((0, 45.0), (20, 25.0)):
        spec = {"image": [{"rotate": {"degrees": [turn, turn]}}], "targets": targets}
        (found,) = Pipeline.from_spec(spec).train(sample, 0)["boxes"]
        # 40 sqrt(2) long and 4 sqrt(2) wide, to a pixel
        assert np.allclose(found, [60, 50, 40 * np.sqrt(2), 4 * np.sqrt(2), expected], atol=1.6)
        assert abs(found[4] - expected) < 1e-6


def test_steps_see_the_upright_boxes_around() -> None:
    """A crop that keeps boxes keeps the whole of a turned one."""
    spec = {"image": [{"crop_around_boxes": {}}], "targets": {**FIVE, "min_visible": 1}}
    for index in range(20):
        found = Pipeline.from_spec(spec).train({"image": IMAGE, "boxes": [[60.0, 50.0, 60.0, 10.0, 40.0]]}, index)
        assert np.allclose([one[2:] for one in found["boxes"]], [[60, 10, 40]])


@pytest.mark.parametrize("step", [FLIP, TURN, *WARPS], ids=str)
def test_test_time_views_move_them_back(step: Any) -> None:
    boxes = np.array([[22.0, 17.0, 8.0, 5.0, 25.0], [26.0, 19.0, 5.0, 9.0, -60.0]])
    bends = next(iter(step)) in ("elastic", "grid_distortion", "optical_distortion")
    flat = not bends and next(iter(step)) not in ("affine", "perspective", "resize", "random_resized_crop")
    for index in range(6):
        corners = np.array(restore_boxes(plan_of((36, 48), targets=FIVE), boxes))
        plan = plan_of((36, 48), step, index=index, targets={**EIGHT, "min_visible": 0.999})
        seen = plan.run({"image": IMAGE[:36, :48], "boxes": corners, "labels": [0, 1]})
        back = restore_boxes(plan, seen["boxes"], corners=False)
        assert back.shape == (len(seen["labels"]), 4, 2)
        assert np.abs(back - corners[seen["labels"]]).max(initial=0) < 0.01
        if flat:
            plan = plan_of((36, 48), step, index=index, targets={**FIVE, "min_visible": 0.999})
            seen = plan.run({"image": IMAGE[:36, :48], "boxes": boxes, "labels": [0, 1]})
            assert np.allclose(restore_boxes(plan, seen["boxes"], corners=False), boxes[seen["labels"]], atol=1e-6)


@pytest.mark.parametrize(
    "bend", [{"elastic": {"alpha": 60, "sigma": 6}}, {"grid_distortion": {"limit": 0.3}}], ids=str
)
def test_corners_in_a_field_are_where_it_reads_them(bend: Any) -> None:
    """The pixels around a corner of the result read around the corner of the image, in proportion."""
    corners = np.array([[[20.0, 20.0], [50.0, 30.0], [44.0, 48.0], [14.0, 38.0]]])
    for index in range(2):
        plan = Pipeline.from_spec({"image": [bend], "targets": EIGHT}).train.plan(IMAGE[:54, :58], index)
        (found,) = plan.run({"image": IMAGE[:54, :58], "boxes": corners})["boxes"]
        ys, xs = remapped(plan.ops[0], 54, 58)
        left, top = np.floor(found - 0.5).astype(int).T
        right, down = (found - 0.5 - np.stack((left, top), axis=1)).T
        for read, wanted in ((xs, corners[0, :, 0]), (ys, corners[0, :, 1])):
            upper = read[top, left] * (1 - right) + read[top, left + 1] * right
            lower = read[top + 1, left] * (1 - right) + read[top + 1, left + 1] * right
            assert np.abs(upper * (1 - down) + lower * down - wanted).max() < 0.005


def test_corners_of_views_are_fractions_if_the_spec_says_so() -> None:
    """From the 10 x 10 pixels in the middle of 10 x 20: five to the right, and half as wide a fraction."""
    plan = plan_of((10, 20), {"center_crop": [10, 10]}, targets={"boxes": "xyxyxyxy_normalized"})
    box = [0.2, 0.2, 0.8, 0.4, 0.6, 0.9, 0.3, 0.8]
    wanted = np.array([[0.35, 0.2, 0.65, 0.4, 0.55, 0.9, 0.4, 0.8]])
    assert np.allclose(restore_boxes(plan, [box]), wanted.reshape(1, 4, 2))
    assert np.allclose(restore_boxes(plan, [box], corners=False), wanted)
    pairs = np.reshape(box, (1, 4, 2))
    assert np.allclose(restore_boxes(plan, pairs, corners=False), wanted.reshape(1, 4, 2))
    assert restore_boxes(plan, np.zeros((0, 8)), corners=False).shape == (0, 8)


def test_oriented_boxes_of_views_are_not_clipped() -> None:
    plan = plan_of((36, 48), FLIP, targets=FIVE)
    with pytest.raises(ImageError, match="oriented boxes cannot be clipped"):
        restore_boxes(plan, [[22.0, 17.0, 8.0, 5.0, 25.0]], corners=False, clip=True)


@pytest.mark.parametrize(
    ("targets", "box", "message"),
    [
        (FIVE, [1, 2, 3, 4], r"boxes \(center x, center y, width, height, angle\): give n x 5 numbers"),
        (FIVE, [50, 50, 0, 4, 1], "has no area: expected center x"),
        (FIVE, [50, 50, 9, 4, 400], "the angle 400 is more than a whole turn, 360"),
        ({**FIVE, "angle": "radians"}, [50, 50, 9, 4, 45], "the spec says radians; these may be degrees"),
        (EIGHT, [1, 1, 9, 1, 9, 9], "give n x 8 numbers"),
        (EIGHT, [10, 10, 20, 10, 10, 20, 20, 20], "has edges that cross: expected the four corners"),
        (EIGHT, [10, 10, 20, 20, 30, 30, 40, 40], "has no area"),
        ({"boxes": "xyxyxyxy_normalized"}, [10, 10, 20, 10, 20, 20, 10, 20], "is not normalized"),
    ],
)
def test_what_is_no_oriented_box(targets: Any, box: Any, message: str) -> None:
    with pytest.raises(ImageError, match=rf"sample\['boxes'\].*{message}"):
        Pipeline.from_spec({"image": [], "targets": targets}).train({"image": IMAGE, "boxes": [box]}, 0)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"boxes": "cxcywhr"}, "needs the unit of its angle; give angle: radians or angle: degrees"),
        ({"boxes": "xyxy", "angle": "degrees"}, "angle and heading are for boxes: cxcywhr"),
        ({"boxes": "xyxyxyxy", "heading": True}, "angle and heading are for boxes: cxcywhr"),
        ({**FIVE, "normalized": True}, "give pixels, or corners"),
        ({"boxes": "xywhr"}, "did you mean 'cxcywhr'"),
    ],
)
def test_what_a_spec_cannot_say(targets: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Pipeline.from_spec({"image": [], "targets": targets})


def test_specs_come_back() -> None:
    for targets in (FIVE, EIGHT, {**FIVE, "heading": True}, {"boxes": "xyxyxyxy_normalized"}):
        pipe = Pipeline.from_spec({"image": [], "targets": targets})
        assert Pipeline.from_spec(pipe.to_spec()) == pipe
    plain = Pipeline.from_spec({"image": [], "targets": {"boxes": "xyxy"}}).to_spec()["targets"]
    assert "angle" not in plain and "heading" not in plain


def test_the_gallery_draws_their_outline() -> None:
    gray = np.full((300, 400, 3), 90, np.uint8)
    targets = Targets(boxes="cxcywhr", angle="degrees")
    found = overlaid(gray, {"boxes": [[200, 150, 200, 100, 45]]}, targets, [])
    changed = (found != gray).any(axis=2)
    # the middle of the side to the right is at 200 + 100 cos 45 and 150 + 100 sin 45
    assert changed[221, 271] and not changed[150, 200] and not changed[100, 300]


def test_corners_that_rounding_puts_next_to_the_border_are_on_it() -> None:
    """By less than a thousandth of a pixel."""
    spec = {"targets": {"boxes": "xyxyxyxy"}, "image": []}
    given = [[-0.0005, 4, 15, -0.0005, 30.0005, 9, 15, 20.0005]]
    found = Pipeline.from_spec(spec).train({"image": np.zeros((20, 30, 3), np.uint8), "boxes": given}, 0)
    assert found["boxes"] == [[0, 4, 15, 0, 30, 9, 15, 20]]
