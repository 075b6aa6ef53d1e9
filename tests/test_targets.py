"""Masks, boxes and keypoints follow the pixels: a marker image through every geometric transform, and the rules."""

from __future__ import annotations

import importlib.util
import pickle
from typing import Any

import markers
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace
from PIL import Image
from strategies import CLASSES, images, previews, specs

from augreg import ImageError, Pipeline, Registry, SpecError, ops, transform
from augreg.backends import backend as engine
from augreg.execution.merging import merge
from augreg.execution.sampling import draw
from augreg.ops import Remap
from augreg.rng import address_of
from augreg.targets.boxes import BoxSet
from augreg.targets.conventions import Targets
from augreg.targets.propagate import forward_of, mirrors

BACKENDS = ["pillow", *(["opencv"] if importlib.util.find_spec("cv2") else [])]
GEOMETRIC = [name for name, cls in CLASSES.items() if cls.__augreg__.kind == "geometry"]
OTHERS = [name for name, cls in CLASSES.items() if cls.__augreg__.kind in ("color", "texture", "erasing")]
FLIP = {"horizontal_flip": {"p": 1}}
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)

both_backends = pytest.mark.parametrize("backend", BACKENDS)


def pipeline(*steps: Any, registry: Registry | None = None, output: str = "auto", **targets: Any) -> Pipeline:
    """A pipeline of steps that takes targets."""
    spec = {"image": list(steps), "targets": {"boxes": "xyxy", **targets}, "output": output}
    return Pipeline.from_spec(spec, registry)


def follows(sample: dict[str, Any], bent: bool) -> int:
    """Hold one result to itself: how many markers could be compared. What is cut off or tiny is compared less."""
    pixels, mask = markers.in_pixels(sample["image"]), sample["mask"]
    height, width = mask.shape
    assert pixels.shape == mask.shape
    compared = 0
    for label, (x1, y1, x2, y2) in zip(sample["labels"], sample["boxes"], strict=True):
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        shown, masked = markers.seen(pixels, label), markers.seen(mask, label)
        if min(x2 - x1, y2 - y1) < 4:
            continue
        whole = x1 > 1 and y1 > 1 and x2 < width - 1 and y2 < height - 1
        if shown is None or masked is None:
            assert not whole
            continue
        assert np.allclose(shown.edges, masked.edges, atol=1.0)
        assert np.allclose(shown.middle, masked.middle, atol=1.0)
        inside = masked.edges[0] - x1, masked.edges[1] - y1, x2 - masked.edges[2], y2 - masked.edges[3]
        assert min(inside) > -1.0  # nothing of it shows outside of its box
        if whole:
            assert max(inside) < 1.0  # and the box is no larger than it has to be
            if label > len(markers.BLOCKS) and not bent:  # a dot: its middle is its point
                assert np.allclose(shown.middle, sample["keypoints"][label - 1], atol=1.0)
        compared += 1
    return compared


@pytest.mark.parametrize("name", GEOMETRIC)
@both_backends
def test_pixels_mask_boxes_and_keypoints_agree(name: str, backend: str) -> None:
    """Within a pixel, over random draws: the marker image."""
    compared = 0
    for chosen in previews(name)[:2]:
        spec = {"backend": backend, "targets": markers.SPEC, "image": [{name: {**chosen, "p": 1}}]}
        pipe = Pipeline.from_spec(spec)
        for index in range(2):
            given = markers.sample()
            bent = any(isinstance(op, Remap) for op in pipe.train.plan(given["mask"].shape, index).ops)
            compared += follows(pipe.train(given, index=index), bent)
        compared += follows(pipe.test(markers.sample()), False)
    assert compared >= 10


@pytest.mark.parametrize("name", ["elastic", "grid_distortion", "optical_distortion"])
@both_backends
def test_points_move_to_where_displaced_pixels_show_them(name: str, backend: str) -> None:
    """Two masks hold every pixel's own coordinates: at a moved point they must still say where it came from."""
    pipe = Pipeline.from_spec(
        {"backend": backend, "targets": {"mask_fill": -100}, "image": [{name: {**previews(name)[-1], "p": 1}}]}
    )
    ys, xs = np.mgrid[: markers.HEIGHT, : markers.WIDTH]
    rng = np.random.default_rng(1)
    points = rng.uniform((10, 10), (markers.WIDTH - 10, markers.HEIGHT - 10), (50, 2))
    for index in range(3):
        image = markers.sample()["image"]
        found = pipe.train({"image": image, "mask": xs, "mask_y": ys, "keypoints": points}, index=index)
        inside = ((found["keypoints"] > 0) & (found["keypoints"] < (markers.WIDTH, markers.HEIGHT))).all(axis=1)
        assert inside.sum() > 25
        column, row = found["keypoints"][inside].astype(int).T
        said = np.stack((found["mask"][row, column], found["mask_y"][row, column]), axis=1) + 0.5
        assert np.abs(said - points[inside]).max() < 2.0  # half a pixel, stretched at most to its threefold


@pytest.mark.parametrize("name", OTHERS)
@both_backends
def test_what_moves_no_pixel_leaves_targets_alone(name: str, backend: str) -> None:
    for chosen in previews(name):
        spec = {"backend": backend, "targets": markers.SPEC, "image": [{name: {**chosen, "p": 1}}]}
        pipe = Pipeline.from_spec(spec)
        drawn = pipe.train.plan((markers.HEIGHT, markers.WIDTH), 3).ops
        if any(isinstance(op, ops.Move | ops.Warp | ops.BranchMix) for op in drawn):
            continue  # a policy, which holds steps of every kind
        given = markers.sample()
        found = pipe.train(given, index=3)
        for key in ("mask", "boxes", "keypoints", "labels"):
            assert np.allclose(found[key], given[key]), key


def test_a_mixture_of_moved_images_is_refused() -> None:
    """Where a thing shows twice, a mask cannot say where it is."""
    still = ops.BranchMix(((ops.point_function("invert"),),), (1.0,), label="mixture")
    moving = ops.BranchMix(((ops.Move(0, 0, 40, 60, flip_x=True),), ()), (0.5, 0.5), label="mixture")
    sample = {"image": IMAGE, "mask": IMAGE[..., 0]}
    found = pipeline("mixing", registry=OWN.add(mixing(still))).train(sample, index=0)
    assert np.array_equal(found["mask"], IMAGE[..., 0])
    with pytest.raises(ImageError, match="mixing moves pixels and does not say where masks go"):
        pipeline("mixing", registry=OWN.add(mixing(moving))).train(sample, index=0)


