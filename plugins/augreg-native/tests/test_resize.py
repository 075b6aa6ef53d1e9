"""The resize has the bytes of Pillow's own, whatever the size, the scale, the view and the instruction set."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from augreg_native import _native, program
from numpy.typing import NDArray
from PIL import Image

from augreg import ops

Array = NDArray[np.uint8]
INSTRUCTION_SETS = [name for name in ("plain", "avx2", "avx512") if _native.isa(name)]
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@pytest.fixture(params=INSTRUCTION_SETS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each instruction set that this processor has."""
    monkeypatch.setattr(program, "ISA", request.param)
    return str(request.param)


def by_pillow(image: Array, height: int, width: int, name: str) -> Array:
    """Pillow's resize, channel by channel, one axis after the other in the order of docs/backends.md."""
    rows_first = height < image.shape[0] and image.shape[0] - height > 2 * (image.shape[1] - width)
    planes = []
    for channel in range(image.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
        for size in ((plane.width, height) if rows_first else (width, plane.height), (width, height)):
            plane = plane.resize(size, FILTERS[name])
        planes.append(np.asarray(plane))
    return np.stack(planes, axis=2)


def run(chosen: list[ops.Op], image: Array) -> Array:
    """The image after the ops, which must all be compiled ones."""
    count, found = program.run(chosen, 0, image)
    assert count == len(chosen)
    return found


def side(numbers: random.Random, most: int) -> int:
    """Often tiny, sometimes as large as it may be."""
    return numbers.choice((1, numbers.randint(1, 8), numbers.randint(1, 80), numbers.randint(1, most)))


def resized(numbers: random.Random, length: int, most: int) -> int:
    """A new side: a scale of 1/60 to 60."""
    return max(1, min(most, round(length * 60 ** numbers.uniform(-1, 1))))


def check(seed: int, count: int, most: int) -> None:
    """Random images, sizes and views: a box and flips before the resize, and a box and flips after it."""
    numbers = random.Random(seed)
    pixels = np.random.default_rng(seed)
    for number in range(count):
        height, width, channels = side(numbers, most), side(numbers, most), numbers.randint(1, 4)
        image = pixels.integers(0, 256, (height, width, channels), dtype=np.uint8)
        if numbers.random() < 0.3:
            image = np.where(image < 128, 0, 255).astype(np.uint8)  # overshoots of both signs
        if numbers.random() < 0.2:
            image = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)
        before, name = box(numbers, height, width), numbers.choice(sorted(FILTERS))
        view = moved(before, image)
        resize = ops.resize(resized(numbers, view.shape[0], most), resized(numbers, view.shape[1], most), name)
        after = box(numbers, resize.height, resize.width, transpose=False)
        found = run([before, resize, after], image)
        expected = moved(after, by_pillow(view, resize.height, resize.width, name))
        assert np.array_equal(found, expected), (seed, number, image.shape, before, resize, after)


def check_parts(seed: int, count: int, most: int) -> None:
    """Parts of random images whose edges are at eighths of pixels: a box and flips before, and after."""
    numbers = random.Random(seed)
    pixels = np.random.default_rng(seed)
    for number in range(count):
        height, width, channels = side(numbers, most), side(numbers, most), numbers.randint(1, 4)
        image = pixels.integers(0, 256, (height, width, channels), dtype=np.uint8)
        before, name = box(numbers, height, width), numbers.choice(sorted(FILTERS))
        view = moved(before, image)
        ends = [sorted(numbers.sample(range(8 * length + 1), 2)) for length in view.shape[:2]]
        (top, left), (bottom, right) = ([end[n] / 8 for end in ends] for n in (0, 1))
        size = [resized(numbers, length, most) for length in view.shape[:2]]
        resize = ops.ResizeBox(top, left, bottom - top, right - left, *size, name)
        after = box(numbers, *size, transpose=False)
        rows_first = size[0] < view.shape[0] and view.shape[0] - size[0] > 2 * (view.shape[1] - size[1])
        planes = []
        for channel in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(view[..., channel]))
            for rows in (rows_first, not rows_first):
                shape = (plane.width, size[0]) if rows else (size[1], plane.height)
                part = (0, top, plane.width, bottom) if rows else (left, 0, right, plane.height)
                plane = plane.resize(shape, FILTERS[name], part)
            planes.append(np.asarray(plane))
        expected = moved(after, np.stack(planes, axis=2))
        found = run([before, resize, after], image)
        assert np.array_equal(found, expected), (seed, number, image.shape, before, resize, after)


