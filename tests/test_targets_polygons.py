"""Polygons follow by their points and are clipped as figures, beside the masks that they enclose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figures import grid, origin, sizes

from augreg import ImageError, Pipeline, SpecError
from augreg.targets.polygons import bridged

IMAGE = np.zeros((40, 60, 3), np.uint8)
FLIP = {"horizontal_flip": {"p": 1}}
CROP = {"center_crop": [20, 20]}  # columns 20 to 40, rows 10 to 30


def moved(value: Any, *steps: Any, others: Any = (), **targets: Any) -> dict[str, Any]:
    pipe = Pipeline.from_spec({"image": list(steps), "targets": {"polygons": ["segmentation"], **targets}})
    return pipe.train({"image": IMAGE, "segmentation": value, **dict(others)}, 0)


def area(points: Any) -> float:
    x, y = np.reshape(points, (-1, 2)).T
    return abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2


def within(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Whether points are within a polygon: a line from each to the left crosses its edges an odd number of times."""
    found = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            at = x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0)
            found ^= ((y0 > points[:, 1]) != (y1 > points[:, 1])) & (at < points[:, 0])
    return found


@pytest.mark.parametrize(
    "steps",
    [
        ["d4", {"random_crop": {"size": [50, 60]}}],
        [{"affine": {"degrees": 60, "shear_x": 20}}, {"random_crop": {"size": [60, 60]}}, {"pad": {"padding": 4}}],
        [{"perspective": {"distortion": 0.3, "p": 1}}, {"resize": {"size": [70, 110]}}],
    ],
    ids=str,
)
def test_a_clipped_star_encloses_the_points_that_come_from_within_it(steps: list[Any]) -> None:
    rng = np.random.default_rng(8)
    cut = 0
    for index in range(40):
        image = np.zeros((*rng.integers(70, 100, 2), 1), np.uint8)
        turns = np.arange(10) * (np.pi / 5) + rng.uniform(0, 6)
        radius = np.where(np.arange(10) % 2, 12.0, 34.0)
        star = rng.uniform(20, 60, 2) + (radius * [np.cos(turns), np.sin(turns)]).T
        plan = Pipeline.from_spec({"image": steps, "targets": {"polygons": ["outlines"]}}).train.plan(image, index)
        (polygon,) = plan.run({"image": image, "outlines": [star]})["outlines"]
        size = sizes(plan)[-1]
        assert not len(polygon) or (polygon.min() >= 0 and (polygon <= size[::-1]).all())
        points = grid(size, 2)
        source, seen = origin(plan, points)
        assert np.array_equal(within(points, polygon), seen & within(source, star)), index
        cut += len(polygon) != 10
    assert cut > 5


def test_by_hand() -> None:
    """A square of 20 around the corner of the crop: a quarter is left."""
    square = [[10, 0, 30, 0, 30, 20, 10, 20]]
    found = moved([square], CROP)["segmentation"]
    assert len(found) == len(found[0]) == 1 and area(found[0][0]) == 100
    assert sorted(map(tuple, np.reshape(found[0][0], (-1, 2)))) == [(0, 0), (0, 10), (10, 0), (10, 10)]
    assert moved([square], FLIP)["segmentation"] == [[[50, 0, 30, 0, 30, 20, 50, 20]]]


def test_they_come_back_in_the_form_in_which_they_are_given() -> None:
    torch = pytest.importorskip("torch")
    pairs, wanted = [[10, 10], [30, 10], [30, 20]], [[50, 10], [30, 10], [30, 20]]
    flat = [number for pair in pairs for number in pair]
    assert moved([pairs, flat, [flat, pairs]], FLIP)["segmentation"] == [
        wanted, [50, 10, 30, 10, 30, 20], [[50, 10, 30, 10, 30, 20], wanted],
    ]  # fmt: skip
    (array, tensor, (first,)) = moved(
        (np.array(pairs, np.float32), torch.tensor(pairs), [np.array(flat)]), FLIP
    )["segmentation"]  # fmt: skip
    assert array.dtype == np.float32 and np.array_equal(array, wanted)
    assert torch.equal(tensor, torch.tensor(wanted, dtype=torch.float32)) and first.shape == (6,)
    assert moved([], FLIP)["segmentation"] == [] and moved([[]], FLIP)["segmentation"] == [[]]
    fractions = moved([[[0.5, 0.25, 0.75, 0.25, 0.75, 0.5]]], FLIP, boxes="xyxy_normalized")["segmentation"]
    assert np.allclose(fractions, [[[0.5, 0.25, 0.25, 0.25, 0.25, 0.5]]])


