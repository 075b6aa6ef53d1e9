"""Boxes and keypoints that were predicted on views come back into the frame of the image."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from restoring_plans import FLIP, HEIGHT, MOVES, TURN, WARPS, WIDTH, coordinates, plan_of, steps

from augreg import ImageError, Pipeline, Registry, ops, transform
from augreg.targets.propagate import forward_of, mirrors
from augreg.views.restoring.maps import restore_map
from augreg.views.restoring.points import restore_boxes, restore_keypoints, restore_labels

torch = pytest.importorskip("torch")
SIZE = HEIGHT, WIDTH
XYXY = {"boxes": "xyxy"}
POINTS = np.array([[20.5, 15.5], [22.0, 17.25], [28.75, 18.5], [24.0, 20.0]])


def shown_in_view(chosen: list[Any], index: int, **entries: Any) -> tuple[Any, dict[str, Any]]:
    """The plan of a sample and the sample after it: a detector without error finds what training would be given."""
    targets = {"boxes": "xyxy", "min_visible": 1e-6}
    pipe = Pipeline.from_spec({"image": chosen, "targets": targets, "backend": "pillow"})
    sample = {"image": coordinates(), **entries}
    plan = pipe.train.plan(sample, index)
    return plan, plan.run(sample)


@settings(max_examples=60, deadline=None)
@given(chosen=steps((*MOVES, *WARPS), 4), index=st.integers(0, 2**20))
def test_keypoints_come_back_through_every_geometry(chosen: list[Any], index: int) -> None:
    """Exactly after moves, to a thousandth of a pixel after fields, which are inverted to a ten-thousandth each."""
    plan, sample = shown_in_view(chosen, index, keypoints=POINTS)
    found = restore_keypoints(plan, sample["keypoints"])
    if all(step in MOVES for step in chosen):
        assert np.array_equal(found, POINTS)
    else:
        assert np.abs(found - POINTS).max() < 2e-3


@settings(max_examples=40, deadline=None)
@given(chosen=steps(MOVES, 4), index=st.integers(0, 2**20))
def test_boxes_come_back_exactly_after_moves(chosen: list[Any], index: int) -> None:
    """A box that a crop cuts comes back as its visible part, which is worked out by the pixels that show."""
    boxes = np.array([[17.0, 12.0, 29.0, 21.0], [1.0, 2.0, 11.0, 9.0]])
    plan, sample = shown_in_view(chosen, index, boxes=boxes, labels=[0, 1])
    found = restore_boxes(plan, sample["boxes"], corners=False)
    seen = restore_map(plan, np.ones(plan.after.size, bool)).seen
    for box, label in zip(found.tolist(), sample["labels"], strict=True):
        x0, y0, x1, y1 = boxes[label].astype(int)
        rows, columns = np.nonzero(seen[y0:y1, x0:x1])
        assert box == [columns.min() + x0, rows.min() + y0, columns.max() + x0 + 1, rows.max() + y0 + 1]


def test_the_corners_of_a_rotated_view_by_hand() -> None:
    """A view turned counter-clockwise by 30 degrees comes back clockwise: (x cos - y sin, x sin + y cos), y down."""
    plan = plan_of(SIZE, {"rotate": {"degrees": [30, 30]}}, targets=XYXY)
    box = [20.0, 10.0, 32.0, 15.0]
    x, y = np.array([20, 32, 32, 20]) - WIDTH / 2, np.array([10, 10, 15, 15]) - HEIGHT / 2
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    expected = np.stack((x * cos - y * sin + WIDTH / 2, x * sin + y * cos + HEIGHT / 2), axis=1)
    (found,) = restore_boxes(plan, np.array([box]))
    assert found.shape == (4, 2) and np.allclose(found, expected, atol=1e-9)
    (around,) = restore_boxes(plan, np.array([box]), corners=False)
    assert np.allclose(around, [*expected.min(axis=0), *expected.max(axis=0)], atol=1e-9)


def test_corners_of_a_mirrored_view_begin_with_what_was_the_top_left() -> None:
    plan = plan_of((10, 20), FLIP, targets=XYXY)
    assert restore_boxes(plan, [[1, 2, 4, 6]]) == [[[19, 2], [16, 2], [16, 6], [19, 6]]]
    assert restore_boxes(plan, [[1, 2, 4, 6]], corners=False) == [[16, 2, 19, 6]]


@pytest.mark.parametrize(
    ("targets", "boxes", "expected"),
    [
        ({"boxes": "xywh"}, [[1.0, 2.0, 3.0, 4.0]], [[16.0, 2.0, 3.0, 4.0]]),
        ({"boxes": "cxcywh"}, [[2.5, 4.0, 3.0, 4.0]], [[17.5, 4.0, 3.0, 4.0]]),
        ({"boxes": "xyxy", "normalized": True}, [[0.05, 0.2, 0.2, 0.6]], [[0.8, 0.2, 0.95, 0.6]]),
        ({"boxes": "cxcywh_normalized"}, [[0.125, 0.4, 0.15, 0.4]], [[0.875, 0.4, 0.15, 0.4]]),
    ],
)
def test_boxes_have_the_format_of_the_spec(targets: Any, boxes: Any, expected: Any) -> None:
    """A box of 3 x 4 pixels at (1, 2) in a mirrored image of 10 x 20."""
    plan = plan_of((10, 20), FLIP, targets=targets)
    assert np.allclose(restore_boxes(plan, boxes, corners=False), expected, atol=1e-12)
    found = restore_boxes(plan, torch.tensor(boxes), corners=False)
    assert found.dtype == torch.float32 and np.allclose(found.numpy(), expected, atol=1e-6)
    scale = np.array((20.0, 10.0)) if plan.settings.targets.normalized else 1.0
    corners = np.array(restore_boxes(plan, np.array(boxes))) * scale
    assert np.allclose(corners, [[[19, 2], [16, 2], [16, 6], [19, 6]]], atol=1e-9)
    none = restore_boxes(plan, np.zeros((0, 4), np.float32), corners=False)
    assert none.shape == (0, 4) and restore_boxes(plan, np.zeros((0, 4))).shape == (0, 4, 2)


def test_clipping_is_a_choice() -> None:
    """A border of 4: the view's first columns lie outside of the image."""
    plan = plan_of((10, 20), {"pad": {"padding": 4}}, targets=XYXY)
    boxes = [[0.0, 6.0, 10.0, 16.0], [0.0, 0.0, 3.0, 3.0]]
    assert restore_boxes(plan, boxes, corners=False) == [[-4, 2, 6, 12], [-4, -4, -1, -1]]
    assert restore_boxes(plan, boxes, corners=False, clip=True) == [[0, 2, 6, 10], [0, 0, 0, 0]]
    with pytest.raises(ImageError, match="four corners cannot be clipped"):
        restore_boxes(plan, boxes, clip=True)


