"""Pipelines of other libraries as specs: what they say, and that nothing is lost in silence.

Torchvision and timm are not installed here: small classes of the same names and attributes replace theirs
(torchvision 0.29, timm 1.0.31). The dicts of albumentations are its own; tests/data/albumentations.json was made with
albumentations 2.0.8 by `A.to_dict` (docs/importing.md says how).
"""

from __future__ import annotations

import enum
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from images import precise_warps
from PIL import Image

import augreg
from augreg import Pipeline
from augreg.importers.translation import Imported

DATA = json.loads((Path(__file__).parent / "data/albumentations.json").read_text())


class Mode(enum.Enum):
    """As torchvision's InterpolationMode."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class Policy(enum.Enum):
    """As torchvision's AutoAugmentPolicy."""

    CIFAR10 = "cifar10"


def make(name: str, /, **attributes: Any) -> Any:
    """An object of a class of this name, with these attributes."""
    made = type(name, (), {})()
    vars(made).update(attributes)
    return made


def tv(*transforms: Any) -> Imported:
    return augreg.from_torchvision(make("Compose", transforms=list(transforms)))


def valid(imported: Imported) -> Pipeline:
    """The pipeline; the printed form is the same spec."""
    pipe = Pipeline.from_spec(imported.spec)
    assert Pipeline.from_spec(yaml.safe_load(str(imported))) == pipe
    return pipe


TO_TENSOR = make("ToTensor")
NORMALIZE = make("Normalize", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], inplace=False)


