"""What has no native form: steps of the plugin, Lambdas, ReplayCompose, targets under names of one's own."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

import augreg
from augreg import Pipeline, Registry, ops

REPLAY = {"__class_fullname__": "ReplayCompose", "save_key": "replay", "p": 1.0}


class StandIn:
    """Stands for a step of the plugin."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ()


@augreg.transform("GlassBlur", kind="color", p=0.5)
class GlassBlur(StandIn):
    """Stands for the step of the plugin."""

    alpha_coef: float = 0.08


@augreg.transform("Rotate", kind="geometry", p=0.5)
class Turn(StandIn):
    """Stands for the step of the plugin; it refuses a limit of 7."""

    limit: tuple[float, float] = (-90.0, 90.0)
    crop_border: bool = False

    def check(self) -> None:
        if self.limit[0] == 7:
            raise ValueError("limit: 7 is refused")


def registry(*more: type) -> Registry:
    """What is installed, with stand-ins for steps of the plugin where it is not."""
    added = Registry.installed()
    for cls in (GlassBlur, Turn, *more):
        name = f"albumentations/{cls.__augreg__.name}"  # type: ignore[attr-defined]
        added = added if name in added else added.add(cls, name)
    return added


def compose(*transforms: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"__class_fullname__": "Compose", "p": 1.0, "transforms": list(transforms), **more}


def node(name: str, **arguments: Any) -> dict[str, Any]:
    return {"__class_fullname__": name, "p": 1.0, **arguments}


def test_what_has_no_native_form_is_a_step_of_the_plugin() -> None:
    pipeline = compose(node("HorizontalFlip"), node("GlassBlur", alpha_coef=0.2, p=0.3), node("TextImage"))
    found = augreg.from_albumentations(pipeline, registry=registry())
    blur = {"albumentations/GlassBlur": {"alpha_coef": 0.2, "p": 0.3}}
    assert found.spec["image"] == [{"horizontal_flip": {"p": 1.0}}, blur]
    became, left = found.report
    assert became.startswith("transforms[1] GlassBlur: became albumentations/GlassBlur, a step of the plugin")
    assert left.startswith("transforms[2] TextImage: left out: augreg has no equivalent transform")
    Pipeline.from_spec(found.spec, registry())


def test_what_would_lose_an_argument_is_a_step_of_the_plugin() -> None:
    kept = node("Rotate", limit=[-20, 40], crop_border=False)
    lost = {**kept, "crop_border": True}
    assert augreg.from_albumentations(kept, registry=registry()).report == ()
    found = augreg.from_albumentations(lost, registry=registry())
    assert found.spec["image"] == [{"albumentations/Rotate": {"limit": [-20, 40], "crop_border": True, "p": 1.0}}]
    assert found.report == (
        "transform Rotate: became albumentations/Rotate, a step of the plugin: natively, crop_border=True is not "
        "kept: the image keeps its size",
    )


def test_an_argument_that_the_plugin_does_not_have_either_stays_native() -> None:
    found = augreg.from_albumentations(node("Rotate", limit=[-20, 40], novelty=3), registry=registry())
    assert "rotate" in found.spec["image"][0] and "novelty=3 is not kept" in found.report[0]
    refused = augreg.from_albumentations(node("Rotate", limit=[7, 8], crop_border=True), registry=registry())
    assert "rotate" in refused.spec["image"][0] and "crop_border=True is not kept" in refused.report[0]


def test_options_of_a_native_form_that_is_not_taken_are_not_set() -> None:
    @augreg.transform("Resize", kind="geometry")
    class Resize:
        """Stands for the step of the plugin."""

        height: int = 1
        width: int = 1
        interpolation: int = 1
        mask_interpolation: int = 0

        def sample(self, rng: Any, scene: Any) -> Any:
            return ops.resize(self.height, self.width, "bilinear", True)

    added = registry().add(Resize, "albumentations/Resize")
    other = augreg.from_albumentations(node("Resize", height=8, width=9, interpolation=7), registry=added)
    assert "albumentations/Resize" in other.spec["image"][0] and "targets" not in other.spec
    linear = augreg.from_albumentations(node("Resize", height=8, width=9), registry=added)
    assert "resize" in linear.spec["image"][0] and linear.spec["targets"] == {"nearest": "floor"}


