"""Skew against the preprocessing of real torchvision, transformers, and safetensors files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import augreg

PHOTOS = [Path(__file__).parents[2] / "gallery" / "photos" / f"{name}.jpg" for name in ("chelsea", "astronaut")]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
STEPS: list[Any] = [{"resize": {"shorter": 256}}, {"center_crop": 224}, {"normalize": "imagenet"}]
PIPE = augreg.Pipeline.from_spec({"image": STEPS, "backend": "pillow"})
TO_TENSOR = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
CUBIC = v2.InterpolationMode.BICUBIC


def opened(transform: Any) -> Any:
    return lambda path: transform(Image.open(path))


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([v2.Resize(256), v2.CenterCrop(224), *TO_TENSOR, v2.Normalize(MEAN, STD)], {}),
        (
            [v2.Resize(256, CUBIC), v2.CenterCrop(224), *TO_TENSOR, v2.Normalize(MEAN, STD)],
            {"resize filter": "bicubic"},
        ),
        ([v2.Resize(256), v2.CenterCrop(224), *TO_TENSOR], {"normalization": "none, values from 0 to 1"}),
        (
            [v2.Resize(256), v2.CenterCrop(224), *TO_TENSOR, v2.Normalize([0.5] * 3, [0.5] * 3)],
            {"normalization": "that of half (mean 0.5)"},
        ),
    ],
)
def test_torchvision(steps: list[Any], found: dict[str, str]) -> None:
    transform = v2.Compose(steps)
    for function in (opened(transform), transform):  # of a path, and of a PIL image
        skew = augreg.skew(PIPE, function, PHOTOS)
        assert {one.what: one.found for one in skew.differences} == found
        assert skew.residual == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("resample", [2, 3])
def test_an_image_processor_of_transformers(resample: int) -> None:
    from transformers import ViTImageProcessor

    processor = ViTImageProcessor(
        size={"height": 224, "width": 224}, resample=resample, image_mean=MEAN, image_std=STD
    )

    def prepare(path: Any) -> Any:
        return processor(Image.open(path), return_tensors="np")["pixel_values"]

    skew = augreg.skew(PIPE, prepare, PHOTOS)
    named = {one.what: one.found for one in skew.differences}
    assert named.pop("crop").startswith("resize to 224x224 (100.0 % x 100.0 % of the image, stretched")
    assert named == ({"resize filter": "bicubic"} if resample == 3 else {})
    assert skew.residual is not None and skew.total.pixels is not None
    assert skew.residual < 0.02 * skew.total.pixels


def test_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    path = tmp_path / "model.safetensors"
    augreg.save_checkpoint(path, model.state_dict(), PIPE)
    assert {file.name for file in tmp_path.iterdir()} == {path.name}
    plain = load_file(path)
    assert plain.keys() == model.state_dict().keys()
    loaded = augreg.load_checkpoint(path, PIPE.replace(image=[*STEPS[:2], {"normalize": "half"}]))
    assert loaded.pipe == PIPE
    assert all(torch.equal(loaded.checkpoint[key], value) for key, value in model.state_dict().items())
    assert loaded.skew is not None and [one.what for one in loaded.skew.differences] == ["normalization"]
