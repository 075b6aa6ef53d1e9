"""What becomes of boxes, masks, polygons, points and labels when a batch is mixed: values by hand, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import ImageError, Pipeline, Registry
from augreg.batch.blends import Blend, Mix, Paste, Patch
from augreg.batch.object_parts import InstanceMasks
from augreg.data import Augmented

IMAGES = np.zeros((2, 10, 10, 3), np.uint8)
RIGHT = Paste((Patch(0, (0, 5, 10, 5), 1, (0, 5, 10, 5)),))
"""The right half of image 0 is that of image 1."""
SMALL = Paste((Patch(0, (4, 6, 5, 4), 1, (0, 0, 10, 8)),))
"""The left of image 1, half as large, at column 6 and row 4 of image 0."""
HOLE = Paste((Patch(0, (4, 4, 2, 2), 1, (4, 4, 2, 2)),))
HALF = Mix((1, 0), (0.75, 0.25))


def mixed(blends: Blend | tuple[Blend, ...], batch: dict[str, Any], count: int = 2, **targets: Any) -> dict[str, Any]:
    """The batch after blends that are given, not drawn."""

    @augreg.batch_transform("given")
    class Given:
        """Blends that do not depend on chance."""

        def sample(self, rng: Any, count: int, scene: Any) -> Any:
            return blends

    pipe = Pipeline.from_spec(
        {"targets": {"boxes": "xyxy", **targets}, "batch": ["given"]}, Registry.installed().add(Given)
    )
    return pipe.batch({"image": IMAGES[:count], **batch}, batch=0)


def test_boxes_are_those_around_what_is_seen() -> None:
    """Half of each box is seen; that of image 1, which is not changed, is whole."""
    batch = {"boxes": [[[2, 2, 8, 6]], [[3, 1, 7, 9]]], "labels": [["a"], ["b"]]}
    found = mixed(RIGHT, batch)
    assert found["boxes"] == [[[2, 2, 5, 6], [5, 1, 7, 9]], [[3, 1, 7, 9]]]
    assert found["labels"] == [["a", "b"], ["b"]] and found["object_weights"] == [[1, 1], [1]]
    assert mixed(RIGHT, batch, min_visible=0.5)["labels"] == [["a", "b"], ["b"]]
    assert mixed(RIGHT, batch, min_visible=0.51)["labels"] == [[], ["b"]]
    assert mixed(RIGHT, batch, min_visible=0.51)["boxes"] == [[], [[3, 1, 7, 9]]]
    assert mixed(RIGHT, {"boxes": [[], []], "notes": [[], []]})["notes"] == [
        [],
        [],
    ]  # no objects, so none are left behind


def test_a_box_that_is_covered_in_its_middle_keeps_its_edges() -> None:
    """4 of 36 pixels are covered."""
    batch = {"boxes": [[[2, 2, 8, 8]], []]}
    assert mixed(HOLE, batch)["boxes"] == [[[2, 2, 8, 8]], []]
    assert mixed(HOLE, batch, min_visible=0.88)["boxes"] == [[[2, 2, 8, 8]], []]
    assert mixed(HOLE, batch, min_visible=0.9)["boxes"] == [[], []]


def test_a_partner_that_is_scaled() -> None:
    """x = 6 + x' / 2, y = 4 + y' / 2; columns from 8 on are not seen, so a box keeps 5 of 6 columns."""
    found = mixed(SMALL, {"boxes": [[], [[3, 2, 9, 6]]]}, min_visible=0.8)
    assert found["boxes"] == [[[7.5, 5, 10, 7]], [[3, 2, 9, 6]]]
    assert mixed(SMALL, {"boxes": [[], [[3, 2, 9, 6]]]}, min_visible=0.85)["boxes"] == [[], [[3, 2, 9, 6]]]


@pytest.mark.parametrize(
    ("form", "given", "expected"),
    [
        ({"boxes": "xywh"}, [3, 2, 6, 4], [7.5, 5, 2.5, 2]),
        ({"boxes": "cxcywh"}, [6, 4, 6, 4], [8.75, 6, 2.5, 2]),
        ({"boxes": "cxcywh_normalized"}, [0.6, 0.4, 0.6, 0.4], [0.875, 0.6, 0.25, 0.2]),
        ({"boxes": "xyxyxyxy"}, [3, 2, 9, 2, 9, 6, 3, 6], [7.5, 5, 10, 5, 10, 7, 7.5, 7]),
        ({"boxes": "cxcywhr", "angle": "degrees"}, [6, 4, 6, 4, 0], [8.75, 6, 2.5, 2, 0]),
    ],
)
def test_every_format(form: dict[str, Any], given: list[float], expected: list[float]) -> None:
    """The box of the test before."""
    found = mixed(SMALL, {"boxes": [[], [given]]}, **form)
    assert np.allclose(found["boxes"][0], [expected], atol=1e-9) and np.allclose(found["boxes"][1], [given])


def test_an_oriented_box_is_cut_in_its_direction() -> None:
    """A square with its corners on the axes, 4 from the middle (5, 5): the right half is a triangle of (5, 1), (9, 5)
    and (5, 9). In the direction of the box it is as wide as before, and as high."""
    side = 4 * np.sqrt(2)
    batch = {"boxes": [[], [[5, 5, side, side, 45]]]}
    found = mixed(RIGHT, batch, boxes="cxcywhr", angle="degrees", min_visible=0.49)
    assert np.allclose(found["boxes"][0], [[5, 5, side, side, 45]])
    assert mixed(RIGHT, batch, boxes="cxcywhr", angle="degrees", min_visible=0.52)["boxes"][0] == []


def test_means_have_the_objects_of_both_with_their_weights() -> None:
    batch = {"boxes": [[[2, 2, 8, 6]], [[3, 1, 7, 9], [0, 0, 1, 1]]], "labels": [np.array([4]), np.array([5, 6])]}
    found = mixed(HALF, batch)
    assert found["boxes"] == [[[2, 2, 8, 6], [3, 1, 7, 9], [0, 0, 1, 1]], [[3, 1, 7, 9], [0, 0, 1, 1], [2, 2, 8, 6]]]
    assert [one.tolist() for one in found["labels"]] == [[4, 5, 6], [5, 6, 4]]
    assert found["object_weights"] == [[0.75, 0.25, 0.25], [0.25, 0.25, 0.75]]


def test_weights_are_multiplied() -> None:
    """0.75 of image 0 has 0.75 of itself and 0.25 of image 1, and so on: 0.75 * 0.75 + 0.25 * 0.25 = 0.625."""
    batch = {"boxes": [[[2, 2, 8, 6]], [[3, 1, 7, 9]]], "labels": [["a"], ["b"]]}
    found = mixed((HALF, Mix((1, 0), (0.75, 0.75))), batch)
    assert found["labels"][0] == ["a", "b"]
    assert np.allclose(found["object_weights"][0], [0.75 * 0.75 + 0.25 * 0.75, 0.75 * 0.25 + 0.25 * 0.25])
    given = mixed(HALF, {**batch, "object_weights": [[0.5], [0.2]]})
    assert np.allclose(given["object_weights"], [[0.375, 0.05], [0.05, 0.375]])


def test_what_covers_comes_after_what_is_mixed() -> None:
    batch = {"boxes": [[[2, 2, 8, 6]], [[6, 1, 7, 9]]], "labels": [["a"], ["b"]]}
    found = mixed((Mix((1, 0), (0.75, 0.5)), RIGHT), batch)
    assert found["labels"] == [["a", "b", "a"], ["b", "a"]]
    assert found["boxes"][0] == [[2, 2, 5, 6], [6, 1, 7, 9], [5, 2, 8, 6]]
    assert found["object_weights"][0] == [0.75, 0.5, 0.5]
    # where both halves show the same mean, they show the same objects
    alike = mixed((HALF, RIGHT), batch)
    assert alike["boxes"][0] == [[2, 2, 8, 6], [6, 1, 7, 9]] and alike["object_weights"][0] == [0.75, 0.25]


def test_an_object_that_is_seen_through_two_patches_is_one() -> None:
    both = Paste((Patch(0, (0, 0, 10, 4), 1, (0, 0, 10, 4)), Patch(0, (0, 4, 10, 4), 1, (0, 4, 10, 4))))
    assert mixed(both, {"boxes": [[], [[2, 2, 6, 6]]]}, min_visible=1)["boxes"][0] == [[2, 2, 6, 6]]
    twice = Paste((Patch(0, (0, 0, 5, 5), 1, (0, 0, 5, 5)), Patch(0, (5, 5, 5, 5), 1, (0, 0, 5, 5))))
    assert mixed(twice, {"boxes": [[], [[1, 2, 3, 4]]]})["boxes"][0] == [[1, 2, 3, 4], [6, 7, 8, 9]]


def test_masks_of_instances_go_with_their_boxes() -> None:
    own, other = np.zeros((2, 10, 10), bool)
    own[2:6, 2:8], other[1:9, 6:7] = True, True
    batch = {"boxes": [[[2, 2, 8, 6]], [[2, 1, 7, 9]]], "masks": [own[..., None], other[..., None]]}
    found = mixed(RIGHT, batch, instances=["masks"])
    assert found["boxes"] == [[[2, 2, 5, 6], [5, 1, 7, 9]], [[2, 1, 7, 9]]]
    assert found["masks"][0].dtype == bool and found["masks"][0].shape == (10, 10, 2)
    assert np.array_equal(found["masks"][0][..., 0], own & (np.arange(10) < 5))
    assert np.array_equal(found["masks"][0][..., 1], other)
    tight = mixed(RIGHT, batch, instances=["masks"], boxes_from="masks")
    assert tight["boxes"] == [[[2, 2, 5, 6], [6, 1, 7, 9]], [[6, 1, 7, 9]]]
    other[...], other[1:9, 2:4] = False, True  # the box is seen, and its object is not
    assert mixed(RIGHT, batch, instances=["masks"])["boxes"][0] == [[2, 2, 5, 6]]


@pytest.mark.parametrize(("normalized", "shape", "last"), [
    (False, (10, 10, 2), True), (True, (10, 10, 2), True), (True, (2, 10, 10), False),
    (False, (10, 10, 10), True), (True, (10, 10, 10), False),
])  # fmt: skip
def test_the_axis_of_the_objects_of_an_array_of_masks(normalized: bool, shape: Any, last: bool) -> None:
    """Where an array fits both, masks lie as the images do."""
    array = np.zeros(shape, np.uint8)
    array[1, 5, 0] = 1
    masks = InstanceMasks(array, "masks", (10, 10), 0, normalized)
    assert masks.count == shape[2 if last else 0]
    assert np.argwhere(masks.planes).tolist() == [[0, 1, 5] if last else [1, 5, 0]]


@pytest.mark.parametrize("form", ["list", "planes", "stack", "tuple"])
def test_forms_of_masks(form: str) -> None:
    masks = np.zeros((2, 2, 10, 10), np.uint8)
    masks[0, 0, 2:6, 2:8], masks[0, 1, 9, 9], masks[1, 0, 1:9, 6], masks[1, 1, 0, 0] = 1, 1, 1, 1
    given: Any = {
        "list": [list(one) for one in masks],
        "tuple": [tuple(one) for one in masks],
        "planes": list(masks),
        "stack": masks.transpose(0, 2, 3, 1),
    }[form]
    found = mixed(RIGHT, {"masks": given}, instances=["masks"], min_visible=0)["masks"]
    expected = [masks[0, 0] * (np.arange(10) < 5), masks[1, 0]]
    planes: Callable[[Any], Any] = (lambda one: np.moveaxis(one, 2, 0)) if form == "stack" else np.array
    assert np.array_equal(planes(found[0]), expected) and np.array_equal(planes(found[1]), masks[1])
    assert form not in ("list", "tuple") or type(found[0]).__name__ == form


def test_polygons_are_cut_and_joined() -> None:
    """A hole in the middle of one polygon leaves pieces, which are joined; they cover 32 of 36 pixels."""
    square = [[2, 2], [8, 2], [8, 8], [2, 8]]
    found = mixed(RIGHT, {"outlines": [[square], [[[0, 0, 4, 0, 4, 4]]]]}, polygons=["outlines"])["outlines"]
    assert sorted(found[0][0]) == [[2, 2], [2, 8], [5, 2], [5, 8]] and found[1] == [[[0, 0, 4, 0, 4, 4]]]
    (one,) = mixed(HOLE, {"outlines": [[square], []]}, polygons=["outlines"])["outlines"][0]
    x, y = np.array(one).T
    assert abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2 == 32
    several = mixed(HOLE, {"outlines": [[[square]], []]}, polygons=["outlines"], min_visible=0.88)["outlines"][0]
    assert len(several) == 1 and len(several[0]) == 4
    assert mixed(HOLE, {"outlines": [[square], []]}, polygons=["outlines"], min_visible=0.9)["outlines"][0] == []


def test_points_of_instances_stay_together() -> None:
    points = [[[[3, 3, 2], [7, 5, 2]]], [[[1, 1, 2], [6, 8, 1]]]]
    batch = {"boxes": [[[2, 2, 8, 6]], [[0, 0, 7, 9]]], "keypoints": points, "keypoint_names": [["l", "r"]] * 2}
    found = mixed(RIGHT, batch)
    assert found["keypoints"] == [[[[3, 3, 2], [7, 5, 0]], [[1, 1, 0], [6, 8, 1]]], points[1]]
    assert found["keypoint_names"] == [["l", "r"]] * 2
    alone = mixed(RIGHT, {"keypoints": points})["keypoints"]  # an instance is there where any of its points is seen
    assert alone[0] == [[[3, 3, 2], [7, 5, 0]], [[1, 1, 0], [6, 8, 1]]]


def test_points_on_their_own_come_where_they_are_seen() -> None:
    points = [np.array([[3.0, 3], [7, 5]]), np.array([[1.0, 1], [6, 8], [10, 10]])]
    names = [["a", "b"], ["c", "d", "e"]]
    batch = {"keypoints": points, "keypoint_names": names}
    found = mixed(RIGHT, batch)
    assert found["keypoints"][0].tolist() == [[3, 3], [7, 5], [6, 8], [10, 10]]  # its own are kept
    assert found["keypoint_names"] == [["a", "b", "d", "e"], ["c", "d", "e"]]
    dropped = mixed(RIGHT, batch, keypoints="drop")
    assert dropped["keypoint_names"] == [["a", "d", "e"], ["c", "d", "e"]]
    labeled = mixed(RIGHT, {"keypoints": points, "parts": names}, keypoints="drop", keypoint_labels=["parts"])
    assert labeled["parts"] == dropped["keypoint_names"]
    weights = mixed(HALF, batch)["keypoints_weights"]
    assert [one.tolist() for one in weights] == [[0.75] * 2 + [0.25] * 3, [0.25] * 3 + [0.75] * 2]
    seen = [np.array([[3.0, 3, 2], [7, 5, 2]]), np.array([[1.0, 1, 2]])]
    assert mixed(RIGHT, {"keypoints": seen})["keypoints"][0].tolist() == [[3, 3, 2], [7, 5, 0]]
    seam = {"keypoints": [[[5.0, 3, 2]], [[5.0, 4, 2]]]}  # where the pasted half begins: that of image 1 is seen
    assert mixed(RIGHT, seam)["keypoints"][0] == [[5, 3, 0], [5, 4, 2]]
    further = mixed(RIGHT, {"corners": seen}, keys={"corners": "keypoints"}, keypoints="drop")
    assert further["corners"][0].tolist() == [[3, 3, 2]] and further["corners_weights"][0].tolist() == [1]


def test_a_label_of_the_image_and_labels_of_its_objects() -> None:
    batch = {"boxes": [[[2, 2, 8, 6]], [[3, 1, 7, 9]]], "labels": [["a"], ["b"]], "label": [0, 1], "image_id": [7, 8]}
    found = mixed(RIGHT, batch)
    assert np.allclose(found["label"].dense(2), [[0.5, 0.5], [0, 1]]) and found["labels"][0] == ["a", "b"]
    assert found["image_id"] == [7, 8]


def test_arrays_of_as_many_boxes_come_back_as_a_list() -> None:
    boxes = np.array([[[2, 2, 8, 6]], [[3, 1, 7, 9]]], np.float32)
    found = mixed(RIGHT, {"boxes": boxes, "labels": np.array([[1], [2]])})
    assert isinstance(found["boxes"], list) and found["boxes"][0].dtype == np.float32
    assert [one.tolist() for one in found["labels"]] == [[1, 2], [2]]


def test_small_boxes_are_dropped_as_the_spec_says() -> None:
    batch = {"boxes": [[[2, 2, 8, 6]], [[3, 1, 7, 9]]], "labels": [["a"], ["b"]]}
    assert mixed(RIGHT, batch, min_area=13)["labels"] == [["b"], ["b"]]
    assert mixed(RIGHT, batch, min_width=2.5)["labels"] == [["a"], ["b"]]


def test_batches_of_a_loader() -> None:
    """Samples of different numbers of boxes; the draw depends on their keys, the weights are added."""
    spec = {"targets": {"boxes": "xyxy"}, "batch": [{"mixup": {"pairing": "roll"}}], "output": "numpy"}
    pipe = Pipeline.from_spec(spec)
    image = np.zeros((10, 10, 3), np.uint8)
    rows = [{"image": image, "boxes": np.array([[1.0, 2, 3, 4 + k]] * k).reshape(k, 4), "labels": np.arange(k)}
            for k in range(3)]  # fmt: skip
    batch = pipe.collate(Augmented(rows, pipe.train, epoch=0).__getitems__([0, 1, 2]))
    assert [len(boxes) for boxes in batch["boxes"]] == [2, 1, 3]
    assert [one.tolist() for one in batch["labels"]] == [[0, 1], [0], [0, 1, 0]]
    assert list(batch) == ["image", "boxes", "labels", "object_weights"]
    lam = batch["object_weights"][2][0]
    assert 0 < lam < 1 and np.allclose(batch["object_weights"][2], [lam, lam, 1 - lam])
    tuples = Augmented(
        [tuple(row.values()) for row in rows], pipe.train, epoch=0, fields=("image", "boxes", "labels")
    )
    with pytest.raises(ValueError, match="the weights of their objects, 'object_weights', have no place in a tuple"):
        pipe.collate(tuples.__getitems__([0, 1, 2]))
    pasted = pipe.replace(batch=["cutmix"])
    found = pasted.collate(Augmented([tuple(row.values()) for row in rows], pasted.train, epoch=0,
                                     fields=("image", "boxes", "labels")).__getitems__([0, 1, 2]))  # fmt: skip
    assert len(found) == 3 and len(found[1]) == 3


BOXES = {"boxes": [[[2, 2, 8, 6]], [[3, 1, 7, 9]]]}


@pytest.mark.parametrize(
    ("batch", "targets", "message"),
    [
        ({"boxes": [[[2, 2, 8, 6]]]}, {}, "boxes: a batch has a value for each of its 2 images, .* got 1"),
        ({"boxes": [[[2, 2, 2, 6]], []]}, {}, r"boxes\[0\]\[0\]: .* has no area"),
        ({**BOXES, "labels": [[1], [1, 2]]}, {}, r"labels\[1\]: 2 entries, and boxes\[1\] has 1"),
        ({**BOXES, "scores": [[0.5], [0.7]]}, {}, r"scores: one entry .* \{labels: \[labels, label, scores\]"),
        ({**BOXES, "masks": np.zeros((2, 10, 10, 1), np.uint8)}, {}, r"masks: several .* \{instances: \[masks\]"),
        ({"targets": [{"boxes": []}] * 2}, {}, r"targets: 'boxes' in a mapping .* pipe.batch\(images, targets\)"),
        ({"keypoints": [{"a": (1, 2)}] * 2}, {}, r"keypoints\[0\]: points under names cannot be joined"),
        ({"keypoints": [[[1, 2]], [[1, 2, 2]]]}, {}, r"keypoints\[0\]: images that are mixed have points of"),
        ({"keypoints": [[[[1, 2]]]] * 2, "keypoint_names": [["a"], ["b"]]}, {}, "keypoint_names: the inst"),
        ({"outlines": [[[1, 2, 3]], []]}, {"polygons": ["outlines"]}, r"outlines\[0\]\[0\]: 3 numbers are not"),
        ({**BOXES, "object_weights": [[1], [1, 1]]}, {}, r"object_weights\[1\]: expected the weights of 1 objects"),
        ({"flow": np.zeros((2, 10, 10, 2), np.float32)}, {"maps": {"flow": {"vectors": True}}}, "vectors do"),
    ],
)  # fmt: skip
def test_what_cannot_follow_is_refused(batch: dict[str, Any], targets: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mixed(HALF, batch, **targets)


def test_lists_of_targets_that_do_not_fit_are_refused() -> None:
    pipe = Pipeline.from_spec({"targets": {"boxes": "xyxy"}, "batch": ["mixup"]})
    boxes = {"boxes": np.zeros((0, 4))}
    for targets, message in (
        ([boxes, {**boxes, "area": 1}], r"targets\[1\] has the keys"),
        ([{**boxes, "image": 1}] * 2, r"targets\[0\] has an 'image'"),
        ([{**boxes, "label": 1}] * 2, r"targets\[0\]\['label'\]: one label for an image is mixed, and has no place"),
    ):
        with pytest.raises(ValueError, match=message):
            pipe.batch(IMAGES, targets, batch=0)
    with pytest.raises(ValueError, match="a batch that is mixed has images of one size"):
        pipe.batch([IMAGES[0], IMAGES[0, :5]], [boxes] * 2, batch=0)
    images, targets = pipe.batch.test(IMAGES, [boxes] * 2)
    assert images is IMAGES and targets[0] is boxes
    none = pipe.replace(batch=[])
    assert none.batch(IMAGES, [boxes] * 2)[1][0] is boxes


def test_an_unknown_blend_is_refused_beside_objects() -> None:
    class Other(Blend, frozen=True):
        """Says that it changes image 0, and not how."""

        def check(self, count: int, height: int, width: int) -> None:
            pass

        def reads(self) -> dict[int, set[int]]:
            return {0: {1}}

    with pytest.raises(TypeError, match="boxes, masks and points follow a Mix, a Paste and a Copy"):
        mixed(Other(), dict(BOXES))
    assert issubclass(ImageError, ValueError)


def ids_of(values: list[int]) -> np.ndarray:
    """Masks of one column of ids each, in the middle of each half of two images."""
    masks = np.zeros((2, 10, 10), np.int32)
    masks[:, :, 2], masks[:, :, 7] = np.array(values)[[0, 2], None], np.array(values)[[1, 3], None]
    return masks


def test_ids_of_instances_stay_apart() -> None:
    """Image 0 has the ids 1 and 2, image 1 has 1 and 3: what comes from image 1 is counted from 2 on."""
    masks = ids_of([1, 2, 1, 3])
    batch = {
        "boxes": [[[2, 0, 3, 10], [7, 0, 8, 10]]] * 2,
        "track": [np.array([1, 2]), np.array([1, 3])],
        "mask_ids": masks,
    }
    targets: dict[str, Any] = {"labels": ["track"], "ids": ["mask_ids", "track"]}
    found = mixed(RIGHT, batch, **targets)
    assert found["mask_ids"][0, 0].tolist() == [0, 0, 1, 0, 0, 0, 0, 5, 0, 0]
    assert [one.tolist() for one in found["track"]] == [[1, 5], [1, 3]]
    assert np.array_equal(found["mask_ids"][1], masks[1]) and found["mask_ids"].dtype == np.int32
    same = mixed(RIGHT, batch, labels=["track"])
    assert same["mask_ids"][0, 0, 7] == 3 and same["track"][0].tolist() == [1, 3]


def test_a_partner_that_is_seen_twice_has_other_ids_each_time() -> None:
    twice = Paste((Patch(0, (0, 0, 5, 5), 1, (0, 0, 5, 5)), Patch(0, (5, 5, 5, 5), 1, (0, 0, 5, 5))))
    found = mixed(twice, {"mask_ids": ids_of([1, 2, 1, 3])}, ids=["mask_ids"])["mask_ids"][0]
    assert found[0].tolist() == [0, 0, 3, 0, 0, 0, 0, 2, 0, 0] and found[9].tolist() == [0, 0, 1, 0, 0, 0, 0, 6, 0, 0]
    filled = ids_of([1, 255, 1, 255])
    assert mixed(twice, {"mask_ids": filled}, ids=["mask_ids"], mask_fill=255)["mask_ids"].max() == 255


def test_ids_of_tensors_and_of_lists() -> None:
    torch = pytest.importorskip("torch")
    masks = ids_of([1, 2, 1, 3])
    pipe = Pipeline.from_spec(
        {"targets": {"boxes": "xyxy", "ids": ["mask", "labels"]}, "batch": [{"mosaic": {"p": 1}}]}
    )
    boxes = [[[2, 0, 3, 10], [7, 0, 8, 10]]] * 2
    images = torch.zeros(2, 3, 10, 10)
    given = {"image": images, "boxes": boxes, "labels": [[1, 2], [1, 3]], "mask": torch.from_numpy(masks)}
    found = pipe.batch(given, batch=0)
    arrays = pipe.batch({**given, "image": np.zeros((2, 10, 10, 3), np.float32), "mask": masks}, batch=0)
    assert np.array_equal(found["mask"].numpy(), arrays["mask"]) and found["labels"] == arrays["labels"]
    for mask, labels in zip(arrays["mask"], found["labels"], strict=True):
        assert len(set(labels)) == len(labels) and set(labels) == {*np.unique(mask)} - {0}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"mask_ids": ids_of([200, 1, 200, 1]).astype(np.uint8)}, "mask_ids: the ids .* up to 401, and uint8 to 255"),
        ({"track": [np.array([200], np.uint8)] * 2, "boxes": [[[6, 1, 8, 9]]] * 2}, "track: the ids .* up to 600"),
        ({"mask_ids": np.zeros((2, 10, 10), np.float32)}, "mask_ids: ids of instances are integers, got float32"),
        ({"track": [["a"]] * 2, "boxes": [[[6, 1, 8, 9]]] * 2}, r"track\[0\]: ids of instances are integers"),
        ({"track": [1, 2]}, "track: ids of instances are masks, or labels with an entry for each object"),
    ],
)
def test_what_are_no_ids_is_refused(batch: dict[str, Any], message: str) -> None:
    twice = Paste((Patch(0, (0, 0, 10, 5), 1, (0, 5, 10, 5)), RIGHT.patches[0]))
    with pytest.raises(ValueError, match=message):
        mixed(twice, {"label": None, **batch}, labels=["track"], ids=["mask_ids", "track"])


def test_layers_that_overlap_are_not_one() -> None:
    """Half of image 0, and half of image 1, of which the left 6 columns are those of image 0."""
    left = Paste((Patch(1, (0, 0, 10, 6), 0, (0, 0, 10, 6)),))
    batch = {"boxes": [[[2, 2, 8, 6]], [[3, 1, 9, 9]]], "labels": [["a"], ["b"]]}
    found = mixed((left, Mix((1, 0), (0.5, 0.5))), batch)
    assert found["labels"][0] == ["a", "a", "b"] or found["labels"][0] == ["a", "b", "a"]
    seen = sorted(zip(found["labels"][0], found["boxes"][0], strict=True))
    assert seen == [("a", [2, 2, 6, 6]), ("a", [2, 2, 8, 6]), ("b", [6, 1, 9, 9])]
    assert found["object_weights"][0] == [0.5] * 3


@pytest.mark.parametrize(("least", "count"), [(0.49, 1), (0.51, 0)])
def test_what_was_cut_off_before_a_mask_was_scaled_is_not_seen(least: float, count: int) -> None:
    """Two of its four columns lie in the half of image 1 that is pasted twice as wide."""
    masks = np.zeros((2, 10, 10, 1), np.uint8)
    masks[1, 2:8, 3:7] = 1
    wide = Paste((Patch(0, (0, 0, 10, 10), 1, (0, 0, 10, 5)),))
    found = mixed(wide, {"masks": [masks[0][..., :0], masks[1]]}, instances=["masks"], min_visible=least)["masks"][0]
    assert found.shape == (10, 10, count) and (not count or np.array_equal(found[5, :, 0], [0] * 6 + [1] * 4))


def test_edges_have_a_tolerance_of_a_thousandth_of_a_pixel_of_the_mixed_image() -> None:
    """Half as large, the box ends 0.00075 beyond what is seen; 0.0015 of its 1.0015 columns are cut off."""
    batch = {"boxes": [[], [[7, 0, 8.0015, 10]]]}
    assert mixed(SMALL, batch, min_visible=1)["boxes"][0] == [[9.5, 4, 10, 9]]
    assert mixed(SMALL, {"boxes": [[], [[7, 0, 8.003, 10]]]}, min_visible=1)["boxes"][0] == []
