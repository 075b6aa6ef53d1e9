"""What people pass to from_torchvision and from_timm besides transforms: weights, functions, objects with a pipeline.

Small classes and functions with the names and modules of torchvision's replace them; tests/clients has the real ones.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from typing import Any

import pytest

import augreg


def make(name: str, /, **attributes: Any) -> Any:
    """An object of a class of this name, with these attributes."""
    made = type(name, (), {})()
    vars(made).update(attributes)
    return made


def theirs(name: str) -> Callable[..., Any]:
    """A function as those of torchvision.transforms.functional."""

    def function(image: Any, *arguments: Any, **more: Any) -> None:
        raise AssertionError("an importer runs no transform")

    function.__name__, function.__module__ = name, "torchvision.transforms.functional"
    return function


FLIP = make("RandomHorizontalFlip", p=0.3)
COMPOSE = make("Compose", transforms=[FLIP])
FLIPPED = [{"horizontal_flip": {"p": 0.3}}]


class ImageClassification:
    """With the attributes of torchvision's."""

    def __init__(self, *, crop_size: int, resize_size: int = 256) -> None:
        self.crop_size, self.resize_size = [crop_size], [resize_size]
        self.mean, self.std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
        self.interpolation, self.antialias = "bicubic", True


class OpticalFlow:
    pass


class Weights(enum.Enum):
    """As the weights of a model: members whose value has `transforms`, a partial or a class."""

    V1 = functools.partial(ImageClassification, crop_size=224, resize_size=232)
    FLOW = functools.partial(OpticalFlow)

    @property
    def transforms(self) -> Any:
        return self.value


CLASSIFICATION = [
    {"resize": {"shorter": 232, "interpolation": "bicubic"}},
    {"center_crop": {"size": [224, 224]}},
    {"normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}},
]


@pytest.mark.parametrize("given", [Weights.V1, Weights.V1.transforms, Weights.V1.transforms()])
def test_weights_and_their_transforms(given: Any) -> None:
    imported = augreg.from_torchvision(given)
    assert imported.spec == {"version": 1, "backend": "pillow", "output": "torch", "image": CLASSIFICATION}
    assert imported.report == ()


def test_other_presets() -> None:
    values = {"mean": [0.5], "std": [0.25], "interpolation": "bilinear", "antialias": True}
    normalize = {"normalize": {"mean": [0.5], "std": [0.25]}}
    whole = augreg.from_torchvision(make("SemanticSegmentation", resize_size=None, **values))
    assert whole.spec["image"] == [normalize]
    resized = augreg.from_torchvision(make("SemanticSegmentation", resize_size=[520], **values))
    assert resized.spec["image"] == [{"resize": {"shorter": 520, "interpolation": "bilinear"}}, normalize]
    assert augreg.from_torchvision(make("ObjectDetection")).spec["image"] == [
        {"normalize": {"mean": 0.0, "std": 1.0}}
    ]
    flow = augreg.from_torchvision(Weights.FLOW)
    assert flow.spec["image"] == [{"normalize": {"mean": [0.5], "std": [0.5]}}]
    assert "it takes two images" in flow.report[0]
    video = augreg.from_torchvision(make("VideoClassification", crop_size=[112, 112]))
    assert video.spec["image"] == []
    assert "VideoClassification: left out: it takes a clip of frames" in video.report[0]


def test_functions_stand_for_the_transforms_that_do_the_same() -> None:
    """What they do is not random, so it is done in evaluation too."""
    imported = augreg.from_torchvision([
        theirs("hflip"), functools.partial(theirs("resize"), size=[40], max_size=50, interpolation="bicubic"),
        functools.partial(theirs("center_crop"), output_size=[30, 20]), make("Lambda", lambd=theirs("invert")),
        functools.partial(theirs("posterize"), bits=3), theirs("rgb_to_grayscale"), theirs("to_tensor"),
        functools.partial(theirs("normalize"), mean=[0.5], std=[0.5]),
    ])  # fmt: skip
    assert imported.spec["image"] == [
        {"horizontal_flip": {"p": 1.0}},
        {"resize_within": {"shorter": 40, "longer": 50, "interpolation": "bicubic"}},
        {"center_crop": {"size": [30, 20]}},
        {"invert": {"p": 1.0}},
        {"posterize": {"bits": [3, 3], "p": 1.0}},
        "grayscale",
        {"normalize": {"mean": [0.5], "std": [0.5]}},
    ]
    assert imported.report == (
        "transforms[5] Grayscale: num_output_channels=1 became `channels: gray`: images are gray before the first "
        "step, and pixels may differ by 1 after a resize; an array of 3 channels keeps 3",
    )
    assert imported.spec["channels"] == "gray"
    augreg.Pipeline.from_spec(imported.spec)


def test_functions_with_fixed_values() -> None:
    imported = augreg.from_torchvision([
        functools.partial(theirs("rotate"), angle=17, interpolation="bilinear", fill=[1, 2, 3]),
        functools.partial(theirs("adjust_brightness"), brightness_factor=1.5),
        functools.partial(theirs("adjust_contrast"), contrast_factor=0.5),
        functools.partial(theirs("adjust_saturation"), saturation_factor=2.0),
        functools.partial(theirs("adjust_hue"), hue_factor=-0.1), functools.partial(theirs("jpeg"), quality=30),
        functools.partial(theirs("adjust_gamma"), gamma=1.5),
    ])  # fmt: skip
    assert imported.spec["image"] == [
        {"rotate": {"degrees": [17, 17], "interpolation": "bilinear", "fill": [1.0, 2.0, 3.0]}},
        {"color_jitter": {"brightness": [1.5, 1.5]}},
        {"color_jitter": {"contrast": [0.5, 0.5]}},
        {"color_jitter": {"saturation": [2.0, 2.0]}},
        {"color_jitter": {"hue": [-0.1, -0.1]}},
        {"jpeg": {"quality": [30, 30]}},
        {"gamma": {"gamma": [1.5, 1.5]}},
    ]
    assert imported.report == ("transforms[6] adjust_gamma: values may differ by 1: torchvision rounds them down",)
    planned = str(augreg.Pipeline.from_spec(imported.spec).test.plan((32, 32)))
    assert "rotate" in planned


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crop", "augreg has no fixed crop; RandomCrop draws its values"),
        ("resized_crop", "augreg has no fixed resized_crop; RandomResizedCrop draws its values"),
        ("gaussian_blur", "augreg has no fixed gaussian_blur; GaussianBlur draws its values"),
        ("five_crop", "augreg has no equivalent transform"),
    ],
)
def test_functions_that_no_step_does(name: str, said: str) -> None:
    assert augreg.from_torchvision([theirs(name)]).report == (
        f"transforms[0]: left out: the function `{name}` of torchvision: {said}",
    )


