"""The numbers that the importers write: as they were given, and on the scale that a spec has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_importers_objects import make

import augreg

# as published with the weights of CLIP: https://github.com/openai/CLIP
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
ODD = [0.123456789012, 1 / 3, 0.1]


def normalize_of(imported: Any) -> Any:
    (normalize,) = (step["normalize"] for step in imported.spec["image"] if "normalize" in step)
    return normalize


@pytest.mark.parametrize(
    ("mean", "std", "written"),
    [
        (CLIP_MEAN, CLIP_STD, (list(CLIP_MEAN), list(CLIP_STD))),
        ((0.1, 0.2, 0.7), (0.3, 0.31, 0.99), ([0.1, 0.2, 0.7], [0.3, 0.31, 0.99])),
        ((124 / 255, 117 / 255, 104 / 255), (1 / 3,) * 3, ([0.4862745, 0.45882353, 0.40784314], [0.33333334] * 3)),
    ],
)
def test_arguments_of_timm_give_the_numbers_of_its_tensors(mean: Any, std: Any, written: Any) -> None:
    """Timm's Normalize keeps float32 tensors."""
    tensors = make("Normalize", mean=np.array(mean, np.float32), std=np.array(std, np.float32))
    expected = {"mean": written[0], "std": written[1]}
    assert normalize_of(augreg.from_timm(input_size=32, mean=mean, std=std)) == expected
    assert normalize_of(augreg.from_timm([make("ToTensor"), tensors])) == expected


def test_plain_floats_are_exact() -> None:
    for mean in (ODD, tuple(ODD), np.array(ODD)):
        exact = augreg.from_torchvision(make("Normalize", mean=mean, std=[0.26862954]))
        assert normalize_of(exact) == {"mean": ODD, "std": [0.26862954]}
    scalars = augreg.from_torchvision(make("Normalize", mean=[np.float32(0.1), 0.25, 0.5], std=np.float32(0.3)))
    assert normalize_of(scalars) == {"mean": [0.1, 0.25, 0.5], "std": [0.3]}


def test_a_mean_that_is_no_number_is_reported() -> None:
    imported = augreg.from_timm(input_size=32, mean="imagenet")
    assert "Normalize: left out: a parameter is missing or has an unexpected value" in imported.report[0]


def unscaled(*more: Any) -> Any:
    floats = make("ToDtype", dtype="torch.float32", scale=False)
    return augreg.from_torchvision([make("ToImage"), floats, *more])


