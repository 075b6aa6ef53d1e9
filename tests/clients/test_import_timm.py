"""from_timm beside the real timm: evaluation is equal bit for bit, and arguments mean what create_transform makes."""

from __future__ import annotations

import inspect
import random
from typing import Any

import numpy as np
import pytest
import timm
import torch
from photos import PHOTOS, assert_same_evaluation
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.data.auto_augment import augment_and_mix_transform, auto_augment_transform, rand_augment_transform
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import CenterCropOrPad, RandomCropOrPad, ResizeKeepRatio

import augreg
from augreg.importers.translation import Imported
from augreg.transforms.policies.dialects import DIALECTS
from augreg.transforms.policies.notation import load_table
from augreg.transforms.policies.timm_strings import parse_timm

MODELS = [
    "resnet50.a1_in1k", "resnet50.tv_in1k", "efficientnet_b0.ra_in1k", "tf_efficientnet_b5.ns_jft_in1k",
    "vit_base_patch16_224.augreg_in21k", "cspdarknet53.ra_in1k", "vit_base_patch16_siglip_512.v2_webli",
    "coat_lite_medium_384.in1k", "deepseek_vit_412m.deepseek_v4_flash_vision_exp", "vit_base_patch16_sapiens2.fb",
    "vit_small_patch16_lingbot.robbyant", "csatv2.r512_in1k",
]  # fmt: skip


def configuration(name: str) -> dict[str, Any]:
    """The arguments of create_transform for a pretrained model, which is not made."""
    config: dict[str, Any] = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    return config


@pytest.mark.parametrize("name", MODELS)
def test_the_evaluation_of_a_model_gives_the_same_pixels(name: str) -> None:
    config = configuration(name)
    theirs = create_transform(**config)
    imported = augreg.from_timm(theirs)
    assert imported.report == ()
    assert imported == augreg.from_timm(**config)
    assert_same_evaluation(imported, theirs, config["mean"], config["std"])


def kind(name: str) -> tuple[str, str, bool]:
    config = configuration(name)
    height, width = config["input_size"][1:]
    return config["crop_mode"], config["interpolation"], height == width


def test_the_models_are_of_every_kind_that_timm_has() -> None:
    assert set(map(kind, MODELS)) == set(map(kind, timm.list_pretrained()))


EVALUATIONS: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "border": {"input_size": 96, "crop_mode": "border", "crop_pct": 0.9, "interpolation": "bicubic"},
    "border, not square": {"input_size": (3, 96, 131), "crop_mode": "border", "crop_pct": 1.0},
    "squash": {"input_size": 96, "crop_mode": "squash", "interpolation": "bicubic"},
    "squash, not square": {"input_size": (96, 130), "crop_mode": "squash", "crop_pct": 1.0},
    "not square": {"input_size": (3, 64, 111), "interpolation": "bicubic"},
    "upright": {"input_size": (3, 130, 70), "crop_pct": 0.95},
    "lanczos": {"input_size": 96, "interpolation": "lanczos", "crop_pct": 0.8},
    "a border is cut off": {"input_size": 96, "crop_border_pixels": 9},
    "crop_pct above one": {"input_size": 96, "crop_pct": 1.15},
    "without augmentation": {"input_size": 96, "is_training": True, "no_aug": True, "interpolation": "random"},
    "without augmentation, squashed": {"input_size": (3, 96, 96), "is_training": True, "no_aug": True},
}  # fmt: skip


@pytest.mark.parametrize("name", EVALUATIONS)
def test_an_evaluation_gives_the_same_pixels(name: str) -> None:
    arguments = EVALUATIONS[name]
    theirs = create_transform(**arguments)
    imported = augreg.from_timm(theirs)
    assert imported.report == ()
    assert augreg.from_timm(**arguments or {"is_training": False}) == imported
    mean, std = timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD
    assert_same_evaluation(imported, theirs, mean, std)


def test_without_normalize_bytes_are_equal() -> None:
    theirs = create_transform(input_size=96, normalize=False)
    ours = augreg.Pipeline.from_spec(augreg.from_timm(theirs).spec)
    for photo in PHOTOS:
        assert torch.equal(ours.test(photo), theirs(photo))


# Training: what the arguments make is what the object has.