def test_parts_that_leave_the_image_are_left_out() -> None:
    inner, outer = [22, 12, 30, 12, 30, 20], [0, 0, 8, 0, 8, 8]
    found = moved([[inner, outer], [outer], outer, np.array(outer), [inner]], CROP)["segmentation"]
    assert found[0] == found[4] == [[2, 2, 10, 2, 10, 10]] and found[1] == found[2] == [] and found[3].shape == (0,)


def test_what_only_touches_the_border_is_gone() -> None:
    """Up to where the crop begins, also if rounding put it a little further, and a line without an area."""
    for end in (20, 20.0005):
        assert moved([[[10, 12, end, 12, end, 20, 10, 20]]], CROP)["segmentation"] == [[]]
    assert moved([[[10, 12, 20.01, 12, 20.01, 20, 10, 20]]], CROP)["segmentation"] != [[]]
    assert moved([[[25, 15, 30, 20, 35, 25]]], CROP)["segmentation"] == [[]]


def test_objects_leave_with_their_boxes_and_boxes_with_their_polygons() -> None:
    # the box of the second reaches into the crop, and its polygon does not; of the third too little is left
    boxes = [[22, 12, 30, 20], [0, 0, 30, 30], [0, 0, 21, 30], [21, 11, 39, 29]]
    corner, thin = [0, 0, 9, 0, 0, 9], [0, 0, 21, 0, 21, 30, 0, 30]
    shapes = [[[22, 12, 30, 12, 30, 20]], [corner], [thin], [[21, 11, 39, 11, 39, 29]]]
    others = {"boxes": boxes, "labels": list("abcd")}
    found = moved(shapes, CROP, others=others, boxes="xyxy", min_visible=0.1)
    assert found["labels"] == ["a", "d"] and len(found["boxes"]) == 2
    assert found["segmentation"] == [[[2, 2, 10, 2, 10, 10]], [[1, 1, 19, 1, 19, 19]]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[[1, 2, 3, 4]]], r"\['segmentation'\]\[0\]\[0\]: 2 points are not a polygon"),
        ([[[1, 2, 3, 4, 5, 6, 7]]], "7 numbers are not a polygon: give k x 2"),
        ([{"counts": "abc", "size": [1, 2]}], r"\['segmentation'\]\[0\]: a dict is not a polygon"),
        ({"a": 1}, "a dict is no list with the polygons of each object"),
        ([[[0, 0], [5, float("nan")], [3, 3]]], "is not finite"),
    ],
)
def test_what_is_no_polygon(value: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        moved(value, FLIP)


def test_they_follow_where_a_batch_is_mixed() -> None:
    spec = {"batch": [{"mixup": {"pairing": "flip"}}], "classes": 2, "targets": {"polygons": ["outlines"]}}
    batch = {"image": np.zeros((2, 8, 8, 3), np.uint8), "label": np.arange(2), "outlines": [[[0, 0, 4, 0, 4, 4]]] * 2}
    mixed = Pipeline.from_spec(spec).batch(batch, batch=0)
    assert mixed["outlines"] == [[[0, 0, 4, 0, 4, 4]] * 2] * 2


def test_what_contradicts_itself() -> None:
    with pytest.raises(ImageError, match="polygons of 1 objects and 2 boxes"):
        moved([[0, 0, 9, 0, 9, 9]], others={"boxes": [[0, 0, 9, 9]] * 2}, boxes="xyxy")
    for targets in ({"polygons": ["boxes"]}, {"polygons": ["depth"], "maps": {"depth": {}}}):
        with pytest.raises(SpecError, match="polygons"):
            Pipeline.from_spec({"image": [], "targets": targets})


def test_an_object_that_had_no_polygon_keeps_its_box() -> None:
    spec = {"targets": {"boxes": "xyxy", "polygons": ["segmentation"]}, "image": [{"center_crop": 20}]}
    boxes = [[12, 12, 20, 20], [12, 12, 20, 20]]
    sample = {"image": np.zeros((40, 40, 3), np.uint8), "boxes": boxes, "segmentation": [[], [[0, 0, 9, 0, 9, 9]]]}
    found = Pipeline.from_spec(spec).train(sample, 0)
    assert found["boxes"] == [[2, 2, 10, 10]] and found["segmentation"] == [[]]


def test_bridges_have_no_width() -> None:
    """Triangles of 6, 2 and 4.5 square pixels, of which no edges are on one line."""
    pieces = [
        np.array(one, float)
        for one in ([(0, 0), (4, 0), (0, 3)], [(10, 7), (12, 7), (11, 9)], [(3, 9), (6, 12), (3, 12)])
    ]
    assert area(bridged(pieces)) == 12.5
