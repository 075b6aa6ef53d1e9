"""from_torchvision beside the real torchvision: evaluation is equal bit for bit, training has the same parameters."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from photos import PHOTOS, assert_same_evaluation, pixels
from torchvision import transforms
from torchvision.models import get_model_weights, get_weight, list_models
from torchvision.transforms import v2
from torchvision.transforms.functional import InterpolationMode

import augreg

WEIGHTS = [
    "AlexNet_Weights.IMAGENET1K_V1", "ResNet50_Weights.IMAGENET1K_V2", "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
    "EfficientNet_B0_Weights.IMAGENET1K_V1", "EfficientNet_B4_Weights.IMAGENET1K_V1",
    "Inception_V3_Weights.IMAGENET1K_V1", "MaxVit_T_Weights.IMAGENET1K_V1", "Swin_V2_B_Weights.IMAGENET1K_V1",
    "ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1", "VGG16_Weights.IMAGENET1K_FEATURES",
    "DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1",
]  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_transforms_of_weights_give_the_same_pixels(name: str) -> None:
    theirs = get_weight(name).transforms()
    imported = augreg.from_torchvision(theirs)
    assert imported.report == ()
    assert_same_evaluation(imported, theirs, theirs.mean, theirs.std)


def test_every_set_of_weights_is_imported_or_refused_by_name() -> None:
    kinds: dict[str, set[tuple[str, ...]]] = {}
    for weights in {member for name in list_models() for member in get_model_weights(name)}:
        imported = augreg.from_torchvision(weights)
        assert imported == augreg.from_torchvision(weights.transforms())
        if isinstance(weights.transforms, functools.partial):  # not called
            assert imported == augreg.from_torchvision(weights.transforms)
        kinds.setdefault(type(weights.transforms()).__name__, set()).add(imported.report)
        augreg.Pipeline.from_spec(imported.spec)
    video = "transforms[0] VideoClassification: left out: it takes a clip of frames, and a spec is for images"
    images = 'it takes two images; pass them as the sample {"image": first, "image2": second}'
    assert kinds == {
        "ImageClassification": {()},
        "SemanticSegmentation": {()},
        "ObjectDetection": {()},
        "VideoClassification": {(video,)},
        "OpticalFlow": {(f"transforms[0] OpticalFlow: {images}",)},
    }


def test_detection_and_optical_flow_give_the_same_values() -> None:
    detection = get_weight("FasterRCNN_ResNet50_FPN_Weights.DEFAULT").transforms()
    assert_same_evaluation(augreg.from_torchvision(detection), detection, [0.0] * 3, [1.0] * 3)
    flow = get_weight("Raft_Large_Weights.DEFAULT").transforms()
    pipe = augreg.Pipeline.from_spec(augreg.from_torchvision(flow).spec)
    found = pipe.test({"image": PHOTOS[2], "image2": PHOTOS[3]})
    for ours, wanted in zip((found["image"], found["image2"]), flow(PHOTOS[2], PHOTOS[3]), strict=True):
        np.testing.assert_array_equal(pixels(ours, [0.5] * 3, [0.5] * 3), pixels(wanted, [0.5] * 3, [0.5] * 3))


MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
LAST = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
V2_LAST = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD), v2.ToPureTensor()]
F, F2 = transforms.functional, v2.functional
EVALUATIONS: dict[str, Any] = {
    "lanczos": transforms.Compose([transforms.Resize(96, InterpolationMode.LANCZOS), *LAST]),
    "lanczos, exact": v2.Compose([v2.Resize([80, 150], InterpolationMode.LANCZOS), *V2_LAST]),
    "nearest-exact": v2.Compose([v2.Resize([80, 150], InterpolationMode.NEAREST_EXACT), *V2_LAST]),
    "bicubic": v2.Compose([v2.Resize(90, InterpolationMode.BICUBIC), v2.CenterCrop([64, 333]), *V2_LAST]),
    "max_size": transforms.Compose([transforms.Resize(100, max_size=133), *LAST]),
    "max_size alone": v2.Compose([v2.Resize(None, max_size=133), *V2_LAST]),
    "pad": transforms.Compose([transforms.Pad([3, 8, 1, 2], padding_mode="reflect"), *LAST]),
    "gray": transforms.Compose([transforms.Grayscale(3), *LAST]),
    "bytes": v2.Compose(
        [v2.ToImage(), v2.ToDtype(torch.float32), v2.Normalize([255 * x for x in MEAN], [255 * x for x in STD]),
         v2.ToPureTensor()]
    ),
    "fixed": transforms.Compose(
        [functools.partial(F.rotate, angle=17), functools.partial(F.adjust_hue, hue_factor=0.1),
         functools.partial(F2.adjust_brightness, brightness_factor=1.5), *LAST]
    ),
    "sure": v2.Compose([v2.RandomHorizontalFlip(1.0), v2.RandomVerticalFlip(1.0), v2.RandomPosterize(3, p=1.0),
                        v2.RandomSolarize(99, p=1.0), v2.RandomAdjustSharpness(2.0, p=1.0), v2.RandomInvert(1.0),
                        v2.RandomEqualize(1.0), v2.RandomAutocontrast(1.0), *V2_LAST]),
    "functions": transforms.Compose([
        functools.partial(F.resize, size=90, interpolation=InterpolationMode.BICUBIC), F.hflip, F.vflip,
        functools.partial(F.center_crop, output_size=[70, 80]), functools.partial(F.solarize, threshold=99), F.invert,
        transforms.Lambda(F.equalize), F.autocontrast, functools.partial(F.posterize, bits=3), F.to_tensor,
        functools.partial(F.normalize, mean=MEAN, std=STD),
    ]),
    "functions of v2": v2.Compose([
        functools.partial(F2.resize, size=[90]), F2.hflip, F2.vertical_flip, functools.partial(F2.pad, padding=[5]),
        v2.Lambda(F2.to_image), functools.partial(F2.to_dtype, dtype=torch.float32, scale=True),
        v2.Normalize(MEAN, STD), v2.ToPureTensor(),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", EVALUATIONS)
def test_an_evaluation_gives_the_same_pixels(name: str) -> None:
    imported = augreg.from_torchvision(EVALUATIONS[name])
    assert imported.report == ()
    assert_same_evaluation(imported, EVALUATIONS[name], MEAN, STD)


def test_max_size_gives_the_same_sizes_for_every_shape() -> None:
    for shorter, longer in ((30, 31), (30, 47), (None, 40), (1, 500)):
        resize = v2.Resize(shorter, max_size=longer)
        pipe = augreg.Pipeline.from_spec(augreg.from_torchvision(resize).spec)
        for height in range(20, 90, 7):
            for width in range(20, 90, 3):
                made = pipe.test.plan((height, width)).ops  # none where the size stays
                ours = made[-1].size_after(height, width) if made else (height, width)
                assert ours == tuple(resize(torch.zeros(1, height, width)).shape[1:]), (height, width)


class ClassificationPresetTrain:
    """Holds a pipeline and calls it, as the class of this name in torchvision's reference scripts does."""

    def __init__(self, size: int) -> None:
        self.transforms = v2.Compose([
            v2.RandomResizedCrop(size, interpolation=InterpolationMode.BICUBIC, antialias=True),
            v2.RandomHorizontalFlip(0.5), v2.TrivialAugmentWide(interpolation=InterpolationMode.BICUBIC),
            v2.PILToTensor(), v2.ToDtype(torch.float, scale=True), v2.Normalize(MEAN, STD), v2.RandomErasing(0.1),
            v2.ToPureTensor(),
        ])  # fmt: skip

    def __call__(self, image: Any) -> Any:
        return self.transforms(image)