CUT, MIX = make("CutMix", alpha=1.0, num_classes=10), make("MixUp", alpha=0.2, num_classes=10)
CUT_STEP = {"cutmix": {"alpha": 1.0, "pairing": "roll"}}
MIX_STEP = {"mixup": {"alpha": 0.2, "pairing": "roll"}}


@pytest.mark.parametrize(
    ("given", "batch"),
    [
        (CUT, [CUT_STEP]),
        ([FLIP, MIX, CUT], [MIX_STEP, CUT_STEP]),
        (
            make("RandomChoice", transforms=[CUT, MIX], p=[0.3, 0.7]),
            [{"one_of": {"steps": [CUT_STEP, MIX_STEP], "weights": [0.3, 0.7]}}],
        ),
        ([make("RandomApply", transforms=[MIX], p=0.4)], [{"mixup": {**MIX_STEP["mixup"], "p": 0.4}}]),
    ],
)
def test_what_mixes_a_batch_is_in_the_section_batch(given: Any, batch: Any) -> None:
    """Their partner is the previous image (`roll(1, 0)`)."""
    imported = augreg.from_torchvision(given)
    image = {"image": FLIPPED} if isinstance(given, list) and FLIP in given else {}
    assert imported.spec == {"version": 1, "backend": "pillow", "classes": 10, **image, "batch": batch}
    assert imported.report == ()
    augreg.Pipeline.from_spec(imported.spec)


