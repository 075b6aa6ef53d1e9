"""What `from_spec` accepts, `train` can do: numbers at the edge of floats are refused, or work."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import ImageError, SpecError
from augreg.registry.registry import Registry
from augreg.rng import address_of
from augreg.steps.fields import required
from augreg.transforms.dirichlet import dirichlet

REGISTRY = Registry.installed()
BUILT_IN = [name for name in REGISTRY if "/" not in name]
LIMITS = (5e-324, 1e-308, 1e-200, 1e30, 1e308, 1.7976931348623157e308)
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
NEEDED = {"size": 8, "steps": ["horizontal_flip", "vertical_flip"]}


def specs(name: str) -> list[dict[str, Any]]:
    """The step with each of its arguments at each limit, alone, in a pair and as the end of a schedule."""
    cls = REGISTRY[name]
    known = [field for field in fields(cls) if field.init]
    base = {field.name: NEEDED.get(field.name, 8) for field in known if required(field)}
    found = []
    for field in known:
        for limit in LIMITS if field.name != "steps" else ():
            for value in (limit, -limit, [limit, limit], [-limit, limit], [limit, 1.0], [1.0, limit]):
                found.append({name: {**base, field.name: value}})
    return found


@pytest.mark.parametrize("name", [name for name in BUILT_IN if REGISTRY[name].__augreg__.sections[0] == "image"])
def test_image_steps_at_the_edge_of_floats(name: str) -> None:
    for spec in specs(name):
        try:
            pipe = augreg.Pipeline.from_spec([spec])
        except SpecError:
            continue
        try:
            for image in (IMAGE, IMAGE.astype(np.float32) / 255):
                for index in range(2):
                    assert np.isfinite(pipe.train(image, index=index)).all(), spec
        except ImageError as error:  # a color of two numbers fits images of two channels
            assert "2 numbers and the image has 3 channels" in str(error), spec


@pytest.mark.parametrize("name", [name for name in BUILT_IN if REGISTRY[name].__augreg__.sections[0] == "batch"])
def test_batch_steps_at_the_edge_of_floats(name: str) -> None:
    for spec in specs(name):
        try:
            targets = {"instances": ["masks"]}
            pipe = augreg.Pipeline.from_spec({"batch": [spec], "classes": 2, "targets": targets})
        except SpecError:
            continue
        batch = {
            "image": np.stack([IMAGE] * 4),
            "label": np.arange(4) % 2,
            "masks": np.ones((4, 24, 20, 1), np.uint8),
        }
        found = pipe.batch(batch, batch=1)
        assert found["image"].shape == (4, 24, 20, 3)
        assert np.isfinite(found["label"].dense()).all()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"one_of": {"steps": ["d4", "rotate"], "weights": [1e308, 1e308]}}, "finite sum"),
        ({"rand_augment": {"ops": ["Rotate", "ShearX"], "weights": [1e308, 1e308], "n": 1}}, "finite sum"),
        ({"rand_augment": {"ops": ["Rotate"], "weights": [0], "n": 1}}, "at least one weight must be positive"),
        ({"random_resized_crop": {"size": 8, "ratio": [5e-324, 1]}}, "ratio must be between 1e-06 and 1e\\+06"),
        ({"safe_crop": {"size": 8, "ratio": 1e9}}, "ratio must be between"),
        ({"random_erasing": {"ratio": 5e-324}}, "ratio must be between"),
        ({"affine": {"scale": [1e-200, 1]}}, "scale must be between"),
        ({"affine": {"degrees": 1e308}}, "expected numbers from -1e\\+30 to 1e\\+30"),
        ({"motion_blur": {"angle": [-1e308, 1e308]}}, "expected numbers from"),
        ({"normalize": {"mean_image": []}}, "0 rows of \\[\\] pixels"),
        ({"normalize": {"mean_image": [[]]}}, "1 rows of \\[0\\] pixels"),
        ({"normalize": {"mean_image": [[[]]]}}, "pixels of \\[0\\] channels"),
        ({"normalize": {"mean_image": [[[0.5], [0.5]], [[0.5]]]}}, "2 rows of \\[1, 2\\] pixels of \\[1\\]"),
        ({"normalize": {"mean_image": [[[0.5], [0.5, 0.5]]]}}, "pixels of \\[1, 2\\] channels"),
        ({"normalize": {"mean_image": [[[127.5]]]}}, "on the 0..1 scale, and it runs from 127.5"),
    ],
)
def test_refused_as_the_spec_is_read(step: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        augreg.Pipeline.from_spec([step])


def test_a_strong_shrink_is_no_translation() -> None:
    """At scale 1e-5 nearly all is fill; a singular map would leave the image whole."""
    given = {"degrees": 0, "translate": [0, 0], "scale": 1e-5, "shear_x": 0, "fill": 9, "interpolation": "nearest"}
    white = np.full((9, 9, 1), 255, np.uint8)
    found = augreg.Pipeline([{"affine": given}]).train(white, index=0)
    found[4, 4] = 9
    assert (found == 9).all()


def test_the_smallest_alpha_takes_one_of_two_whole() -> None:
    found = []
    for index in range(400):
        weights = dirichlet(address_of(0, index).cursor(1), 5e-324, 2)
        assert sorted(weights) == [0.0, 1.0]
        found.append(weights[0])
    assert abs(sum(found) / 400 - 0.5) < 4 * math.sqrt(0.25 / 400)
