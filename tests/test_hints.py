"""Errors of specs carry on to the line that works: each suggestion is taken out of the message and used."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import yaml

from augreg import Pipeline, Registry, SpecError
from augreg.__main__ import main
from augreg.commands.console import USAGE
from augreg.importers import albumentations_steps, torchvision, torchvision_steps
from augreg.steps.other_names import step


def problem(spec: Any) -> str:
    """The first problem of a spec."""
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    return str(caught.value.problems[0])


def image(step: Any) -> dict[str, Any]:
    return {"image": [step]}


# the argument that is wrong, the value given, and the value that is suggested, worked out by hand
VALUES = [
    ("normalize", "mean", [123.675, 116.28, 103.53], [0.485, 0.456, 0.406]),
    ("normalize", "std", [58.395, 57.12, 57.375], [0.229, 0.224, 0.225]),
    ("normalize", "mean", 127.5, 0.5),
    ("horizontal_flip", "p", 50, 0.5),
    ("horizontal_flip", "p", "0.5", 0.5),
    ("horizontal_flip", "p", "50%", 0.5),
    ("center_crop", "size", "224", 224),
    ("center_crop", "size", 224.0, 224),
    ("center_crop", "size", [224], 224),
    ("center_crop", "size", "224x192", [224, 192]),
    ("center_crop", "size", [3, 224, 192], [224, 192]),
    ("resize", "shorter", "256", 256),
    ("rotate", "degrees", "30", 30),
    ("rotate", "degrees", "-10, 20", [-10, 20]),
    ("rotate", "degrees", [30, -30], [-30, 30]),
    ("gaussian_blur", "sigma", ["0.1", "2"], [0.1, 2]),
    ("gaussian_noise", "std", [25.5, 51], [0.1, 0.2]),
    ("hue", "shift", [-18, 36], [-0.05, 0.1]),
    ("random_resized_crop", "scale", [8, 100], [0.08, 1.0]),
    ("random_erasing", "area", [2, 33], [0.02, 0.33]),
    ("affine", "translate", [10, 20], [0.1, 0.2]),
    ("pad", "padding", [1, 2], [2, 2, 1, 1]),  # torchvision's (left and right, top and bottom)
    ("cutout", "size", [16, 16], 16),
    ("resize", "interpolation", "BICUBIC", "bicubic"),
    ("resize", "interpolation", "InterpolationMode.NEAREST", "nearest"),
    ("pad", "mode", "reflect_101", "reflect"),
    ("pad", "mode", "replicate", "edge"),
]
REQUIRED: dict[str, dict[str, Any]] = {
    "random_resized_crop": {"size": 224}, "resize": {"size": 224}, "pad": {"padding": 4},
}  # fmt: skip


@pytest.mark.parametrize(("name", "key", "wrong", "right"), VALUES, ids=str)
def test_a_value_in_another_form(name: str, key: str, wrong: Any, right: Any) -> None:
    others = {other: value for other, value in REQUIRED.get(name, {}).items() if (name, key) != ("resize", "shorter")}
    message = problem(image({name: {**others, key: wrong}}))
    suggested = re.search(r"; did you mean (.*)\?", message)
    assert suggested is not None, message
    found = yaml.safe_load(suggested[1])
    assert found == right, message
    Pipeline.from_spec(image({name: {**others, key: found}}))


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("resize", [224, 192], {"size": [224, 192]}),
        ("resize", [224, 224], {"size": [224, 224]}),
        ("resize", "224x192", {"size": [224, 192]}),
        ("horizontal_flip", 0.5, {"p": 0.5}),
        ("color_jitter", [0.4, 0.3, 0.2, 0.1], {"brightness": 0.4, "contrast": 0.3, "saturation": 0.2, "hue": 0.1}),
        ("rand_augment", [2, 9], {"n": 2, "m": 9}),
        ("normalize", [[0.5, 0.4, 0.3], [0.2, 0.1, 0.1]], {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.1, 0.1]}),
        ("dropout", 0.5, {"at": "features.**", "p": 0.5}),
        ("stochastic_depth", 0.9, {"at": "blocks.*", "survival": 0.9}),
    ],
    ids=str,
)
def test_a_value_of_another_argument(name: str, value: Any, right: dict[str, Any]) -> None:
    section = "model" if "at" in right else "image"
    suggested = re.search(r"; did you mean (\{.*\})", problem({section: [{name: value}]}))
    assert suggested is not None and yaml.safe_load(suggested[1]) == right
    Pipeline.from_spec({section: [{name: right}]})


@pytest.mark.parametrize(
    ("section", "step", "right"),
    [
        ("image", {"dropout": 0.5}, {"model": [{"dropout": {"at": "features.**", "p": 0.5}}]}),
        ("image", {"mixup": 0.2}, {"batch": [{"mixup": 0.2}]}),
        ("image", {"label_smoothing": {"smoothing": 0.2}}, {"loss": [{"label_smoothing": {"smoothing": 0.2}}]}),
        ("model", {"horizontal_flip": 0.5}, {"image": [{"horizontal_flip": {"p": 0.5}}]}),
        ("batch", "horizontal_flip", {"image": ["horizontal_flip"]}),
        ("loss", "stochastic_depth", {"model": [{"stochastic_depth": {"at": "blocks.*", "survival": 0.8}}]}),
    ],
    ids=str,
)
def test_a_step_in_the_wrong_section(section: str, step: Any, right: dict[str, Any]) -> None:
    suggested = re.search(r", as in (\{.*\})", problem({section: [step]}))
    assert suggested is not None and yaml.safe_load(suggested[1]) == right
    Pipeline.from_spec(right)


@pytest.mark.parametrize(
    ("spec", "right"),
    [
        ({"image": {"rotate": 10, "invert": None}}, [{"rotate": 10}, "invert"]),
        ({"image": "rotate"}, ["rotate"]),
        ({"batch": {"mixup": 0.2}}, [{"mixup": 0.2}]),
        ({"image": [{"one_of": {"rotate": 10, "invert": None}}]}, [{"rotate": 10}, "invert"]),
        ({"image": [{"one_of": {"steps": {"rotate": 10}}}]}, [{"rotate": 10}]),
        ({"image": [{"type": "rotate", "degrees": 10}]}, {"rotate": {"degrees": 10}}),
        ({"image": [{"name": "rotate", "p": 0.5}]}, {"rotate": {"p": 0.5}}),
        ({"rotate": 10}, {"image": [{"rotate": 10}]}),
        ({"mixup": None}, {"batch": ["mixup"]}),
    ],
    ids=str,
)
def test_steps_in_another_form(spec: Any, right: Any) -> None:
    suggested = re.search(r"did you mean ([\[{].*[\]}])\?", problem(spec))
    assert suggested is not None and yaml.safe_load(suggested[1]) == right


def test_two_steps_in_one_item() -> None:
    message = problem(image({"resize": 256, "center_crop": 224}))
    assert message.endswith("every step is an item of its own: [{resize: 256}, {center_crop: 224}]")
    assert problem(image({"rotate": 5, "p": 0.5})).endswith("indent the arguments below the name")


NAMES = [*torchvision.TRANSLATORS, *torchvision_steps.UNSUPPORTED, *albumentations_steps.STEP_TRANSLATORS,
         *albumentations_steps.UNSUPPORTED]  # fmt: skip
PYTORCH = ["Dropout", "Dropout2d", "AlphaDropout", "DropPath", "LabelSmoothing", "L2", "weight_decay", "CrossEntropy"]
MISSPELT = [
    "hflip",
    "Flip",
    "RandomRotate",
    "colour_jitter",
    "greyscale",
    "normalise",
    "crop",
    "zoom",
    "mix_up",
    "A.Blur",
]
WITHOUT_STEP = ("no step ", "every step takes", "for your own code", "set `channels", "center_crop and random_crop",
                "weight decay is", "pipe.criterion()")  # fmt: skip


@pytest.mark.parametrize("name", [*dict.fromkeys(NAMES), *PYTORCH, *MISSPELT, "ToTensorV2", "v2.ToDtype", "_target_"])
def test_a_name_of_another_library(name: str) -> None:
    """The message names steps that exist, or says that no step is needed."""
    registry = Registry.installed()
    hint = registry.unknown(name).partition("; ")[2]
    named = re.findall(r"'(\w+)'", hint.partition("section")[0])
    assert hint.startswith(("did you mean", *WITHOUT_STEP)) or "such as `rotate" in hint, hint
    assert all(other in registry for other in named), hint
    assert named or not hint.startswith("did you mean")


def test_the_step_of_a_name_is_that_of_the_importer() -> None:
    """Those that are not found by their spelling, compared with what the importers make of them."""
    for name, wanted in {
        "ElasticTransform": "elastic", "RandomRotation": "rotate", "CoarseDropout": "holes", "ToGray": "grayscale",
        "HueSaturationValue": "hsv_shift", "SmallestMaxSize": "resize", "ImageCompression": "jpeg",
        "InvertImg": "invert", "RandomRotate90": "rot90", "SquareSymmetry": "d4", "ShiftScaleRotate": "affine",
        "RandomChoice": "one_of",
        "Erasing": "random_erasing", "RandomChannelPermutation": "channel_shuffle", "ChannelDropout": "channel_drop",
    }.items():  # fmt: skip
        assert wanted in step(name), name
    assert step("rotate", ["rotate"]) == "" and step("RandomCrop", ["random_crop"]) == ""
    assert "timm_policy: {policy: rand-m9-inc1}" in step("rand-m9-inc1") and step("x" * 100_000) == ""


@pytest.mark.parametrize(
    ("name", "key", "ours"),
    [
        ("horizontal_flip", "prob", "'p'"), ("horizontal_flip", "probability", "'p'"),
        ("rotate", "limit", "'degrees'"),
        ("rotate", "angle", "'degrees'"), ("center_crop", "height", "'size'"), ("pad", "padding_mode", "'mode'"),
        ("gaussian_blur", "kernel_size", "'sigma'"), ("rand_augment", "num_ops", "'n'"),
        ("cutout", "length", "'size'"),
        ("rand_augment", "magnitude", "'m'"), ("random_erasing", "scale", "'area'"), ("cutout", "n_holes", "'holes'"),
        ("affine", "shear", "'shear_x' and 'shear_y'"), ("one_of", "transforms", "'steps'"),
        ("gaussian_noise", "var_limit", "'std'"), ("longest_max_size", "max_size", "'longer'"),
        ("perspective", "distortion_scale", "'distortion'"), ("some_of", "n", "'count'"),
    ],
)  # fmt: skip
def test_an_argument_of_another_library(name: str, key: str, ours: str) -> None:
    steps: dict[str, Any] = {"steps": ["rotate"]} if name in ("one_of", "some_of") else {}
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(image({name: {**steps, key: 1}}))
    assert any(f"no field {key!r}; did you mean {ours}" in str(one) for one in caught.value.problems), caught.value


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"transforms": ["rotate"]}, "did you mean 'image'?"),
        ({"train": ["rotate"], "test": []}, "pipe.train and pipe.test"),
        ({"criterion": []}, "did you mean 'loss'?"),
        ({"image": [], "p": 0.5}, "every step has its own p"),
        ({"image": [], "bbox_params": {}}, "did you mean 'targets'?"),
        ({"image": [], "Seed": 3}, "did you mean 'seed'?"),
        ({"image": [], "backend": "PIL"}, "did you mean 'pillow'?"),
        ({"image": [], "output": "pt"}, "did you mean 'torch'?"),
        ({"image": [], "targets": {"boxes": "coco"}}, "did you mean 'xywh'?"),
        ({"image": [], "targets": {"boxes": "yolo"}}, "did you mean 'cxcywh_normalized'?"),
        ({"image": [], "targets": {"swap": ["left", "right"]}}, "did you mean {left: right}?"),
        (image({"rotate": -30}), "give 30, or [-30, -30] for this amount alone"),
        (image({"brightness": -0.2}), "give 0.2"),
        (image({"rotate": {"fill": "white"}}), "white 255"),
        (image({"resize": {"size": 8, "interpolation": 3}}), "expected nearest, nearest_floor, bilinear, bicubic, "),
        (image({"mixup": {"num_classes": 10}}), "belongs in 'batch'"),
        ({"batch": [{"mixup": {"num_classes": 10}}]}, "the spec has `classes` for it"),
        ({"model": [{"stochastic_depth": {"at": "*", "drop_prob": 0.1}}]}, "'survival', the probability of"),
        ({"model": [{"dropout": {"p": 0.5}}]}, "needs 'at', such as {at: features.**}"),
        ({"loss": ["cross_entropy"]}, "pipe.criterion() is cross-entropy already"),
        ("rotate", "[rotate]"),
        (image(len), "write a transform"),
        (Pipeline(["rotate"]), "pipe.replace"),
    ],
    ids=str,
)  # fmt: skip
def test_what_to_write_instead(spec: Any, text: str) -> None:
    assert text in problem(spec)


def test_nothing_is_suggested_that_does_not_work() -> None:
    for value in (True, [1, 2, 3, 4, 5], "often", [None], {"a": 1}, 1e300, "9" * 10_000, [[1]] * 5):
        assert "did you mean" not in problem(image({"rotate": {"degrees": value}})), value
    assert "did you mean" not in problem(image({"horizontal_flip": 3}))


def test_large_values_cost_no_more_than_before() -> None:
    """Nobody reads a suggestion of thousands of values; making it would take long."""
    large = [1] * 30_000
    specs: list[Any] = [
        {"rotate": large},
        {"image": {"rotate": large}},
        image({"mixup": large}),
        image({"resize": large}),
    ]
    for spec in (*specs, image({"a" * 200_000: 1}), image({"type": "rotate", "degrees": large})):
        start = time.process_time()
        assert len(problem(spec)) < 300
        assert time.process_time() - start < 1


def test_std_beside_a_mean_in_numbers(recwarn: pytest.WarningsRecorder) -> None:
    """Such a spec stays as it is; `explain` says that the scale does, too."""
    alone, both = Pipeline([{"normalize": [0.485, 0.456, 0.406]}]), Pipeline([{"normalize": "imagenet"}])
    assert alone.to_spec()["image"][0]["normalize"]["std"] == [1.0]
    assert "since std is 1; `normalize: imagenet` has both" in alone.test.explain()
    assert "since std is 1; give std too" in Pipeline([{"sequential": [{"normalize": 0.3}]}]).test.explain()
    for pipe in (
        both,
        Pipeline([{"normalize": {"mean": 0.3, "std": 0.2}}]),
        Pipeline([{"normalize": {"mean": 0.0}}]),
    ):
        assert "std is 1" not in pipe.test.explain()
    assert not recwarn.list


@pytest.mark.parametrize(
    ("wrong", "right"),
    [(["lst"], "list"), (["aply", "a"], "apply"), (["apply", "--format", "jpeg", "a", "b", "c"], "jpg")],
)
def test_a_misspelt_command(wrong: list[str], right: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(wrong)
    assert done.value.code == USAGE and f"; did you mean {right!r}?\n" in capsys.readouterr().err