def test_a_mix_beside_transforms_of_images_is_left_out() -> None:
    imported = augreg.from_torchvision(make("RandomChoice", transforms=[CUT, make("Unheard")]))
    assert imported.spec["image"] == []  # no choice between steps that do nothing
    assert imported.report[0] == (
        "transforms[0] CutMix: left out: it mixes the images of a batch; import it by itself, for the section `batch`"
    ).replace("transforms[0]", "transforms[0].transforms[0]")
    other = augreg.from_torchvision([CUT, make("MixUp", alpha=1.0, num_classes=3)])
    assert other.report == ("transforms[1] MixUp: num_classes=3 is not kept: classes is 10",)


def own(image: Any) -> Any:
    return image


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (own, "transforms[1]: left out: the function `own` is arbitrary code; write your own transform for it"),
        (lambda image: image, "a lambda is arbitrary code"),
        (make("Lambda", lambd=lambda image: image), "transforms[1] Lambda: left out: a lambda is arbitrary code"),
        (COMPOSE.__init__, "left out: "),
        (functools.partial(own, strength=3), "the function `own` is arbitrary code"),
        (functools.partial(functools.partial), "functools.partial(partial) cannot be called"),
        (theirs("affine"), "the function `affine` of torchvision: augreg has no fixed affine; RandomAffine draws"),
        (theirs("rotate"), "the function `rotate` needs angle: functools.partial(rotate, angle=..)"),
        (functools.partial(theirs("resize"), 9), "the first positional argument is the image; give arguments by"),
        (ImageClassification, "ImageClassification is a class; pass an object of it, ImageClassification(..)"),
        (None, "expected a transform, got NoneType"),
    ],
)
def test_what_is_no_transform_is_refused_with_what_to_do(given: Any, said: str) -> None:
    for imported in (augreg.from_torchvision([FLIP, given]), augreg.from_timm([FLIP, given])):
        assert imported.spec["image"] == FLIPPED
        (line,) = imported.report
        assert line.startswith("transforms[1]")
        assert said in line


@pytest.mark.parametrize("function", [augreg.from_torchvision, augreg.from_timm])
@pytest.mark.parametrize("given", [7, "resnet50", 0.5])
def test_what_can_be_no_pipeline_is_an_error(function: Any, given: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a transform of .*got "):
        function(given)


@pytest.mark.parametrize("function", [augreg.from_torchvision, augreg.from_timm])
def test_an_object_that_holds_a_pipeline(function: Any) -> None:
    """Under any name, as an attribute or a submodule; a class of torchvision's reference scripts without a word."""
    reference = function(make("ClassificationPresetTrain", transforms=COMPOSE))
    assert reference.spec["image"] == FLIPPED
    assert reference.report == ()
    for mine in (make("Mine", augment=COMPOSE), make("Mine", _modules={"augment": COMPOSE}, training=True)):
        imported = function([mine])
        assert imported.spec["image"] == FLIPPED
        assert imported.report == (
            "transforms[0] Mine: only the pipeline in its attribute `augment` is read, not what its own code does",
        )
    inner = function(make("Mine", augment=make("Compose", transforms=[make("Unheard")])))
    assert "transforms[0].augment.transforms[0] Unheard: left out" in inner.report[1]


def test_an_object_with_several_pipelines_or_a_plain_list_is_not_guessed_at() -> None:
    two = augreg.from_torchvision(make("MultiCrop", large=COMPOSE, small=COMPOSE))
    assert two.spec["image"] == []
    assert two.report == (
        "transforms[0] MultiCrop: left out: it holds 2 pipelines; import one of them: .large, .small",
    )
    either = augreg.from_torchvision(make("PickOne", transforms=[FLIP, FLIP]))  # its code may draw one of them
    assert either.report == ("transforms[0] PickOne: left out: augreg has no equivalent transform",)


def test_a_module_list_is_a_list() -> None:
    modules = make("ModuleList", _modules={"0": FLIP, "1": FLIP}, training=True)
    applied = make("RandomApply", _modules={"transforms": modules}, p=0.2, training=True)
    assert augreg.from_torchvision(applied).spec["image"] == [{"sequential": {"steps": FLIPPED * 2, "p": 0.2}}]


def test_evaluation_is_that_of_pillow_whatever_is_installed() -> None:
    for imported in (augreg.from_torchvision(COMPOSE), augreg.from_timm(COMPOSE), augreg.from_timm(input_size=32)):
        pipe = augreg.Pipeline.from_spec(imported.spec)
        assert pipe.to_spec()["backend"] == "pillow"
