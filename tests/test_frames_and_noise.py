"""Noise differs from image to image of a sample, and is made piece by piece without another byte."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import images
import numpy as np
import pytest

from augreg import Pipeline, ops
from augreg.backends import backend
from augreg.ops import Scene
from augreg.rng import field, field_rows

NOISY = ["gaussian_noise", "shot_noise", "iso_noise", {"random_erasing": {"mode": "pixel", "p": 1}}]
FLAT = np.full((40, 30, 3), 128, np.uint8)


def _by_hand(kind: str, key: int, count: int) -> np.ndarray[Any, Any]:
    """Box and Muller's numbers of whole arrays: word i of the first half with word i of the second."""
    half = (count + 1) // 2
    words = np.random.Philox(key=np.array([key, 5], np.uint64), counter=0).random_raw(2 * half)
    unit = (words >> np.uint64(11)) * 2.0**-53
    if kind == "uniform":
        return (np.floor(unit * 2.0**24) * 2.0**-24)[:count].astype(np.float32)
    radius, angle = np.sqrt(-2.0 * np.log1p(-unit[:half])), 2.0 * np.pi * unit[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].astype(np.float32)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 3), (7, 4), (0, 3), (3001, 3), (16384, 2), (16385, 1), (33333, 3), (20001, 5), (999, 65)]
)
def test_pieces_are_the_field_byte_for_byte(kind: Any, shape: tuple[int, int]) -> None:
    for key in (0, 2**64 - 1):
        wanted = _by_hand(kind, key, math.prod(shape)).reshape(shape)
        assert np.array_equal(field(kind, key, shape), wanted)
        found, times = np.full(shape, np.nan, np.float32), np.zeros(len(wanted), int)
        for first, rows in field_rows(kind, key, *shape):
            found[first : first + len(rows)] = rows
            times[first : first + len(rows)] += 1
        assert np.array_equal(found, wanted)
        assert (times == 1).all()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("name", "amounts"), [("gaussian", (0.1,)), ("shot", (60.0,)), ("iso", (0.1, 0.05))])
def test_noise_takes_little_memory_beside_its_result(name: Any, amounts: tuple[float, ...], dtype: Any) -> None:
    image = images.made("noise", 900, 1000, 3, dtype)
    op = ops.noise(Scene(900, 1000, 3, dtype), name, amounts, 5)
    tracemalloc.start()
    try:
        result = backend("pillow").apply(op, image)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < result.nbytes + (4 << 20)


@pytest.mark.parametrize("step", NOISY, ids=str)
def test_each_image_of_a_sample_has_noise_of_its_own(step: Any) -> None:
    pipe = Pipeline.from_spec([step])
    result = pipe.train({"image": FLAT, "images": [FLAT, FLAT], "image2": FLAT}, index=4)
    found = [result["image"], *result["images"], result["image2"]]
    alone = pipe.train(FLAT, index=4)
    assert np.array_equal(found[0], alone)
    changed = (alone != FLAT).any(axis=2)  # the same box in each, where the step has one
    noise = [image[changed].astype(float) - image[changed].mean() for image in found]
    for number, one in enumerate(noise):
        for other in noise[:number]:
            correlation = (one * other).mean() / np.sqrt((one**2).mean() * (other**2).mean())
            assert abs(correlation) < 0.2
            assert 0.8 < one.std() / other.std() < 1.25
    again = pipe.train({"image": FLAT, "images": [FLAT, FLAT], "image2": FLAT}, index=4)
    assert all(np.array_equal(one, two) for one, two in zip(again["images"], result["images"], strict=True))


def test_noise_differs_in_branches_and_in_images_of_other_kinds() -> None:
    from augreg.ops import BranchMix

    noise = ops.noise(Scene(40, 30), "gaussian", (0.1,), 5)
    mix = BranchMix(((noise,), ()), (0.5, 0.5))
    results = [backend("pillow").apply(mix.for_frame(frame), FLAT) for frame in (0, 1)]
    assert np.array_equal(results[0], backend("pillow").apply(mix, FLAT))
    assert not np.array_equal(*results)
    pipe = Pipeline.from_spec(["gaussian_noise"])
    mixed = pipe.train({"image": FLAT, "image2": (FLAT / np.float32(255)).astype(np.float32)}, index=1)
    assert np.abs(mixed["image2"] * 255 - mixed["image"]).max() > 10


@pytest.mark.parametrize("step", ["elastic", "grid_distortion", "rotate", "color_jitter", "cutout", "perspective"])
def test_all_else_is_the_same_in_each_image(step: str) -> None:
    given = {"color_jitter": {"color_jitter": {"brightness": 0.4, "hue": 0.1}}}.get(step, step)
    frames = [images.made("smooth", 40, 30)] * 3
    result = Pipeline.from_spec([given]).train({"images": frames}, index=4)["images"]
    assert all(np.array_equal(result[0], frame) for frame in result)
