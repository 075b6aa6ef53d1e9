"""Hints of errors must not lead to another quantity, to an argument that is given already, or to a step of no use."""

from __future__ import annotations

from typing import Any

import pytest

from augreg import Pipeline, SpecError


def problems(spec: Any) -> list[str]:
    """All problems of a spec."""
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    return list(map(str, caught.value.problems))


@pytest.mark.parametrize(
    ("step", "right"),
    [
        ({"pad": [10, 10]}, "10"),
        ({"pad": [40000, 0]}, "[0, 0, 40000, 40000]"),  # torchvision: left and right, top and bottom
        ({"cutout": [16, 16]}, "16"),
        ({"resize": {"shorter": [224, 224]}}, "{size: [224, 224]}"),
        ({"resize": {"shorter": "224x192", "p": 1.0}}, "{size: [224, 192]}"),
    ],
    ids=str,
)
def test_a_list_for_the_first_argument(step: Any, right: str) -> None:
    """A list is read item by item, as several arguments, only if the first argument means nothing like it."""
    (message,) = problems([step])
    assert message.endswith(f"; did you mean {right}?")


@pytest.mark.parametrize(
    ("spec", "wrong", "takes"),
    [
        ([{"median_blur": {"kernel_size": 3, "size": [3, 5]}}], "kernel_size", "size, p, test, uid"),
        ([{"rotate": {"degrees": 10, "angle": 4}}], "angle", "degrees, interpolation, fill, mode, p, test, uid"),
        ([{"rotate": {"degrees": 10, "degree": 4}}], "degree", "degrees, interpolation, fill, mode, p, test, uid"),
        ({"batch": [{"cutmix": {"lam": 0.3}}]}, "lam", "alpha, per, pairing, boxes, p, uid"),
    ],
    ids=str,
)
def test_no_argument_is_meant_twice(spec: Any, wrong: str, takes: str) -> None:
    (message,) = problems(spec)
    assert message.endswith(f"has no field {wrong!r}; it takes {takes}")


@pytest.mark.parametrize("mean", [1.5, 1.01, [1.5, 1.2, 1.1]], ids=str)
def test_a_slip_on_the_scale_from_0_to_1_is_not_divided_by_255(mean: Any) -> None:
    assert not any("did you mean" in one for one in problems([{"normalize": {"mean": mean}}]))
    assert "This is 2 / 255" in problems([{"normalize": {"mean": 2}}])[0]
    (message,) = problems([{"gaussian_noise": {"std": [0.1, 1.5]}}])
    assert message.endswith("std must be between 0 and 1, got [0.1, 1.5]; the nearest is [0.1, 1]")


@pytest.mark.parametrize("name", ["Identity", "identity", "NoOp", "A.NoOp", "nn.Identity"])
def test_a_step_that_does_nothing(name: str) -> None:
    assert "; no step is needed: leave it out" in problems([name])[0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"transforms": ["rotate"]},
         "transforms: a spec has no option or section 'transforms'; did you mean 'image'?"),
        ({"images": []}, "images: a spec has no option or section 'images'; did you mean 'image'?"),
        ({"criterion": []}, "criterion: a spec has no option or section 'criterion'; did you mean 'loss'?"),
        ([{"random_crop": {"height": 10, "width": 12}}],
         "image[0].random_crop: random_crop has no fields 'height' and 'width'; did you mean {size: [10, 12]}?"),
        ([{"random_crop": {"height": 10}}],
         "image[0].random_crop.height: random_crop has no field 'height'; did you mean 'size'?"),
        ({"model": [{"dropout": {"layers": "4"}}]},
         "model[0].dropout.layers: dropout has no field 'layers'; did you mean 'at'?"),
    ],
    ids=str,
)  # fmt: skip
def test_one_mistake_is_one_problem(spec: Any, message: str) -> None:
    assert problems(spec) == [message]


def test_two_mistakes_are_two_problems() -> None:
    assert len(problems({"sed": 3})) == 2  # the option, and no section
    assert len(problems([{"random_crop": {"height": 10, "width": "a"}}])) == 2  # no size that could be suggested
    assert len(problems([{"random_crop": {"height": 10, "width": 12, "filling": 0}}])) == 2


@pytest.mark.parametrize(
    ("step", "named"),
    [
        ({"type": "RandomFlip", "prob": 0.5}, "did you mean 'horizontal_flip' or 'vertical_flip'?"),  # mmcv
        ({"_target_": "torchvision.transforms.RandomCrop", "size": 32}, "did you mean 'random_crop'?"),  # Hydra
        ({"__class_fullname__": "HorizontalFlip", "p": 0.5}, "did you mean 'horizontal_flip'?"),  # albumentations
        ({"type": "PackSegInputs", "meta": 3}, None),
    ],
    ids=str,
)
def test_a_step_as_other_libraries_write_it(step: Any, named: str | None) -> None:
    (message,) = problems([step])
    hint = f"; {named}" if named else ""
    assert f"{hint} docs" in message if named else message.count("; ") == 1
    assert message.endswith(" docs/importing.md tells how pipelines of other libraries become specs")


@pytest.mark.parametrize("key", ["_target_", "__version__", "__class_fullname__"])
def test_a_file_of_another_library(key: str) -> None:
    assert "; docs/importing.md tells how" in problems({key: "x", "transforms": []})[0]


@pytest.mark.parametrize(
    ("step", "draws"),
    [
        ({"brightness": {"factor": 1.3}}, "brightness draws factor from 0 to 2.3,"),
        ({"one_of": [{"color_jitter": {"contrast": 1.5, "hue": 0.1}}]}, "color_jitter draws contrast from 0 to 2.5,"),
        ({"brightness": 0.3}, None),  # [0.7, 1.3], as people expect
        ({"contrast": 1.0}, None),  # [0, 2]
        ({"brightness": [1.3, 1.3]}, None),
        ({"gamma": 1.5}, None),  # 1.5 alone
    ],
    ids=str,
)
def test_a_factor_that_became_a_wide_range_is_said(step: Any, draws: str | None) -> None:
    """1 minus 1.3 would be negative, so the range is cut at 0: rarely what was meant by a factor of 1.3."""
    text = Pipeline.from_spec([step]).test.explain()
    assert (draws in text) if draws else ("single number" not in text)