def mixing(op: Any) -> Any:
    """A transform that does this op."""

    @transform("mixing", kind="color")
    class Mixing:
        """Do the op."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return op

    return Mixing


def test_a_mapping_in_a_mapping_out() -> None:
    pipe = pipeline(FLIP)
    given = {
        "boxes": [[10, 5, 30, 25]], "image": IMAGE, "mask": IMAGE[..., 0], "label": 3, "path": "a/b.jpg", 7: None,
        "keypoints": [(10, 5)], "image_id": 12, "image_path": "a/b.jpg", "bag": {"image": 1},
    }  # fmt: skip
    before = pickle.dumps(given)
    found = pipe.train(given, index=0)
    assert pickle.dumps(given) == before
    assert list(found) == list(given)
    assert np.array_equal(found["image"], IMAGE[:, ::-1])
    assert np.array_equal(found["mask"], IMAGE[:, ::-1, 0])
    assert found["boxes"] == [[30, 5, 50, 25]]
    assert found["keypoints"] == [[50, 5]]
    for key in ("label", "path", 7, "image_id", "image_path", "bag"):
        assert found[key] is given[key]


def test_the_same_draw_as_for_the_image_alone() -> None:
    pipe = pipeline("horizontal_flip", {"affine": {}}, {"random_crop": {"size": 30}}, {"color_jitter": 0.4})
    for index in range(5):
        found = pipe.train({"image": IMAGE, "mask": IMAGE[..., 0]}, index=index, epoch=2, view=1)
        again = pipe.train({"image": IMAGE, "mask": IMAGE[..., 0]}, index=index, epoch=2, view=1)
        assert np.array_equal(found["image"], pipe.train(IMAGE, index=index, epoch=2, view=1))
        assert np.array_equal(found["mask"], again["mask"])
    replayed = pickle.loads(pickle.dumps(pipe.train.plan(IMAGE.shape[:2], index=4, epoch=2, view=1)))
    assert np.array_equal(replayed.run({"image": IMAGE, "mask": IMAGE[..., 0]})["mask"], found["mask"])
    assert np.array_equal(pipe.test({"image": IMAGE})["image"], pipe.test(IMAGE))
    with pytest.raises(ImageError, match="this plan is for 40x60x3"):
        replayed.run({"image": IMAGE[1:]})


def test_without_an_index_targets_still_belong_to_their_image(monkeypatch: pytest.MonkeyPatch) -> None:
    # known words for entropy: the system's own now and then leave too little in the image to compare
    monkeypatch.setattr("augreg.sides.fresh_seed", iter(range(10)).__next__)
    pipe = pipeline({"affine": {"degrees": 90}}, {"random_crop": {"size": 100}}, min_visible=0.0)
    compared = [follows(pipe.train(markers.sample()), False) for _ in range(10)]
    assert sum(found > 0 for found in compared) >= 8


def test_images_of_a_sample_share_the_draw() -> None:
    pipe = pipeline({"affine": {}}, {"random_crop": {"size": 24}}, {"cutout": {"size": 6, "fill": 255}})
    floats = (IMAGE / 255).astype(np.float32)
    found = pipe.train(
        {"image2": IMAGE[..., 0], "image": IMAGE, "images": [IMAGE, floats], "image_b": (IMAGE,)}, index=1
    )
    assert np.array_equal(found["images"][0], found["image"])
    assert np.array_equal(found["image_b"][0], found["image"]) and isinstance(found["image_b"], tuple)
    assert np.array_equal(found["image2"], found["image"][..., 0])
    # draws for floats are in their own pixel values: the same box, as white
    assert np.abs(found["images"][1] * 255 - found["image"]).max() <= 1.5


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int16", "uint16", "int32", "int64", ">i4", "int8"])
@both_backends
def test_masks_of_every_integer_kind(dtype: str, backend: str) -> None:
    """Nearest neighbor: no value that was not there, but the fill; the same places for every kind."""
    mask = (IMAGE[..., 0] > 128) * 1
    if dtype != "bool":
        mask = mask * {"uint8": 200, "int8": -7, "int16": -300, "uint16": 60000}.get(dtype, 70_000)
    steps = [{"affine": {"degrees": 40}}, {"resize": {"size": [33, 50]}}, {"pad": {"padding": 3, "fill": 9}}]
    pipe = Pipeline.from_spec({"image": steps, "backend": backend, "targets": {"mask_fill": 1}})
    given = mask.astype(dtype)
    found = pipe.train({"image": IMAGE, "mask": given}, index=2)["mask"]
    assert found.dtype == given.dtype and found.shape == (39, 56)
    assert set(np.unique(found)) == {*np.unique(given), given.dtype.type(1)}
    assert (found[:3] == 1).all()
    plain = pipe.train({"image": IMAGE, "mask": (mask != 0).astype(np.uint8)}, index=2)["mask"]
    assert np.array_equal(found != 0, plain != 0)


@both_backends
def test_masks_in_every_form(backend: str) -> None:
    torch = pytest.importorskip("torch")
    pipe = Pipeline.from_spec({"image": [FLIP, {"resize": {"size": 20}}], "backend": backend})
    number = IMAGE[..., 0]
    want = pipe.train({"image": IMAGE, "mask": number}, index=0)["mask"]
    palette = Image.fromarray(number)
    palette.putpalette(list(range(256)) * 3)
    found = pipe.train(
        {
            "image": Image.fromarray(IMAGE), "mask": Image.fromarray(number), "mask_p": palette,
            "mask_1": Image.fromarray(number > 99), "mask_t": torch.tensor(number, dtype=torch.int64),
            "mask_many": torch.from_numpy(np.stack([number] * 5)), "masks": [number, number[..., None]],
            "mask_none": torch.zeros((0, 40, 60), dtype=torch.uint8), "mask_path": "x.png",
        },
        index=0,
    )  # fmt: skip
    assert found["mask"].mode == "L" and np.array_equal(np.asarray(found["mask"]), want)
    assert found["mask_p"].mode == "P" and np.array_equal(np.asarray(found["mask_p"]), want)
    assert found["mask_p"].getpalette() == palette.getpalette()
    assert found["mask_1"].mode == "1" and np.array_equal(np.asarray(found["mask_1"]), want > 99)
    assert found["mask_t"].dtype == torch.int64 and np.array_equal(found["mask_t"].numpy(), want)
    assert found["mask_many"].shape == (5, 20, 20) and np.array_equal(found["mask_many"][3].numpy(), want)
    assert [mask.shape for mask in found["masks"]] == [(20, 20), (20, 20, 1)]
    assert found["mask_none"].shape == (0, 20, 20)
    assert found["mask_path"] == "x.png"


def test_mirrored_borders_mirror_the_mask_and_not_the_points() -> None:
    pipe = pipeline({"pad": {"padding": [0, 0, 10, 0], "mode": "symmetric"}})
    mask = np.arange(40 * 60, dtype=np.int32).reshape(40, 60)
    found = pipe.train({"image": IMAGE, "mask": mask, "keypoints": [[2, 3]], "boxes": [[0, 0, 4, 4]]}, index=0)
    assert np.array_equal(found["mask"][:, 9], mask[:, 0]) and np.array_equal(found["mask"][:, 0], mask[:, 9])
    assert found["keypoints"] == [[12, 3]] and found["boxes"] == [[10, 0, 14, 4]]


def test_erasing_leaves_targets_alone() -> None:
    pipe = pipeline({"cutout": {"size": 30, "fill": 255}})
    found = pipe.train({"image": IMAGE, "mask": IMAGE[..., 1], "boxes": [[1, 2, 3, 4]]}, index=0)
    assert not np.array_equal(found["image"], IMAGE)
    assert np.array_equal(found["mask"], IMAGE[..., 1]) and found["boxes"] == [[1, 2, 3, 4]]


def test_a_loss_of_detail_leaves_masks_unchanged() -> None:
    pipe = pipeline({"downscale": {"scale": 0.25}})
    found = pipe.train({"image": IMAGE, "mask": IMAGE[..., 0]}, index=0)
    assert not np.array_equal(found["image"], IMAGE)
    assert np.array_equal(found["mask"], IMAGE[..., 0])


def as_format(edges: np.ndarray, form: str) -> np.ndarray:
    x1, y1, x2, y2 = edges.T
    if form == "xywh":
        return np.stack((x1, y1, x2 - x1, y2 - y1), axis=1)
    if form == "cxcywh":
        return np.stack(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), axis=1)
    return edges


@st.composite
def some_boxes(draw: Any) -> np.ndarray:
    """Boxes in an image of 40 x 60, or none."""
    pairs = [
        (sorted(draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True)))) for side in (60, 40) * 3
    ]
    count = draw(st.integers(0, 3))
    return np.array([(*pairs[2 * k], *pairs[2 * k + 1]) for k in range(count)], float).reshape(-1, 4)[:, [0, 2, 1, 3]]


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("form", ["xyxy", "xywh", "cxcywh"])
@settings(max_examples=20, deadline=None, derandomize=True)
@given(edges=some_boxes())
def test_box_formats_say_the_same(form: str, normalized: bool, edges: np.ndarray) -> None:
    before, after = ((60, 40, 60, 40), (30, 50, 30, 50)) if normalized else ((1,) * 4, (1,) * 4)
    pipe = pipeline(FLIP, {"resize": {"size": [50, 30]}}, boxes=form, normalized=normalized, min_visible=0)
    plain = pipeline(FLIP, {"resize": {"size": [50, 30]}}, min_visible=0)
    want = plain.train({"image": IMAGE, "boxes": edges}, index=0)["boxes"]
    found = pipe.train({"image": IMAGE, "boxes": as_format(edges, form) / before}, index=0)["boxes"]
    assert found.shape == want.shape
    assert np.allclose(found * after, as_format(want, form))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(edges=some_boxes(), flip=st.sampled_from(["horizontal_flip", "vertical_flip"]))
def test_a_flip_twice_gives_back_everything(edges: np.ndarray, flip: str) -> None:
    points = edges[:, :2] + 0.25
    # posterize at 8 bits is nothing, and blur is a fence: the two flips are run, not merged away
    pipe = pipeline({flip: {"p": 1}}, {"gaussian_blur": [0.01, 0.01]}, {flip: {"p": 1}}, swap={"left": "right"})
    sample = {
        "image": IMAGE, "mask": IMAGE[..., 0], "boxes": edges, "keypoints": points,
        "keypoint_names": ["left", "right", "nose"][: len(points)], "labels": np.arange(len(edges)),
    }  # fmt: skip
    found = pipe.train(sample, index=0)
    for key, value in sample.items():
        assert np.array_equal(found[key], value), key


def test_boxes_in_every_form() -> None:
    torch = pytest.importorskip("torch")
    pipe = pipeline(FLIP)
    rows = [[10, 5, 30, 25], [0, 0, 60, 40]]
    want = [[30, 5, 50, 25], [0, 0, 60, 40]]
    for boxes, kind in (
        (rows, list), (tuple(map(tuple, rows)), list), (np.array(rows, np.float32), np.ndarray),
        (torch.tensor(rows, dtype=torch.float64), torch.Tensor),
    ):  # fmt: skip
        found = pipe.train({"image": IMAGE, "boxes": boxes}, index=0)["boxes"]
        assert isinstance(found, kind) and (found if kind is list else found.tolist()) == want
        assert getattr(found, "dtype", None) == getattr(boxes, "dtype", None)
    loose = pipe.train({"image": IMAGE, "boxes": [torch.tensor(row) for row in rows]}, index=0)["boxes"]
    assert loose == want
    whole = pipe.train({"image": IMAGE, "boxes": torch.tensor(rows)}, index=0)["boxes"]
    assert whole.dtype == torch.float32  # coordinates do not stay whole
    for nothing in ([], np.zeros((0, 4)), torch.zeros((0, 4)), np.zeros(0), torch.zeros(0)):
        found = pipe.train({"image": IMAGE, "boxes": nothing, "labels": []}, index=0)
        assert len(found["boxes"]) == 0 and type(found["boxes"]) is type(nothing) and found["labels"] == []
        assert isinstance(nothing, list) or found["boxes"].shape == (0, 4)


def test_output_torch_makes_tensors_of_targets_too() -> None:
    torch = pytest.importorskip("torch")
    sample = {
        "image": IMAGE,
        "mask": Image.fromarray(IMAGE[..., 0]),
        "boxes": [[1, 2, 3, 4]],
        "keypoints": [[1, 2]],
    }
    found = pipeline("normalize", output="torch").train(sample, index=0)
    assert all(isinstance(value, torch.Tensor) for value in found.values())
    assert found["boxes"].dtype == torch.float32 and found["mask"].shape == (40, 60)
    found = pipeline("normalize", output="numpy").train(sample, index=0)
    assert all(isinstance(value, np.ndarray) for value in found.values())


@pytest.mark.parametrize(("least", "kept"), [(0.0, [0, 1, 2]), (0.3, [0, 1]), (0.5, [0, 1]), (0.6, [0]), (1.0, [0])])
def test_boxes_below_min_visible_are_dropped_with_their_labels(least: float, kept: list[int]) -> None:
    torch = pytest.importorskip("torch")
    pipe = pipeline({"center_crop": [20, 20]}, min_visible=least, labels=["labels", "ids", "scores", "masks"])
    # the crop shows x 20..40, y 10..30: all of the first, half of the second, a tenth of the third, none of the last
    boxes = [[22, 12, 30, 20], [15, 15, 25, 20], [11, 20, 21, 30], [0, 0, 20, 40]]
    masks = torch.from_numpy(np.stack([np.full((40, 60), k, np.uint8) for k in range(4)]))
    sample = {
        "image": IMAGE, "boxes": boxes, "labels": ["a", "b", "c", "d"], "ids": np.arange(4), "masks": masks,
        "scores": torch.arange(4.0), "label": "street",
    }  # fmt: skip
    found = pipe.train(sample, index=0)
    assert found["labels"] == [["a", "b", "c"][k] for k in kept]
    assert found["ids"].tolist() == kept and found["scores"].tolist() == kept and len(found["boxes"]) == len(kept)
    assert found["masks"][:, 0, 0].tolist() == kept
    assert found["label"] == "street"
    assert found["boxes"][0] == [2, 2, 10, 10]
    if 1 in kept:
        assert found["boxes"][1] == [0, 5, 5, 10]


def test_the_visible_fraction_is_relative_to_the_first_box() -> None:
    """Cut to a half and again to a half: a quarter is left; and what was cut off does not come back with a border."""
    pipe = pipeline({"center_crop": [40, 30]}, {"gaussian_blur": 1}, {"center_crop": [40, 20]}, {"pad": 20})
    boxes = [[0, 0, 30, 40], [20, 0, 60, 40]]
    sample = {"image": IMAGE, "boxes": boxes}
    assert pipe.train(sample, index=0)["boxes"] == [[20, 20, 30, 60], [20, 20, 40, 60]]
    stricter = Pipeline.from_spec({**pipe.to_spec(), "targets": {"boxes": "xyxy", "min_visible": 0.4}})
    assert stricter.train(sample, index=0)["boxes"] == [[20, 20, 40, 60]]


def test_a_turn_there_and_back_gives_the_same_box() -> None:
    turn, back = {"rotate": {"degrees": [30, 30]}}, {"rotate": {"degrees": [-30, -30]}}
    found = pipeline(turn, back).train({"image": IMAGE, "boxes": [[25, 15, 35, 25]]}, index=0)["boxes"]
    assert np.allclose(found, [[25, 15, 35, 25]])
    once = pipeline(turn).train({"image": IMAGE, "boxes": [[25, 15, 35, 25]]}, index=0)["boxes"]
    side = 10 * (np.cos(np.pi / 6) + np.sin(np.pi / 6))  # about the center: the square stays in its place
    assert np.allclose(once, [[30 - side / 2, 20 - side / 2, 30 + side / 2, 20 + side / 2]])


def test_keypoints_kept_or_dropped_when_they_leave() -> None:
    points = np.array([[25.0, 15, 2], [5, 15, 2], [40, 30, 1]])
    names = ["nose", "tail", "paw"]
    crop = {"center_crop": [20, 20]}
    sample = {"image": IMAGE, "keypoints": points, "keypoint_names": names}
    kept = pipeline(crop).train(sample, index=0)
    assert kept["keypoints"].tolist() == [[5, 5, 2], [-15, 5, 0], [20, 20, 1]]  # on the edge is inside
    assert kept["keypoint_names"] == names
    dropped = pipeline(crop, keypoints="drop").train(sample, index=0)
    assert dropped["keypoints"].tolist() == [[5, 5, 2], [20, 20, 1]]
    assert dropped["keypoint_names"] == ["nose", "paw"]
    bare = pipeline(crop).train({"image": IMAGE, "keypoints": points[:, :2]}, index=0)["keypoints"]
    assert bare.tolist() == [[5, 5], [-15, 5], [20, 20]]
    # what a crop cut off stays away, though a border makes room for it
    framed = pipeline(crop, {"gaussian_blur": 1}, {"pad": 30}, keypoints="drop").train(sample, index=0)
    assert framed["keypoint_names"] == ["nose", "paw"]


def test_a_mirror_exchanges_left_and_right() -> None:
    swap = {"left_eye": "right_eye"}
    sample = {"image": IMAGE, "keypoints": [[10, 5], [20, 5], [15, 9]]}
    names = ["left_eye", "right_eye", "nose"]
    found = pipeline(FLIP, swap=swap).train({**sample, "keypoint_names": names}, index=0)
    assert found["keypoint_names"] == names  # the same order, as a network expects it
    assert found["keypoints"] == [[40, 5], [50, 5], [45, 9]]
    alone = pipeline(FLIP, swap=swap).train(
        {"image": IMAGE, "keypoints": [[10, 5]], "keypoint_names": ("left_eye",)}, index=0
    )
    assert alone["keypoint_names"] == ("right_eye",) and alone["keypoints"] == [[50, 5]]
    named = {"left_eye": (10, 5, 2), "right_eye": (20, 5, 1), "nose": [15, 9, 2]}
    found = pipeline(FLIP, swap=swap).train({"image": IMAGE, "keypoints": named}, index=0)["keypoints"]
    assert found == {"left_eye": (40, 5, 1), "right_eye": (50, 5, 2), "nose": [45, 9, 2]}
    assert list(found) == list(named)
    for steps, swapped in (
        ([{"vertical_flip": {"p": 1}}], True), ([FLIP, {"vertical_flip": {"p": 1}}], False),
        ([{"rotate": {"degrees": [90, 90]}}], False), ([{"pad": 3}], False), ([{"rotate": 30}, FLIP], True),
    ):  # fmt: skip
        found = pipeline(*steps, swap=swap, min_visible=0).train(
            {"image": IMAGE, "boxes": [[20, 10, 40, 30]], "labels": ["left_eye"]}, index=0
        )
        assert found["labels"] == (["right_eye"] if swapped else ["left_eye"]), steps


@both_backends
def test_a_field_that_folds_mirrors_no_names(backend: str) -> None:
    """A strong field turns small triangles over where it folds; left and right of the image stay what they are."""
    op = Remap("elastic", (900.0, 4.0), 3)
    size = IMAGE.shape[:2]
    fields = {key: forward_of(replace(op, key=key), size, engine(backend)) for key in range(40)}
    keys = [key for key, forward in fields.items() if mirrors(forward, size)]
    assert keys, "no field folds in the middle of the image"
    for key in keys[:3]:
        pipe = pipeline("mixing", registry=OWN.add(mixing(replace(op, key=key))), swap={"left": "right"})
        found = pipe.train({"image": IMAGE, "keypoints": [[30, 20]], "keypoint_names": ["left"]}, index=0)
        assert found["keypoint_names"] == ["left"]


def test_a_sliver_that_rounds_to_nothing_is_dropped() -> None:
    """The crop leaves a millionth of a pixel of the first box: less than its edges are exact."""
    image = np.zeros((10, 9010, 3), np.uint8)
    crop = {"mine/cut": {}}

    @transform("cut", kind="geometry")
    class Cut:
        """Keep the first 9000 columns."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return ops.crop(0, 0, 10, 9000)

    registry = OWN.add(Cut, "mine/cut")
    rows = [[8999.999999, 2, 9005, 8], [5.0, 2, 9, 8]]
    for boxes in (rows, np.array(rows), np.array(rows, np.float32)):
        found = pipeline(crop, registry=registry, min_visible=0).train({"image": image, "boxes": boxes}, index=0)
        assert len(found["boxes"]) == 1
    sample = {"image": image, "boxes": rows, "labels": ["sliver", "box"]}
    found = pipeline(crop, registry=registry, min_visible=0, output="numpy").train(sample, index=0)
    assert found["boxes"].dtype == np.float32 and found["boxes"].tolist() == [[5, 2, 9, 8]]
    assert found["labels"] == ["box"]


