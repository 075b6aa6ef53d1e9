"""Which masks and keypoints belong to boxes is said by the spec; an instance comes and leaves as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import ImageError, Pipeline, SpecError
from augreg.gallery.overlays import overlaid
from augreg.targets.conventions import Targets

IMAGE = np.zeros((40, 60, 3), np.uint8)
CROP = {"center_crop": [20, 20]}  # columns 20 to 40, rows 10 to 30
FLIP = {"horizontal_flip": {"p": 1}}


def pipeline(*steps: Any, **targets: Any) -> Pipeline:
    return Pipeline.from_spec({"image": list(steps), "targets": {"boxes": "xyxy", **targets}})


def drawn(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((40, 60), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


# the second box reaches into the crop, but the thing in it does not; the last has no mask at all
BOXES = [[22, 12, 30, 20], [0, 0, 30, 30], [0, 0, 5, 5], [25, 15, 40, 30]]
MASKS = [drawn(23, 13, 29, 19), drawn(0, 0, 10, 10), drawn(0, 0, 5, 5), drawn(0, 0, 0, 0)]
SAMPLE = {"image": IMAGE, "boxes": BOXES, "labels": list("abcd"), "masks": MASKS}


def test_planes_of_classes_are_never_taken_for_instances() -> None:
    """Three planes beside three boxes, one of which is cut away: all three are still there."""
    planes = np.stack(MASKS[:3], axis=2)
    for value in (planes, MASKS[:3], tuple(MASKS[:3])):
        sample = {"image": IMAGE, "boxes": BOXES[:3], "masks": value, "mask": planes}
        found = pipeline(CROP, instances=[]).train(sample, 0)
        assert len(found["boxes"]) == 2
        assert len(found["masks"]) == 3 if isinstance(value, list | tuple) else found["masks"].shape == (20, 20, 3)
        assert found["mask"].shape == (20, 20, 3)
        with pytest.raises(
            ImageError, match=r"sample\['masks'\]: several masks beside boxes, .*instances: \[masks\]"
        ):
            pipeline(CROP).train(sample, 0)
        # whatever the numbers are: the next sample may have three boxes
        with pytest.raises(ImageError, match="several masks beside boxes"):
            pipeline(CROP).train({**sample, "boxes": BOXES}, 0)
        assert pipeline(CROP).train({"image": IMAGE, "masks": value}, 0)


def test_an_instance_whose_mask_is_cut_away_leaves_with_its_box() -> None:
    torch = pytest.importorskip("torch")
    stack = np.stack(MASKS, axis=2)
    for masks in (MASKS, stack, stack.astype(bool), torch.from_numpy(stack.transpose(2, 0, 1).copy())):
        for fill in (0, 1) if masks is MASKS else (0,):
            sample = {**SAMPLE, "masks": [2 * one for one in MASKS] if fill else masks}
            found = pipeline(CROP, instances=["masks"], min_visible=0, mask_fill=fill).train(sample, 0)
            # the box without any mask has lost none
            assert found["labels"] == ["a", "d"] and found["boxes"] == [[2, 2, 10, 10], [5, 5, 20, 20]]
            count = found["masks"].shape[2] if isinstance(masks, np.ndarray) else len(found["masks"])
            assert count == 2
    kept = pipeline(CROP, instances=[], min_visible=0).train(SAMPLE, 0)
    assert kept["labels"] == ["a", "b", "d"] and len(kept["masks"]) == 4


def test_a_thin_mask_that_a_resize_skips_is_gone() -> None:
    sample = {"image": IMAGE, "boxes": [[0, 0, 60, 40]], "labels": ["line"], "masks": [drawn(0, 20, 60, 21)]}
    found = pipeline({"resize": {"size": [3, 6]}}, instances=["masks"]).train(sample, 0)
    assert found["labels"] == [] == found["masks"] or found["masks"][0].any()


def test_boxes_are_drawn_around_masks_if_the_spec_says_so() -> None:
    pipe = pipeline(CROP, instances=["masks"], boxes_from="masks", min_visible=0)
    found = pipe.train(SAMPLE, 0)
    assert found["boxes"] == [[3, 3, 9, 9], [5, 5, 20, 20]]
    # a disk turned by 45 degrees keeps its box, while the box of its corners grows by the square root of two
    ys, xs = np.mgrid[:60, :60] + 0.5
    disk = ((xs - 30) ** 2 + (ys - 30) ** 2 < 15**2).astype(np.int64)
    sample = {"image": np.zeros((60, 60, 1), np.uint8), "boxes": np.array([[15.0, 15, 45, 45]]), "masks": [disk]}
    turn = {"rotate": {"degrees": [45, 45]}}
    loose = pipeline(turn, instances=["masks"]).train(sample, 0)["boxes"][0]
    tight = pipeline(turn, instances=["masks"], boxes_from="masks").train(sample, 0)["boxes"][0]
    side = 15 * np.sqrt(2)
    assert np.allclose(loose, [30 - side, 30 - side, 30 + side, 30 + side])
    assert np.abs(tight - [15, 15, 45, 45]).max() <= 1
    fractions = Pipeline.from_spec(
        {
            "image": [CROP],
            "targets": {"boxes": "cxcywh_normalized", "instances": ["masks"], "boxes_from": "masks"},
        }
    )
    given = {**SAMPLE, "boxes": [[26 / 60, 16 / 40, 8 / 60, 8 / 40]], "labels": ["a"], "masks": MASKS[:1]}
    assert np.allclose(fractions.train(given, 0)["boxes"], [[6 / 20, 6 / 20, 6 / 20, 6 / 20]])


def test_keypoints_of_instances_go_with_their_box() -> None:
    torch = pytest.importorskip("torch")
    points = np.array(
        [[[24.0, 14, 2], [50, 14, 2]], [[1, 1, 2], [2, 2, 2]], [[2, 2, 1], [3, 3, 2]], [[30, 20, 1], [39, 29, 0]]]
    )
    wanted = [[[4, 4, 2], [30, 4, 0]], [[10, 10, 1], [19, 19, 0]]]
    for given in (points, points.tolist(), torch.from_numpy(points), list(torch.from_numpy(points))):
        for rule in ("keep", "drop"):
            pipe = pipeline(CROP, instances=["masks"], min_visible=0, keypoints=rule)
            found = pipe.train({**SAMPLE, "keypoints": given}, 0)["keypoints"]
            assert np.array_equal(np.asarray(found), wanted)
            assert isinstance(found, list if isinstance(given, list) else type(given))
    bare = pipeline(CROP, min_visible=0).train({"image": IMAGE, "boxes": BOXES, "keypoints": points[..., :2]}, 0)
    assert bare["keypoints"].shape == (3, 2, 2) and bare["keypoints"][0].tolist() == [[4, 4], [30, 4]]
    alone = pipeline(CROP).train({"image": IMAGE, "keypoints": points}, 0)["keypoints"]
    assert alone.shape == (4, 2, 3) and alone[1].tolist() == [[-19, -9, 0], [-18, -8, 0]]
    none = pipeline(CROP).train({"image": IMAGE, "boxes": [], "keypoints": np.zeros((0, 17, 3))}, 0)
    assert none["keypoints"].shape == (0, 17, 3)


def test_names_are_those_of_one_instance() -> None:
    pipe = pipeline(FLIP, swap={"left": "right"})
    points = [[[10, 5, 2], [20, 5, 1]], [[30, 5, 2], [40, 5, 0]]]
    sample = {"image": IMAGE, "boxes": [[5, 0, 25, 9], [25, 0, 45, 9]], "keypoints": points}
    found = pipe.train({**sample, "keypoint_names": ["left", "right"]}, 0)
    assert found["keypoint_names"] == ["left", "right"]
    assert found["keypoints"] == [[[40, 5, 1], [50, 5, 2]], [[20, 5, 0], [30, 5, 2]]]
    for names in (["left", "right"], ["left", "nose"]):
        none = {"boxes": [], "keypoints": np.zeros((0, 2, 3)), "keypoint_names": names}
        assert pipe.train({**sample, **none}, 0)["keypoint_names"] == names
    one = pipe.train({**sample, "keypoint_names": ["left", "nose"]}, 0)
    assert one["keypoint_names"] == ["right", "nose"] and one["keypoints"][0] == [[50, 5, 2], [40, 5, 1]]
    with pytest.raises(ImageError, match="expected a list of 2 names"):
        pipe.train({**sample, "keypoint_names": ["left", "right"] * 2}, 0)


def test_points_on_their_own_may_go_with_boxes_by_name() -> None:
    sample = {"image": IMAGE, "boxes": BOXES, "keypoints": [[24, 14], [1, 1], [2, 2], [30, 20]]}
    found = pipeline(CROP, labels=["keypoints"], min_visible=0.2).train(sample, 0)
    assert len(found["boxes"]) == len(found["keypoints"]) == 3
    assert pipeline(CROP).train(sample, 0)["keypoints"][2] == [-18, -8]


@pytest.mark.parametrize(
    ("given", "targets", "message"),
    [
        ({"masks": MASKS[:3]}, {"instances": ["masks"]}, r"sample\['masks'\]: there are 3 entries and 4 boxes"),
        ({"keypoints": np.zeros((3, 2, 3))}, {"instances": []}, "points of 3 instances and 4 boxes"),
        (
            {"keypoints": np.zeros((4, 2, 2))},
            {"instances": [], "keypoints": "drop"},
            "the points of an instance stay",
        ),
        ({"keypoints": [[[1, 2]], [[1, 2], [3, 4]]]}, {"instances": []}, "give all the same number"),
    ],
)
def test_what_is_wrong_is_told(given: Any, targets: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        pipeline(CROP, **targets).train({**SAMPLE, **given}, 0)


def test_what_is_wrong_in_a_spec() -> None:
    for targets in ({"boxes_from": "masks"}, {"boxes_from": "masks", "instances": ["mask"]}):
        with pytest.raises(SpecError, match="boxes_from: boxes are drawn around instance masks"):
            pipeline(CROP, **targets)
    said = pipeline(CROP, instances=[])
    assert said.to_spec()["targets"]["instances"] == [] and "boxes_from" not in said.to_spec()["targets"]
    assert Pipeline.from_spec(said.to_spec()) == said and "instances" not in pipeline(CROP).to_spec()["targets"]


def test_the_gallery_draws_what_the_spec_names() -> None:
    targets = Targets(boxes="xyxy", keys={"segmentation": "mask", "mask2": "other"})
    plain = overlaid(IMAGE, {}, targets, [])
    masked = overlaid(IMAGE, {"segmentation": drawn(0, 0, 30, 40), "mask2": drawn(0, 0, 60, 40)}, targets, [])
    half = masked.shape[1] // 2
    assert (masked[:, :half] != plain[:, :half]).any(axis=2).all() and (masked[:, half:] == plain[:, half:]).all()
    points = np.array([[[10.0, 10, 2], [50, 10, 0]], [[10, 30, 2], [50, 30, 1]]])
    names = ["left", "right"]
    found = overlaid(IMAGE, {"keypoints": points, "keypoint_names": names}, targets, names)
    scale = found.shape[1] // 60
    shown = [bool(found[y * scale, x * scale].any()) for x, y in ((10, 10), (50, 10), (10, 30), (50, 30))]
    assert shown == [True, False, True, True]