def test_the_shears_of_version_1_are_not_those_of_the_plugin() -> None:
    @augreg.transform("Affine", kind="geometry")
    class Affine:
        """Stands for the step of the plugin."""

        scale: tuple[float, float] = (1.0, 1.0)
        shear: tuple[float, float] = (0.0, 0.0)
        interpolation: int = 1

        def sample(self, rng: Any, scene: Any) -> Any:
            return ()

    added = registry().add(Affine, "albumentations/Affine")

    def made(version: str, **arguments: Any) -> Any:
        pipeline = {"__version__": version, "transform": compose(node("Affine", scale=[1.0, 1.0], **arguments))}
        return next(iter(augreg.from_albumentations(pipeline, registry=added).spec["image"][0]))

    assert made("1.3.1", shear=[-5, 5]) == "affine"
    assert made("1.3.1", shear=[0, 0], interpolation=4) == "albumentations/Affine"
    assert made("2.0.8", shear=[-5, 5], interpolation=4) == "albumentations/Affine"


def test_replay_compose() -> None:
    found = augreg.from_albumentations({**REPLAY, "transforms": [node("HorizontalFlip")]})
    assert found.spec["image"] == [{"horizontal_flip": {"p": 1.0}}]
    assert len(found.report) == 1 and "pipe.train.plan(sample, index)" in found.report[0]
    nested = augreg.from_albumentations(compose({**REPLAY, "transforms": [node("HorizontalFlip")], "p": 0.5}))
    assert nested.spec["image"] == [{"sequential": {"steps": [{"horizontal_flip": {"p": 1.0}}], "p": 0.5}}]
    assert nested.report == ()


def test_the_targets_of_an_inner_compose() -> None:
    """They are those of the pipeline, unless the outer one has some."""
    inner = compose(node("HorizontalFlip"), bbox_params={"format": "coco", "min_area": 5})
    found = augreg.from_albumentations(compose(inner))
    assert found.spec["targets"] == {"boxes": "xywh", "min_visible": 0.0, "min_area": 5}
    assert found.report == ("transforms[0] Compose: its targets became those of the whole pipeline",)
    outer = augreg.from_albumentations(compose(inner, bbox_params={"format": "yolo"}))
    assert outer.spec["targets"] == {"boxes": "cxcywh_normalized", "min_visible": 0.0}
    assert len(outer.report) == 1 and "another Compose says what targets are" in outer.report[0]


# Lambdas


def darker(image: NDArray[np.uint8], by: int = 2, **params: Any) -> NDArray[np.uint8]:
    return image // np.uint8(by)


def needing(image: NDArray[np.uint8], cols: int) -> NDArray[np.uint8]:
    return image


def noop(value: Any, **params: Any) -> Any:
    return value


noop.__module__ = "albumentations.augmentations.pixel.functional"


def a_lambda(image: Any, **others: Any) -> Any:
    """As a Lambda of albumentations, which has no dict without a name."""
    functions = {**dict.fromkeys(("image", "mask", "keypoints", "bboxes"), noop), "image": image, **others}

    class Lambda:
        custom_apply_fns: ClassVar[dict[str, Any]] = functions
        p = 0.5

        def to_dict(self) -> dict[str, Any]:
            raise ValueError("it has no name")

    return Lambda()


class Compose:
    """As a Compose of albumentations: its dict is that of its children."""

    def __init__(self, *transforms: Any) -> None:
        self.transforms = list(transforms)

    def to_dict(self) -> dict[str, Any]:
        children = [child.to_dict()["transform"] for child in self.transforms]
        return {"__version__": "2.0.8", "transform": compose(*children)}


