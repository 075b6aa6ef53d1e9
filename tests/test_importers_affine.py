"""Affine maps of albumentations: the matrices that it documents, multiplied here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import Pipeline

HEIGHT, WIDTH = 60, 90
POINTS = np.array([[30.0, 20.0], [50.0, 40.0], [41.0, 33.0]])


def given(version: str = "2.0.8", name: str = "Affine", **arguments: Any) -> Any:
    return augreg.from_albumentations(
        {"__version__": version, "transform": {"__class_fullname__": name, "p": 1.0, **arguments}}
    )


def both(x: float, y: float) -> dict[str, list[float]]:
    """One number for each axis, as the dict of a transform has it."""
    return {"x": [x, x], "y": [y, y]}


def moved(found: Any, points: np.ndarray[Any, Any] = POINTS) -> Any:
    sample = {"image": np.zeros((HEIGHT, WIDTH, 3), np.uint8), "keypoints": points}
    return Pipeline.from_spec(found.spec).train(sample, index=0)["keypoints"]


def about_center(linear: np.ndarray[Any, Any], shift: tuple[float, float]) -> np.ndarray[Any, Any]:
    """The points after a map about the center of the image and a translation."""
    center = np.array([WIDTH / 2, HEIGHT / 2])
    return (POINTS - center) @ linear.T + center + np.array(shift)


def turn(degrees: float) -> np.ndarray[Any, Any]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cos, sin], [-sin, cos]])


def slanted(x: float, y: float) -> np.ndarray[Any, Any]:
    """By the angles of albumentations 2, whose signs it turns."""
    return np.array([[1.0, math.tan(math.radians(-x))], [math.tan(math.radians(-y)), 1.0]])


@pytest.mark.parametrize("shift", [None, "percent", "px"])
@pytest.mark.parametrize(("shear", "scale"), [((0, 0), (1.3, 0.7)), ((12, -7), (1.3, 0.7)), ((15, 0), (0.8, 0.8))])
def test_scale_then_rotation_then_shear(
    shear: tuple[float, float], scale: tuple[float, float], shift: str | None
) -> None:
    """Translations by fractions are whole pixels, rounded towards 0."""
    by = (0.117, -0.231) if shift == "percent" else (5, -4)
    moves = {} if shift is None else {f"translate_{shift}": both(*by)}
    found = given(rotate=[25.0, 25.0], shear=both(*shear), scale=both(*scale), **moves)
    assert not found.report
    linear = slanted(*shear) @ turn(25) @ np.diag(scale)
    expected = about_center(linear, {None: (0, 0), "percent": (10, -13), "px": (5, -4)}[shift])
    assert np.allclose(moved(found), expected, atol=1e-9)


def test_version_1_shears_first_and_leans_the_other_way() -> None:
    found = given("1.3.1", rotate=[25.0, 25.0], shear=both(15, 0), scale=both(0.8, 0.8))
    assert not found.report and "affine" in found.spec["image"][0]
    leaning = np.array([[1.0, math.tan(math.radians(15))], [0.0, 1.0]])
    assert np.allclose(moved(found), about_center(0.8 * turn(25) @ leaning, (0, 0)), atol=1e-9)
    for arguments in ({"shear": both(15, 4)}, {"shear": both(15, 0), "scale": both(1, 2)}):
        whole = {"rotate": [0, 0], "scale": both(1, 1), **arguments}
        assert "version 1 shears vertically first" in given("1.3.1", **whole).report[0]
    found = given("1.3.1", rotate=[0, 0], scale=both(1, 1), shear=both(0, 0), translate_percent=both(0.117, -0.231))
    assert np.allclose(moved(found), POINTS + np.array([10.53, -13.86]), atol=1e-9)  # no whole pixels


def test_one_sided_shifts() -> None:
    sides = {"shift_limit_x": [0.0, 0.1], "shift_limit_y": [-0.2, 0.0]}
    found = given(name="ShiftScaleRotate", rotate_limit=[0, 0], scale_limit=[0.0, 0.0], **sides)
    assert not found.report
    pipe = Pipeline.from_spec(found.spec)
    sample = {"image": np.zeros((HEIGHT, WIDTH, 3), np.uint8), "keypoints": POINTS}
    shifts = np.array([pipe.train(sample, index)["keypoints"][0] - POINTS[0] for index in range(300)])
    assert {*np.round(shifts[:, 0], 9)} == {*range(9)}  # int() of 0 to 9 pixels
    assert {*np.round(shifts[:, 1], 9)} == {*range(-11, 1)}  # int() of -12 to 0


def test_each_axis_has_its_own_factor() -> None:
    """Balanced factors of 0.5 to 3: half are below 1; plain ones are a fifth of the time, and 1.75 on average."""
    for balanced, below in ((False, 0.2), (True, 0.5)):
        found = given(scale={"x": [0.5, 3.0], "y": [0.5, 3.0]}, balanced_scale=balanced)
        pipe = Pipeline.from_spec(found.spec)
        factors = []
        for index in range(600):
            a, *_, e = pipe.train.plan((HEIGHT, WIDTH), index=index).ops[0].matrix[:5]
            factors.append((1 / a, 1 / e))
        x, y = np.array(factors).T
        assert abs(np.corrcoef(x, y)[0, 1]) < 0.2 and x.min() < 0.6 and x.max() > 2.9
        for one in (x, y):
            assert np.mean(one < 1) == pytest.approx(below, abs=0.08)  # 4 deviations of a share of 600
    found = given(scale={"x": [0.5, 0.8], "y": [1.2, 3.0]}, balanced_scale=True)  # up to 1, and from 1 on
    assert found.spec["image"][0]["affine_per_axis"]["scale_x"] == [0.5, 1.0]
    assert found.spec["image"][0]["affine_per_axis"]["scale_y"] == [1.0, 3.0]


def test_fit_shows_the_whole_image() -> None:
    """A turn by 30 degrees: the sides are 90 cos + 60 sin = 107.94 and 90 sin + 60 cos = 96.96, rounded up."""
    found = given(rotate=[30.0, 30.0], fit_output=True, translate_px=both(50, 50))
    assert "one or two pixels larger" in found.report[0]
    corners = np.array([[0.0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]])
    sample = {"image": np.zeros((HEIGHT, WIDTH, 3), np.uint8), "keypoints": corners}
    result = Pipeline.from_spec(found.spec).train(sample, index=0)
    assert result["image"].shape == (97, 108, 3)
    low, high = result["keypoints"].min(axis=0), result["keypoints"].max(axis=0)
    assert np.allclose(low, (0.029, 0.019), atol=1e-3) and np.allclose(high, (107.971, 96.981), atol=1e-3)


def test_what_boxes_and_masks_do_otherwise_is_said() -> None:
    boxes = {"__class_fullname__": "Compose", "bbox_params": {"format": "coco"}}
    turned = {"__class_fullname__": "Rotate", "limit": [-20, 20], "rotate_method": "ellipse", "p": 1.0}
    assert "encloses its turned corners" in augreg.from_albumentations({**boxes, "transforms": [turned]}).report[0]
    assert not augreg.from_albumentations(turned).report  # no boxes
    plain = {**turned, "rotate_method": "largest_box"}
    for value, said in ((0, ""), (1, "mask_interpolation=1 is not kept")):
        assert said in "".join(augreg.from_albumentations({**plain, "mask_interpolation": value}).report)
    (step,) = augreg.from_albumentations({**plain, "interpolation": 3}).spec["image"]  # which OpenCV takes for 1
    assert step["rotate"]["interpolation"] == "bilinear"


def test_wrong_ranges_are_refused() -> None:
    for arguments, said in (
        ({"translate_y": [0, 2]}, "between -1 and 1"), ({"unit": "pixels", "translate_x": [0.5, 2]}, "whole numbers"),
        ({"unit": "pixels", "translate_y": [0, 1e6]}, "65536 pixels"), ({"shear_x": 90}, "between -90 and 90"),
        ({"fit": True, "scale_x": 101}, "at most 100"), ({"scale_x": [0, 1]}, "must be positive"),
    ):  # fmt: skip
        with pytest.raises(augreg.SpecError, match=said):
            Pipeline.from_spec([{"affine_per_axis": arguments}])
