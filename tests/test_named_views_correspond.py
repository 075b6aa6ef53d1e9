"""How named views correspond: homographies and overlaps against values worked out by hand, pixels, and scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from images import made
from scipy.spatial import ConvexHull, HalfspaceIntersection

from augreg import ImageError, Pipeline, ops, transform
from augreg.named_views import ViewsPlan
from augreg.named_views.correspondence import corners
from augreg.rng import Cursor


@transform("cut_out", kind="geometry", rule="same")
class CutOut:
    """Cut out a box."""

    top: int
    left: int
    height: int
    width: int

    def sample(self, rng: Cursor, scene: ops.Scene) -> ops.Op:
        return ops.crop(self.top, self.left, self.height, self.width)


@transform("to_corners", kind="geometry", rule="same")
class ToCorners:
    """Move the corners of the image to these points (x, y), from the top left clockwise."""

    points: tuple[tuple[float, float], ...]

    def sample(self, rng: Cursor, scene: ops.Scene) -> ops.Op:
        return ops.perspective(scene, self.points)


def upside_down(image: np.ndarray, **arguments: Any) -> np.ndarray:
    return image[::-1]


@transform("by_function", kind="geometry", rule="same")
class ByFunction:
    """Turn upside down by a function; `size` says whether its size is known."""

    size: bool = True
    array: bool = False

    def sample(self, rng: Cursor, scene: ops.Scene) -> ops.Op:
        arguments = {"array": np.zeros(3)} if self.array else {}
        return ops.call(upside_down, arguments, size=scene.size if self.size else None, geometry=True)


@transform("halved", kind="geometry", rule="same")
class Halved:
    """Shrink to half the size by a function that says nothing of points."""

    def sample(self, rng: Cursor, scene: ops.Scene) -> ops.Op:
        return ops.call(upside_down, size=(scene.height // 2, scene.width // 2))


FLIP = {"horizontal_flip": {"p": 1.0}}


def plan_of(views: dict[str, Any], size: tuple[int, int] = (100, 200), image: Any = (), **options: Any) -> ViewsPlan:
    found = Pipeline(image, views=views, **options).train.plan(size, index=0)
    assert isinstance(found, ViewsPlan)
    return found


def from_first(figure: Any) -> list[tuple[float, float]]:
    """The corners of a figure in their order, from the least one on."""
    start = figure.index(min(figure))
    return [*figure[start:], *figure[:start]]


def mapped(matrix: np.ndarray, *points: tuple[float, float]) -> list[tuple[float, float]]:
    x, y, w = matrix @ np.array([(*point, 1.0) for point in points]).T
    return list(zip((x / w).tolist(), (y / w).tolist(), strict=True))


def test_a_crop_that_is_resized_and_one_that_is_mirrored() -> None:
    """x' = (x - 20) / 2, y' = (y - 10) / 2 in one view, and x' = 70 - x, y' = y - 30 in the other."""
    plan = plan_of(
        {"one": [CutOut(10, 20, 60, 80), {"resize": {"size": [30, 40]}}], "other": [CutOut(30, 40, 20, 30), FLIP]}
    )
    assert np.allclose(plan.homography("one", "other"), [[-2, 0, 50], [0, 2, -20], [0, 0, 1]], atol=1e-12)
    assert np.allclose(plan.homography("other", "one"), [[-0.5, 0, 25], [0, 0.5, 10], [0, 0, 1]], atol=1e-12)
    assert np.allclose(plan.homography("one"), [[2, 0, 20], [0, 2, 10], [0, 0, 1]], atol=1e-12)
    assert np.allclose(plan.homography("image", "other"), [[-1, 0, 70], [0, 1, -30], [0, 0, 1]], atol=1e-12)
    assert np.array_equal(plan.homography("one", "one"), np.eye(3))
    assert from_first(plan.region("other")) == [(40.0, 30.0), (70.0, 30.0), (70.0, 50.0), (40.0, 50.0)]
    found = plan.overlap("one", "other")  # one shows 20..100 x 10..70
    assert found.area == pytest.approx(600, abs=1e-9) and len(found.region) == 4
    assert np.allclose(from_first(found.region), from_first(plan.region("other")), atol=1e-12)
    assert (found.first, found.second) == (pytest.approx(600 / 4800, abs=1e-12), 1.0)


def test_views_that_do_not_meet() -> None:
    plan = plan_of({"one": [CutOut(0, 0, 10, 10)], "other": [CutOut(10, 0, 10, 10)]})
    assert plan.overlap("one", "other") == ((), 0.0, 0.0, 0.0)
    assert plan.homography("one", "other").tolist() == [[1, 0, 0], [0, 1, -10], [0, 0, 1]]


def test_what_a_border_shows_is_not_of_the_image() -> None:
    """With 10 pixels of border, a crop of 20x20 at the corner shows 10x10 of the image."""
    for mode in ("constant", "reflect"):
        plan = plan_of({"one": [{"pad": {"padding": 10, "mode": mode}}, CutOut(0, 0, 20, 20)], "other": []})
        assert from_first(plan.region("one")) == [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]
        assert plan.overlap("one", "other")[1:] == (100.0, 1.0, 100 / 20_000)
        assert plan.homography("image", "one").tolist() == [[1, 0, 10], [0, 1, 10], [0, 0, 1]]


def test_a_turn_by_45_degrees_shows_an_octagon() -> None:
    """Two squares of side 1 that are turned by 45 degrees about one center share 2 (sqrt(2) - 1)."""
    plan = plan_of({"one": [{"rotate": {"degrees": [45, 45]}}], "other": []}, (100, 100))
    found = plan.overlap("one", "other")
    assert found.area == pytest.approx(20_000 * (math.sqrt(2) - 1), abs=1e-6) and len(found.region) == 8
    assert found.first == 1.0 and found.second == pytest.approx(2 * (math.sqrt(2) - 1), abs=1e-9)
    half = math.sqrt(0.5)  # counter-clockwise as displayed: what is right of the center goes up
    (turned,) = mapped(plan.homography("other", "one"), (90, 50))
    assert np.allclose(turned, (50 + 40 * half, 50 - 40 * half), atol=1e-9)


def test_what_was_cut_off_does_not_come_back() -> None:
    """A crop, then one turn and back: corners of the crop are lost, and nothing beyond it returns."""
    turn = {"rotate": {"degrees": [45, 45]}}, {"rotate": {"degrees": [-45, -45]}}
    plan = plan_of({"one": [CutOut(20, 20, 50, 50), *turn]})
    corners = np.array(plan.region("one"))
    assert np.allclose(plan.homography("one"), [[1, 0, 20], [0, 1, 20], [0, 0, 1]], atol=1e-9)
    assert corners.min() >= 20 - 1e-9 and corners.max() <= 70 + 1e-9 and len(corners) == 8
    assert len(plan.overlap("one", "one").region) == 8, "no corner counts twice"
    assert plan.overlap("image", "one").area == pytest.approx(5_000 * (math.sqrt(2) - 1), abs=1e-6)


def test_a_perspective_moves_the_corners() -> None:
    points = ((10.0, 5.0), (180.0, 0.0), (200.0, 90.0), (0.0, 100.0))
    plan = plan_of({"one": [ToCorners(points)], "other": [FLIP]})
    corners = ((0, 0), (200, 0), (200, 100), (0, 100))
    assert np.allclose(mapped(plan.homography("image", "one"), *corners), points, atol=1e-6)
    assert np.allclose(mapped(plan.homography("one"), *points), corners, atol=1e-6)
    mirrored = [(200 - x, y) for x, y in corners]
    assert np.allclose(mapped(plan.homography("one", "other"), *points), mirrored, atol=1e-6)
    assert plan.overlap("one", "image").area == pytest.approx(20_000, abs=1e-6)  # all of the image is seen


MOVES = st.sampled_from(
    [
        {"random_crop": {"size": [12, 9]}},
        {"random_crop": {"size": [14, 14]}},
        {"horizontal_flip": {"p": 0.5}},
        {"vertical_flip": {"p": 0.5}},
        {"rot90": {}},
        {"transpose": {"p": 0.5}},
        {"pad": {"padding": 3}},
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(MOVES, max_size=3), st.lists(MOVES, max_size=4), st.lists(MOVES, max_size=4), st.integers(0, 99))
def test_pixels_are_where_the_homography_says(shared: Any, one: Any, other: Any, index: int) -> None:
    """Each pixel has its own value, and 0 is fill: those of both views are counted, and are where they should be."""
    height, width = 17, 23
    values = np.arange(1, height * width + 1)
    image = np.stack([values // 256, values % 256, values * 0], axis=1).reshape(height, width, 3).astype(np.uint8)
    pipe = Pipeline(shared, views={"one": one, "other": other}, max_pixels=10_000)
    try:
        plan = pipe.train.plan(image, index=index)
        found = plan.run(image)
    except ImageError:  # a crop that is larger than the image
        return
    codes = {name: view[..., 0].astype(int) * 256 + view[..., 1] for name, view in found.items()}
    matrix, back = plan.homography("one", "other"), plan.homography("one")
    for (row, column), code in np.ndenumerate(codes["one"]):
        if code:
            ((x, y),) = mapped(back, (column + 0.5, row + 0.5))
            assert round(y - 0.5) * width + round(x - 0.5) + 1 == code and abs(x % 1 - 0.5) < 1e-9
            ((x, y),) = mapped(matrix, (column + 0.5, row + 0.5))
            inside = 0 <= x < codes["other"].shape[1] and 0 <= y < codes["other"].shape[0]
            assert (codes["other"][int(y), int(x)] if inside else 0) in (code, 0)
            assert (code in codes["other"]) == (inside and codes["other"][int(y), int(x)] == code)
    seen = {name: set(code[code > 0].tolist()) for name, code in codes.items()}
    shared_pixels = len(seen["one"] & seen["other"])
    overlap = plan.overlap("one", "other")
    assert overlap.area == pytest.approx(shared_pixels, abs=1e-6)
    for fraction, name in ((overlap.first, "one"), (overlap.second, "other")):
        assert fraction == pytest.approx(shared_pixels / len(seen[name]) if seen[name] else 0.0, abs=1e-6)


WARPS = st.sampled_from(
    [
        {"rotate": {"degrees": 40}},
        {"affine": {"degrees": 20, "translate": [0.2, 0.1], "scale": [0.7, 1.3], "shear_x": 15}},
        {"perspective": {"p": 1.0}},
        {"random_resized_crop": {"size": [30, 50], "scale": [0.2, 0.9]}},
        {"horizontal_flip": {"p": 0.5}},
    ]
)


def halfspaces(plan: Any) -> np.ndarray:
    """Where a view shows the image, as scipy has it: A p + b <= 0, from the ops one by one, with inverse matrices."""
    height, width = plan.scene.size
    lines = [(-1.0, 0.0, 0.0), (1.0, 0.0, -float(width)), (0.0, -1.0, 0.0), (0.0, 1.0, -float(height))]
    total, size = np.eye(3), (height, width)
    for op in plan.ops:
        matrix = op.point_map(*size)
        size = op.size_after(*size)
        if isinstance(op, ops.Warp):
            matrix = np.linalg.inv(np.reshape((*op.matrix, 1.0), (3, 3)))
        total = np.reshape(matrix, (3, 3)) @ total
        corners = [(0.0, 0.0), (size[1], 0.0), (size[1], size[0]), (0.0, size[0])]
        quad = np.array(mapped(np.linalg.inv(total), *corners))
        center = quad.mean(axis=0)
        for start, end in zip(quad, np.roll(quad, -1, axis=0), strict=True):
            normal = np.array([end[1] - start[1], start[0] - end[0]])
            normal = normal if normal @ (center - start) < 0 else -normal
            lines.append((*normal, -normal @ start))
    return np.array(lines)


@settings(max_examples=25, deadline=None)
@given(st.lists(WARPS, max_size=3), st.lists(WARPS, max_size=3), st.integers(0, 999))
def test_overlaps_of_warps_are_those_of_scipy(one: Any, other: Any, index: int) -> None:
    plan = Pipeline(views={"one": one, "other": other}).train.plan((60, 80), index=index)
    assert isinstance(plan, ViewsPlan)
    lines = np.concatenate([halfspaces(plan["one"]), halfspaces(plan["other"])])
    overlap = plan.overlap("one", "other")
    if not overlap.region:
        return
    inside = np.mean(overlap.region, axis=0)
    if (lines[:, :2] @ inside + lines[:, 2]).max() > -1e-3:  # hardly an area
        return
    corners = HalfspaceIntersection(lines, inside).intersections
    assert overlap.area == pytest.approx(ConvexHull(corners).volume, abs=1e-6)


def test_a_point_is_followed_by_the_targets_in_the_same_way() -> None:
    """Keypoints take another way through the code, and are mapped by another view's homography."""
    spec = {
        "views": {
            "one": [{"affine": {"degrees": 30, "scale": [0.8, 1.2]}}, {"random_crop": {"size": [60, 90]}}],
            "other": [{"perspective": {"p": 1.0}}, {"resize": {"size": [77, 55]}}],
        }
    }
    pipe = Pipeline.from_spec(spec)
    sample = {"image": made("smooth", 100, 200), "keypoints": [[50.0, 40.0], [120.0, 70.5]]}
    for index in range(3):
        views = pipe.train(sample, index=index)
        plan = pipe.train.plan((100, 200), index=index)
        one, other = (np.asarray(views[name]["keypoints"], float) for name in ("one", "other"))
        assert np.allclose(mapped(plan.homography("one", "other"), *one), other, atol=1e-6)


