"""The compiled backend, where it is installed: the bytes of Pillow for whole plans. Its folder has more tests."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from strategies import images, specs
from test_plan import random_case
from test_properties import few
from test_soak import COMMON

from augreg import ImageError, Pipeline
from augreg.backends import choose

pytest.importorskip(
    "augreg_native", reason="augreg-native is not installed: `make native` builds it where there is a C compiler"
)


def parts(count: int) -> pytest.MarkDecorator:
    """So many parts, all but the first for the long run only."""
    later = [pytest.param(part, marks=pytest.mark.soak) for part in range(1, count)]
    return pytest.mark.parametrize("part", [0, *later])


def outcome(pipe: Pipeline, image: np.ndarray, index: int | None) -> tuple[Any, ...]:
    """What a pipeline makes of an image in training, or at test time: the type, shape and bytes, or the error."""
    try:
        found = pipe.test(image) if index is None else pipe.train(image, index=index)
    except ImageError as error:
        return ("refused", str(error).replace("(native)", "(pillow)"))
    return found.dtype, found.shape, np.ascontiguousarray(found).tobytes()


def same(spec: Any, image: np.ndarray, index: int) -> str:
    """Check that both backends make the same of it; "ran" or "refused"."""
    native = Pipeline.from_spec(spec, backend="native")
    pillow = native.replace(backend="pillow")
    for at in (index, None):
        found, expected = outcome(native, image, at), outcome(pillow, image, at)
        assert found == expected, f"{spec}, {image.shape} {image.dtype}, index {at}: {found[:2]} and {expected[:2]}"
    return "refused" if expected[0] == "refused" else "ran"


@parts(25)
def test_plans_that_merge(part: int) -> None:
    """200 plans a part of steps that the planner merges and reorders."""
    for seed in range(200 * part, 200 * part + 200):
        steps, image = random_case(10_000 + seed)
        same({"image": steps, "seed": seed}, image, seed)


@parts(50)
def test_plans_of_any_steps(part: int) -> None:
    """100 specs a part: any steps with any arguments, on bytes and floats, with 1 to 12 channels and any strides."""
    seen = []

    @hypothesis.seed(5000 + part)
    @settings(few, max_examples=100, derandomize=False, database=None)
    @given(spec=specs(), image=images(channels=COMMON, most=48), index=st.integers(0, 2**64 - 1))
    def check(spec: dict[str, Any], image: np.ndarray, index: int) -> None:
        seen.append(same(spec, image, index))

    check()
    assert seen.count("ran") > seen.count("refused")


@parts(20)
def test_presets_on_photos(part: int) -> None:
    """The preset for ImageNet and a policy on larger images, 5 a part with either, in color, gray and with alpha."""
    pixels = np.random.default_rng(part)
    steps = [
        {"random_resized_crop": 96},
        "horizontal_flip",
        {"auto_augment": "imagenet"},
        "normalize",
        "random_erasing",
    ]
    for number in range(5):
        smooth = pixels.integers(0, 256, (9, 12, 3)).repeat(20, 0).repeat(20, 1)
        image = np.clip(smooth + pixels.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)
        for spec in ("imagenet", {"image": steps}, {"image": steps, "channels": "gray"}):
            assert same(spec, image, 5 * part + number) == "ran"
        alpha = np.concatenate([image, image[..., :1]], axis=2)
        assert same({"image": steps[:4], "channels": "rgba"}, alpha, number) == "ran"


def test_auto_takes_it() -> None:
    assert Pipeline.from_spec([]).backend == "native" == choose("auto", {"native"})
    assert Pipeline.from_spec(["horizontal_flip"], backend="native").to_spec()["backend"] == "native"
