"""What `targets` says under `keys` and `maps`: errors name the key and the choices, and no key has two meanings."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import yaml

from augreg import ImageError, Pipeline, SpecError

PHOTO = np.zeros((24, 32, 3), np.uint8)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"keys": {"seg": "masks"}}, "targets.keys.seg: expected mask, image, boxes, keypoints, other, got 'masks'; "
         "did you mean 'mask'?"),
        ({"keys": {"a": "mask", "seg": 3}}, "targets.keys.seg: expected mask, image, boxes, keypoints, other, got 3"),
        ({"keys": ["seg"]}, "targets.keys: expected mapping, got ['seg']; did you mean {seg: mask}?"),
        ({"keys": {5: "mask"}}, "targets.keys: its keys are names, got 5; did you mean '5'?"),
        ({"keys": {"": "mask"}}, "targets.keys: its keys are names, got ''"),
        ({"maps": ["depth"]}, "targets.maps: expected mapping, got ['depth']; did you mean {depth: {}}?"),
        ({"maps": {"depth": None}}, "targets.maps.depth: expected mapping, got None; did you mean {}?"),
        ({"maps": {"depth": {"interp": "nearest"}}}, "targets.maps.depth: there is no field 'interp'; did you mean "
         "'interpolation'?"),
        ({"maps": {"a": {}, "depth": {"x": 1}}}, "targets.maps.depth: there is no field 'x'; it takes interpolation, "
         "fill, vectors"),
        ({"maps": {"depth": {"interpolation": "linear"}}}, "targets.maps.depth.interpolation: expected nearest, "
         "bilinear, got 'linear'; did you mean 'bilinear'?"),
        ({"maps": {"depth": {"vectors": "yes"}}}, "targets.maps.depth.vectors: expected bool, got 'yes'"),
        ({"maps": {"depth": {"fill": float("inf")}}}, "targets.maps.depth: expected a finite number or 'nan' for "
         "fill, got inf"),
        ({"swap": {"left": 5}}, "targets.swap.left: expected str, got 5"),
    ],
    ids=str,
)  # fmt: skip
def test_the_message_names_the_key(targets: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec({"image": [], "targets": targets})
    assert str(caught.value).removesuffix(" - at `$[...]`") == message


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"labels": ["labels", "x"], "maps": {"x": {}}}, "labels and maps both name 'x'"),
        ({"labels": ["x"], "instances": ["x"]}, "labels and instances both name 'x'"),
        ({"labels": ["x"], "keys": {"x": "image"}}, "labels and keys both name 'x'"),
        ({"instances": ["x", "y"], "maps": {"y": {}, "x": {}}}, "instances and maps both name 'x', 'y'"),
        ({"instances": ["x"], "keys": {"x": "other"}}, "instances and keys both name 'x'"),
        ({"keys": {"x": "mask"}, "maps": {"x": {}}}, "keys and maps both name 'x'"),
        ({"labels": ["boxes"]}, "labels: 'boxes' always has the same meaning"),
        ({"labels": ["image", "ids"]}, "labels: 'image' always has the same meaning"),
        ({"instances": ["keypoints"]}, "instances: 'keypoints' always has the same meaning"),
    ],
    ids=str,
)
def test_a_key_has_one_meaning(targets: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=f"targets: {message}"):
        Pipeline.from_spec({"image": [], "targets": {"boxes": "xyxy", **targets}})


@pytest.mark.parametrize(
    "targets",
    [
        {"maps": {"label": {}}},  # the default names of labels are nobody's word
        {"keys": {"labels": "mask"}},
        {"instances": ["x"], "keys": {"x": "mask"}},
        {"labels": ["x"], "keys": {"x": "mask"}},
        {"labels": ["labels", "keypoints"]},
    ],
    ids=str,
)
def test_what_is_no_contradiction_stays_valid(targets: dict[str, Any]) -> None:
    spec = Pipeline.from_spec({"image": [], "targets": {"boxes": "xyxy", **targets}}).to_spec()
    assert Pipeline.from_spec(spec).to_spec() == spec


@pytest.mark.parametrize("key", ["depth", "my seg", "a: b", "5", "yes", "{x}", "#1"])
def test_the_advice_for_an_unknown_key_works(key: str) -> None:
    sample = {"image": PHOTO, key: np.zeros((24, 32), np.uint8)}
    with pytest.raises(ImageError, match="no known name") as caught:
        Pipeline(["horizontal_flip"]).train(sample, index=0)
    advised = [yaml.safe_load(text) for text in re.findall(r"`(?:targets: )?(.*?)`", str(caught.value))]
    of_values = [{"maps": {key: {}}}]
    assert advised == (of_values if key == "depth" else [{"keys": {key: "mask"}}, *of_values])
    for targets in advised:
        Pipeline.from_spec({"image": ["horizontal_flip"], "targets": targets}).train(sample, index=0)


@pytest.mark.parametrize("key", [5, None, ("a", 1), ""])
def test_a_key_that_a_spec_cannot_name_is_renamed(key: Any) -> None:
    sample = {"image": PHOTO, key: np.zeros((24, 32), np.uint8)}
    with pytest.raises(ImageError, match=r"name it 'mask_.*' or 'image_") as caught:
        Pipeline(["horizontal_flip"]).train(sample, index=0)
    assert "{keys" not in str(caught.value) and f"{key!r} is none" in str(caught.value)
    batch = {"image": np.zeros((2, 24, 32, 3), np.uint8), key: np.zeros((2, 24, 32), np.uint8)}
    with pytest.raises(ValueError, match="name it 'mask_"):
        Pipeline(batch=["mixup"]).batch(batch, batch=0)