def test_several_people_each_keep_their_own_points() -> None:
    names = ["left", "right"] * 2
    sample = {"image": IMAGE, "keypoints": [[1, 1], [2, 1], [11, 1], [12, 1]], "keypoint_names": names}
    found = pipeline(FLIP, swap={"left": "right"}).train(sample, index=0)
    assert found["keypoint_names"] == names
    assert found["keypoints"] == [[58, 1], [59, 1], [48, 1], [49, 1]]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"image": None}, r"sample\['image'\]: cannot take a NoneType"),
    ({"image": [IMAGE, None]}, r"sample\['image'\]\[1\]: cannot take"),
    ({"image2": IMAGE[1:]}, r"sample\['image2'\]: the image is 39x60 and sample\['image'\] is 40x60"),
    ({"mask": IMAGE[1:, :, 0]}, r"sample\['mask'\]: the mask is 39x60 and the image is 40x60"),
    (
        {"mask": np.zeros((40, 60))},
        r"sample\['mask'\]: a mask of float64 has no class numbers: give integers or bools",
    ),
    (
        {"mask": Image.fromarray(IMAGE)},
        r"sample\['mask'\]: a PIL image of mode RGB is not a mask; expected mode 1, L, P",
    ),
    ({"mask": "mask.png"}, r"sample\['mask'\]: a str is not a mask: give an array"),
    ({"mask": np.zeros(3, int)}, r"sample\['mask'\]: a ndarray of shape \(3,\) is not a mask"),
    ({"masks": [IMAGE[..., 0], None]}, r"sample\['masks'\]\[1\]: a NoneType is not a mask"),
    (
        {"boxes": [[1, 2, 3]]},
        r"sample\['boxes'\]: the shape \(1, 3\) is not that of boxes \(x1, y1, x2, y2\): give n x 4",
    ),
    ({"boxes": [[1, 2, 3, 4], [5, 6]]}, r"sample\['boxes'\]: not boxes"),
    ({"boxes": None}, r"sample\['boxes'\]: a NoneType is not boxes"),
    ({"boxes": [["a"] * 4]}, r"sample\['boxes'\]: not boxes"),
    (
        {"boxes": [[0, 0, 9, 9], [1, 2, float("nan"), 4]]},
        r"sample\['boxes'\]\[1\]: \[1.0, 2.0, nan, 4.0\] is not finite",
    ),
    ({"boxes": [[0, 0, 9, 9], [5, 2, 5, 4]]}, r"sample\['boxes'\]\[1\]: \[5.0, 2.0, 5.0, 4.0\] has no area"),
    ({"boxes": [[9, 2, 5, 4]]}, r"wider and higher than 0"),
    (
        {"boxes": [[1, 2, 3, 4]], "labels": []},
        r"sample\['labels'\]: there are 0 entries and 1 boxes; give one for each",
    ),
    ({"boxes": [], "label": ["a"]}, r"sample\['label'\]: there are 1 entries and 0 boxes"),
    ({"keypoints": [[1]]}, r"sample\['keypoints'\]: the shape \(1, 1\) is not that of keypoints"),
    ({"keypoints": [[1, float("inf")]]}, r"sample\['keypoints'\]\[0\]: .* is not finite"),
    ({"keypoints": [[1, 2]], "keypoint_names": ["a", "b"]}, r"expected a list of 1 names, one for each point"),
    ({"keypoints": [[1, 2]], "keypoint_names": 3}, r"sample\['keypoint_names'\]: expected a list of 1 names"),
    ({"keypoints": {"a": (1, 2), "b": (1, 2, 3)}}, r"some points have a visibility and some have none"),
    ({"keypoints": {"a": (1,)}}, r"sample\['keypoints'\]\['a'\]: the shape"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=range(len(WRONG)))