def box(numbers: random.Random, height: int, width: int, transpose: bool = True) -> ops.Move:
    """A random box with flips, or the whole."""
    top, left = (numbers.randint(0, length - 1) if numbers.random() < 0.5 else 0 for length in (height, width))
    size = [
        length if numbers.random() < 0.5 else numbers.randint(1, length) for length in (height - top, width - left)
    ]
    turned, flip_y, flip_x = transpose and numbers.random() < 0.2, numbers.random() < 0.4, numbers.random() < 0.4
    return ops.Move(top, left, *size, turned, flip_y, flip_x)


def moved(op: ops.Move, image: Array) -> Array:
    """The op by NumPy."""
    found = image[op.top : op.top + op.height, op.left : op.left + op.width]
    found = found.swapaxes(0, 1) if op.transpose else found
    return found[:: -1 if op.flip_y else 1, :: -1 if op.flip_x else 1]


def test_random_resizes(isa: str) -> None:
    check(1, 250, 300)


def test_resizes_of_parts(isa: str) -> None:
    check_parts(4, 150, 300)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(5))
def test_more_resizes_of_parts(part: int, isa: str) -> None:
    check_parts(200 + part, 1000, 900)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_more_random_resizes(part: int, isa: str) -> None:
    check(100 + part, 1000, 900)


@pytest.mark.parametrize("name", FILTERS)
def test_every_scale(name: str, isa: str) -> None:
    """A side of 61 to every side from 1 to 130, and a side of 1 to 40 to one of 7."""
    image = np.random.default_rng(2).integers(0, 256, (3, 61, 3), dtype=np.uint8)
    for width in range(1, 131):
        assert np.array_equal(run([ops.resize(3, width, name)], image), by_pillow(image, 3, width, name)), width
        turned = image.swapaxes(0, 1)
        assert np.array_equal(run([ops.resize(width, 3, name)], turned), by_pillow(turned, width, 3, name)), width
    for width in range(1, 41):
        assert np.array_equal(
            run([ops.resize(5, 7, name)], image[:, :width]), by_pillow(image[:, :width], 5, 7, name)
        )


@pytest.mark.parametrize("name", FILTERS)
def test_large_images(name: str, isa: str) -> None:
    """Shrunk by 9, in both orders of the passes, and by 60 and more."""
    image = np.random.default_rng(3).integers(0, 256, (700, 811, 3), dtype=np.uint8)
    for height, width in ((77, 90), (77, 811), (11, 13), (1, 1), (700, 3), (3, 800)):
        found = run([ops.resize(height, width, name)], image)
        assert np.array_equal(found, by_pillow(image, height, width, name)), (height, width)


def test_weights_of_one_bit(isa: str) -> None:
    """White stays white and black stays black at every scale: the weights of a pixel add up to one, nearly."""
    for channels in range(1, 5):
        for height, width in ((1, 1), (2, 3), (50, 7), (200, 333)):
            white = np.full((40, 60, channels), 255, np.uint8)
            for name in FILTERS:
                found = run([ops.resize(height, width, name)], white)
                assert (found == by_pillow(white, height, width, name)).all() and (found >= 254).all()
                assert (run([ops.resize(height, width, name)], 255 - white) == 0).all()


def test_the_input_is_read_within_its_memory(isa: str) -> None:
    """The bytes around a view do not matter: the same result where they are others."""
    numbers = random.Random(4)
    whole = np.random.default_rng(4).integers(0, 256, 60 * 60 * 4, dtype=np.uint8)
    for _ in range(60):
        height, width, channels = numbers.randint(1, 20), numbers.randint(1, 20), numbers.randint(1, 4)
        image = whole[: 60 * 60 * channels].reshape(60, 60, channels)[20 : 20 + height, 20 : 20 + width]
        other = np.full((60, 60, channels), numbers.choice((0, 255)), np.uint8)
        other[20 : 20 + height, 20 : 20 + width] = image
        chosen: list[Any] = [
            ops.resize(numbers.randint(1, 30), numbers.randint(1, 30), numbers.choice(sorted(FILTERS)))
        ]
        found = run(chosen, other[20 : 20 + height, 20 : 20 + width])
        assert np.array_equal(found, run(chosen, image)) and np.array_equal(found, run(chosen, image.copy()))
