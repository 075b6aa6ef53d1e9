"""What has the size of the image under a key of no known kind is refused, and the spec can say what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from augreg import ImageError, Pipeline, SpecError, from_albumentations
from augreg.data import Augmented

IMAGE = (np.arange(40 * 60 * 3) % 251).astype(np.uint8).reshape(40, 60, 3)
PLANE = IMAGE[..., 0]
FINGERPRINT = "ab4cb0f903e753bcb8ed312eaca359f41d6d4d1a685307842cd198ce39135626"
FLIP = {"horizontal_flip": {"p": 1}}


def pipeline(*steps: Any, **targets: Any) -> Pipeline:
    return Pipeline.from_spec({"image": list(steps), "targets": targets})


DENSE: list[Any] = [
    PLANE, PLANE[..., None], IMAGE, PLANE.astype(np.float64), PLANE[None], np.stack([PLANE] * 5),
    np.zeros((5, 40, 60, 2)), Image.fromarray(PLANE), [PLANE, PLANE], (Image.fromarray(IMAGE),),
]  # fmt: skip


@pytest.mark.parametrize("key", ["segmentation", "depth", "annotation", "heatmap", "label", "labels", "flow", 7])
def test_dense_targets_under_any_other_key_are_refused(key: Any) -> None:
    what = "say in the spec that" if key in ("depth", "heatmap", "flow") else "name it 'mask_"
    for value in DENSE:
        for run in (pipeline(FLIP).train, pipeline("invert").test):
            with pytest.raises(ImageError, match=rf"sample\[{key!r}\] has the height and width .* {what}"):
                run({"image": IMAGE, key: value})


def test_tensors_too() -> None:
    torch = pytest.importorskip("torch")
    for shape in ((40, 60), (1, 40, 60), (5, 40, 60)):
        with pytest.raises(ImageError, match=r"sample\['depth'\] has the height and width"):
            pipeline(FLIP).train({"image": IMAGE, "depth": torch.zeros(shape)})


def test_what_is_of_another_size_stays() -> None:
    sample = {
        "image": IMAGE, "label": 3, "embedding": np.zeros(60), "pose": np.eye(4), "path": "a.png", "features": [],
        "thumbnail": Image.fromarray(PLANE[:20]), "scores": [1.0, 2.0], "meta": {"mask": PLANE}, "other": PLANE,
        "image_path": "b.png", "none": None,
    }  # fmt: skip
    found = pipeline(FLIP).train(sample, 0)
    assert all(found[key] is value for key, value in sample.items() if key != "image")


def test_boxes_under_the_names_of_other_libraries_are_refused() -> None:
    for key in ("bboxes", "bbox"):
        with pytest.raises(ImageError, match=rf"sample\['{key}'\]: boxes follow their image under the key 'boxes'"):
            pipeline(FLIP).train({"image": IMAGE, key: [[1, 2, 3, 4]]}, 0)
    nested = {"image": IMAGE, "objects": {"bbox": [[1, 2, 3, 4]], "category": [1]}}
    for value in (nested["objects"], [{"bbox": [1, 2, 3, 4]}], {"boxes": [], "labels": []}):
        with pytest.raises(
            ImageError, match=r"sample\['objects'\]: '\w+' in a mapping of its own does not follow the"
        ):
            pipeline(FLIP, boxes="xyxy").train({**nested, "objects": value}, 0)
    for targets in ({}, {"boxes": "xyxy", "keys": {"objects": "other"}}):
        assert pipeline(FLIP, **targets).train(nested, 0)["objects"] is nested["objects"]


@pytest.mark.parametrize("key", ["box", "Boxes", "gt_boxes", "gt_bboxes", "bounding_boxes", "target-boxes"])
def test_boxes_that_the_spec_has_are_not_left_behind_under_a_similar_key(key: str) -> None:
    pipe = pipeline(FLIP, boxes="xyxy")
    sample = {"image": IMAGE, key: [[1, 2, 3, 4]]}
    message = rf"sample\['{key}'\]: the spec has boxes, .* rename it to 'boxes', or .*keys: {{'?{key}'?: other}}"
    with pytest.raises(ImageError, match=message):
        pipe.train(sample, 0)
    assert pipe.train({**sample, "boxes": [[1, 2, 3, 4]]}, 0)["boxes"] == [[57, 2, 59, 4]]  # the other is extra
    assert pipeline(FLIP).train(sample, 0)[key] is sample[key]  # this spec has no boxes
    assert pipeline(FLIP, boxes="xyxy", keys={key: "other"}).train(sample, 0)[key] is sample[key]
    for value in ("boxes.json", None, 3):
        assert pipe.train({"image": IMAGE, key: value}, 0)[key] is value


def test_keypoints_that_the_spec_has_are_not_left_behind_under_a_similar_key() -> None:
    for key in ("keypoint", "kps", "kpts", "key_points"):
        sample = {"image": IMAGE, key: [[1, 2]]}
        for options in ({"keypoints": "drop"}, {"swap": {"left": "right"}}):
            with pytest.raises(ImageError, match=rf"sample\['{key}'\]: the spec has keypoints, .*to 'keypoints'"):
                pipeline(FLIP, **options).train(sample, 0)
            both = {**sample, "keypoints": [[1, 2]], "keypoint_names": ["nose"]}  # then the other is extra
            assert pipeline(FLIP, **options).train(both, 0)["keypoints"] == [[59, 2]]
        assert pipeline(FLIP).train(sample, 0)[key] is sample[key]


def test_the_spec_says_what_a_key_is() -> None:
    pipe = pipeline(
        FLIP,
        "invert",
        keys={"segmentation": "mask", "right": "image", "before": "other", "label": "mask"},
        mask_fill=9,
    )
    found = pipe.train(
        {"right": [IMAGE], "image": IMAGE, "segmentation": PLANE, "before": IMAGE, "label": PLANE.astype(np.int64)}, 0
    )
    assert np.array_equal(found["image"], 255 - IMAGE[:, ::-1]) and np.array_equal(found["right"][0], found["image"])
    assert np.array_equal(found["segmentation"], PLANE[:, ::-1]) and np.array_equal(found["label"], PLANE[:, ::-1])
    assert found["before"] is IMAGE
    with pytest.raises(ImageError, match=r"sample\['segmentation'\]: a NoneType is not a mask"):
        pipe.train({"image": IMAGE, "segmentation": None}, 0)
    with pytest.raises(ImageError, match=r"sample\['segmentation'\]: the mask is 39x60 and the image is 40x60"):
        pipe.train({"image": IMAGE, "segmentation": PLANE[1:]}, 0)


def test_members_of_a_tuple_are_named_alike() -> None:
    pairs = [(IMAGE, PLANE)]
    with pytest.raises(Exception, match="has the height and width of the image"):
        Augmented(pairs, pipeline(FLIP).train, fields=("image", "depth"), epoch=0)[0]
    assert Augmented(pairs, pipeline(FLIP).train, fields=("image", "other"), epoch=0)[0][1] is PLANE
    named = Augmented(pairs, pipeline(FLIP, keys={"depth": "mask"}).train, fields=("image", "depth"), epoch=0)
    assert np.array_equal(named[0][1], PLANE[:, ::-1])


def test_batches_know_the_same_names() -> None:
    images, planes = np.stack([IMAGE] * 4), np.stack([PLANE, PLANE + 1, PLANE + 2, PLANE + 3])
    spec = {"image": [], "batch": [{"cutmix": {"p": 1}}], "classes": 4}
    batch = {"image": images, "label": np.arange(4), "segmentation": planes}
    with pytest.raises(ValueError, match=r"targets: \{keys: \{segmentation: mask\}\}"):
        Pipeline.from_spec(spec).batch(batch, keys=range(4))
    for key in ("mask", "segmentation"):
        pipe = Pipeline.from_spec({**spec, "targets": {"keys": {"segmentation": "mask"}}})
        found = pipe.batch({"image": images, "label": np.arange(4), key: planes}, keys=range(4))[key]
        assert not np.array_equal(found, planes) and set(np.unique(found - planes[:1])) <= {0, 1, 2, 3, 253, 254, 255}
    still = Pipeline.from_spec({**spec, "targets": {"keys": {"segmentation": "other"}}}).batch(batch, keys=range(4))
    assert still["segmentation"] is planes


def test_specs_from_before_keep_their_fingerprints() -> None:
    """Hashes of the release before the option."""
    plain = Pipeline.from_spec({"image": [], "targets": {"boxes": "xyxy"}})
    assert "keys" not in plain.to_spec()["targets"]
    assert plain.fingerprint == FINGERPRINT
    said = pipeline(keys={"depth": "image"})
    assert said.to_spec()["targets"]["keys"] == {"depth": "image"} and Pipeline.from_spec(said.to_spec()) == said


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"boxes": "mask"}, "keys: 'boxes' always has the same meaning"),
        ({"depth": "masks"}, "targets.keys.*mask"),
        (["depth"], "targets.keys: expected mapping"),
    ],
)
def test_what_is_wrong_in_a_spec(keys: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        pipeline(keys=keys)


def test_additional_targets_of_albumentations_are_keys() -> None:
    """`additional_targets` as albumentations 2.0 writes them in `A.to_dict`."""
    compose = {
        "__class_fullname__": "Compose",
        "transforms": [],
        "additional_targets": {"right": "image", "segmentation": "mask", "image2": "image", "others": "bboxes"},
    }
    found = from_albumentations({"__version__": "2.0.8", "transform": compose})
    assert found.spec["targets"] == {"keys": {"right": "image", "segmentation": "mask"}}
    assert [line for line in found.report if "'others': 'bboxes'" in line]  # without bbox_params
    sample = {"image": IMAGE, "right": IMAGE, "segmentation": PLANE, "image2": IMAGE}
    assert set(Pipeline.from_spec(found.spec).train(sample, 0)) == set(sample)


def test_what_the_spec_declares_is_no_label_of_a_mixed_batch() -> None:
    keys = {"color_label": "other", "cls": "other", "bboxes": "other"}
    pipe = Pipeline.from_spec({"classes": 3, "targets": {"keys": keys}, "batch": ["cutmix"]})
    images, ids = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4) % 3
    plain = {"color_label": ids, "cls": ids, "bboxes": [[]] * 4, "other": np.zeros((4, 8, 8))}
    mixed = pipe.batch({"image": images, "label": ids, **plain}, batch=0)
    assert all(mixed[key] is value for key, value in plain.items())
    with pytest.raises(ValueError, match="bboxes: boxes follow their images under"):
        pipe.replace(targets={}).batch({"image": images, "label": ids, "bboxes": [[]] * 4}, batch=0)


@pytest.mark.parametrize("counts", [(1, 1), (1, 2)])
def test_boxes_under_a_key_of_ones_own_stay_lists_in_a_batch(counts: tuple[int, int]) -> None:
    """One for each sample, whether or not all have the same number of boxes."""
    pipe = Pipeline.from_spec(
        {"targets": {"boxes": "xyxy", "keys": {"parts": "boxes"}}, "image": [{"horizontal_flip": {"p": 1}}]}
    )
    image = np.zeros((4, 10, 3), np.uint8)
    data = [{"image": image, "parts": [[0, 1, 3, 4]] * count} for count in counts]
    samples = Augmented(data, pipe.train, epoch=0).__getitems__([0, 1])
    assert pipe.collate(samples)["parts"] == [[[7, 1, 10, 4]] * count for count in counts]


def test_boxes_under_a_key_of_ones_own_follow_where_a_batch_is_mixed() -> None:
    pipe = Pipeline.from_spec(
        {
            "targets": {"boxes": "xyxy", "keys": {"parts": "boxes"}},
            "batch": [{"mixup": {"pairing": "roll"}}],
            "classes": 2,
        }
    )
    parts = [[[0, 0, 1, 1]], [[1, 1, 3, 2]]]
    batch = {"image": np.zeros((2, 4, 4, 3), np.uint8), "label": np.array([0, 1]), "parts": parts}
    mixed = pipe.batch(batch, batch=0)
    assert mixed["parts"] == [parts[0] + parts[1], parts[1] + parts[0]]
    weight = float(mixed["label"].weights[0, 0])
    assert np.allclose(mixed["parts_weights"], [[weight, 1 - weight], [weight, 1 - weight]])