def test_errors_name_the_key(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        pipeline("invert").train({"image": IMAGE, **wrong}, index=0)


def test_samples_with_errors_are_refused() -> None:
    with pytest.raises(ImageError, match=r"a sample needs an image under 'image'; its keys are: 'mask', 'img'"):
        pipeline("invert").test({"mask": IMAGE[..., 0], "img": IMAGE})
    with pytest.raises(ImageError, match=r"sample\['boxes'\]: the spec does not say .* add `targets: {boxes: xyxy}`"):
        Pipeline.from_spec(["invert"]).train({"image": IMAGE, "boxes": []}, index=0)
    with pytest.raises(ImageError, match=r"\[0.0, 0.0, 30.0, 20.0\] is not normalized: expected fractions"):
        pipeline(normalized=True).train({"image": IMAGE, "boxes": [[0, 0, 30, 20]]}, index=0)
    with pytest.raises(ImageError, match=r"mask_fill is -1, and a mask of uint8 has 0 to 255"):
        pipeline(mask_fill=-1).train({"image": IMAGE, "mask": IMAGE[..., 0]}, index=0)
    with pytest.raises(ImageError, match="these points have none; give `keypoint_names`"):
        pipeline(swap={"left": "right"}).train({"image": IMAGE, "keypoints": [[1, 2]]}, index=0)


def test_what_a_spec_says_of_targets() -> None:
    pipe = pipeline(boxes="cxcywh_normalized", labels=["ids"], swap={"l": "r"})
    said = pipe.to_spec()["targets"]
    assert said == {
        "boxes": "cxcywh", "normalized": True, "min_visible": 0.1, "labels": ["ids"], "keypoints": "keep",
        "swap": {"l": "r"}, "mask_fill": 0,
    }  # fmt: skip
    assert Pipeline.from_spec(pipe.to_spec()) == pipe == pickle.loads(pickle.dumps(pipe))
    assert pipe.fingerprint != pipeline().fingerprint
    # a spec of images alone is what it was before
    bare = Pipeline.from_spec(["invert"])
    assert "targets" not in bare.to_spec() and bare == Pipeline.from_spec({"image": ["invert"], "targets": {}})


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (5, "targets: expected a mapping, such as {boxes: xyxy}, got 5"),
        ({"box": "xyxy"}, "targets.box: targets has no field 'box'; did you mean 'boxes'"),
        ({"boxes": "yolo"}, "targets.boxes: expected xyxy, xywh, .*, got 'yolo'"),
        ({"min_visible": 2}, "targets.min_visible: expected float <= 1"),
        ({"normalized": True}, "targets: normalized is for boxes"),
        ({"boxes": "xywh_normalized", "normalized": False}, "targets: .* contradict each other"),
        ({"swap": {"l": "r", "r": "l"}}, "targets: swap names 'l', 'r' twice"),
        ({"keypoints": "mark"}, "targets.keypoints: expected keep, drop, got 'mark'"),
    ],
)
def test_what_is_wrong_in_a_spec(targets: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Pipeline.from_spec({"image": [], "targets": targets})


def doubled(array: np.ndarray, times: int = 2) -> np.ndarray:
    return np.repeat(array, times, axis=1)


def points_doubled(points: np.ndarray, size: tuple[int, int], times: int = 2) -> np.ndarray:
    return points * (times, 1)


def halved(array: np.ndarray) -> np.ndarray:
    return array[: array.shape[0] // 2]


@transform("doubling", kind="geometry")
class Doubling:
    """Double the width, and say where masks and points go if asked to."""

    says: bool = True
    size: bool = False

    def sample(self, rng: Any, scene: Any) -> Any:
        size = (scene.height, 2 * scene.width) if self.size else None
        if self.says:
            return ops.call(doubled, {"times": 2}, size=size, geometry=True, mask=doubled, keypoints=points_doubled)
        return ops.call(doubled, {"times": 2}, size=size, geometry=True)


@transform("liar", kind="color")
class Liar:
    """Change the size without declaring it."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(halved)


OWN = Registry.installed().add(Doubling).add(Liar)


@pytest.mark.parametrize("size", [False, True])
def test_a_plugins_own_functions_carry_targets(size: bool) -> None:
    pipe = pipeline({"doubling": {"size": size}}, FLIP, registry=OWN, min_visible=0)
    mask = np.arange(2400).reshape(40, 60)
    found = pipe.train({"image": IMAGE, "mask": mask, "boxes": [[10, 5, 30, 25]], "keypoints": [[10, 5]]}, index=0)
    assert np.array_equal(found["mask"], doubled(mask)[:, ::-1])
    assert found["boxes"] == [[60, 5, 100, 25]] and found["keypoints"] == [[100, 5]]
    plan = pipe.train.plan((40, 60), index=0)
    assert np.array_equal(plan.run({"image": IMAGE, "mask": mask})["mask"], found["mask"])


def test_what_cannot_be_carried_is_refused_by_name_before_anything_is_done() -> None:
    done: list[str] = []

    @transform("spy", kind="color")
    class Spy:
        """Write down that it was done."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return ops.call(lambda array: done.append("spy") or array, size=(scene.height, scene.width))

    registry = OWN.add(Spy)
    pipe = pipeline("spy", {"doubling": {"says": False, "size": True}}, registry=registry)
    for kind, value in (
        ("masks", {"mask": IMAGE[..., 0]}),
        ("boxes", {"boxes": []}),
        ("keypoints", {"keypoints": []}),
    ):
        with pytest.raises(ImageError, match=f"^doubling moves pixels and does not say where {kind} go"):
            pipe.train({"image": IMAGE, **value}, index=0)
    assert done == []
    assert pipe.train({"image": IMAGE, "label": 1}, index=0)["image"].shape == (40, 120, 3)
    with pytest.raises(ImageError, match="declares that pixels stay where they are, but changed the size"):
        pipeline("liar", registry=OWN).train({"image": IMAGE, "mask": IMAGE[..., 0]}, index=0)


@pytest.mark.parametrize("says", ["another size", "no map"])
def test_an_op_that_does_not_say_where_points_go_is_refused(says: str) -> None:
    class Swirl(ops.Op, frozen=True, eq=False):
        """A kind of op that changes the size, or moves pixels, and gives no map of the points."""

        def size_after(self, height: int, width: int) -> tuple[int, int]:
            return (height + 1, width) if says == "another size" else (height, width)

    class Silent(Swirl, frozen=True, eq=False):
        """The same, with a map that is left out on purpose."""

        def point_map(self, height: int, width: int) -> None:
            return None

    @transform("swirl", kind="geometry")
    class Swirling:
        """Draw the op."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return (Swirl if says == "another size" else Silent)(label="swirl")

    pipe = pipeline("swirl", registry=OWN.add(Swirling))
    values = {"masks": {"mask": IMAGE[..., 0]}, "boxes": {"boxes": []}, "keypoints": {"keypoints": []}}
    for kind, value in values.items():
        with pytest.raises(ImageError, match=rf"^swirl moves pixels and does not say where {kind} go"):
            pipe.train({"image": IMAGE, **value}, index=0)


def test_an_op_without_a_kernel_is_refused_with_its_name_and_the_backend() -> None:
    class Nothing(ops.Op, frozen=True, eq=False):
        """A kind of op that no backend has."""

    @transform("nothing", kind="color")
    class DrawsNothing:
        """Draw the op, alone, as the color of a border, or in a branch."""

        inside: str = ""

        def sample(self, rng: Any, scene: Any) -> Any:
            op = Nothing(label="nothing")
            alone = op if self.inside != "branch" else ops.BranchMix(((op,),), (1.0,))
            return ops.Pad(1, 1, 1, 1, fill_ops=(op,)) if self.inside == "fill" else alone

    for backend in BACKENDS:
        for inside in ("", "branch", "fill"):
            spec = {"image": [{"nothing": {"inside": inside}}], "backend": backend}
            message = f"nothing: the backend {backend} has no kernel for ops of the kind Nothing"
            with pytest.raises(ImageError, match=message):
                Pipeline.from_spec(spec, OWN.add(DrawsNothing)).train(IMAGE, index=0)


@both_backends
def test_approximate_plans_carry_targets_through_the_same_ops(backend: str) -> None:
    steps = [{"rotate": 30}, {"affine": {}}, {"random_crop": {"size": 150}}]
    spec = {"image": steps, "backend": backend, "approximate": True, "targets": markers.SPEC}
    pipe = Pipeline.from_spec(spec)
    assert sum(follows(pipe.train(markers.sample(), index=index), False) for index in range(6)) > 10


def test_a_perspective_that_sends_a_corner_behind_the_horizon_gives_no_wild_box() -> None:
    @transform("tilt", kind="geometry")
    class Tilt:
        """Look at the image so flat that its far end lies behind the horizon."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return ops.Warp((1.0, 0, 0, 0, 1.0, 0, 0.0, -0.04), scene.height, scene.width)

    pipe = pipeline("tilt", registry=OWN.add(Tilt), min_visible=0, keypoints="drop")
    boxes = np.array([[5.0, 5, 20, 12], [5, 1, 40, 39]])
    found = pipe.train({"image": IMAGE, "boxes": boxes, "keypoints": [[10.0, 8], [10, 39]]}, index=0)
    assert np.isfinite(found["boxes"]).all() and len(found["boxes"]) >= 1
    assert (found["boxes"] >= 0).all() and (found["boxes"] <= (60, 40, 60, 40)).all()
    assert len(found["keypoints"]) >= 1


INSIDE = np.array([[12.5, 8, 30, 21], [22, 15, 41.25, 30]])
BEFORE: list[list[Any]] = [
    [], [FLIP], [{"vertical_flip": {"p": 1}}, {"pad": {"padding": 7}}], ["rot90"], [{"rotate": {"degrees": 12}}],
    [{"resize": {"size": [70, 50]}}, "grayscale"], [{"pad": {"padding": [3, 0, 9, 4], "mode": "reflect"}}],
    [{"one_of": ["posterize", {"affine": {"scale": [0.6, 0.7]}}]}], ["perspective", {"safe_crop": {"size": 48}}],
]  # fmt: skip


@pytest.mark.parametrize("before", BEFORE, ids=str)
@pytest.mark.parametrize("scale", [(0.05, 0.1), (0.3, 0.9)])
def test_safe_crop_keeps_every_box_whole(before: list[Any], scale: tuple[float, float]) -> None:
    sample = {"image": IMAGE, "boxes": INSIDE, "labels": [0, 1]}
    free = pipeline(*before, min_visible=0)
    safe = pipeline(*before, {"safe_crop": {"size": [32, 24], "scale": scale}}, min_visible=0.999)
    for index in range(60 if len(before) < 2 else 20):
        was, now = free.train(sample, index), safe.train(sample, index)
        assert now["image"].shape == (32, 24, 3)
        assert now["labels"] == [0, 1]
        # one crop and one resize for all of them: the same stretch, up to rounding
        sides_was, sides_now = (found["boxes"][:, 2:] - found["boxes"][:, :2] for found in (was, now))
        assert np.allclose(sides_now[0] / sides_was[0], sides_now[1] / sides_was[1], rtol=1e-6)
        shift = now["boxes"][:, :2] - was["boxes"][:, :2] * (sides_now / sides_was)
        assert np.allclose(shift[0], shift[1], atol=1e-5)


def crops(boxes: Any, **chosen: Any) -> list[ops.Move]:
    """What 200 draws cut out of IMAGE."""
    scene = ops.Scene(40, 60, boxes=boxes)
    step = Pipeline.from_spec([{"safe_crop": {"size": 24, **chosen}}]).steps
    return [draw(step, scene, address_of(0, index)).ops[0] for index in range(200)]  # type: ignore[misc]


def test_safe_crop_keeps_to_its_ranges_where_boxes_let_it() -> None:
    found = crops(((20.5, 10.0, 30.0, 18.0),), scale=(0.2, 0.5), ratio=(0.8, 1.25))
    areas = [one.height * one.width / 2400 for one in found]
    assert 0.18 < min(areas) < 0.23 and 0.45 < max(areas) < 0.53  # sides are whole numbers
    assert all(0.75 < one.width / one.height < 1.33 for one in found)
    assert len({(one.top, one.left) for one in found}) > 100
    assert min(one.left for one in found) < 5 and max(one.left for one in found) == 20
    # more than scale has: as little as the ratio lets it
    assert {(one.height, one.width) for one in crops(((10, 5, 40, 25),), scale=(0.1, 0.2), ratio=(1, 1))} == {
        (30, 30)
    }
    # more than ratio has: the whole height
    wide = crops(((1, 5, 58, 25),), scale=(0.1, 0.2), ratio=(0.5, 1))
    assert {(one.top, one.height, one.width) for one in wide} == {(0, 40, 57)}
    assert set(crops(((0, 0, 60, 40),))) == {ops.crop(0, 0, 40, 60)}
    thin = crops(((30, 0, 30.5, 40),), scale=(0.3, 0.3), ratio=(0.1, 0.2))
    assert {(one.height, one.width) for one in thin} == {(40, 8)}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data(), height=st.integers(1, 300), width=st.integers(1, 300), index=st.integers(0, 99))
def test_safe_crop_of_any_boxes_in_any_image(data: Any, height: int, width: int, index: int) -> None:
    def edges(size: int) -> Any:
        return st.tuples(st.floats(0, size), st.floats(0, size)).filter(lambda pair: pair[0] < pair[1])

    xs, ys = data.draw(edges(width)), data.draw(edges(height))
    low = data.draw(st.floats(0.001, 1)), data.draw(st.floats(0.001, 1))
    ratio = sorted(data.draw(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100))))
    steps = Pipeline.from_spec([{"safe_crop": {"size": 24, "scale": sorted(low), "ratio": ratio}}]).steps
    scene = ops.Scene(height, width, boxes=((xs[0], ys[0], xs[1], ys[1]),))
    crop: Any = draw(steps, scene, address_of(0, index)).ops[0]
    assert 0 <= crop.left <= xs[0] and xs[1] <= crop.left + crop.width <= width
    assert 0 <= crop.top <= ys[0] and ys[1] <= crop.top + crop.height <= height