def test_a_lambda_is_a_call_that_the_program_has_to_allow() -> None:
    found = augreg.from_albumentations(Compose(a_lambda(darker)))
    assert found.spec["image"] == [{"call": {"function": f"{__name__}:darker", "p": 0.5}}]
    assert len(found.report) == 1 and f"allow('{__name__}:darker')" in found.report[0]
    with pytest.raises(augreg.SpecError, match="only call functions that the program allows"):
        Pipeline.from_spec(found.spec)
    pipe = Pipeline.from_spec(found.spec, Registry.installed().allow(darker))
    results = {int(pipe.train(np.full((4, 4, 3), 200, np.uint8), index=index)[0, 0, 0]) for index in range(20)}
    assert results == {100, 200}


def test_a_partial_keeps_its_arguments() -> None:
    (step,) = augreg.from_albumentations(a_lambda(functools.partial(darker, by=4))).spec["image"]
    assert step["call"]["arguments"] == {"by": 4}


def test_a_dict_has_the_name_of_a_lambda() -> None:
    data = compose({"__class_fullname__": "Lambda", "__name__": "half"})
    assert "nonserializable={'half': the Lambda}" in augreg.from_albumentations(data).report[0]
    found = augreg.from_albumentations(data, nonserializable={"half": a_lambda(darker)})
    assert found.spec["image"] == [{"call": {"function": f"{__name__}:darker", "p": 0.5}}]


def test_lambdas_that_cannot_be_called() -> None:
    for function, said in ((lambda image: image, "cannot be imported by name"), (needing, "needs cols")):
        found = augreg.from_albumentations(a_lambda(function))
        assert found.spec["image"] == [] and said in found.report[0]
    masks = augreg.from_albumentations(a_lambda(noop, mask=darker))
    assert masks.spec["image"] == [] and "only mask" in masks.report[0]
    assert augreg.from_albumentations(a_lambda(noop)) == ({"version": 1, "image": []}, ())


def test_a_lambda_that_also_changes_masks_refuses_samples_with_masks() -> None:
    """Else the masks would no longer match, in silence."""
    found = augreg.from_albumentations(a_lambda(darker, mask=darker))
    assert any("mask are not kept" in line for line in found.report)
    pipe = Pipeline.from_spec({**found.spec, "seed": 0}, Registry.installed().allow(darker))
    sample = {"image": np.zeros((4, 4, 3), np.uint8), "mask": np.zeros((4, 4), np.uint8)}
    with pytest.raises(augreg.ImageError, match="does not say where masks go"):
        for index in range(20):
            pipe.train(sample, index=index)


def test_a_transform_of_the_users_own_is_left_out_and_the_others_stay() -> None:
    class Own:
        def to_dict(self) -> dict[str, Any]:
            raise NotImplementedError("no arguments are known")

    found = augreg.from_albumentations(Compose(Own(), a_lambda(darker)))
    assert len(found.spec["image"]) == 1
    assert found.report[0] == (
        "transforms[0]: left out: Own: it is no transform of albumentations, and has no dict: no arguments are known"
    )


# Values


@pytest.mark.parametrize(
    ("arguments", "mean", "std", "said"),
    [
        ({"max_pixel_value": 255.0, "mean": [0.5] * 3, "std": [0.25] * 3}, 0.5, 0.25, ""),
        ({"max_pixel_value": 1.0, "mean": [51.0] * 3, "std": [102.0] * 3}, 0.2, 0.4, ""),
        ({"max_pixel_value": 510.0, "mean": [0.1] * 3, "std": [0.2] * 3}, 0.2, 0.4, ""),
        ({"max_pixel_value": 1.0, "mean": [0.5] * 3, "std": [0.25] * 3}, 0.5, 0.25, "floats from 0 to 1"),
        ({"max_pixel_value": 65535.0, "mean": [0.5] * 3, "std": [0.25] * 3}, 0.5, 0.25, "16 bits"),
    ],
)  # fmt: skip
def test_max_pixel_value(arguments: dict[str, Any], mean: float, std: float, said: str) -> None:
    """Theirs is (x - mean * white) / (std * white), and x is 255 times ours."""
    found = augreg.from_albumentations(compose(node("Normalize", **arguments), node("ToTensorV2")))
    assert found.spec["image"] == [{"normalize": {"mean": [mean] * 3, "std": [std] * 3}}]
    assert len(found.report) == bool(said) and said in "".join(found.report)