TRAINING: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "not square": {"input_size": (3, 96, 131)},
    "random interpolation": {"interpolation": "random", "auto_augment": "rand-m9-mstd0.5-inc1"},
    "lanczos": {"interpolation": "lanczos"},
    "ranges": {"scale": (0.3, 0.9), "ratio": (0.8, 1.5), "hflip": 0.0, "vflip": 0.2},
    "four jitters": {"color_jitter": (0.1, 0.2, 0.3, 0.1)},
    "nothing": {"hflip": 0, "color_jitter": None},
    "jitter by chance": {"color_jitter_prob": 0.8, "grayscale_prob": 0.2, "gaussian_blur_prob": 0.1},
    "rkrc": {"train_crop_mode": "rkrc", "input_size": (3, 96, 131)},
    "rkrr": {"train_crop_mode": "rkrr", "scale": (0.5, 1.0), "ratio": (0.7, 1.3), "interpolation": "random"},
    "erasing": {"re_prob": 0.25, "re_mode": "pixel"},
    "several boxes": {"re_prob": 0.25, "re_mode": "rand", "re_count": 3},
    "three augment": {"auto_augment": "3a", "color_jitter": 0.3},
    "three augment in rand": {"auto_augment": "rand-m6-t3a"},
    "weights": {"auto_augment": "rand-m7-n3-mstd0.5-tweights", "interpolation": "bicubic"},
    "uniform": {"auto_augment": "rand-m9-mstd101-mmax9-inc1"},
    "augmix": {"auto_augment": "augmix-m5-w4-d2", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    "original": {"auto_augment": "original-mstd0.5"},
    "v0r": {"auto_augment": "v0r"},
    "unnormalized": {"normalize": False, "re_prob": 0.25},
    "in three": {"separate": True, "auto_augment": "augmix-m3", "re_prob": 0.1},
}  # fmt: skip


def canonical(imported: Imported) -> list[Any]:
    """The steps with every default written out; a policy string of timm as the step that it means."""
    image = []
    for step in imported.spec["image"]:
        if "timm_policy" in step:
            arguments = dict(step["timm_policy"])
            name, meant = parse_timm(arguments.pop("policy"))
            step = {name: meant if name == "three_augment" else {**meant, **arguments}}
        image.append(step)
    found: list[Any] = augreg.Pipeline.from_spec({**imported.spec, "image": image}).to_spec()["image"]
    for step in found:
        ((name, arguments),) = step.items()
        if name == "rand_augment":  # timm divides weights by their sum
            total = sum(arguments["weights"]) or 1.0
            weights = arguments.pop("weights") or [1.0] * len(arguments["ops"])
            arguments["ops"] = sorted(zip(arguments["ops"], [round(x / total, 5) for x in weights], strict=True))
            arguments["m_max"] = arguments["m_max"] or 10.0
            arguments["m_std"] = min(arguments["m_std"], 101.0)  # all above 100 are uniform
        elif name == "aug_mix":
            arguments["ops"] = sorted(arguments["ops"] or DIALECTS["aug_mix", "timm"].ops)
        elif name == "auto_augment":
            table = arguments["policy"]
            rows = load_table(table) if isinstance(table, str) else table
            # in this dialect `posterize` is `posterize_original`
            known = {"posterize": "posterize_original"}
            arguments["policy"] = [[(known.get(op, op), p, m) for op, p, m in row] for row in rows]
    return found


@pytest.mark.parametrize("name", TRAINING)
def test_arguments_mean_what_create_transform_makes_of_them(name: str) -> None:
    arguments = {"is_training": True, **TRAINING[name]}
    by_arguments, by_object = augreg.from_timm(**arguments), augreg.from_timm(create_transform(**arguments))
    assert [line.split(": ", 1)[1] for line in by_object.report] == [
        line.split(": ", 1)[1] for line in by_arguments.report
    ]
    assert {**by_arguments.spec, "image": 0} == {**by_object.spec, "image": 0}
    assert canonical(by_arguments) == canonical(by_object)


def test_the_arguments_are_those_of_create_transform() -> None:
    """Each argument of the real function is known, and its default is ours: naming all of them changes nothing."""
    defaults = {key: parameter.default for key, parameter in inspect.signature(create_transform).parameters.items()}
    for training in (False, True):
        everything = augreg.from_timm(**{**defaults, "is_training": training})
        assert everything == augreg.from_timm(is_training=training)
        assert everything.report == ()


# What the steps draw, against what the objects of timm draw.