def test_without_boxes_safe_crop_is_a_random_resized_crop() -> None:
    safe, free = ({"image": [{name: {"size": 24, "uid": "crop"}}]} for name in ("safe_crop", "random_resized_crop"))
    given = {"image": IMAGE, "boxes": [], "keypoints": [[1, 2]]}
    pipes = [Pipeline.from_spec({**spec, "targets": {"boxes": "xyxy"}}) for spec in (safe, free)]
    for index in range(20):
        wanted = pipes[1].train(IMAGE, index)
        for made in (pipes[0].train(IMAGE, index), pipes[0].train(given, index)["image"]):
            assert np.array_equal(made, wanted)
        (one, other) = (pipe.train.plan((40, 60), index) for pipe in pipes)
        assert one.ops == other.ops and one.scene.boxes == ()
        assert pickle.loads(pickle.dumps(one)) == one
        # a plan was drawn for a size alone, and does to a sample what it says
        sample = {"image": IMAGE, "boxes": INSIDE}
        assert np.array_equal(one.run(sample)["image"], wanted)
    assert np.array_equal(pipes[0].test(sample)["image"], pipes[1].test(IMAGE))


def test_images_of_other_kinds_get_the_same_safe_crop() -> None:
    depth = IMAGE[..., :1].astype(np.float32) / 255
    pipe = pipeline({"safe_crop": {"size": [40, 60], "scale": [0.3, 0.5], "interpolation": "nearest"}})
    for index in range(20):
        found = pipe.train({"image": IMAGE, "image_depth": depth, "boxes": INSIDE}, index)
        assert np.array_equal(np.rint(found["image_depth"] * 255), found["image"][..., :1])


