"""Dense predictions on views come back into the frame of the image: class maps, label masks, values, vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from restoring_plans import (
    FLIP,
    HEIGHT,
    MOVES,
    SCALE,
    TURN,
    UPSIDE_DOWN,
    WARPS,
    WIDTH,
    coordinates,
    plan_of,
    steps,
)

from augreg import ImageError, Pipeline
from augreg.views.restoring.maps import restore_map
from augreg.views.restoring.routes import Route

torch = pytest.importorskip("torch")
functional = torch.nn.functional
RNG = np.random.default_rng(0)
SIZE = HEIGHT, WIDTH
IMAGE = RNG.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def by_hand(planes: np.ndarray, step: Any) -> np.ndarray:
    """What a flip or a counter-clockwise quarter turn makes of channels x height x width."""
    if step is TURN:
        return np.rot90(planes, 1, (1, 2))
    return planes[..., ::-1] if step is FLIP else planes[:, ::-1]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("first", [FLIP, UPSIDE_DOWN, TURN])
@pytest.mark.parametrize("second", [FLIP, TURN])
def test_flips_and_turns_come_back_bit_for_bit(dtype: str, first: Any, second: Any) -> None:
    given = RNG.normal(size=(5, 12, 12)).astype(dtype)
    if given.dtype.kind == "f":
        given[0, 3, 4], given[1, 2, 2] = np.nan, np.inf
    plan = plan_of((12, 12), first, second)
    for value in (given, torch.from_numpy(given)):
        view = by_hand(by_hand(given, first), second).copy()
        found = restore_map(plan, view if value is given else torch.from_numpy(view))
        assert type(found.values) is type(value) and found.values.dtype == value.dtype
        assert np.asarray(found.values).tobytes() == given.tobytes()
        assert np.asarray(found.seen).all()


@pytest.mark.parametrize("backend", ["pillow", "opencv"])
@settings(max_examples=25, deadline=None)
@given(moves=steps(MOVES, 4), index=st.integers(0, 2**20))
def test_moves_bring_back_exactly_the_pixels_that_the_view_shows(backend: str, moves: list[Any], index: int) -> None:
    """The model tells pixels apart: it predicts the number that an image has written into its three bytes."""
    numbers = np.arange(1, HEIGHT * WIDTH + 1).reshape(SIZE)
    image = np.stack((numbers // 256, numbers % 256, np.full(SIZE, 1)), axis=2).astype(np.uint8)
    plan = plan_of(image, *moves, index=index, backend=backend)
    seen = np.zeros(HEIGHT * WIDTH + 1, bool)
    view = plan.run(image).astype(np.int64)
    predicted = view[..., 0] * 256 + view[..., 1]
    seen[np.unique(predicted)] = True
    for value in (predicted, predicted.astype(np.float32)):
        found = restore_map(plan, value, fill=-1)
        assert np.array_equal(found.values, np.where(found.seen, numbers, -1))
        assert np.array_equal(found.seen, seen[1:].reshape(SIZE))


def test_a_crop_before_a_border_is_gone_even_where_the_border_is() -> None:
    """A border of 4 around a crop of 10 x 10 covers the places of pixels that were cut off and shows none of them."""
    plan = plan_of(IMAGE, {"center_crop": {"size": 10}}, {"pad": {"padding": 4}})
    found = restore_map(plan, np.ones((18, 18), np.float32))
    inside = np.zeros(SIZE, bool)
    inside[13:23, 19:29] = True
    assert np.array_equal(found.seen, inside)
    assert np.array_equal(np.isnan(found.values), ~inside)


@settings(max_examples=40, deadline=None)
@given(chosen=steps((*MOVES, *WARPS), 3), index=st.integers(0, 2**20))
def test_an_equivariant_model_predicts_the_same_through_every_geometry(chosen: list[Any], index: int) -> None:
    """The model predicts coordinates of the image, which it sees as colors; the third channel shows fill as black.

    Each step that resamples reads a border pixel up to half a pixel beside its place, and coming back does so once
    more; a border of copied pixels has the same color for several places.
    """
    image = coordinates()
    plan = plan_of(image, *chosen, index=index)
    predicted = plan.run(image).transpose(2, 0, 1)
    found = restore_map(plan, predicted)
    known = found.seen & (found.values[2] > 0.999)  # without pixels that the view itself mixes with fill
    off = np.abs(found.values - image.transpose(2, 0, 1))[:2, known] * SCALE
    warps = sum(step in WARPS for step in chosen)
    assert off.max(initial=0.0) <= (0.6 * (warps + 1) if warps else 0.0)
    if off.size:
        assert np.quantile(off, 0.75) <= 0.1


def test_masks_agree_but_for_a_line_along_their_border() -> None:
    """A model that marks a disk; after two interpolations its border is off by at most 1.5 pixels."""
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = np.hypot(ys - 17, xs - 25) - 9.0
    image = np.repeat((inside < 0)[..., None], 3, 2).astype(np.float32)
    for number, step in enumerate(WARPS):
        plan = plan_of(image, step, index=number)
        mask = (plan.run(image)[..., 0] > 0.5).astype(np.uint8)
        found = restore_map(plan, mask, fill=9)
        clear = found.seen & (np.abs(inside) > 1.5)
        assert clear.mean() > 0.3 and np.array_equal(found.values[clear], (inside < 0)[clear])
        assert set(np.unique(found.values)) <= {0, 1, 9} and (found.values[~found.seen] == 9).all()


@pytest.mark.parametrize("size", [(72, 96), (50, 41), (20, 30)])
def test_a_resize_is_undone_as_torch_resizes(size: tuple[int, int]) -> None:
    plan = plan_of(SIZE, {"resize": {"size": list(size)}})
    predicted = torch.from_numpy(RNG.normal(size=(2, 3, *size)))
    expected = functional.interpolate(predicted, size=SIZE, mode="bilinear", align_corners=False)
    found = restore_map(plan, predicted)
    assert found.seen.all() and torch.allclose(found.values, expected, atol=1e-12)
    assert np.allclose(restore_map(plan, predicted.numpy()).values, expected, atol=1e-12)


@pytest.mark.parametrize("stride", [4, 12])
def test_at_a_stride_predictions_stand_for_equal_parts_of_the_view(stride: int) -> None:
    """Coarse maps become large as torch enlarges them, after the flip is undone; at their own size they are exact."""
    rows, columns = HEIGHT // stride, WIDTH // stride
    predicted = RNG.normal(size=(3, rows, columns)).astype(np.float32)
    plan = plan_of(SIZE, FLIP)
    back = predicted[..., ::-1].copy()
    found = restore_map(plan, predicted, size=(rows, columns))
    assert found.values.tobytes() == back.tobytes()
    large = functional.interpolate(torch.from_numpy(back)[None], size=SIZE, mode="bilinear", align_corners=False)
    assert np.allclose(restore_map(plan, predicted).values, large[0], atol=1e-6)
    odd = RNG.normal(size=(2, 5, 7)).astype(np.float32)  # 36 x 48 is no multiple
    assert restore_map(plan, odd, size=(5, 7)).values.tobytes() == odd[..., ::-1].tobytes()


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_a_letterbox_is_cut_off_before_it_is_undone(mode: str) -> None:
    """Resized to 30 x 40, with a border of 5 rows below and above: predictions on the border never mix in."""
    plan = plan_of(SIZE, {"resize": {"size": [30, 40]}}, {"pad": {"padding": [5, 5, 0, 0], "mode": mode}})
    predicted = RNG.normal(size=(3, 40, 40))
    predicted[:, :5], predicted[:, 35:] = 1e6, -1e6
    inner = torch.from_numpy(predicted[None, :, 5:35])
    expected = functional.interpolate(inner, size=SIZE, mode="bilinear", align_corners=False)[0]
    found = restore_map(plan, predicted)
    assert found.seen.all() and np.allclose(found.values, expected, atol=1e-9)


def test_a_rotation_is_undone_as_torch_samples_a_grid() -> None:
    """Turned counter-clockwise by 25 degrees, with y down: (x, y) goes to (x cos + y sin, y cos - x sin)."""
    plan = plan_of(SIZE, {"rotate": {"degrees": [25, 25]}})
    predicted = RNG.normal(size=(3, HEIGHT, WIDTH))
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    x, y = xs - WIDTH / 2, ys - HEIGHT / 2
    cos, sin = np.cos(np.radians(25)), np.sin(np.radians(25))
    x, y = x * cos + y * sin, y * cos - x * sin
    grid = torch.from_numpy(np.stack((x / (WIDTH / 2), y / (HEIGHT / 2)), axis=-1))[None]
    kinds = {"align_corners": False, "padding_mode": "border"}
    expected = functional.grid_sample(torch.from_numpy(predicted)[None], grid, mode="bilinear", **kinds)[0].numpy()
    found = restore_map(plan, predicted)
    assert np.array_equal(found.seen, (abs(x) <= WIDTH / 2) & (abs(y) <= HEIGHT / 2))
    middle = np.hypot(xs - WIDTH / 2, ys - HEIGHT / 2) < 16  # no fill near these
    assert found.seen[middle].all() and np.allclose(found.values[:, middle], expected[:, middle], atol=1e-9)
    labels = RNG.integers(0, 9, SIZE)
    nearest = functional.grid_sample(torch.from_numpy(labels)[None, None].double(), grid, mode="nearest", **kinds)[
        0, 0
    ].numpy()
    assert np.array_equal(restore_map(plan, labels).values[middle], nearest[middle])


def test_a_perspective_is_undone_as_scipy_samples() -> None:
    """The same map by linear algebra: the inverse of the matrix by which the view reads the image."""
    from scipy import ndimage

    plan = plan_of(SIZE, {"perspective": {"distortion": 0.4, "p": 1}}, index=3)
    (op,) = plan.ops
    matrix = np.linalg.inv(np.reshape((*op.matrix, 1.0), (3, 3)))
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    x, y, depth = np.tensordot(matrix, np.stack((xs, ys, np.ones(SIZE))), 1)
    predicted = RNG.normal(size=SIZE)
    expected = ndimage.map_coordinates(predicted, (y / depth - 0.5, x / depth - 0.5), order=1, mode="nearest")
    found = restore_map(plan, predicted)
    middle = (slice(3, -3), slice(3, -3))
    assert found.seen.all() and np.allclose(found.values[middle], expected[middle], atol=1e-9)


@pytest.mark.parametrize("mode", ["constant", "reflect", "wrap"])
def test_what_lies_beyond_the_border_does_not_mix_into_a_rotated_image(mode: str) -> None:
    plan = plan_of(SIZE, {"rotate": {"degrees": [25, 25], "mode": mode}})
    shown = plan_of(np.full((*SIZE, 3), 255, np.uint8), {"rotate": {"degrees": [25, 25], "interpolation": "nearest"}})
    view = shown.run(np.full((*SIZE, 3), 255, np.uint8))[..., 0]
    predicted = np.where(view == 255, 1.0, 1e9)
    found = restore_map(plan, predicted)
    assert np.allclose(found.values[found.seen], 1.0) and 0.7 < found.seen.mean() < 1.0
    labels = restore_map(plan, np.where(view == 255, 1, 9), fill=0)
    assert np.array_equal(labels.values, labels.seen) and 0.7 < labels.seen.mean() < 1.0


def test_pixels_beside_a_crop_are_not_seen_where_a_border_is_resized_with_it() -> None:
    """A border of 4 around a crop of 10 x 10, at half the size: pixels next to the crop lie between pixels of it."""
    plan = plan_of(IMAGE, {"center_crop": {"size": 10}}, {"pad": {"padding": 4}}, {"resize": {"size": 9}})
    inside = np.zeros(SIZE, bool)
    inside[13:23, 19:29] = True
    assert np.array_equal(restore_map(plan, np.ones((9, 9))).seen, inside)


def test_a_border_of_the_frame_shows_no_pixel_of_the_image() -> None:
    frame = plan_of(SIZE, {"pad": {"padding": 4}}, {"resize": {"size": [22, 28]}})
    found = restore_map(plan_of(SIZE), np.ones(SIZE), frame=frame)
    assert np.array_equal(found.seen, np.pad(np.ones((18, 24), bool), 2))


def test_a_prediction_whose_pixels_all_stand_for_the_border_shows_nothing() -> None:
    """The image is the last four of 20 rows; two rows of a prediction have their centers in rows 5 and 15."""
    plan = plan_of((4, 20), {"pad": {"padding": [16, 0, 0, 0]}})
    found = restore_map(plan, np.ones((2, 20)))
    assert not found.seen.any() and np.isnan(found.values).all()
    assert not restore_map(plan, np.ones((2, 20), int)).seen.any()
    assert restore_map(plan, np.ones((4, 20))).seen.all()


def test_places_on_the_border_are_seen_on_both_sides() -> None:
    """Enlarged by 1.5 about 22.5, the centers at 7.5 and 37.5 come to 0 and 45 but for rounding."""
    plan = plan_of((45, 45), {"affine": {"degrees": 0, "scale": [1.5, 1.5], "translate": [0, 0], "shear_x": 0}})
    seen = restore_map(plan, np.ones((45, 45))).seen
    expected = np.zeros((45, 45), bool)
    expected[7:38, 7:38] = True
    assert np.array_equal(seen, expected)


def test_labels_of_a_larger_view_are_those_that_torch_takes() -> None:
    plan = plan_of(SIZE, {"resize": {"size": [72, 96]}})
    labels = torch.from_numpy(RNG.integers(0, 9, (72, 96)))
    expected = functional.interpolate(labels[None, None].double(), size=SIZE, mode="nearest-exact")[0, 0]
    assert torch.equal(restore_map(plan, labels).values.double(), expected)


def test_the_fill_of_label_masks() -> None:
    labels = np.ones((10, 10), np.uint8)
    crop = {"center_crop": {"size": 10}}
    found = restore_map(plan_of(SIZE, crop, targets={"mask_fill": 255}), labels)
    assert (found.values[~found.seen] == 255).all() and found.values.dtype == np.uint8
    wide = plan_of(SIZE, crop, targets={"mask_fill": 300})
    for value in (labels, torch.from_numpy(labels)):
        with pytest.raises(ImageError, match="uint8 has no value 300 for pixels that the view does not show"):
            restore_map(wide, value)
    with pytest.raises(ImageError, match=r"uint8 has no value 0\.5"):
        restore_map(wide, labels, fill=0.5)
    assert not restore_map(wide, labels == 1).values[0].any()  # bools have no such number
    whole = plan_of(SIZE, FLIP, targets={"mask_fill": 300})
    assert restore_map(whole, np.ones(SIZE, np.uint8)).seen.all()


def test_gradients_flow_back_and_half_precision_stays() -> None:
    plan = plan_of(SIZE, {"resize": {"size": [20, 30]}}, FLIP)
    predicted = torch.randn(2, 20, 30, dtype=torch.float64, requires_grad=True)
    restore_map(plan, predicted).values.sum().backward()
    # every pixel of the image takes weights that sum to one
    assert predicted.grad.sum().item() == pytest.approx(2 * HEIGHT * WIDTH)
    for dtype in (torch.float16, torch.bfloat16):
        found = restore_map(plan, predicted.detach().to(dtype)).values
        expected = restore_map(plan, predicted.detach()).values
        assert found.dtype == dtype and torch.allclose(found.double(), expected, atol=0.03)


def test_arrays_of_another_byte_order() -> None:
    plan = plan_of(SIZE, {"resize": {"size": [20, 30]}}, {"center_crop": {"size": 18}})
    for dtype in (">f8", ">f4", ">i4"):
        predicted = RNG.integers(0, 9, (18, 18)).astype(dtype)
        expected = restore_map(plan, predicted.astype(predicted.dtype.newbyteorder("=")))
        assert np.array_equal(restore_map(plan, predicted).values, expected.values, equal_nan=dtype != ">i4")


def test_leading_axes_are_kept() -> None:
    plan = plan_of(SIZE, FLIP)
    predicted = RNG.normal(size=(2, 3, 4, HEIGHT, WIDTH))
    assert np.array_equal(restore_map(plan, predicted).values, predicted[..., ::-1])


@pytest.mark.parametrize(
    ("step", "turned"),
    [
        (FLIP, lambda x, y: (-x, y)),
        (UPSIDE_DOWN, lambda x, y: (x, -y)),
        # the view was turned counter-clockwise, so what points right there points down in the image
        (TURN, lambda x, y: (-y, x)),
        ({"resize": {"size": [2 * HEIGHT, 3 * WIDTH]}}, lambda x, y: (x / 3, y / 2)),
    ],
)
def test_vectors_turn_with_the_image(step: Any, turned: Any) -> None:
    plan = plan_of(SIZE, step, targets={"maps": {"flow": {"vectors": True}}})
    height, width = plan.after.size
    predicted = np.stack((np.full((height, width), 6.0), np.full((height, width), -2.0))).astype(np.float32)
    values, seen = restore_map(plan, predicted, key="flow")
    assert seen.mean() >= 0.75  # a turn cuts the ends of a wide image off
    x, y = turned(6.0, -2.0)
    assert np.allclose(values[0, seen], x, atol=1e-6) and np.allclose(values[1, seen], y, atol=1e-6)
    assert np.array_equal(restore_map(plan, torch.from_numpy(predicted), key="flow").values, values)


@pytest.mark.parametrize("step", WARPS[:6])
def test_vectors_lead_from_point_to_point_through_every_warp(step: Any) -> None:
    """All of a scene moves to one point of the image: the model predicts the way to where the view shows it."""
    plan = plan_of(SIZE, step, index=4, targets={"maps": {"flow": {"vectors": True, "interpolation": "bilinear"}}})
    target = np.array((24.0, 18.0))
    route = Route(plan)
    place = route.to_view(target[None])[0][0]
    height, width = plan.after.size
    ys, xs = np.mgrid[:height, :width] + 0.5
    predicted = np.stack((place[0] - xs, place[1] - ys))[None]
    found = restore_map(plan, predicted, key="flow")
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inner = found.seen & (np.minimum(xs, WIDTH - xs) > 3) & (np.minimum(ys, HEIGHT - ys) > 3)
    places = route.to_view(np.stack((xs, ys), axis=-1).reshape(-1, 2))[0].reshape(*SIZE, 2)
    inner &= ((places > 0.5) & (places < np.array((width, height)) - 0.5)).all(axis=2)
    expected = np.stack((target[0] - xs, target[1] - ys))
    assert inner.mean() > 0.4 and np.abs(found.values[0] - expected)[:, inner].max() < 0.01


def test_a_map_of_the_spec_has_its_own_interpolation_and_fill() -> None:
    maps = {"depth": {"fill": -1}, "heat": {"interpolation": "bilinear"}}
    plan = plan_of(SIZE, {"resize": {"size": [24, 32]}}, {"center_crop": {"size": 20}}, targets={"maps": maps})
    depth = RNG.normal(size=(20, 20))
    found = restore_map(plan, depth, key="depth")
    assert set(np.unique(found.values)) <= {*depth.ravel(), -1.0} and (found.values[~found.seen] == -1).all()
    smooth = restore_map(plan, depth, key="depth", interpolation="bilinear")
    assert not set(np.unique(smooth.values)) <= {*depth.ravel(), -1.0}
    heat = restore_map(plan, depth, key="heat")
    assert not set(np.unique(heat.values)) <= {*depth.ravel(), 0.0} and (heat.values[~heat.seen] == 0).all()


def test_vectors_come_back_from_a_flip_bit_for_bit_with_gradients() -> None:
    plan = plan_of(SIZE, FLIP, targets={"maps": {"flow": {"vectors": True}}})
    flow = torch.randn(2, HEIGHT, WIDTH, requires_grad=True)
    found = restore_map(plan, flow, key="flow").values
    assert torch.equal(found, torch.stack((-flow[0].flip(-1), flow[1].flip(-1))))
    found.sum().backward()
    assert torch.equal(flow.grad, torch.stack((-torch.ones(SIZE), torch.ones(SIZE))))


def test_unknown_vectors_stay_unknown() -> None:
    plan = plan_of(SIZE, {"elastic": {"alpha": 30, "sigma": 5}}, targets={"maps": {"flow": {"vectors": True}}})
    flow = np.zeros((2, HEIGHT, WIDTH), np.float32)
    flow[:, 10:20, 10:20] = np.nan
    found = restore_map(plan, torch.from_numpy(flow), key="flow").values.numpy()
    assert found.dtype == np.float32
    assert np.isnan(found[:, 13:17, 13:17]).all() and np.abs(found[:, 25:32, 25:40]).max() < 1e-3


SIDES = {"classes": ["background", "left_arm", "right_arm"], "swap": {"left_arm": "right_arm"}}


def test_mirrored_views_exchange_left_and_right() -> None:
    predicted = RNG.normal(size=(3, HEIGHT, WIDTH))
    mirrored = plan_of(SIZE, FLIP, targets=SIDES)
    found = restore_map(mirrored, predicted).values
    assert np.array_equal(found, predicted[[0, 2, 1], :, ::-1])
    assert np.array_equal(restore_map(mirrored, torch.from_numpy(predicted)[None]).values[0], found)
    depth = plan_of(SIZE, FLIP, targets={**SIDES, "maps": {"depth": {}}})
    assert np.array_equal(restore_map(depth, predicted, key="depth").values, predicted[..., ::-1])
    twice = plan_of(SIZE, FLIP, UPSIDE_DOWN, targets=SIDES)  # a half turn, which mirrors nothing
    assert np.array_equal(restore_map(twice, predicted).values, predicted[:, ::-1, ::-1])
    assert np.array_equal(restore_map(mirrored, predicted, classes=[]).values, predicted[..., ::-1])
    one_hot = predicted > 0
    assert np.array_equal(restore_map(mirrored, one_hot).values, one_hot[[0, 2, 1], :, ::-1])
    labels = RNG.integers(0, 5, SIZE)  # 3 and 4 have no name
    expected = np.array([0, 2, 1, 3, 4])[labels[:, ::-1]]
    assert np.array_equal(restore_map(mirrored, labels).values, expected)
    assert np.array_equal(restore_map(mirrored, torch.from_numpy(labels)).values, expected)


def test_the_names_of_classes_are_part_of_the_spec_and_change_no_other() -> None:
    pipe = Pipeline.from_spec({"image": [FLIP], "targets": SIDES})
    assert Pipeline.from_spec(pipe.to_spec()).fingerprint == pipe.fingerprint
    assert pipe.to_spec()["targets"]["classes"] == SIDES["classes"]
    other = Pipeline.from_spec({"image": [FLIP], "targets": {"swap": SIDES["swap"]}})
    assert "classes" not in other.to_spec()["targets"]
    with pytest.raises(ValueError, match="classes: give every channel a name of its own"):
        Pipeline.from_spec({"targets": {"classes": ["a", "a"]}})


@pytest.mark.parametrize(
    ("predicted", "arguments", "message"),
    [
        ([[1.0]], {}, "expected an array or a tensor with axes .. x height x width, got list"),
        (np.zeros(5), {}, r"got the shape \(5,\)"),
        (np.zeros(SIZE, complex), {}, "expected numbers, got an array of complex128"),
        (np.zeros((HEIGHT + 1, WIDTH)), {}, "a view of 36x48 has at most as many"),
        (np.zeros((3, 0, 4)), {}, r"got the shape \(3, 0, 4\)"),
        (np.zeros(SIZE, int), {"interpolation": "bilinear"}, "holds numbers of classes"),
        (np.zeros(SIZE), {"interpolation": "bicubic"}, "expected 'auto', 'nearest' or 'bilinear', got 'bicubic'"),
        (np.zeros(SIZE), {"size": 7}, r"size: expected the \(height, width\) of the result, got 7"),
        (np.zeros(SIZE), {"size": (7, 0)}, r"got \(7, 0\)"),
        (np.zeros(SIZE), {"key": "depth"}, "the spec has no map 'depth'; it has 'flow'"),
        (np.zeros((3, *SIZE)), {"key": "flow"}, "vectors are .. x 2 x height x width"),
        (np.zeros(SIZE), {"key": "flow"}, "vectors are .. x 2 x height x width"),
        (np.zeros((2, *SIZE), int), {"key": "flow"}, "vectors are .. x 2 x height x width of floats, got int64"),
        (np.zeros(SIZE), {}, "there are 0 channels and 3 names of classes"),
        (np.zeros((4, *SIZE)), {}, "there are 4 channels and 3 names of classes"),
        (np.zeros((2, *SIZE)), {"classes": ["left_arm", "head"]}, "'right_arm' is not among the names"),
    ],
)
def test_what_is_no_prediction_on_the_view_is_refused(predicted: Any, arguments: Any, message: str) -> None:
    plan = plan_of(SIZE, FLIP, targets={**SIDES, "maps": {"flow": {"vectors": True}}})
    with pytest.raises(ImageError, match=message):
        restore_map(plan, predicted, **arguments)