def test_several_boxes_are_drawn_as_by_timm() -> None:
    """How often boxes are erased, and how much of the image they cover together."""
    theirs = RandomErasing(probability=0.5, mode="pixel", max_count=3, device="cpu")
    imported = augreg.from_timm(theirs)
    assert imported.report == ()
    (step,) = imported.spec["image"]
    names = [next(iter(choice)) for choice in step["one_of"]["steps"]]
    assert names == ["random_erasing", "sequential", "sequential"]
    spec = {**imported.spec, "image": [{"normalize": {"mean": 0.5, "std": 0.5}}, step]}
    pipe, image = augreg.Pipeline.from_spec(spec), np.zeros((40, 40, 3), np.uint8)
    ours = [(pipe.train(image, index=index) != -1).any(axis=0).mean() for index in range(1500)]
    random.seed(0)
    torch.manual_seed(0)
    wanted = [(theirs(torch.full((3, 40, 40), -1.0)) != -1).any(dim=0).float().mean() for _ in range(1500)]
    assert np.mean(np.equal(ours, 0)) == pytest.approx(0.5, abs=0.04)
    quantiles = np.linspace(0.05, 0.95, 7)
    found, expected = (np.quantile([part for part in parts if part], quantiles) for parts in (ours, wanted))
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("shape", [(300, 451), (90, 61), (150, 150)], ids=str)
def test_sizes_with_a_random_ratio_are_those_of_timm(shape: tuple[int, int]) -> None:
    theirs = ResizeKeepRatio(
        (96, 80), longest=0.3, random_scale_prob=0.5, random_scale_range=(0.3, 0.9), random_scale_area=True,
        random_aspect_prob=0.5, random_aspect_range=(0.6, 1.7),
    )  # fmt: skip
    imported = augreg.from_timm(theirs)
    assert imported.report == ()
    pipe = augreg.Pipeline.from_spec(imported.spec)
    plans = [pipe.train.plan(shape, index=index).ops for index in range(1500)]
    ours = np.array([made[-1].size_after(*shape) if made else shape for made in plans])
    random.seed(0)
    image = torch.zeros(1, *shape)
    wanted = np.array([
        theirs.get_params(image, (96, 80), 0.3, 0.5, (0.3, 0.9), True, 0.5, (0.6, 1.7)) for _ in range(1500)
    ])  # fmt: skip
    still = pipe.test.plan(shape).ops[-1].size_after(*shape)
    assert list(still) == ResizeKeepRatio.get_params(image, (96, 80), 0.3)
    for axis in (0, 1):
        kept, also = np.mean(ours[:, axis] == still[axis]), np.mean(wanted[:, axis] == still[axis])
        assert kept == pytest.approx(also, abs=0.05)
        found, expected = (np.quantile(sizes[:, axis], np.linspace(0, 1, 9)) for sizes in (ours, wanted))
        np.testing.assert_allclose(found, expected, rtol=0.05)
    np.testing.assert_allclose(
        np.quantile(ours[:, 0] / ours[:, 1], [0.05, 0.5, 0.95]),
        np.quantile(wanted[:, 0] / wanted[:, 1], [0.05, 0.5, 0.95]), rtol=0.05,
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "symmetric"])
@pytest.mark.parametrize("shape", [(40, 50), (20, 21), (20, 50), (41, 9), (32, 32)], ids=str)
def test_crops_and_padding_are_those_of_timm(mode: str, shape: tuple[int, int]) -> None:
    """At the center bit for bit; at random, the images that occur are the same."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8))
    fill = (9, 8, 7) if mode == "constant" else 0
    center = CenterCropOrPad((32, 33), fill=fill, padding_mode=mode)
    ours = augreg.Pipeline.from_spec(augreg.from_timm(center).spec)
    assert np.array_equal(ours.train(image, index=0), center(image))
    assert np.array_equal(ours.test(image), center(image))
    anywhere = RandomCropOrPad((32, 33), fill=fill, padding_mode=mode)
    imported = augreg.from_timm(anywhere)
    assert imported.report == ()
    ours = augreg.Pipeline.from_spec(imported.spec)
    random.seed(0)
    places = (abs(shape[0] - 32) + 1) * (abs(shape[1] - 33) + 1)
    wanted = {np.asarray(anywhere(image)).tobytes() for _ in range(8 * places)}
    found = {np.asarray(ours.train(image, index=index)).tobytes() for index in range(500)}
    assert len(wanted) == places or len(found) < places
    assert found <= wanted or len(wanted) < places
    assert len(found & wanted) > 0.5 * min(len(found), len(wanted))


def test_the_policies_that_timm_makes() -> None:
    """Policies by their functions, with options that create_transform does not set."""
    moved = augreg.from_timm(rand_augment_transform("rand-m5", {"translate_pct": 0.2, "img_mean": (1, 2, 3)}))
    assert moved.report == (
        "transforms[0] RandAugment: translate_pct=0.2 of TranslateXRel is not kept: "
        "it moves by 0.45 of a side at magnitude 10",
        "transforms[0] RandAugment: translate_pct=0.2 of TranslateYRel is not kept: "
        "it moves by 0.45 of a side at magnitude 10",
    )
    assert moved.spec["image"][0]["rand_augment"]["fill"] == [1, 2, 3]
    assert augreg.from_timm(augment_and_mix_transform("augmix-m3", {"translate_pct": 0.3})).report == ()
    three = augreg.from_timm(auto_augment_transform("3a", {}))
    assert three.spec["image"] == [{"three_augment": {"jitter": 0.0}}]
    assert three.report == ()
    noisy = augreg.from_timm(auto_augment_transform("3a-mstd0.5", {}))
    assert noisy.spec["image"] == []
    assert "left out: " in noisy.report[0]
    assert "GaussianBlurRand" in noisy.report[0]


def test_what_cannot_be_said_is_refused_by_name() -> None:
    linear = ResizeKeepRatio(32, random_scale_prob=0.5)
    patches = create_transform(naflex=True, patchify=True)
    assert "random_scale_area=False" in augreg.from_timm(linear).report[0]
    report = augreg.from_timm(patches).report
    assert "ResizeToSequence: left out: it makes sequences of patches" in report[0]
    assert "Patchify: left out" in report[1]
    with pytest.raises(TypeError, match="expected a transform of timm, got 'resnet50'"):
        augreg.from_timm("resnet50")