@pytest.mark.parametrize("k", [0.3, -0.3])
def test_a_box_around_bent_edges(k: float) -> None:
    """A barrel bends the middle of an edge; the box around 400 points of it, by the formula r (1 + k r^2)."""
    plan = plan_of((40, 40), {"optical_distortion": {"k": [k, k]}}, targets=XYXY)
    (around,) = restore_boxes(plan, np.array([[8.0, 8.0, 32.0, 32.0]]), corners=False)
    part = np.linspace(-12, 12, 401)
    edge = np.stack((np.full(401, 12.0), part))
    reach = (edge * (1 + k * (edge**2).sum(axis=0) / 800)).max()
    assert np.allclose(around, [20 - reach, 20 - reach, 20 + reach, 20 + reach], atol=0.02)
    (corners,) = restore_boxes(plan, np.array([[14.0, 20.0, 26.0, 32.0]]))
    lower = 20 + 12 * (1 + k * (36 + 144) / 800)
    assert np.allclose(corners[2], (20 + 6 * (1 + k * (36 + 144) / 800), lower), atol=0.02)


NAMES = {"swap": {"left": "right"}, "classes": ["left", "right", "nose"]}


def test_mirrored_views_exchange_the_names_of_keypoints() -> None:
    plan = plan_of((10, 20), FLIP, targets=NAMES)
    named = {"left": (1.0, 2.0), "nose": (3.0, 4.0), "right": (5.0, 6.0)}
    expected = {"left": [15.0, 6.0], "nose": [17.0, 4.0], "right": [19.0, 2.0]}
    assert restore_keypoints(plan, named) == expected
    rows = np.array([[1.0, 2.0, 0.9], [3.0, 4.0, 0.8], [5.0, 6.0, 0.7]], np.float32)
    found = restore_keypoints(plan, rows, ["left", "nose", "right"])
    assert found.dtype == np.float32
    assert np.allclose(found, [[15, 6, 0.7], [17, 4, 0.8], [19, 2, 0.9]])
    instances = restore_keypoints(plan, torch.from_numpy(np.stack((rows, rows + 1))), ["left", "nose", "right"])
    assert instances.shape == (2, 3, 3) and np.allclose(instances[0].numpy(), found)
    assert np.allclose(instances[1, 0].numpy(), [14, 7, 1.7])
    assert restore_keypoints(plan, {}) == {} and restore_keypoints(plan, np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(ImageError, match=r"these keypoints have none; give names=\[..\]"):
        restore_keypoints(plan, rows)
    with pytest.raises(ImageError, match="expected a name for each of 3 points, got 1"):
        restore_keypoints(plan, rows, ["left"])


def test_mirrored_views_exchange_labels() -> None:
    plan, plain = plan_of((10, 20), FLIP, targets=NAMES), plan_of((10, 20), targets=NAMES)
    assert restore_labels(plan, ["left", "nose", "right"]) == ["right", "nose", "left"]
    assert restore_labels(plan, (0, 1, 2, 7)) == (1, 0, 2, 7)
    assert restore_labels(plan, np.array([0, 1, 2], np.int64)).tolist() == [1, 0, 2]
    assert restore_labels(plan, torch.tensor([0, 1, 2])).tolist() == [1, 0, 2]
    assert restore_labels(plan, "left") == "right" and restore_labels(plan, np.array(["left"]))[0] == "right"
    assert restore_labels(plain, ["left"]) == ["left"]
    # seen from a mirrored test image nothing is mirrored
    assert restore_labels(plan, ["left"], frame=plan) == ["left"]
    assert restore_labels(plain, ["left"], frame=plan) == ["right"]


def test_a_field_that_folds_the_middle_mirrors_nothing() -> None:
    targets = {"boxes": "xyxy", "swap": {"left": "right"}}
    strong = {"elastic": {"alpha": 400, "sigma": 3}}
    folded = []
    for index in range(40):
        plan = plan_of(SIZE, strong, index=index, targets=targets)
        folded.append(mirrors(forward_of(plan.ops[0], SIZE, plan.settings.engine), SIZE))
        assert restore_labels(plan, ["left"]) == ["left"]
    assert any(folded)


def test_the_frame_of_the_test_image() -> None:
    """The test image is columns 5 to 15 of 20, twice as large."""
    test = plan_of((10, 20), {"center_crop": {"size": [10, 10]}}, {"resize": {"size": [20, 20]}}, targets=XYXY)
    view = plan_of((10, 20), FLIP, targets=XYXY)
    assert np.allclose(restore_boxes(view, [[6, 2, 9, 6]], frame=test, corners=False), [[12, 4, 18, 12]])
    assert np.allclose(restore_keypoints(view, [[6.0, 2.0]], frame=test), [[18, 4]])
    with pytest.raises(ImageError, match="the view is of an image of 10x20, and the frame of one of 12x20"):
        restore_boxes(view, [[6, 2, 9, 6]], frame=plan_of((12, 20)))


def widened(array: np.ndarray, times: int) -> np.ndarray:
    return np.repeat(array, times, axis=1)


def points_widened(points: np.ndarray, size: Any, times: int) -> np.ndarray:
    return points * (times, 1)


def points_narrowed(points: np.ndarray, size: Any, times: int) -> np.ndarray:
    return points / (times, 1)


def one_point(points: np.ndarray, size: Any, times: int) -> np.ndarray:
    return points[:1]


FUNCTIONS: dict[str, dict[str, Any]] = {
    "both": {"keypoints": points_widened, "inverse": points_narrowed, "mask": widened},
    "forward": {"keypoints": points_widened},
    "none": {"mask": widened},
    "wrong": {"keypoints": points_widened, "inverse": one_point},
    "open": {"keypoints": points_widened, "size": None},
    "undeclared": {"geometry": False},
}


@transform("widen", kind="geometry", preview=({"kind": "both"},))
class Widen:
    """Repeat every column three times, with some of the functions that bring predictions back."""

    kind: str = "both"

    def sample(self, rng: Any, scene: Any) -> Any:
        size = scene.height, scene.width * 3
        return ops.call(widened, {"times": 3}, **{"size": size, "geometry": True, **FUNCTIONS[self.kind]})


def plan_of_a_function(kind: str, *more: Any) -> Any:
    registry = Registry.installed().add(Widen)
    spec = {"image": [{"widen": {"kind": kind}}, *more], "targets": XYXY}
    return Pipeline.from_spec(spec, registry).train.plan((4, 5), 0)


def test_a_function_of_a_plugin_is_inverted_by_its_inverse() -> None:
    plan = plan_of_a_function("both")
    assert restore_boxes(plan, [[3, 1, 9, 3]], corners=False) == [[1, 1, 3, 3]]
    predicted = np.arange(20.0).reshape(4, 5)
    assert np.array_equal(restore_map(plan, widened(predicted, 3)).values, predicted)
    # maps need only the way to the view
    forward = plan_of_a_function("forward")
    assert np.array_equal(restore_map(forward, widened(predicted, 3)).values, predicted)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "forward",
            r"^widen does not say where points come from \(the `inverse` of ops.call\), so predictions .* leave",
        ),
        ("none", "^widen moves pixels, for which its ops.call.* needs `keypoints`, so predictions on this view"),
        (
            "wrong",
            r"^the inverse function of widen must return 4 finite points \(x, y\), and returned the shape \(1, 2\)",
        ),
        ("open", "^widen leaves an image of unknown size"),
        ("undeclared", "^widen changes the size of the image, for which its ops.call.* needs `geometry=True`"),
    ],
)
def test_a_function_without_an_inverse_is_refused_with_the_name_of_its_step(kind: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        restore_boxes(plan_of_a_function(kind), [[3, 1, 9, 3]])


def test_steps_that_are_drawn_later_are_refused() -> None:
    with pytest.raises(ImageError, match=r"^widen leaves an image of unknown size, so the steps after it"):
        restore_boxes(plan_of_a_function("open", "horizontal_flip"), [[3, 1, 9, 3]])


def test_what_folds_the_image_is_refused_with_the_name_of_its_step() -> None:
    plan = plan_of((8, 8), {"shear_x": {"amount": [0.1, 0.1]}}, targets=XYXY)
    (op,) = plan.ops
    flat = msgspec.structs.replace(op, matrix=(1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0))
    entries = (msgspec.structs.replace(plan.entries[0], ops=[flat]),)
    folded = msgspec.structs.replace(plan, ops=(flat,), entries=entries)
    for restore in (lambda: restore_map(folded, np.ones((8, 8))), lambda: restore_boxes(folded, [[1, 1, 2, 2]])):
        with pytest.raises(ImageError, match=r"^shear_x folds the image into a line, so .*leave the step out of"):
            restore()


def test_points_behind_the_horizon_of_a_view_are_far_out() -> None:
    """The view is read at x / (1 - x / 4): its columns from 4 on show nothing of the image."""
    plan = plan_of((8, 8), {"shear_x": {"amount": [0.1, 0.1]}}, targets=XYXY)
    steep = msgspec.structs.replace(plan.ops[0], matrix=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -0.25, 0.0))
    view = msgspec.structs.replace(plan, ops=(steep,))
    (found,) = restore_boxes(view, [[2.0, 1.0, 6.0, 3.0]], corners=False)
    assert found[:2] == [4.0, 2.0] and found[2] > 1e6 and found[3] > 1e6
    assert restore_map(view, np.ones((8, 8))).seen.all()


def test_mixed_images_are_refused_and_colors_are_not() -> None:
    moved = Pipeline.from_spec({"image": ["aug_mix"], "targets": XYXY})
    plans = [moved.train.plan((8, 8), index) for index in range(20)]
    with pytest.raises(ImageError, match=r"^aug_mix does not say where it moves pixels"):
        for plan in plans:
            restore_boxes(plan, [[1, 1, 2, 2]])
    plan = plan_of((8, 8), "color_jitter", "cutout", "gaussian_noise", targets=XYXY)
    assert restore_boxes(plan, [[1, 1, 2, 2]], corners=False) == [[1, 1, 2, 2]]


def test_what_is_no_box_is_refused() -> None:
    with pytest.raises(ImageError, match="does not say what the numbers of a box mean"):
        restore_boxes(plan_of((8, 8), FLIP), [[1, 1, 2, 2]])
    with pytest.raises(ImageError, match=r"boxes: the shape \(1, 3\) is not that of"):
        restore_boxes(plan_of((8, 8), FLIP, targets=XYXY), [[1, 1, 2]])
    plan = plan_of((8, 8), TURN, targets=XYXY)
    assert restore_boxes(plan, [[1, 2, 3, 5]], corners=False) == [[3, 1, 6, 3]]