@pytest.mark.parametrize("bent", ["elastic", "optical_distortion", "grid_distortion", ByFunction(), Halved()])
def test_where_there_is_no_homography_the_step_is_named(bent: Any) -> None:
    name = bent if isinstance(bent, str) else bent.__augreg__.name
    plan = plan_of({"one": [FLIP], "bent": [FLIP, bent]})
    for wrong in (
        lambda: plan.homography("one", "bent"),
        lambda: plan.homography("bent", "one"),
        lambda: plan.overlap("bent", "one"),
        lambda: plan.region("bent"),
    ):
        with pytest.raises(ImageError, match=rf"^bent: {name} .* no homography$"):
            wrong()


def test_what_bends_both_views_does_not_matter_between_them() -> None:
    plan = plan_of({"one": [{"resize": {"size": [50, 50]}}], "other": [FLIP]}, image=["elastic"])
    assert np.allclose(plan.homography("one", "other"), [[-4, 0, 200], [0, 2, 0], [0, 0, 1]], atol=1e-12)
    with pytest.raises(ImageError, match="one: elastic bends the image"):
        plan.homography("one")
    with pytest.raises(ImageError, match="one: elastic bends the image"):
        plan.overlap("one", "other")
    plan = plan_of({"one": [FLIP], "other": []}, image=[ByFunction()])
    assert plan.homography("one", "other").tolist() == [[-1, 0, 200], [0, 1, 0], [0, 0, 1]]
    plan = plan_of({"one": [FLIP], "other": []}, image=[ByFunction(array=True)])
    with pytest.raises(ImageError, match="one: by_function moves pixels by a function of its own"):
        plan.homography("one", "other")


def test_sizes_that_are_not_known() -> None:
    plan = plan_of({"one": [], "open": [ByFunction(size=False), FLIP]})
    with pytest.raises(ImageError, match="open: the steps after an op of unknown size"):
        plan.homography("one", "open")
    plan = plan_of({"one": [], "open": [ByFunction(size=False)]})
    with pytest.raises(ImageError, match="open: by_function leaves an image of unknown size"):
        plan.homography("one", "open")


def test_views_that_are_not_there() -> None:
    plan = plan_of({"one": [], "other": []})
    with pytest.raises(
        ValueError, match=r"no view 'otter'; did you mean 'other'\?; the views are: one, other, or 'image'"
    ):
        plan.homography("one", "otter")
    with pytest.raises(KeyError, match="no view 'image'; the views are: one, other"):
        plan["image"]


def test_corners_are_those_where_the_outline_turns() -> None:
    diamond = ((1.0, 0.0), (2.0, 1.0), (1.0, 2.0), (0.0, 1.0))
    assert corners(diamond) == diamond
    assert corners((*diamond[:2], (1.5, 1.5), (1.25, 1.75), *diamond[2:])) == diamond