def test_torchvisions_own_imagenet_recipe() -> None:
    found = tv(
        make("RandomResizedCrop", size=(224, 224), scale=(0.08, 1.0), ratio=(0.75, 4 / 3), interpolation=Mode.BICUBIC,
             antialias=True),
        make("RandomHorizontalFlip", p=0.5),
        make("ColorJitter", brightness=(0.6, 1.4), contrast=None, saturation=[0.6, 1.4], hue=(-0.1, 0.1)),
        TO_TENSOR,
        NORMALIZE,
        make("RandomErasing", p=0.1, scale=(0.02, 0.33), ratio=(0.3, 3.3), value="random", inplace=False),
    )  # fmt: skip
    assert found.report == ()
    valid(found)
    assert found.spec == {
        "version": 1,
        "backend": "pillow",
        "output": "torch",
        "image": [
            {"random_resized_crop": {
                "size": [224, 224], "scale": [0.08, 1.0], "ratio": [0.75, 4 / 3], "interpolation": "bicubic"}},
            {"horizontal_flip": {"p": 0.5}},
            {"color_jitter": {"brightness": [0.6, 1.4], "saturation": [0.6, 1.4], "hue": [-0.1, 0.1]}},
            {"normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}},
            {"random_erasing": {"area": [0.02, 0.33], "ratio": [0.3, 3.3], "p": 0.1, "mode": "pixel"}},
        ],
    }  # fmt: skip


def their_inverse(angle: float, move: tuple[float, float], scale: float, shear: tuple[float, float],
                  center: tuple[float, float]) -> list[float]:  # fmt: skip
    """The inverse matrix that torchvision documents: of C * T * RotateScaleShear * C^-1, angles clockwise."""
    rot, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    rotation = np.array([[math.cos(rot), -math.sin(rot), 0], [math.sin(rot), math.cos(rot), 0], [0, 0, 1]])
    slant_y = np.array([[1, 0, 0], [-math.tan(sy), 1, 0], [0, 0, 1]])
    slant_x = np.array([[1, -math.tan(sx), 0], [0, 1, 0], [0, 0, 1]])
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = center, (-center[0], -center[1])
    shift = np.eye(3)
    shift[:2, 2] = move
    whole = shift @ there @ rotation @ slant_y @ slant_x @ np.diag([scale, scale, 1]) @ back
    return np.linalg.inv(whole)[:2].ravel().tolist()


@pytest.mark.parametrize(
    ("angle", "scale", "shear"),
    [(30.0, 1.0, (0.0, 0.0)), (-20.0, 1.3, (0.0, 0.0)), (0.0, 1.0, (15.0, 0.0)), (25.0, 0.8, (-10.0, 0.0)),
     (10.0, 1.0, (0.0, 12.0))],
    ids=str,
)  # fmt: skip
def test_affine_turns_and_shears_the_way_theirs_does(angle: float, scale: float, shear: tuple[float, float]) -> None:
    found = tv(
        make("RandomAffine", degrees=[angle, angle], translate=None, scale=(scale, scale),
             shear=[shear[0], shear[0], shear[1], shear[1]], interpolation=Mode.NEAREST, fill=0, center=None)
    )  # fmt: skip
    assert found.report == ()
    (op,) = valid(found).train.plan((60, 80), index=0).ops
    np.testing.assert_allclose(op.matrix[:6], their_inverse(angle, (0, 0), scale, shear, (40, 30)), atol=1e-9)


def test_affine_moves_are_horizontal_first_there_and_vertical_first_here() -> None:
    found = tv(
        make("RandomAffine", degrees=[0, 0], translate=(0.1, 0.3), scale=None, shear=None, fill=7, center=[3, 4],
             interpolation=Mode.BILINEAR)
    )  # fmt: skip
    (step,) = found.spec["image"]
    assert step["affine"]["translate"] == [0.3, 0.1]
    assert step["affine"]["fill"] == [7.0]
    assert found.report == ("transforms[0] RandomAffine: center=[3, 4] is not kept: it rotates about the center",)


def test_rotation_turns_the_way_theirs_does() -> None:
    """F.rotate counts counter-clockwise, unlike F.affine."""
    found = tv(
        make("RandomRotation", degrees=[10, 40], interpolation=Mode.NEAREST, expand=False, center=None, fill=0)
    )
    assert found.spec["image"] == [{"rotate": {"degrees": [10, 40], "interpolation": "nearest"}}]


@pytest.mark.parametrize(
    ("transform", "step"),
    [
        (make("Resize", size=256, interpolation=Mode.BILINEAR, max_size=None, antialias=True),
         {"resize": {"shorter": 256, "interpolation": "bilinear"}}),
        (make("Resize", size=[20, 30], interpolation=3, max_size=None, antialias=None),
         {"resize": {"size": [20, 30], "interpolation": "bicubic"}}),
        (make("Resize", size=[20], interpolation=Mode.LANCZOS, max_size=30, antialias=True),
         {"resize_within": {"shorter": 20, "longer": 30, "interpolation": "lanczos"}}),
        (make("Resize", size=None, interpolation=Mode.BILINEAR, max_size=30, antialias=True),
         {"resize_within": {"longer": 30, "interpolation": "bilinear"}}),
        (make("CenterCrop", size=(8, 9)), {"center_crop": {"size": [8, 9]}}),
        (make("RandomCrop", size=(8, 9), padding=[1, 2], pad_if_needed=False, fill=0, padding_mode="reflect"),
         {"random_crop": {"size": [8, 9], "mode": "reflect", "padding": [2, 2, 1, 1]}}),
        (make("Pad", padding=[1, 2, 3, 4], fill=(1, 2, 3), padding_mode="constant"),
         {"pad": {"padding": [2, 4, 1, 3], "mode": "constant", "fill": [1.0, 2.0, 3.0]}}),
        (make("RandomVerticalFlip", p=0.2), {"vertical_flip": {"p": 0.2}}),
        (make("RandomPerspective", distortion_scale=0.4, p=0.3, interpolation=Mode.BILINEAR, fill=0),
         {"perspective": {"distortion": 0.4, "interpolation": "bilinear", "p": 0.3}}),
        (make("RandomGrayscale", p=0.1), {"grayscale": {"p": 0.1}}),
        (make("RandomInvert", p=0.3), {"invert": {"p": 0.3}}),
        (make("RandomPosterize", bits=3, p=0.3), {"posterize": {"bits": [3, 3], "p": 0.3}}),
        (make("RandomSolarize", threshold=128, p=0.3), {"solarize": {"threshold": [128.0, 128.0], "p": 0.3}}),
        (make("RandomAdjustSharpness", sharpness_factor=2, p=0.3), {"sharpness": {"factor": [2, 2], "p": 0.3}}),
        (make("RandomAutocontrast", p=0.3), {"auto_contrast": {"p": 0.3}}),
        (make("RandomEqualize", p=0.3), {"equalize": {"p": 0.3}}),
        (make("JPEG", quality=(5, 50)), {"jpeg": {"quality": [5, 50]}}),
        (make("GaussianNoise", mean=0.0, sigma=0.1, clip=True), {"gaussian_noise": {"std": [0.1, 0.1]}}),
        (make("RandomChannelPermutation"), "channel_shuffle"),
        (make("ElasticTransform", alpha=[50.0, 50.0], sigma=[5.0, 5.0], interpolation=Mode.BILINEAR, fill=0),
         {"elastic": {"alpha": [25.0, 25.0], "sigma": 5.0, "interpolation": "bilinear"}}),
        (make("AutoAugment", policy=Policy.CIFAR10, interpolation=Mode.NEAREST, fill=None, policies=[1, 2]),
         {"auto_augment": {"policy": "cifar10", "dialect": "torchvision", "interpolation": "nearest"}}),
        (make("RandAugment", num_ops=3, magnitude=7, num_magnitude_bins=31, interpolation=Mode.BILINEAR, fill=[9]),
         {"rand_augment": {"n": 3, "m": 7, "dialect": "torchvision", "interpolation": "bilinear", "fill": [9.0]}}),
        (make("TrivialAugmentWide", num_magnitude_bins=31, interpolation=Mode.NEAREST, fill=None),
         {"trivial_augment_wide": {"dialect": "torchvision", "interpolation": "nearest"}}),
        (make("AugMix", severity=4, mixture_width=2, chain_depth=-1, alpha=0.5, all_ops=True, fill=None,
              interpolation=Mode.BILINEAR),
         {"aug_mix": {"severity": 4, "width": 2, "alpha": 0.5, "dialect": "torchvision",
                      "interpolation": "bilinear"}}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict | str) else "",
)  # fmt: skip
def test_each_torchvision_transform(transform: Any, step: Any) -> None:
    found = augreg.from_torchvision(transform)
    assert found.spec["image"] == [step]
    assert found.report == ()
    valid(found)


def test_what_is_otherwise_for_tensors_than_for_pil_images_is_reported() -> None:
    resize = make("Resize", size=[20, 30], interpolation=Mode.BILINEAR, max_size=None, antialias=False)
    step = {"resize": {"size": [20, 30], "interpolation": "bilinear", "antialias": False}}
    ignored = "transforms[0] Resize: antialias=False is for tensors; torchvision ignores it for PIL images"
    rounded = (
        "transforms[1] Resize: it resizes a tensor, which rounds otherwise than Pillow does: for the same pixels, "
    )
    for first in ("ToImage", "PILToTensor", "ToTensor"):
        found = tv(make(first), resize, make("ToPILImage", mode=None), resize)
        assert found.spec["image"][:2] == [step, step]
        assert found.report == (f"{rounded}resize first", ignored.replace("[0]", "[3]"))
    assert tv(resize).report == (ignored,)


def test_torchvision_containers() -> None:
    flip, jitter = make("RandomHorizontalFlip", p=0.5), make("ColorJitter", brightness=(0.5, 1.5), contrast=None,
                                                             saturation=None, hue=None)  # fmt: skip
    module = make("Sequential", _modules={"0": flip, "1": make("RandomVerticalFlip", p=0.1)}, training=True)
    found = tv(
        make("RandomApply", transforms=[jitter], p=0.8),
        make("RandomApply", transforms=[flip, jitter], p=0.3),
        make("RandomChoice", transforms=[flip, make("Compose", transforms=[jitter, flip])], p=[0.25, 0.75]),
        make("RandomOrder", transforms=[flip, jitter]),
        module,
    )
    flipped, jittered = {"horizontal_flip": {"p": 0.5}}, {"color_jitter": {"brightness": [0.5, 1.5]}}
    assert found.spec["image"] == [
        {"color_jitter": {"brightness": [0.5, 1.5], "p": 0.8}},
        {"sequential": {"steps": [flipped, jittered], "p": 0.3}},
        {"one_of": {"steps": [flipped, {"sequential": {"steps": [jittered, flipped]}}], "weights": [0.25, 0.75]}},
        {"random_order": {"steps": [flipped, jittered]}},
        flipped,
        {"vertical_flip": {"p": 0.1}},
    ]
    assert found.report == ()
    assert augreg.from_torchvision(module).spec["image"] == found.spec["image"][4:]
    assert augreg.from_torchvision([flip]).spec["image"] == [flipped]
    valid(found)


def test_floats_without_normalize_are_divided_at_the_end() -> None:
    """ToTensor returns floats from 0 to 1, and the arguments of later transforms are on that scale."""
    found = tv(
        TO_TENSOR,
        make("RandomErasing", p=1.0, scale=(0.1, 0.2), ratio=(1.0, 1.0), value=0.5, inplace=False),
        make("RandomInvert", p=1.0),
    )
    assert found.spec["image"][-1] == {"normalize": {"mean": 0.0, "std": 1.0}}
    assert found.spec["image"][0]["random_erasing"]["fill"] == [127.5]
    made = Pipeline.from_spec({**found.spec, "output": "numpy"}).train(np.zeros((40, 40, 3), np.uint8), index=0)
    assert made.dtype == np.float32
    assert set(np.unique(made.round(2))) == {np.float32(0.5), np.float32(1.0)}


def test_a_threshold_behind_to_tensor_is_scaled() -> None:
    found = tv(TO_TENSOR, make("RandomSolarize", threshold=0.5, p=1.0))
    assert found.spec["image"][0] == {"solarize": {"threshold": [127.5, 127.5], "p": 1.0}}


def test_version_two_types() -> None:
    found = tv(make("ToImage"), make("ToDtype", dtype="torch.float32", scale=True), NORMALIZE)
    assert found.report == ()
    assert [next(iter(step)) for step in found.spec["image"]] == ["normalize"]
    unscaled = tv(make("ToDtype", dtype="torch.float32", scale=False))
    assert unscaled.report == ()
    assert unscaled.spec["image"] == [{"normalize": {"mean": [0.0], "std": [0.00392156862745]}}]  # 1 / 255


def test_torchvision_blur_has_a_size_where_it_cuts_the_gaussian_off() -> None:
    cut = tv(make("GaussianBlur", kernel_size=[5, 5], sigma=(0.1, 2.0)))
    assert cut.report == () and cut.spec["image"] == [{"gaussian_blur": {"sigma": [0.1, 2.0], "size": [5, 5]}}]
    whole = tv(make("GaussianBlur", kernel_size=[23, 23], sigma=(0.1, 2.0)))
    assert whole.spec["image"] == [{"gaussian_blur": {"sigma": [0.1, 2.0]}}]
    assert "kernel_size=[23, 23] has room for three deviations" in whole.report[0]


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (make("Lambda", lambd=abs), "Lambda: left out: the function `abs` is arbitrary code"),
        (make("FiveCrop", size=(8, 8)), "FiveCrop: left out: it makes several images"),
        (make("MyOwn", strength=3), "MyOwn: left out: augreg has no equivalent"),
        (make("Resize", size=8, interpolation=5, max_size=None, antialias=True), "hamming became bicubic"),
        (make("RandomPerspective", distortion_scale=0.4, p=0.3, interpolation=Mode.LANCZOS, fill=0),
         "lanczos became bicubic"),
        (make("RandomRotation", degrees=[0, 9], interpolation=Mode.NEAREST, expand=True, center=None, fill=0),
         "expand=True is not kept"),
        (make("GaussianBlur", kernel_size=(5, 9), sigma=(0.1, 2.0)), "kernel_size=[5, 9] is not kept"),
        (make("RandAugment", num_ops=2, magnitude=9, num_magnitude_bins=11, interpolation=Mode.NEAREST, fill=None),
         "num_magnitude_bins=11 is not kept"),
        (make("RandomVerticalFlip", p=0.5, gravity=9.81), "gravity=9.81 is not kept: unknown parameter"),
        (make("RandomPosterize", bits=9, p=0.5), "left out: bits must be integers from 1 to 8"),
        (make("Pad", padding=1, fill={"image": 0}, padding_mode="constant"), "fill={'image': 0} is not kept"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_be_said_is_named(transform: Any, said: str) -> None:
    found = tv(make("RandomHorizontalFlip", p=0.5), transform)
    assert len(found.report) == 1
    assert found.report[0].startswith("transforms[1] ")
    assert said in found.report[0]
    assert found.spec["image"][0] == {"horizontal_flip": {"p": 0.5}}
    assert len(found.spec["image"]) == (1 if "left out" in said else 2)
    valid(found)


def test_a_spec_that_is_wrong_as_a_whole_says_so() -> None:
    found = tv(TO_TENSOR, NORMALIZE, make("RandomInvert", p=0.5))
    assert "the spec is not valid: image[1].invert" in found.report[-1]


# timm


def test_timm_arguments_of_a_training_recipe() -> None:
    found = augreg.from_timm(
        input_size=(3, 192, 160), is_training=True, auto_augment="rand-m9-mstd0.5-inc1", interpolation="bicubic",
        re_prob=0.25, re_mode="pixel", vflip=0.1,
    )  # fmt: skip
    assert found.report == ()
    valid(found)
    steps = found.spec["image"]
    assert [next(iter(step)) for step in steps] == [
        "random_resized_crop", "horizontal_flip", "vertical_flip", "timm_policy", "normalize", "random_erasing",
    ]  # fmt: skip
    assert steps[0]["random_resized_crop"]["size"] == [192, 160]
    policy = {"policy": "rand-m9-mstd0.5-inc1", "fill": [124.0, 116.0, 104.0], "interpolation": "bicubic"}
    assert steps[3]["timm_policy"] == policy
    assert steps[5]["random_erasing"]["mode"] == "pixel"
    assert found.spec["output"] == "torch"


def test_timm_draws_the_interpolation() -> None:
    pytest.importorskip("torch")
    found = augreg.from_timm({"is_training": True, "color_jitter": 0.3, "interpolation": "random"})
    crop, _, jitter, _ = found.spec["image"]
    ways = [step["random_resized_crop"]["interpolation"] for step in crop["one_of"]["steps"]]
    assert ways == ["bilinear", "bicubic"]
    want = {"brightness": [0.7, 1.3], "contrast": [0.7, 1.3], "saturation": [0.7, 1.3]}
    assert jitter == {"color_jitter": {key: pytest.approx(value) for key, value in want.items()}}
    assert valid(found).test(np.zeros((300, 250, 3), np.uint8)).shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("arguments", "first"),
    [({}, {"resize": {"shorter": 256, "interpolation": "bilinear"}}),
     ({"crop_pct": 0.95, "interpolation": "bicubic"}, {"resize": {"shorter": 235, "interpolation": "bicubic"}}),
     ({"crop_mode": "squash", "crop_pct": 1.0}, {"resize": {"size": [224, 224], "interpolation": "bilinear"}}),
     ({"crop_mode": "border", "crop_pct": 1.0},
      {"resize_keep_ratio": {"size": [224, 224], "longest": 1.0, "interpolation": "bilinear"}}),
     ({"crop_border_pixels": 4}, {"crop_border": {"pixels": 4}})],
    ids=str,
)  # fmt: skip
def test_timm_evaluation(arguments: dict[str, Any], first: Any) -> None:
    pytest.importorskip("torch")
    found = augreg.from_timm(input_size=224, **arguments)
    assert found.report == ()
    assert found.spec["image"][0] == first
    assert valid(found).test(np.zeros((300, 250, 3), np.uint8)).shape == (3, 224, 224)


def op(name: str, prob: float, magnitude: float, std: float = 0.5) -> Any:
    """As timm's AugmentOp."""
    kwargs = {"fillcolor": (124, 116, 104), "resample": (2, 3)}
    return make("AugmentOp", name=name, prob=prob, magnitude=magnitude, magnitude_std=std, magnitude_max=None,
                hparams={}, kwargs=kwargs, aug_fn=None, level_fn=None)  # fmt: skip


def test_timm_objects() -> None:
    found = augreg.from_timm(make("Compose", transforms=[
        make("RandomResizedCropAndInterpolation", size=(64, 64), scale=(0.5, 1.0), ratio=(1.0, 1.0),
             interpolation=(Mode.BILINEAR, Mode.BICUBIC)),
        make("RandAugment", ops=[op("AutoContrast", 0.5, 9), op("PosterizeIncreasing", 0.5, 9), op("ShearX", 0.5, 9)],
             num_layers=2, choice_weights=None),
        make("AutoAugment", policy=[[op("ShearX", 0.9, 4), op("Invert", 0.2, 3)], [op("Rotate", 0.3, 7)] * 2]),
        make("AugMixAugment", ops=[op("Rotate", 1.0, 3, float("inf")), op("Equalize", 1.0, 3, float("inf"))],
             alpha=1.0, width=3, depth=-1, blended=False),
        make("MaybeToTensor"), NORMALIZE,
        make("RandomErasing", probability=0.3, min_area=0.02, max_area=0.3, log_aspect_ratio=(-1.0, 1.0), min_count=1,
             max_count=2, num_splits=0, mode="rand", rand_color=True, per_pixel=False, device="cpu"),
    ]))  # fmt: skip
    valid(found)
    assert found.report == ()
    _, rand, auto, mix, _, erasing = found.spec["image"]
    one, two = erasing["one_of"]["steps"]
    assert erasing["one_of"]["p"] == 0.3
    assert one["random_erasing"]["area"] == [0.02, 0.3]
    assert [box["random_erasing"]["area"] for box in two["sequential"]["steps"]] == [[0.01, 0.15]] * 2
    erasing = one
    fill = [124.0, 116.0, 104.0]
    assert rand == {"rand_augment": {
        "n": 2, "m": 9, "m_std": 0.5, "m_max": 10.0, "chance": 0.5, "dialect": "timm", "fill": fill,
        "ops": ["AutoContrast", "PosterizeIncreasing", "ShearX"]}}  # fmt: skip
    assert auto["auto_augment"]["policy"][0] == [["ShearX", 0.9, 4], ["Invert", 0.2, 3]]
    assert mix["aug_mix"]["severity"] == 3
    assert "m_std" not in mix["aug_mix"]  # infinite: uniform, which is what aug_mix does
    assert erasing["random_erasing"]["mode"] == "random"
    assert erasing["random_erasing"]["ratio"] == pytest.approx([1 / math.e, math.e])


def test_timm_names_what_it_does_not_know() -> None:
    found = augreg.from_timm(is_training=True, naflex=True, novelty=3)
    assert [line.partition("timm create_transform: ")[2].partition(" is not")[0] for line in found.report] == [
        "naflex=True", "novelty=3",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="takes a transform, or the arguments"):
        augreg.from_timm()


# albumentations


def test_albumentations_classification() -> None:
    found = augreg.from_albumentations(DATA["classification"])
    assert found.report == () and found.spec["layout"] == "hwc"
    valid(found)
    crop, flip, rotate, jitter, normalize = found.spec["image"]
    assert crop["random_resized_crop"] == {
        "size": [224, 192], "scale": [0.2, 1.0], "ratio": [0.75, 4 / 3], "interpolation": "bilinear",
        "antialias": False, "p": 1.0,
    }  # fmt: skip
    assert flip == {"horizontal_flip": {"p": 0.3}}
    assert rotate["rotate"] == {"degrees": [-20, 40], "interpolation": "bilinear", "fill": [1, 2, 3], "p": 0.7}
    assert jitter["color_jitter"]["brightness"] == [0.6, 1.4]
    assert normalize == {"normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}}


def test_albumentations_choices() -> None:
    """OneOf draws by its children's p, and then does the one for sure; SomeOf leaves them their p."""
    found = augreg.from_albumentations(DATA["choices"])
    assert found.report == ()
    valid(found)
    one, some, sequential, other = found.spec["image"]
    assert one["one_of"]["weights"] == [0.2, 0.6]
    assert one["one_of"]["p"] == 0.9
    assert [next(iter(step.values()))["p"] for step in one["one_of"]["steps"]] == [1.0, 1.0]
    assert some["some_of"]["count"] == [2, 2]
    assert some["some_of"]["steps"][0] == {"invert": {"p": 0.4}}
    assert sequential["sequential"]["p"] == 0.25
    assert other["one_of"]["weights"] == [0.7, 0.3]


def test_albumentations_detection() -> None:
    found = augreg.from_albumentations(DATA["detection"])
    assert found.spec["targets"] == {
        "boxes": "xywh", "min_visible": 0.3, "min_area": 4, "labels": ["classes"], "keypoints": "drop",
        "nearest": "floor",
    }  # fmt: skip
    affine = found.spec["image"][1]["affine_per_axis"]  # since theirs rotates first and then shears
    assert affine["degrees"] == [-10.0, 20.0]
    assert affine["shear_x"] == [-5.0, 3.0]  # theirs leans the other way
    assert (affine["translate_y"], affine["translate_x"]) == ([-0.2, 0.2], [-0.1, 0.1])
    assert not any("Affine" in line for line in found.report)
    valid(found)


def test_albumentations_keypoints_mirror_about_other_pixel_centers() -> None:
    """Theirs puts x = 10 of 400 pixels at 389; with the half pixel that the report names, so does ours."""
    flip = {"__class_fullname__": "HorizontalFlip", "p": 1.0}
    found = augreg.from_albumentations(
        {"__class_fullname__": "Compose", "transforms": [flip], "keypoint_params": {"format": "xy"}}
    )
    assert len(found.report) == 1 and "W - x here" in found.report[0] and "add 0.5" in found.report[0]
    sample = {"image": np.zeros((20, 400, 3), np.uint8), "keypoints": np.array([[10.0, 5.0]]) + 0.5}
    moved = augreg.Pipeline.from_spec(found.spec).train(sample, index=0)["keypoints"] - 0.5
    assert moved.tolist() == [[389.0, 5.0]]


@pytest.mark.parametrize(
    ("image", "mask", "name", "nearest", "said"),
    [
        (0, 0, "nearest_floor", "floor", ""), (1, 0, "bilinear", "floor", ""), (6, 6, "nearest", None, ""),
        (1, 1, "bilinear", None, "mask_interpolation=1 is not kept"), (3, 0, "area", "floor", "where one side grows"),
        (4, 0, "lanczos4", "floor", ""), (7, 0, "bilinear", "floor", "interpolation=7 became bilinear"),
        (5, 0, "bilinear", "floor", ""),
    ],
)  # fmt: skip
def test_albumentations_takes_the_nearest_pixel_of_opencv(
    image: int, mask: int, name: str, nearest: str | None, said: str
) -> None:
    """INTER_NEAREST, 0, is at corners; INTER_NEAREST_EXACT, 6, at centers."""
    data = {"__class_fullname__": "Resize", "height": 8, "width": 9, "interpolation": image, "p": 1.0}
    found = augreg.from_albumentations({**data, "mask_interpolation": mask})
    assert found.spec["image"][0]["resize"]["interpolation"] == name
    assert found.spec.get("targets", {}).get("nearest") == nearest
    assert len(found.report) == bool(said) and said in "".join(found.report)


def test_albumentations_elastic_keeps_its_noise() -> None:
    """Their normal noise is divided by its largest value, and repeated beyond the border: there is nothing to say."""
    data = {"__class_fullname__": "ElasticTransform", "alpha": 120.0, "sigma": 6.0, "p": 1.0}
    for theirs, ours in (("uniform", "uniform"), ("gaussian", "normal")):
        found = augreg.from_albumentations({**data, "noise_distribution": theirs})
        elastic = found.spec["image"][0]["elastic"]
        assert (elastic["alpha"], elastic["sigma"], elastic["noise"]) == ([120.0, 120.0], 6.0, ours)
        assert (elastic["edges"], found.report) == ("repeat", ())


def test_albumentations_mean_of_one_number_keeps_the_channels() -> None:
    data = {"__class_fullname__": "Normalize", "mean": [0.5], "std": [0.25], "max_pixel_value": 255.0, "p": 1.0}
    found = augreg.from_albumentations(data)
    assert found.spec["channels"] == "keep" and "`channels: gray`" in found.report[0]
    for mode, channels in (("L", 1), ("RGB", 3)):
        image = Image.new(mode, (5, 4), "white")
        assert augreg.Pipeline.from_spec(found.spec).test(image).shape == (4, 5, channels)
    assert "channels" not in augreg.from_albumentations({**data, "mean": [0.5] * 3, "std": [0.25] * 3}).spec


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ({"hole_height_range": [0.25, 0.25], "hole_width_range": [0.25, 0.25]}, {(50, 100)}),
        ({"hole_height_range": [8, 8], "hole_width_range": [30, 30]}, {(8, 30)}),
        ({"hole_height_range": [0.01, 0.0149], "hole_width_range": [0.995, 0.999]}, {(2, 398), (2, 399)}),
        ({"hole_height_range": [3, 4], "hole_width_range": [900, 900]}, {(3, 400), (4, 400)}),
    ],
)
def test_albumentations_holes_have_the_sides_of_theirs(
    arguments: dict[str, Any], sizes: set[tuple[int, int]]
) -> None:
    """On 200x400 pixels, by their code: fractions of each side, rounded down, or pixels up to the side."""
    data = {"__class_fullname__": "CoarseDropout", "num_holes_range": [1, 1], "fill": 0, "p": 1.0, **arguments}
    found = augreg.from_albumentations(data)
    assert found.report == ()
    pipe = augreg.Pipeline.from_spec({**found.spec, "seed": 3})
    white, seen = np.full((200, 400, 3), 255, np.uint8), set()
    for index in range(12):
        rows, columns = np.nonzero(pipe.train(white, index=index)[..., 0] == 0)
        side = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        assert side[0] * side[1] == len(rows)
        seen.add(side)
    assert seen == sizes


def test_albumentations_holes_that_differ_are_reported() -> None:
    data = {"__class_fullname__": "CoarseDropout", "num_holes_range": [2, 5], "p": 0.5}
    fractions = {"hole_height_range": [0.1, 0.2], "hole_width_range": [0.1, 0.3]}
    found = augreg.from_albumentations({**data, **fractions, "fill": "random", "fill_mask": 0})
    assert found.spec["image"] == [
        {"holes": {"count": [2, 5], "height": [0.1, 0.2], "width": [0.1, 0.3], "mode": "pixel", "p": 0.5}}
    ]
    assert found.report == () and found.spec["targets"] == {"mask_holes": 0}
    mixed = augreg.from_albumentations({**data, **fractions, "hole_width_range": [4, 8]})
    assert mixed.spec["image"] == [] and "left out" in mixed.report[0]
    thin = augreg.from_albumentations({**data, "hole_height_range": [0, 4], "hole_width_range": [2, 4]})
    assert thin.spec["image"][0]["holes"]["height"] == [1, 4] and "became one of 1" in thin.report[0]
    boxes = {
        "__class_fullname__": "Compose",
        "bbox_params": {"format": "coco"},
        "transforms": [{**data, **fractions}],
    }
    assert "that are painted over stay as they are here" in augreg.from_albumentations(boxes).report[0]


def test_albumentations_names_what_cannot_be_said() -> None:
    found = augreg.from_albumentations(DATA["cannot"])
    assert [line.split(": ")[0] for line in found.report] == [
        "transforms[0] GlassBlur", "transforms[2] Equalize", "transforms[2] Equalize",
    ]  # fmt: skip
    for line, said in zip(found.report, ("left out", "differs slightly", "by_channels=False"), strict=True):
        assert said in line
    assert [next(iter(step)) for step in found.spec["image"]] == [
        "rotate",
        "equalize",
        "multiply_add",
        "holes",
        "horizontal_flip",
    ]
    assert found.spec["image"][0]["rotate"]["mode"] == "reflect"
    assert found.spec["image"][2]["multiply_add"] == {
        "factor": [0.8, 1.2], "add": [-0.2, 0.2], "of": "white", "p": 0.4,
    }  # fmt: skip


@pytest.mark.parametrize("data", DATA["defaults"], ids=lambda data: data["transform"]["__class_fullname__"])
def test_albumentations_defaults(data: dict[str, Any]) -> None:
    """Every default of theirs is said or named: nothing is unknown, and p is theirs, not ours."""
    found = augreg.from_albumentations(data)
    assert not any("unknown parameter" in line or "left out" in line for line in found.report)
    valid(found)
    given = data["transform"]
    for step in found.spec["image"]:
        ((name, arguments),) = step.items()
        assert name == "normalize" or arguments["p"] == given["p"]


# How far from theirs, in pixel values, where they round differently or draw a blurred line differently.
NEAR = {"contrast": 1, "saturation": 1, "gray": 1, "auto contrast": 3, "gamma": 1}
NEAR |= {"rotate edge": 1, "rotate symmetric": 1, "rotate wrap": 1, "shrink reflect": 1}
NEAR |= {"box blur": 1, "emboss": 1, "defocus": 1}
WARPS = ("rotate", "scale", "shear x", "shear y", "shift scale rotate", "turn")
ON_AVERAGE = {"hue": 2, "hue in steps": 2}  # OpenCV has 180 hues
ON_AVERAGE |= {"hue, saturation and value": 2, "motion": 3, "motion forward": 3, "motion backward": 3}


@pytest.mark.parametrize("name", DATA["fixed"])
def test_albumentations_does_the_same_to_pixels(name: str) -> None:
    """Direction, order and scale of every parameter, against what albumentations 2.0.8 made of the same image."""
    with np.load(Path(__file__).parent / "data/albumentations.npz") as data:
        image, theirs = data["image"], data[name]
    spec = augreg.from_albumentations(DATA["fixed"][name]).spec
    ours = Pipeline.from_spec({**spec, "backend": "opencv"}).train(image, index=0)
    assert ours.shape == theirs.shape
    off = np.abs(ours.astype(int) - theirs)
    if name in ON_AVERAGE:
        assert off.mean() < ON_AVERAGE[name]
    else:
        # theirs were made with OpenCV 5; OpenCV 4 rounds the positions of warps: docs/backends.md has the tolerance
        assert off.max() <= NEAR.get(name, 0 if precise_warps() or name not in WARPS else 7)


def test_albumentations_objects_and_old_names() -> None:
    made = make("Compose")
    type(made).to_dict = lambda self: DATA["classification"]  # type: ignore[attr-defined]
    assert augreg.from_albumentations(made) == augreg.from_albumentations(DATA["classification"])
    old = {"__class_fullname__": "albumentations.augmentations.transforms.HorizontalFlip", "always_apply": False,
           "p": 0.4}  # fmt: skip
    assert augreg.from_albumentations(old).spec["image"] == [{"horizontal_flip": {"p": 0.4}}]
    renamed = {"__class_fullname__": "VerticalFlip", "p": 0.4, "mask_value": 3}
    assert "mask_value=3 is not kept: unknown parameter" in augreg.from_albumentations(renamed).report[0]
    for wrong in (5, {"p": 1.0}):
        with pytest.raises(TypeError, match="expected"):
            augreg.from_albumentations(wrong)


def test_the_report_is_part_of_the_printed_spec() -> None:
    text = str(augreg.from_albumentations(DATA["cannot"]))
    assert text.startswith("# transforms[0] GlassBlur: left out")
    assert "&id" not in text


def test_timm_ops_keep_their_meaning() -> None:
    """TranslateXRel is known, and the Posterize of timm's v0 keeps fewer bits, down to none."""

    class AugmentOp:
        def __init__(self, name: str, magnitude: float) -> None:
            self.name, self.prob, self.magnitude = name, 1.0, magnitude
            self.hparams: dict[str, float] = {}
            self.kwargs = {"fillcolor": (128, 128, 128), "resample": None}
            self.magnitude_std, self.magnitude_max = 0, None

    class AutoAugment:
        def __init__(self) -> None:
            self.policy = [[AugmentOp("Posterize", 2), AugmentOp("TranslateXRel", 5)]]

    imported = augreg.from_timm(AutoAugment())
    (step,) = imported.spec["image"]
    names = [entry[0] for entry in step["auto_augment"]["policy"][0]]
    assert names == ["posterize_tpu", "translate_x"]
    (op, *_) = Pipeline.from_spec(imported.spec).train.plan((20, 20), index=0).ops
    assert str(op) == "posterize 0"


def test_partial_dicts_are_reported_not_raised() -> None:
    for name in ("Normalize", "RandomBrightnessContrast", "ShiftScaleRotate", "Affine", "ColorJitter", "GridDropout"):
        imported = augreg.from_albumentations({"__class_fullname__": name})
        assert isinstance(imported.spec, dict)
    broken = {"__class_fullname__": "Compose", "transforms": [], "bbox_params": {"format": "voc"}}
    assert any("'voc'" in line for line in augreg.from_albumentations(broken).report)
