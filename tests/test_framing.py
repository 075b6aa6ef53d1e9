"""Steps that frame an image for a model: resize_within, resize_keep_ratio, crop_or_pad, crop_border; and lanczos."""

from __future__ import annotations

import math
from typing import Any

import images
import numpy as np
import pytest
from PIL import Image

from augreg import Pipeline, SpecError
from augreg.ops import Resize


def sizes(step: dict[str, Any], size: tuple[int, int], count: int = 1, test: bool = False) -> list[tuple[int, int]]:
    """The sizes after one step of the first draws, or of the test pipeline."""
    pipe = Pipeline.from_spec([step])
    plans = [pipe.test.plan(size) if test else pipe.train.plan(size, index=index) for index in range(count)]
    return [plan.ops[-1].size_after(*size) or size if plan.ops else size for plan in plans]


@pytest.mark.parametrize(
    ("arguments", "size", "wanted"),
    [
        ({"shorter": 800, "longer": 1333}, (480, 640), (800, 1066)),  # 800 * 640 / 480 = 1066.7
        ({"shorter": 800, "longer": 1333}, (480, 1000), (640, 1333)),  # 1333 * 800 / 1666 = 640.1
        ({"shorter": 800, "longer": 1333}, (1000, 480), (1333, 640)),
        ({"shorter": 30, "longer": 30}, (60, 60), (30, 30)),
        ({"longer": 50}, (60, 91), (32, 50)),  # 50 * 60 / 91 = 32.97
        ({"longer": 50}, (1, 400), (1, 50)),  # never less than a pixel
    ],
)
def test_resize_within(arguments: dict[str, Any], size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert sizes({"resize_within": arguments}, size) == [wanted]
    assert sizes({"resize_within": arguments}, size, test=True) == [wanted]


@pytest.mark.parametrize(
    ("rounding", "size", "wanted"),
    [
        ("down", (480, 639), (256, 340)),  # 256 * 639 / 480 = 340.8
        ("nearest", (480, 639), (256, 341)),
        ("nearest", (639, 480), (341, 256)),
        ("nearest", (512, 657), (256, 328)),  # 328.5: the even one
        ("nearest", (512, 659), (256, 330)),  # 329.5
    ],
)
def test_resize_rounds_the_longer_side(rounding: str, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert sizes({"resize": {"shorter": 256, "rounding": rounding}}, size) == [wanted]


@pytest.mark.parametrize(("rounding", "first"), [("nearest", (2, 2)), ("down", (1, 2))])
def test_center_crop_rounds_its_position(rounding: str, first: tuple[int, int]) -> None:
    image = np.arange(7 * 9, dtype=np.uint8).reshape(7, 9, 1).repeat(3, 2)  # (7 - 4) / 2 = 1.5, (9 - 4) / 2 = 2.5
    found = Pipeline.from_spec([{"center_crop": {"size": 4, "rounding": rounding}}]).test(image)
    assert np.array_equal(found, image[first[0] : first[0] + 4, first[1] : first[1] + 4])


def test_resize_within_needs_the_shorter_to_be_shorter() -> None:
    with pytest.raises(SpecError, match="'shorter' must be at most 'longer', 20, got 30"):
        Pipeline.from_spec([{"resize_within": {"shorter": 30, "longer": 20}}])


@pytest.mark.parametrize(
    ("arguments", "size", "wanted"),
    [
        ({"size": [50, 50]}, (100, 201), (50, 100)),  # covers: 201 / 2 = 100.5, half to even
        ({"size": [50, 50], "longest": 1.0}, (100, 200), (25, 50)),  # fits in
        ({"size": [50, 100]}, (100, 100), (100, 100)),
        ({"size": [50, 100], "longest": 1.0}, (100, 100), (50, 50)),
        ({"size": [50, 100], "longest": 0.5}, (90, 90), (67, 67)),  # divided by (90/50 + 90/100) / 2 = 1.35: 66.7
    ],
)
def test_resize_keep_ratio(arguments: dict[str, Any], size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert sizes({"resize_keep_ratio": arguments}, size) == [wanted]
    with_chances = {**arguments, "scale": [0.3, 0.8], "ratio": [0.5, 2.0]}
    assert sizes({"resize_keep_ratio": with_chances}, size, test=True) == [wanted]


def test_the_scale_is_of_the_area_and_the_ratio_is_width_by_height() -> None:
    """Scale 1/4 of the area doubles both sides; ratio 4 halves the height and doubles the width."""
    keep = {"size": [40, 40], "scale": [0.25, 0.25], "scale_p": 0.5}
    found = sizes({"resize_keep_ratio": keep}, (80, 80), 400)
    assert set(found) == {(40, 40), (80, 80)}
    assert found.count((80, 80)) == pytest.approx(200, abs=50)
    wide = {"size": [40, 40], "ratio": [4.0, 4.0]}
    assert sizes({"resize_keep_ratio": wide}, (80, 80)) == [(20, 80)]
    ratio = {"size": [1000, 1000], "ratio": [0.25, 4.0]}
    logs = [
        math.log(width / height) / math.log(4) for height, width in sizes({"resize_keep_ratio": ratio}, (9, 9), 800)
    ]
    np.testing.assert_allclose(np.quantile(logs, [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.1)


PADDING = {"constant": {"mode": "constant", "constant_values": 7}}


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("size", [(9, 12), (4, 5), (4, 30), (31, 5), (7, 8)])
def test_crop_or_pad_is_numpys_padding_and_a_crop(mode: str, size: tuple[int, int]) -> None:
    image = images.made("noise", *size, 3)
    step = {"size": [7, 8], "mode": mode, **({"fill": 7} if mode == "constant" else {})}

    def wanted(above: int, left: int, top: int, start: int) -> np.ndarray:
        down, across = max(0, 7 - size[0]), max(0, 8 - size[1])
        around = ((above, down - above), (left, across - left), (0, 0))
        padded = np.pad(image, around, **PADDING.get(mode, {"mode": mode}))  # type: ignore[call-overload]
        return padded[top : top + 7, start : start + 8]

    extra = [max(0, side - target) for side, target in zip(size, (7, 8), strict=True)]
    missing = [max(0, target - side) for side, target in zip(size, (7, 8), strict=True)]
    center = wanted(missing[0] // 2, missing[1] // 2, round(extra[0] / 2), round(extra[1] / 2))
    pipe = Pipeline.from_spec([{"crop_or_pad": step}])
    assert np.array_equal(pipe.train(image, index=0), center)
    anywhere = Pipeline.from_spec([{"crop_or_pad": {**step, "position": "random"}}])
    assert np.array_equal(anywhere.test(image), center)
    possible = {
        wanted(above, left, top, start).tobytes()
        for above in range(missing[0] + 1) for left in range(missing[1] + 1)
        for top in range(extra[0] + 1) for start in range(extra[1] + 1)
    }  # fmt: skip
    found = {anywhere.train(image, index=index).tobytes() for index in range(200)}
    assert found <= possible
    assert len(found) >= min(len(possible), 20)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"size": [7, 30]}, (9, 30)),
        ({"size": 12}, (12, 12)),
        ({"divisor": [4, 6]}, (12, 12)),
        ({"divisor": [9, 11]}, (9, 11)),
        ({"size": [10, 25], "divisor": 8}, (16, 32)),
        ({}, (9, 11)),
    ],
)
def test_pad_to_is_numpys_padding(given: dict, wanted: tuple[int, int], mode: str) -> None:
    image = images.made("noise", 9, 11, 3)
    y, x = wanted[0] - 9, wanted[1] - 11
    step = {**given, "mode": mode, **({"fill": 7} if mode == "constant" else {})}

    def at(top: int, left: int) -> np.ndarray:
        around = ((top, y - top), (left, x - left), (0, 0))
        return np.pad(image, around, **PADDING.get(mode, {"mode": mode}))  # type: ignore[call-overload]

    places = {
        "center": (y // 2, x // 2), "top_left": (0, 0), "top_right": (0, x), "bottom_left": (y, 0),
        "bottom_right": (y, x),
    }  # fmt: skip
    for position, place in places.items():
        pipe = Pipeline.from_spec([{"pad_to": {**step, "position": position}}])
        assert np.array_equal(pipe.train(image, index=0), at(*place))
        assert np.array_equal(pipe.test(image), at(*place))
    anywhere = Pipeline.from_spec([{"pad_to": {**step, "position": "random"}}])
    assert np.array_equal(anywhere.test(image), at(y // 2, x // 2))
    found = {anywhere.train(image, index=index).tobytes() for index in range(40)}
    possible = {at(top, left).tobytes() for top in range(y + 1) for left in range(x + 1)}
    assert found <= possible
    assert len(found) >= min(len(possible), 8) // 2


def test_views_of_pad_to_are_the_center_and_the_corners() -> None:
    image = np.full((3, 4, 1), 200, np.uint8)
    step = {"size": [5, 9], "position": "random"}
    views = Pipeline.from_spec({"channels": "gray", "image": [{"pad_to": step}]}).views(image, 9)
    tops = [tuple(np.argwhere(view.image.reshape(5, 9))[0]) for view in views]
    assert len(Pipeline([{"pad_to": {**step, "size": 3}}]).views(np.zeros((3, 4, 3), np.uint8), 9)) == 1
    assert tops == [(1, 2), (0, 0), (0, 5), (2, 0), (2, 5)]


def test_targets_follow_pad_to() -> None:
    pipe = Pipeline.from_spec({"targets": {"boxes": "xyxy", "mask_fill": 9}, "image": [
        {"pad_to": {"divisor": 32, "position": "bottom_right"}},
    ]})  # fmt: skip
    mask = np.ones((40, 50), np.uint8)
    found = pipe.test({"image": np.zeros((40, 50, 3), np.uint8), "mask": mask, "boxes": [[20, 15, 30, 25]]})
    assert found["boxes"] == [[34, 39, 44, 49]]  # 64 x 64: 24 rows above, 14 columns on the left
    assert found["mask"].shape == (64, 64)
    assert (found["mask"][24:, 14:] == 1).all()
    assert (found["mask"][:24] == 9).all()


def test_targets_follow_the_crop_and_the_padding() -> None:
    pipe = Pipeline.from_spec({"targets": {"boxes": "xyxy"}, "image": [
        {"crop_border": {"pixels": 5}}, {"crop_or_pad": {"size": [40, 20]}},
    ]})  # fmt: skip
    mask = np.zeros((40, 50), np.uint8)
    mask[15:25, 20:30] = 1
    found = pipe.test({"image": np.zeros((40, 50, 3), np.uint8), "mask": mask, "boxes": [[20, 15, 30, 25]]})
    # 5 off each side leaves 30 x 40; 5 rows of padding above, 10 columns cut off on the left
    assert found["boxes"] == [[5, 15, 15, 25]]
    assert found["mask"].shape == (40, 20)
    assert found["mask"][15:25, 5:15].all()
    assert found["mask"].sum() == 100


@pytest.mark.parametrize(("pixels", "box"), [(0, (0, 0, 11, 20)), (3, (3, 3, 8, 17)), (30, (5, 9, 6, 11))])
def test_crop_border(pixels: int, box: tuple[int, int, int, int]) -> None:
    """Of an image that is too small, the middle is left: one pixel of an odd side, two of an even one."""
    image = images.made("noise", 11, 20, 3)
    top, left, bottom, right = box
    found = Pipeline.from_spec([{"crop_border": pixels}]).train(image, index=0)
    assert np.array_equal(found, image[top:bottom, left:right])


@pytest.mark.parametrize("backend", ["pillow", "opencv"])
@pytest.mark.parametrize("size", [(20, 30), (90, 100), (20, 130)])
def test_lanczos_is_pillows_on_every_backend(backend: str, size: tuple[int, int]) -> None:
    if backend == "opencv":
        pytest.importorskip("cv2")
    image = images.made("noise", 60, 91, 3)
    wanted = Image.fromarray(image)
    # one axis at a time, since versions of Pillow differ in the order; rows go first where they lose much more
    first = (91, size[0]) if 60 - size[0] > 2 * (91 - size[1]) and size[0] < 60 else (size[1], 60)
    wanted = wanted.resize(first, Image.Resampling.LANCZOS).resize(size[::-1], Image.Resampling.LANCZOS)
    for antialias in (True, False):
        step = {"resize": {"size": list(size), "interpolation": "lanczos", "antialias": antialias}}
        found = Pipeline.from_spec({"backend": backend, "image": [step]}).train(image, index=0)
        assert np.array_equal(found, wanted)


def test_transpose_exchanges_rows_and_columns_of_everything() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    pipe = Pipeline.from_spec({"image": [{"transpose": {"p": 1}}], "targets": {"boxes": "xyxy"}})
    found = pipe.train(
        {"image": image, "mask": image[..., 0], "boxes": [[1, 2, 6, 4]], "keypoints": [[5, 1]]}, index=0
    )
    assert np.array_equal(found["image"][..., 0], image[..., 0].T) and np.array_equal(found["mask"], image[..., 0].T)
    assert found["boxes"] == [[2, 1, 4, 6]] and found["keypoints"] == [[1, 5]]


def test_random_scale_rounds_down_and_is_in_the_middle_at_test_time() -> None:
    image = np.zeros((31, 50, 3), np.uint8)
    pipe = Pipeline.from_spec([{"random_scale": {"scale": [0.5, 0.9]}}, {"crop_or_pad": {"size": 20}}])
    sizes = {pipe.train.plan((31, 50), index).ops[0].size_after(31, 50) for index in range(200)}
    factors = [width / 50 for _, width in sizes]
    assert min(factors) >= 0.48 and max(factors) < 0.9 and len(sizes) > 12
    assert all(abs(height / 31 - width / 50) < 1 / 31 for height, width in sizes)
    assert Pipeline.from_spec([{"random_scale": {"scale": [0.5, 0.9]}}]).test(image).shape == (21, 35, 3)  # 21.7
    tiny = Pipeline.from_spec([{"random_scale": {"scale": [0.1, 0.1]}}]).test(image[:3, :9])
    assert tiny.shape == (1, 1, 3)


def test_crop_box_by_hand() -> None:
    image = np.arange(80, dtype=np.uint8).reshape(8, 10, 1)
    pipe = Pipeline.from_spec([{"crop_box": {"size": [3, 4], "top": 2, "left": 5}}])
    assert np.array_equal(pipe.train(image, index=0), image[2:5, 5:9])
    assert np.array_equal(pipe.test(image), image[2:5, 5:9])
    beyond = Pipeline.from_spec([{"crop_box": {"size": [3, 4], "top": 7, "left": 8, "fill": 99}}]).test(image)
    assert beyond[..., 0].tolist() == [[78, 79, 99, 99], [99] * 4, [99] * 4]


def test_random_sized_crop_by_hand() -> None:
    """Heights of 4 to 6 pixels, half as wide; at test time the box of 5 rows and 2 columns in the center."""
    pipe = Pipeline.from_spec([{"random_sized_crop": {"size": 8, "height": [4, 6], "ratio": 0.5}}])
    crops = [pipe.train.plan((9, 12), index).ops[0] for index in range(300)]
    assert {(crop.height, crop.width) for crop in crops} == {(4, 2), (5, 2), (6, 3)}
    assert {crop.top for crop in crops if crop.height == 6} == {0, 1, 2, 3}
    assert {crop.left for crop in crops if crop.width == 3} == set(range(10))
    crop, resize = pipe.test.plan((9, 12)).ops
    assert (crop.top, crop.left, crop.height, crop.width) == (2, 5, 5, 2) and (resize.height, resize.width) == (8, 8)
    assert [type(op) for op in pipe.test.plan((3, 1)).ops] == [Resize]  # all of it


def test_zoom_out_puts_the_image_at_every_place_of_a_larger_canvas() -> None:
    """Sides are times one factor and rounded down, places are uniform: means over 400 draws, within 4 deviations."""
    pipe = Pipeline.from_spec([{"zoom_out": {"scale": [1.0, 3.0], "fill": 9, "p": 1, "test": "off"}}])
    image = np.full((20, 30, 3), 200, np.uint8)
    factors, places = [], []
    for index in range(400):
        made = pipe.train(image, index=index)
        rows, columns = np.nonzero((made == 200).all(axis=2))
        assert np.array_equal(np.unique(made), [9, 200] if made.size > image.size else [200])
        top, left = rows.min(), columns.min()
        assert (made[top : top + 20, left : left + 30] == 200).all() and len(rows) == 600
        height, width = made.shape[:2]
        assert abs(height / 20 - width / 30) <= 1 / 20
        factors.append(width / 30)
        if height > 40:
            places.append((top / (height - 20), left / (width - 30)))
    assert abs(np.mean(factors) - 2.0) < 4 * (2 / 12**0.5) / 20 + 1 / 60  # 20 is the root of 400; the half pixel
    assert np.abs(np.mean(places, axis=0) - 0.5).max() < 4 * 12**-0.5 / len(places) ** 0.5 + 1 / 40
    assert np.array_equal(pipe.test(image), image)