def test_floats_from_0_to_255_are_normalized_exactly() -> None:
    """By hand: 123.675 / 255 = 0.485, and 58.395 / 255 = 0.229, the numbers of ImageNet."""
    numbers = make("Normalize", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    imported = unscaled(make("Pad", padding=2, fill=90, padding_mode="constant"), numbers)
    assert normalize_of(imported) == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    assert imported.spec["image"][0]["pad"]["fill"] == [90.0]
    assert imported.report == ()


def test_floats_from_0_to_255_stay_so_without_normalize() -> None:
    imported = unscaled(make("ToDtype", dtype="torch.float32", scale=True))  # floats to floats: no scale
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    found = np.asarray(augreg.Pipeline.from_spec(imported.spec).test(image))
    np.testing.assert_array_equal(found, image.transpose(2, 0, 1).astype(np.float32))
    assert imported.report == ()


def test_a_mean_of_bytes_after_a_division_is_left_out_in_one_line() -> None:
    imported = augreg.from_torchvision([make("ToTensor"), make("Normalize", mean=[127.5], std=[60.0])])
    line = "transforms[1] Normalize: left out: mean=[127.5] must be from 0 to 1, as the values of the images are"
    assert imported.report == (line,)
    assert normalize_of(imported) == {"mean": 0.0, "std": 1.0}


def test_one_channel_is_said() -> None:
    arguments = augreg.from_timm(input_size=(1, 32, 32), mean=(0.5,), std=(0.25,))
    assert arguments.spec["channels"] == "gray"
    assert len(arguments.report) == 1
    assert "input_size=(1, 32, 32) became `channels: gray`" in arguments.report[0]
    found = augreg.Pipeline.from_spec(arguments.spec).test(Image.new("RGB", (50, 40), (255, 255, 255)))
    assert tuple(found.shape) == (1, 32, 32)
    assert float(found.max()) == 2.0  # (1 - 0.5) / 0.25
    for function in (augreg.from_timm, augreg.from_torchvision):
        alone = function([make("ToTensor"), make("Normalize", mean=np.float32([0.5]), std=np.float32([0.25]))])
        assert alone.spec["channels"] == "keep"
        assert "mean has one number, so files and PIL images keep their channels" in alone.report[0]
        for mode, channels in (("L", 1), ("RGB", 3)):
            found = augreg.Pipeline.from_spec(alone.spec).test(Image.new(mode, (50, 40), 255))  # type: ignore[arg-type]
            assert tuple(found.shape) == (channels, 40, 50) and float(found.max()) == 2.0
        gray = function([make("Grayscale", num_output_channels=1), make("Normalize", mean=[0.5], std=[0.25])])
        assert gray.spec["channels"] == "gray"
        assert len(gray.report) == 1
        assert "pixels may differ by 1 after a resize" in gray.report[0]


@pytest.mark.parametrize(("noise", "strength"), [("gaussian", 0.634), ("uniform", 1.582)])
def test_an_elastic_field_is_as_strong_as_that_of_albumentations(noise: str, strength: float) -> None:
    """Pixels between a ramp and its elastic image, the mean of 60 deviations: those of albumentations 2.0.8."""
    data = {
        "__class_fullname__": "ElasticTransform", "alpha": 60.0, "sigma": 6.0, "p": 1.0, "noise_distribution": noise,
        "interpolation": 1,
    }  # fmt: skip
    pipe = augreg.Pipeline.from_spec(augreg.from_albumentations(data).spec)
    ramp = np.repeat(np.tile((np.arange(128, dtype=np.float32) + 0.5) / 128, (96, 1))[..., None], 3, axis=2)
    moved = [(pipe.train(ramp, index).reshape(96, 128, 3) - ramp)[16:-16, 16:-16, 0] * 128 for index in range(30)]
    assert np.mean([one.std() for one in moved]) == pytest.approx(strength, rel=0.07)


def test_where_a_mirror_moves_keypoints_is_said() -> None:
    """There x becomes W - 1 - x: a point at 3 of 10 columns is at 6, and with 0.5 added and subtracted here too."""
    found = augreg.from_albumentations(
        {
            "__class_fullname__": "Compose",
            "transforms": [{"__class_fullname__": "HorizontalFlip", "p": 1.0}],
            "keypoint_params": {"format": "xy"},
            "p": 1.0,
        }
    )
    assert any("W - 1 - x" in line and "add 0.5 to points that mark pixels" in line for line in found.report)
    sample = {"image": np.zeros((4, 10, 3), np.uint8), "keypoints": np.array([[3.0, 1.0]]) + 0.5}
    moved = augreg.Pipeline.from_spec(found.spec).train(sample, 0)["keypoints"] - 0.5
    assert moved.tolist() == [[6.0, 1.0]]
    page = (Path(__file__).parent.parent / "docs" / "importing.md").read_text()
    assert "mirrored from x to W - x in augreg and to W - 1 - x in albumentations" in page


def test_an_erased_area_is_as_wide_as_the_ratio_says() -> None:
    """A ratio of 4 gives 22 x 89 of 200 x 200 pixels in albumentations 2.0.8 too: it is width over height."""
    erasing = {"__class_fullname__": "Erasing", "scale": [0.05, 0.05], "ratio": [4, 4], "p": 1.0}
    spec = augreg.from_albumentations(erasing).spec
    rows, columns = np.nonzero(augreg.Pipeline.from_spec(spec).train(np.ones((200, 200), np.uint8), 1).squeeze() == 0)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (22, 89)


def test_kernels_have_three_pixels_at_least() -> None:
    """As albumentations 2.0.8 reads blur_limit=(1, 5): (3, 5)."""
    for name, step in (("Blur", "box_blur"), ("MedianBlur", "median_blur")):
        blur = {"__class_fullname__": name, "blur_limit": [1, 5], "p": 1.0}
        assert augreg.from_albumentations(blur).spec["image"] == [{step: {"size": [3, 5], "p": 1.0}}]
