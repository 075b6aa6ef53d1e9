"""Numbers that the spec pairs are exchanged in mirrored images: of masks, labels, keypoints and their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import ImageError, Pipeline, SpecError

FLIP = {"horizontal_flip": {"p": 1}}
IMAGE = np.zeros((2, 6, 3), np.uint8)
PAIRS = [[3, 4], [7, 8]]


def mirrored(targets: dict[str, Any], *steps: Any, **entries: Any) -> dict[str, Any]:
    pipe = Pipeline.from_spec({"image": list(steps) or [FLIP], "targets": targets})
    return pipe.train({"image": IMAGE, **entries}, 0)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint16"])
def test_masks(dtype: str) -> None:
    mask = np.array([[0, 3, 4, 5, 7, 8], [3, 3, 3, 0, 0, 9]], dtype)
    found = mirrored({"swap": PAIRS}, mask=mask)["mask"]
    assert found.dtype == mask.dtype
    assert found.tolist() == [[7, 8, 5, 3, 4, 0], [9, 0, 0, 4, 4, 4]]
    back = mirrored({"swap": PAIRS}, FLIP, {"vertical_flip": {"p": 1}}, mask=mask)["mask"]  # a half turn
    assert back.tolist() == mask[::-1, ::-1].tolist()
    assert mirrored({}, mask=mask)["mask"].tolist() == mask[:, ::-1].tolist()


def test_numbers_that_are_negative_or_far_apart() -> None:
    mask = np.array([[-1, 70000, 2, 2, 2, 2]] * 2, np.int32)
    found = mirrored({"swap": [[-1, 70000]]}, mask=mask)["mask"]
    assert found.tolist() == [[2, 2, 2, 2, -1, 70000]] * 2
    with pytest.raises(ImageError, match="the spec swaps 4 and 300, and uint8 ends at 255; give a wider dtype"):
        mirrored({"swap": [[4, 300]]}, mask=np.full((2, 6), 4, np.uint8))
    assert not mirrored({"swap": [[4, 300]]}, mask=np.zeros((2, 6), np.uint8))["mask"].any()


def test_labels_of_boxes() -> None:
    torch = pytest.importorskip("torch")
    boxes = [[0, 0, 1, 1], [1, 0, 3, 2], [3, 0, 5, 1]]
    targets = {"swap": PAIRS, "boxes": "xyxy", "labels": ["labels", "parts"]}
    found = mirrored(targets, boxes=boxes, labels=[3, 8, 5], parts=np.array([4, 7, 1]))
    assert found["boxes"] == [[5, 0, 6, 1], [3, 0, 5, 2], [1, 0, 3, 1]]
    assert found["labels"] == [4, 7, 5] and found["parts"].tolist() == [3, 8, 1]
    of_ids = {**targets, "ids": ["parts", "mask_ids"]}  # numbers of objects are not those of classes
    ids = mirrored(of_ids, boxes=boxes, labels=[3, 8, 5], parts=[4, 7, 1], mask_ids=np.full((2, 6), 4, np.uint8))
    assert ids["labels"] == [4, 7, 5] and ids["parts"] == [4, 7, 1] and (ids["mask_ids"] == 4).all()
    tensors = mirrored(targets, boxes=torch.tensor(boxes), labels=torch.tensor([3, 8, 5]))
    assert tensors["labels"].tolist() == [4, 7, 5] and tensors["labels"].dtype == torch.int64
    assert mirrored({"swap": PAIRS}, label=7)["label"] == 8
    assert mirrored({"swap": PAIRS}, label=np.int16(7))["label"].dtype == np.int16


def test_keypoints_by_their_numbers() -> None:
    points = [[0.5, 1], [1, 1], [2, 1], [3, 1], [4, 1]]
    found = mirrored({"swap": [[1, 2], [3, 4]]}, keypoints=points)
    assert found["keypoints"] == [[5.5, 1], [4, 1], [5, 1], [2, 1], [3, 1]]
    instances = np.array([[[1, 1, 2], [2, 1, 2]], [[3, 0, 1], [4, 0, 2]]], np.float32)
    found = mirrored({"swap": [[0, 1]]}, keypoints=instances)
    assert found["keypoints"].tolist() == [[[4, 1, 2], [5, 1, 2]], [[2, 0, 2], [3, 0, 1]]]


def test_keypoints_with_numbers_as_names() -> None:
    points = np.array([[1, 1], [2, 1], [3, 1]], float)
    found = mirrored({"swap": PAIRS}, keypoints=points, keypoint_names=[4, 3, 9])
    assert found["keypoint_names"] == [4, 3, 9]
    assert found["keypoints"].tolist() == [[4, 1], [5, 1], [3, 1]]
    found = mirrored({"swap": PAIRS}, keypoints=points, keypoint_names=np.array([3, 3, 9], np.int16))
    assert found["keypoint_names"].tolist() == [4, 4, 9] and found["keypoint_names"].dtype == np.int16
    assert found["keypoints"].tolist() == [[5, 1], [4, 1], [3, 1]]
    found = mirrored({"swap": PAIRS}, keypoints={3: (1, 1), 4: (2, 1)})
    assert found["keypoints"] == {3: (4, 1), 4: (5, 1)}
    torch = pytest.importorskip("torch")
    found = mirrored({"swap": PAIRS}, keypoints=points, keypoint_names=torch.tensor([3, 7, 9]))
    assert found["keypoint_names"].tolist() == [4, 8, 9]


def test_numbers_of_classes_and_of_keypoints_are_not_taken_for_each_other() -> None:
    points = np.array([[[1, 1, 2], [2, 1, 2]]])
    entries = {"boxes": [[0, 0, 2, 2]], "labels": [1], "keypoints": points}
    both = {"boxes": "xyxy", "swap": [[0, 1]]}
    with pytest.raises(ImageError, match=r"may be those of the classes here or those of the points; say `targets: "):
        mirrored(both, **entries)
    with pytest.raises(ImageError, match="may be those of the classes"):
        mirrored(both, mask=np.zeros((2, 6), int), keypoints=points[0])
    found = mirrored({"boxes": "xyxy", "swap_keypoints": [[0, 1]]}, **entries)
    assert found["labels"] == [1] and found["keypoints"].tolist() == [[[4, 1, 2], [5, 1, 2]]]
    found = mirrored({**both, "swap_keypoints": []}, **entries)
    assert found["labels"] == [0] and found["keypoints"].tolist() == [[[5, 1, 2], [4, 1, 2]]]
    names = {**entries, "labels": ["cat"]}
    assert mirrored(both, **names)["keypoints"].tolist() == [[[4, 1, 2], [5, 1, 2]]]


def test_several_labels_of_keypoints() -> None:
    points = [[1, 1], [9, 1], [2, 1]]
    targets = {
        "swap": [*PAIRS, ["left", "right"]],
        "keypoints": "drop",
        "keypoint_labels": ["ids", "sides", "scores"],
    }
    entries = {"ids": [3, 4, 9], "sides": ("left", "right", "nose"), "scores": np.array([0.5, 0.25, 1.0])}
    found = mirrored(targets, keypoints=points, **entries)
    assert found["keypoints"] == [[5, 1], [4, 1]]
    assert found["ids"] == [4, 9] and found["sides"] == ("right", "nose") and found["scores"].tolist() == [0.5, 1.0]
    named = {**targets, "keypoints": "keep"}
    found = mirrored(named, keypoints=points, keypoint_names=["left", "right", "nose"], **entries)
    assert found["keypoint_names"] == ["left", "right", "nose"]  # the points have changed places, with their labels
    assert found["keypoints"] == [[-3, 1], [5, 1], [4, 1]]
    assert found["ids"] == [3, 4, 9] and found["sides"] == ("left", "right", "nose")
    assert found["scores"].tolist() == [0.25, 0.5, 1.0]
    with pytest.raises(ImageError, match=r"sample\['ids'\]: there are 2 entries and 3 points of the image; give one"):
        mirrored(targets, keypoints=points, ids=[1, 2])
    with pytest.raises(ImageError, match="instances, whose labels go with the boxes"):
        mirrored({**targets, "keypoints": "keep"}, keypoints=[[[1, 1], [2, 1]]], ids=[1, 2])


def test_what_is_refused() -> None:
    with pytest.raises(
        ImageError, match="the spec swaps the points 7 and 8, and there are 1 points; count them from 0"
    ):
        mirrored({"swap": PAIRS}, keypoints=[[1, 1]])
    with pytest.raises(ImageError, match="drops points and swaps them by their numbers, which others then have"):
        mirrored({"swap": [[0, 1]], "keypoints": "drop"}, keypoints=[[1, 1], [2, 1]])
    for targets, message in (
        ({"swap": [[3, 4], [4, 5]]}, "swap names 4 twice"),
        ({"swap": [[3, "left"]]}, r"\[3, 'left'\] pairs a name with a number"),
        ({"swap_keypoints": [[1, 1]]}, "swap_keypoints names 1 twice"),
        ({"swap": PAIRS, "classes": ["a", "b"]}, "swap has numbers, and classes names them"),
        ({"swap": [[1, 2, 3]]}, r"targets.swap\[0\]: expected list of length 2"),
        ({"keypoint_labels": ["labels"]}, "keypoint_labels and labels both name 'labels'"),
    ):
        with pytest.raises(SpecError, match=message):
            mirrored(targets)


def test_specs_say_the_same_in_several_ways() -> None:
    def of(swap: Any) -> Pipeline:
        return Pipeline.from_spec({"image": [FLIP], "targets": {"swap": swap}})

    assert of([["left", "right"]]).to_spec() == of({"left": "right"}).to_spec()
    assert of({3: 4, 7: 8}).to_spec() == of(PAIRS).to_spec()
    for pipe in (of(PAIRS), of([["left", "right"], [3, 4]])):
        assert Pipeline.from_spec(pipe.to_spec()) == pipe


def test_what_comes_back_from_views() -> None:
    """Channels of scores, numbers in masks, labels and keypoints, as the spec pairs their numbers."""
    pipe = Pipeline.from_spec({"image": ["horizontal_flip"], "targets": {"swap": [[1, 2]]}})
    views = pipe.views(IMAGE, 2)
    mirrors = [view.plan.ops != views[0].plan.ops for view in views]
    assert sorted(mirrors) == [False, True]
    scores = [np.array([0.0, 1.0, 0.0]) if not mirror else np.array([0.0, 0.0, 1.0]) for mirror in mirrors]
    assert views.mean_scores(scores).tolist() == [0, 1, 0]
    mask = np.array([[0, 1, 2, 0, 0, 0]] * 2)
    masks = [mask if not mirror else np.array([[0, 0, 0, 1, 2, 0]] * 2) for mirror in mirrors]
    assert all(one.values.tolist() == mask.tolist() for one in views.restore_map(masks))
    assert views.restore_labels([[1] if not mirror else [2] for mirror in mirrors]) == [[1], [1]]
    points = [[[0.5, 1], [1, 1], [2, 1]] if not mirror else [[5.5, 1], [4, 1], [5, 1]] for mirror in mirrors]
    assert views.restore_keypoints(points) == [[[0.5, 1], [1, 1], [2, 1]]] * 2
    with pytest.raises(ImageError, match="the spec swaps 2 and 1, and there are 2 channels; give classes="):
        views.mean_scores([np.zeros(2)] * 2)
    assert views.mean_scores([np.ones(2)] * 2, classes=[]).tolist() == [1, 1]
