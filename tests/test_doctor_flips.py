"""The doctor on flips that no name tells: true ones are found, rotations and shifts of symmetric images are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from doctored import PHOTOS, Photos, load, normalized
from torch.nn.functional import affine_grid, grid_sample

from augreg.doctor import loader
from augreg.doctor.arrays import likeness


class Drawn(Photos):
    classes = ("A", "H", "M", "T")

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def image(self, image: np.ndarray, index: int) -> Any:
        one, two = torch.rand(2).tolist()
        if self.kind == "flip":
            return _flipped(image, one)
        if self.kind == "flip and jitter":
            return (0.5 + two) * _flipped(image, one) + two
        symmetric = normalized(image // 2 + image[:, ::-1] // 2)
        if self.kind == "shift":
            return symmetric.roll(int(12 * one), -1)
        angle = torch.tensor(0.6 * one - 0.3)
        turn = torch.stack([angle.cos(), -angle.sin(), angle * 0, angle.sin(), angle.cos(), angle * 0]).view(1, 2, 3)
        grid = affine_grid(turn, [1, 3, 12, 12], align_corners=False)
        return grid_sample(symmetric[None], grid, align_corners=False, padding_mode="border")[0]


def _flipped(image: np.ndarray, draw: float) -> torch.Tensor:
    return normalized(image[:, ::-1] if draw < 0.5 else image)


@pytest.mark.parametrize(
    ("kind", "found"), [("flip", True), ("flip and jitter", True), ("rotation", False), ("shift", False)]
)
def test_only_true_flips_are_reported(kind: str, found: bool) -> None:
    for seed in range(2):
        torch.manual_seed(seed)
        report = loader(load(Drawn(kind)), epochs=1)
        assert ("flips against labels" in {finding.check for finding in report.findings}) is found, str(report)


def test_likeness() -> None:
    image = PHOTOS[0]
    mirror = image[:, ::-1]
    assert likeness(image, image * 0.5 + 20.0) == "same"
    assert likeness(image, mirror * 0.5 + 20.0) == "mirrored"
    assert likeness(image, PHOTOS[1]) is None
    assert likeness(image, 255 - mirror) is None
    assert likeness(image / 2 + mirror / 2, image / 2 + mirror / 2) is None
    assert likeness(image, np.zeros_like(image)) is None
    assert likeness(image, image[:6]) is None
