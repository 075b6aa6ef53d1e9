"""Noise on bytes is that of the core: its formulas on its field of normal numbers."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from augreg_native import _native, noises, program
from numpy.typing import NDArray

from augreg.ops import Noise, Normalize, Op, Paint
from augreg.rng import field, frame_key

Array = NDArray[np.uint8]
Run = Callable[[list[Op], Array], Array]


def expected(op: Noise, image: Array) -> Array:
    """The definition, in single precision."""
    height, width, channels = image.shape
    normal = field("normal", frame_key(op.key, op.frame), (height, width, channels + (op.name == "iso")))
    values = image * np.float32(1 / 255)
    amount = np.float32(op.amounts[0])
    if op.name == "gaussian":
        values = values + amount * normal
    elif op.name == "iso":
        values = values + amount * np.sqrt(values) * normal[..., :1] + np.float32(op.amounts[1]) * normal[..., 1:]
    else:
        mean = values * amount
        photons = np.rint(mean + np.sqrt(mean) * normal + (normal * normal - 1) * np.float32(1 / 6))
        values = np.where(mean == 0, np.float32(0), np.maximum(photons, 0) / amount)
    return np.clip(np.rint(values * np.float32(255)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["gaussian", "shot", "iso"])
def test_noise(isa: str, compiled: Run, image_of: Callable[..., Array], name: str) -> None:
    """Small images, where the two halves of the field meet in any channel; any key."""
    for seed in range(120):
        numbers = random.Random(seed)
        side = numbers.choice((4, 4, 40))
        image = image_of(seed, numbers.randint(1, side), numbers.randint(1, side), numbers.choice((1, 2, 3, 3, 4)))
        amounts = (numbers.choice((1.0, 30.0, 1e5)),) if name == "shot" else (numbers.random(), numbers.random())
        op = Noise(name, amounts, numbers.getrandbits(64), frame=seed % 3)  # type: ignore[arg-type]
        assert np.array_equal(compiled([op], image), expected(op, image)), (seed, image.shape, op)


def test_noise_of_many_pieces(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    image = image_of(4, 61, 83)
    for op in (Noise("gaussian", (0.1,), 5), Noise("shot", (50.0,), 2**64 - 1), Noise("iso", (0.1, 0.05), 77)):
        assert np.array_equal(compiled([op], image), expected(op, image))


def test_nothing_is_written_after_an_image_of_an_odd_number_of_values(isa: str) -> None:
    """Numbers come in pairs."""
    op, memory = Noise("gaussian", (0.2,), 7), np.full(16, 77, np.uint8)
    image, out = np.full((1, 5, 3), 99, np.uint8), memory[:15].reshape(1, 5, 3)
    _native.run(noises.noisy(op, program.Shape(1, 5, 3)), image, out, isa)
    assert np.array_equal(out, expected(op, image)) and memory[15] == 77


def test_boxes_of_noise(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Uniform on bytes; uniform and normal on floats, where the image is a plane for each channel."""
    for seed in range(80):
        numbers = random.Random(seed)
        image = image_of(seed, numbers.randint(1, 40), numbers.randint(1, 40), numbers.choice((1, 2, 3, 4)))
        height, width = numbers.randint(1, image.shape[0]), numbers.randint(1, image.shape[1])
        top, left = numbers.randint(0, image.shape[0] - height), numbers.randint(0, image.shape[1] - width)
        box = np.s_[top : top + height, left : left + width]
        shape, key = (height, width, image.shape[2]), numbers.getrandbits(64)
        for kind in ("uniform", "normal"):
            op = Paint(top, left, height, width, noise=kind, key=key, frame=seed % 2)  # type: ignore[arg-type]
            noise = field(kind, frame_key(key, seed % 2), shape)  # type: ignore[arg-type]
            floats = (image / 255.0).astype(np.float32)
            floats[box] = noise
            assert np.array_equal(compiled([Normalize((0.0,), (1.0,)), op], image), floats), (seed, kind)
            if kind == "uniform":
                expected = image.copy()
                expected[box] = noise * 256
                assert np.array_equal(compiled([op], image), expected), seed
            else:
                assert program.run([op], 0, image)[0] == 0


def test_large_amounts_are_left_to_the_core() -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    for op in (Noise("gaussian", (1e7,), 5), Noise("shot", (0.0,), 5), Noise("iso", (0.1, float("nan")), 5)):
        assert program.run([op], 0, image)[0] == 0