def test_what_a_scene_knows_of_boxes() -> None:
    """Each op sends them where the targets of a sample go."""
    scene = ops.Scene(40, 60, boxes=tuple(map(tuple, INSIDE.tolist())))
    moving = [
        ops.Move(5, 10, 20, 30), ops.Move(5, 10, 20, 30, True, True, False), ops.quarter_turns(scene, 1),
        ops.Pad(1, 2, 3, 4), ops.resize(30, 90), ops.rotate(scene, 33.0), ops.shear(scene, 0.4, 0.0),
        ops.perspective(scene, ((5, 5), (50, 0), (60, 40), (0, 30))), ops.point_function("invert"),
        ops.Move(0, 50, 40, 10),
    ]  # fmt: skip
    for op in moving:
        boxes = BoxSet(INSIDE, "boxes", Targets(boxes="xyxy"), scene.size)
        after = op.after(scene)
        boxes.move(forward_of(op, scene.size, None), after.size)  # type: ignore[arg-type]
        assert np.allclose(np.reshape(after.boxes, (-1, 4)), boxes.edges), op
        assert pickle.loads(pickle.dumps(after)) == after and hash(after) is not None
        bare = ops.Scene(40, 60)
        assert op.after(bare).boxes == () and op.after(bare).size == after.size
    flip, still = ops.horizontal_flip(scene), ops.point_function("invert")
    assert (
        ops.BranchMix(((still,), ()), (0.5, 0.5)).after(scene)
        == scene
        == ops.call(halved, size=scene.size).after(scene)
    )
    for op in (
        Remap("lens", (0.1,)), ops.BranchMix(((still, flip),), (1.0,)), ops.call(doubled, geometry=True),
        ops.Warp((1, 0, 0, 1, 0, 0, 0, 0), 40, 60),
    ):  # fmt: skip
        assert op.after(scene) == ops.Scene(40, 60)
    drawn = (flip, still, ops.crop(0, 0, 30, 30))
    assert merge(drawn, scene) == merge(drawn, ops.Scene(40, 60))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(spec=specs(), image=images(most=24), index=st.integers(0, 999))