class ClassificationPresetEval(ClassificationPresetTrain):
    def __init__(self, size: int) -> None:
        self.transforms = transforms.Compose([transforms.Resize(size + 32), transforms.CenterCrop(size), *LAST])


class Module(torch.nn.Module):
    """A module that holds a pipeline under a name of its own, beside a number."""

    def __init__(self, **pipelines: Any) -> None:
        super().__init__()
        for name, pipeline in pipelines.items():
            setattr(self, name, pipeline)
        self.size = 64


def test_objects_that_hold_a_pipeline() -> None:
    train = augreg.from_torchvision(ClassificationPresetTrain(64))
    assert train.report == ()
    assert train == augreg.from_torchvision(ClassificationPresetTrain(64).transforms)
    evaluation = augreg.from_torchvision(ClassificationPresetEval(64))
    assert evaluation.report == ()
    assert_same_evaluation(evaluation, ClassificationPresetEval(64), MEAN, STD)
    own = augreg.from_torchvision(Module(augment=v2.Compose([v2.RandomVerticalFlip(0.3)])))
    assert own.spec["image"] == [{"vertical_flip": {"p": 0.3}}]
    assert own.report == (
        "transforms[0] Module: only the pipeline in its attribute `augment` is read, not what its own code does",
        "transforms[0] Module: size=64 is not kept: unknown parameter",
    )
    flips = torch.nn.Sequential(v2.RandomVerticalFlip(0.3), v2.RandomHorizontalFlip(0.2))
    two = augreg.from_torchvision(v2.Compose([Module(clean=flips, augment=flips)]))
    assert two.report == (
        "transforms[0] Module: left out: it holds 2 pipelines; import one of them: .clean, .augment",
    )
    module_list = transforms.RandomApply(torch.nn.ModuleList([transforms.ColorJitter(0.4)]), p=0.3)
    assert augreg.from_torchvision(module_list).spec["image"] == [
        {"color_jitter": {"brightness": [0.6, 1.4], "p": 0.3}}
    ]


