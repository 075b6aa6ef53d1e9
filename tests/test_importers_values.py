"""The numbers that the importers write: as they were given, and on the scale that a spec has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
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
