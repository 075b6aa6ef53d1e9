"""Errors of a step's own check name the argument, show its value as it was written, and the nearest one allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from augreg import Pipeline, SpecError
from augreg.transforms import Hue, MedianBlur


@pytest.mark.parametrize(
    ("step", "path", "end"),
    [
        ({"median_blur": 2}, "median_blur.size", "got 2; the nearest is 3"),
        ({"median_blur": {"size": [0, 40]}}, "median_blur.size", "got [0, 40]; the nearest is [1, 31]"),
        ({"posterize": 9}, "posterize.bits", "got 9; the nearest is 8"),
        ({"posterize": {"bits": [3, 9]}}, "posterize.bits", "got [3, 9]; the nearest is [3, 8]"),
        ({"jpeg": 0}, "jpeg.quality", "got 0; the nearest is 1"),
        ({"hue": 0.9}, "hue.shift", "got 0.9; the nearest is [-0.5, 0.5]"),
        ({"safe_crop": {"size": 8, "ratio": 1e9}}, "safe_crop.ratio", "got 1000000000.0; the nearest is 1000000"),
        ({"some_of": {"steps": ["invert", "hue"], "count": 3}}, "some_of.count", "got 3; the nearest is 2"),
        ({"random_resized_crop": {"size": 8, "scale": 8}}, "random_resized_crop.scale",
         "got 8; did you mean 0.08? This is 8 / 100"),
        ({"center_crop": {"size": 0}}, "center_crop.size", "got 0 (takes integer or [height, width])"),
        ({"gaussian_blur": {"sigma": [0.1, "a"]}}, "gaussian_blur.sigma[1]", "got 'a' (takes number or [low, high])"),
        ({"normalize": {"mean": [0.1, 0.2], "std": [0.1, 0.2, 0.3]}}, "normalize.mean",
         "mean has 2 channels and std has 3"),
        ({"one_of": {"steps": ["hue"], "weights": [1, 2]}}, "one_of", "there are 1 steps and 2 weights"),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_a_step_refuses(step: Any, path: str, end: str) -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec([step])
    (problem,) = caught.value.problems
    assert problem.path == f"image[0].{path}" and problem.message.endswith(end)


def test_the_nearest_value_is_taken() -> None:
    for step in ({"median_blur": 3}, {"posterize": [3, 8]}, {"jpeg": 1}, {"hue": [-0.5, 0.5]}):
        Pipeline.from_spec([step])


def test_a_class_in_code_says_the_same() -> None:
    with pytest.raises(SpecError, match=r"^median_blur\.size: size must be odd numbers from 1 to 31, got 2;"):
        MedianBlur(2)
    with pytest.raises(SpecError, match=r"^hue\.shift: .* got 0\.9;"):
        Hue(shift=0.9)


def test_the_line_is_that_of_the_argument(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("image:\n  - invert\n  - posterize:\n      p: 0.5\n      bits: 9\n")
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(path)
    assert caught.value.problems[0].line == 5