def test_max_pixel_value_behind_to_float() -> None:
    """Floats end at 1 there: (x - 0.001 * 255) / (0.002 * 255)."""
    normalize = node("Normalize", mean=[0.001] * 3, std=[0.002] * 3, max_pixel_value=255.0)
    found = augreg.from_albumentations(compose(node("ToFloat"), normalize, node("ToTensorV2")))
    assert found.spec["image"] == [{"normalize": {"mean": [0.255] * 3, "std": [0.51] * 3}}] and found.report == ()


def test_floats_stay_height_x_width_x_channels_without_to_tensor() -> None:
    normalize = node("Normalize", mean=[0.5] * 3, std=[0.25] * 3)
    arrays = augreg.from_albumentations(compose(normalize))
    assert arrays.report == ()
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    made = Pipeline.from_spec(arrays.spec).train(image, index=0)
    assert np.allclose(made, (image / 255 - 0.5) / 0.25, atol=1e-6)
    for steps, layout in (
        ((normalize, node("ToTensorV2")), None), ((node("ToFloat"),), "hwc"), ((node("HorizontalFlip"),), None),
    ):  # fmt: skip
        found = augreg.from_albumentations(compose(*steps))
        assert found.report == () and found.spec.get("layout") == layout


def test_floats_that_become_bytes_again() -> None:
    flip, floats = node("HorizontalFlip"), node("ToFloat", max_value=None)
    back = augreg.from_albumentations(compose(floats, flip, node("FromFloat", dtype="uint8", max_value=255.0)))
    assert back == ({"version": 1, "image": [{"horizontal_flip": {"p": 1.0}}]}, ())
    stays = augreg.from_albumentations(compose(floats, flip))
    assert stays.spec["image"] == [{"horizontal_flip": {"p": 1.0}}, {"normalize": {"mean": 0.0, "std": 1.0}}]
    alone = augreg.from_albumentations(compose(node("FromFloat", dtype="uint8", max_value=None)))
    assert "only images that ToFloat made" in alone.report[0]


def test_a_size_by_chance_is_off_at_test_time() -> None:
    """Theirs is valid, and a spec says what the test image is; a later resize makes that superfluous."""
    crop, flip = node("RandomCrop", height=4, width=4, p=0.5), node("HorizontalFlip")
    found = augreg.from_albumentations(compose(flip, crop, flip))
    assert [step.get("random_crop", {}).get("test") for step in found.spec["image"]] == [None, "off", None]
    assert any("`test: off` was added" in line for line in found.report)
    pipe = Pipeline.from_spec(found.spec)
    assert pipe.test(np.zeros((6, 7, 3), np.uint8)).shape == (6, 7, 3)
    shapes = {pipe.train(np.zeros((6, 7, 3), np.uint8), index=index).shape for index in range(20)}
    assert shapes == {(6, 7, 3), (4, 4, 3)}
    resized = augreg.from_albumentations(compose(crop, node("Resize", height=5, width=5)))
    assert "test" not in resized.spec["image"][0]["random_crop"] and len(resized.report) == 1


# Targets


def test_targets_under_names_of_ones_own() -> None:
    names = {"parts": "bboxes", "joints": "keypoints", "map_gt": "mask", "right": "image", "mask2": "mask"}
    found = augreg.from_albumentations(
        compose(node("HorizontalFlip"), bbox_params={"format": "coco"}, additional_targets=names)
    )
    keys = {"parts": "boxes", "joints": "keypoints", "map_gt": "mask", "right": "image"}
    assert found.report == () and found.spec["targets"]["keys"] == keys
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    sample = {
        "image": image, "right": image + 1, "map_gt": image[..., 0], "boxes": [[0, 0, 1, 2]],
        "parts": np.array([[1.0, 1.0, 2.0, 1.0]]), "joints": [[0.5, 3.0]],
    }  # fmt: skip
    done = Pipeline.from_spec(found.spec).train(sample, index=0)
    assert done["boxes"] == [[3, 0, 1, 2]]
    assert done["parts"].tolist() == [[1.0, 1.0, 2.0, 1.0]]
    assert done["joints"] == [[3.5, 3.0]]
    assert np.array_equal(done["map_gt"], image[:, ::-1, 0]) and np.array_equal(done["right"], image[:, ::-1] + 1)