def mine(image: Any) -> Any:
    return image


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (mine, "transforms[1]: left out: the function `mine` is arbitrary code; write your own transform"),
        (lambda image: image, "transforms[1]: left out: a lambda is arbitrary code"),
        (functools.partial(mine, x=1), "transforms[1]: left out: the function `mine` is arbitrary code"),
        (transforms.Lambda(lambda image: image), "transforms[1] Lambda: left out: a lambda is arbitrary code"),
        (F.adjust_hue, "the function `adjust_hue` needs hue_factor: functools.partial(adjust_hue, hue_factor=..)"),
        (F.crop, "the function `crop` of torchvision: augreg has no fixed crop; RandomCrop draws its values"),
        (functools.partial(F.resize, [9, 9]), "give arguments by keyword"),
        (v2.RandomHorizontalFlip, "RandomHorizontalFlip is a class; pass an object of it, RandomHorizontalFlip(..)"),
        (7, "transforms[1]: left out: expected a transform, got int"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_said_is_refused_with_what_to_do(transform: Any, said: str) -> None:
    imported = augreg.from_torchvision([v2.RandomVerticalFlip(0.3), transform])
    assert imported.spec["image"] == [{"vertical_flip": {"p": 0.3}}]
    (line,) = imported.report
    assert said in line


def required() -> dict[str, tuple[Any, ...]]:
    """Arguments of the classes whose constructors need some."""
    flips = [v2.RandomHorizontalFlip()]
    return {
        "CenterCrop": (9,), "RandomCrop": (9,), "RandomResizedCrop": (9,), "Resize": (9,), "Pad": (2,),
        "RandomRotation": (9,), "RandomAffine": (9,), "Normalize": (MEAN, STD), "GaussianBlur": (5,),
        "RandomPosterize": (3,), "RandomSolarize": (99,), "RandomAdjustSharpness": (2,), "JPEG": (50,),
        "Compose": (flips,), "RandomApply": (flips,), "RandomChoice": (flips,), "RandomOrder": (flips,),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:The transform .* is deprecated")
@pytest.mark.parametrize("module", [transforms, v2], ids=["v1", "v2"])
def test_no_parameter_of_a_real_transform_is_unknown(module: Any) -> None:
    """Every class that torchvision has and augreg can say is imported from a real object; the rest is refused."""
    translated = set()
    for name, cls in vars(module).items():
        if not inspect.isclass(cls) or name.startswith("_") or not callable(cls):
            continue
        try:
            transform = cls(*required().get(name, ()))
        except (TypeError, ValueError, NotImplementedError):
            continue
        if not hasattr(transform, "__dict__") or isinstance(transform, type):
            continue
        imported = augreg.from_torchvision(transform)
        assert not any("unknown" in line or "missing" in line for line in imported.report), imported.report
        if not any("left out" in line for line in imported.report):
            translated.add(name)
    wanted = {*required(), "ColorJitter", "RandomErasing", "AugMix", "RandAugment", "ElasticTransform"}
    assert {name for name in wanted if hasattr(module, name)} <= translated


def test_training_has_the_parameters_of_the_real_objects() -> None:
    crop = v2.RandomResizedCrop((70, 80), (0.2, 0.9), (0.5, 2.0), InterpolationMode.LANCZOS)
    jitter = v2.ColorJitter(0.3, (0.5, 0.8), 0.0, 0.1)
    erasing = v2.RandomErasing(0.3, (0.1, 0.2), (0.5, 1.5), value="random")
    augment = v2.RandAugment(3, 7)
    imported = augreg.from_torchvision(v2.Compose([crop, augment, jitter, *V2_LAST[:3], erasing]))
    assert imported.report == ()
    first, policy, color, _, last = imported.spec["image"]
    assert first == {"random_resized_crop": {
        "size": [70, 80], "scale": [0.2, 0.9], "ratio": [0.5, 2.0], "interpolation": "lanczos"}}  # fmt: skip
    assert policy["rand_augment"] == {"n": 3, "m": 7, "dialect": "torchvision", "interpolation": "nearest"}
    assert color["color_jitter"] == {"brightness": [0.7, 1.3], "contrast": [0.5, 0.8], "hue": [-0.1, 0.1]}
    assert last["random_erasing"] == {"area": [0.1, 0.2], "ratio": [0.5, 1.5], "p": 0.3, "mode": "pixel"}


def test_opencv_is_not_equal_which_is_why_specs_have_pillow() -> None:
    """As docs/importing.md says: single values differ much, and the mean by less than 1 of 255."""
    pytest.importorskip("cv2")
    theirs = get_weight("ConvNeXt_Tiny_Weights.IMAGENET1K_V1").transforms()
    spec = augreg.from_torchvision(theirs).spec
    assert spec["backend"] == "pillow"
    fast = augreg.Pipeline.from_spec(spec).replace(backend="opencv")
    off = []
    for photo in PHOTOS:
        ours, wanted = (pixels(made, theirs.mean, theirs.std) for made in (fast.test(photo), theirs(photo)))
        off.append(np.abs(ours.astype(int) - wanted))
    assert 10 < max(one.max() for one in off) <= 33
    assert max(one.mean() for one in off) < 1


def test_a_tensor_that_is_resized_is_reported_since_it_rounds_otherwise() -> None:
    theirs = v2.Compose([v2.ToImage(), v2.Resize(96), *V2_LAST[1:]])
    imported = augreg.from_torchvision(theirs)
    assert "it resizes a tensor, which rounds otherwise than Pillow does" in imported.report[0]
    pipe = augreg.Pipeline.from_spec(imported.spec)
    off = [pixels(pipe.test(photo), MEAN, STD).astype(int) - pixels(theirs(photo), MEAN, STD) for photo in PHOTOS]
    assert max(np.abs(one).max() for one in off) == 1
    first = v2.Compose([v2.Resize(96), *V2_LAST])
    assert augreg.from_torchvision(first).spec == imported.spec
    assert augreg.from_torchvision(first).report == ()


def test_mixing_is_in_the_section_batch() -> None:
    choice = v2.RandomChoice([v2.CutMix(num_classes=10), v2.MixUp(num_classes=10, alpha=0.2)])
    imported = augreg.from_torchvision(choice)
    assert imported.report == ()
    (step,) = imported.spec["batch"]
    assert [next(iter(each)) for each in step["one_of"]["steps"]] == ["cutmix", "mixup"]
    pipe = augreg.Pipeline.from_spec(imported.spec)
    images = torch.rand(4, 3, 8, 8)
    _, labels = pipe.batch(images, torch.tensor([1, 3, 5, 9]), batch=0)
    assert tuple(labels.dense().shape) == (4, 10)