def test_random_specs_keep_targets_in_their_image(spec: dict[str, Any], image: np.ndarray, index: int) -> None:
    """No value from nowhere, no box outside or empty; what is refused is refused with words."""
    pipe = Pipeline.from_spec({**spec, "targets": {"boxes": "xyxy", "min_visible": 0, "mask_fill": 7}})
    height, width = image.shape[:2]
    mask = np.arange(height * width, dtype=np.int32).reshape(height, width)
    boxes = [[0, 0, width, height], [0, 0, width / 2, height / 2]]
    sample = {
        "image": image,
        "mask": mask,
        "boxes": boxes,
        "labels": [0, 1],
        "keypoints": [[width / 2, height / 2]],
    }
    for result in (lambda: pipe.train(sample, index), lambda: pipe.test(sample)):
        try:
            found = result()
        except ImageError as error:
            assert "channels" in str(error) or "moves pixels" in str(error)
            continue
        shape = found["mask"].shape
        assert shape in (found["image"].shape[:2], found["image"].shape[1:])
        assert set(np.unique(found["mask"])) <= {*range(mask.size), 7}
        assert len(found["boxes"]) == len(found["labels"]) <= 2
        for x1, y1, x2, y2 in found["boxes"]:
            assert 0 <= x1 < x2 <= shape[1] and 0 <= y1 < y2 <= shape[0]