def test_names_of_keypoints_under_a_key_of_ones_own_are_swapped() -> None:
    """In a mirrored image of 10 columns, the left hand at 2 is the right one at 8."""
    targets = {"keys": {"joints": "keypoints"}, "swap": {"left": "right"}}
    pipe = Pipeline.from_spec({"targets": targets, "image": [{"horizontal_flip": {"p": 1}}]})
    sample = {"image": np.zeros((4, 10, 3), np.uint8), "joints": {"left": (2, 1), "right": (9, 3)}}
    assert pipe.train(sample, index=0)["joints"] == {"left": (1, 3), "right": (8, 1)}


def test_small_boxes_are_dropped_with_all_their_labels() -> None:
    """Of a crop of the left 10 columns: boxes of 10 x 4, 2 x 8, 10 x 1 and 4 x 5 pixels."""
    params = {
        "format": "pascal_voc",
        "label_fields": ["kind", "crowd"],
        "min_area": 16,
        "min_width": 3,
        "min_height": 2,
    }
    crop = node("Crop", x_min=0, y_min=0, x_max=10, y_max=20)
    found = augreg.from_albumentations(compose(crop, bbox_params=params))
    boxes = [[0, 0, 12, 4], [8, 0, 18, 8], [0, 10, 10, 11], [3, 12, 7, 17]]
    sample = {"image": np.zeros((20, 20, 3), np.uint8), "boxes": boxes, "kind": list("abcd"), "crowd": [1, 2, 3, 4]}
    done = Pipeline.from_spec(found.spec).train(sample, index=0)
    assert done["boxes"] == [[0, 0, 10, 4], [3, 12, 7, 17]]
    assert done["kind"] == ["a", "d"] and done["crowd"] == [1, 4]
    spec = {"targets": {"boxes": "xyxy", "min_visible": 0.0}, "image": []}
    for option, left in (("min_area", 3), ("min_width", 3), ("min_height", 3)):
        limit = {"min_area": 11, "min_width": 3, "min_height": 2}[option]
        pipe = Pipeline.from_spec({**spec, "targets": {**spec["targets"], option: limit}})  # type: ignore[dict-item]
        four = [[0, 0, 10, 4], [8, 0, 10, 8], [0, 10, 10, 11], [3, 12, 7, 17]]
        assert len(pipe.train({**sample, "boxes": four}, index=0)["boxes"]) == left
        assert Pipeline.from_spec(pipe.to_spec()) == pipe


def test_labels_of_keypoints() -> None:
    """The crop has the second of three points, and the second entry under each key."""
    crop = {"__class_fullname__": "Crop", "x_min": 10, "y_min": 0, "x_max": 20, "y_max": 20, "p": 1.0}
    sample = {"image": np.zeros((20, 30, 3), np.uint8), "keypoints": [[5, 5], [15, 5], [25, 5]]}
    for labels in (["parts", "sides"], ["labels"], ["keypoint_names"]):
        found = augreg.from_albumentations(compose(crop, keypoint_params={"format": "xy", "label_fields": labels}))
        assert not any("label_fields" in line for line in found.report)
        done = Pipeline.from_spec(found.spec).train({**sample, **{key: ["a", "b", "c"] for key in labels}}, index=0)
        assert done["keypoints"] == [[5, 5]] and all(done[key] == ["b"] for key in labels)


def test_labels_of_boxes_and_keypoints_under_one_key() -> None:
    boxes = {"format": "pascal_voc", "label_fields": ["names"]}
    points = {"format": "xy", "label_fields": ["names", "parts"]}
    found = augreg.from_albumentations(compose(bbox_params=boxes, keypoint_params=points))
    assert any("label_fields=['names'] are those of boxes too" in line for line in found.report)
    assert found.spec["targets"]["keypoint_labels"] == ["parts"] and found.spec["targets"]["labels"] == ["names"]
