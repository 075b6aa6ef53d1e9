"""What only the core defines has the bytes of the core: channel matrices, CLAHE, motion blur, remaps and float blurs.

The core's kernels are NumPy code; that of CLAHE has the bytes of OpenCV.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from augreg_native import program
from augreg_native.kernels import KERNELS
from numpy.typing import NDArray
from PIL import Image

from augreg import ops
from augreg.backends import backend, displacement, plain
from augreg.ops import ColorMatrix, Filter, Op, Resize, Scene

Array = NDArray[np.uint8]
Run = Callable[[list[Op], Array], Array]
CORE = backend("pillow")


def test_sums_of_channels(isa: str, compiled: Run) -> None:
    """By hand: halves are rounded to the even byte, and what is beyond 0 and 255 is clipped."""
    image = np.array([[[10, 20, 30], [11, 0, 0], [13, 255, 255], [0, 255, 9]]], np.uint8)
    rows = ((0.5, 0.0, 0.0), (0.0, 1.0, 2.0), (1.0, -1.0, 0.0))
    found = compiled([ColorMatrix(rows, (0.0, 3.0, 0.0))], image)
    assert found.tolist() == [[[5, 83, 0], [6, 3, 11], [6, 255, 0], [0, 255, 0]]]


def test_sums_of_two_whole_channels(isa: str, compiled: Run) -> None:
    image = np.array([[[10, 20, 30], [200, 100, 7]]], np.uint8)
    rows = ((1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    assert compiled([ColorMatrix(rows, (0.0, 0.0, 0.0))], image).tolist() == [[[30, 20, 30], [255, 100, 7]]]


def test_channels_that_change_places(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Also twice the same one, and one that becomes a value; after an op on floats and after one on bytes."""
    image = image_of(3, 21, 34)
    for order in ((2, 0, 1), (1, 1, 0)):
        assert np.array_equal(compiled([ops.permute_channels(order)], image), image[..., order])
    expected = (255 - image)[..., (2, 0, 1)]
    expected[..., 1] = 8  # 7.5, and halves go to the even byte
    dropped = ColorMatrix(((1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0)), (0.0, 7.5, 0.0))
    for before in (
        ops.point_function("invert"),
        ColorMatrix(((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)), (255.0,) * 3),
    ):
        assert np.array_equal(compiled([before, ops.permute_channels((2, 0, 1)), dropped], image), expected)


def test_random_matrices(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    for seed in range(60):
        numbers = random.Random(seed)
        channels = numbers.choice((1, 2, 3, 3, 4))
        image = image_of(seed, numbers.randint(1, 40), numbers.randint(1, 40), channels)
        weights = (0.0, 0.0, 1.0, -0.5, numbers.gauss(0, 1))
        rows = tuple(tuple(numbers.choice(weights) for _ in range(channels)) for _ in range(channels))
        op = ColorMatrix(rows, tuple(numbers.choice((0.0, 0.5, -30.0, 99.9)) for _ in range(channels)))
        assert np.array_equal(compiled([op], image), CORE.apply(op, image)), (seed, op.rows)
        mixed = [op, ops.point_function("invert"), op]  # in one pass
        assert np.array_equal(compiled(mixed, image), CORE.apply(op, 255 - CORE.apply(op, image)))


def test_clahe(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Tiles that do not fit the image, more tiles than pixels, and limits that no bin reaches."""
    for seed in range(60):
        numbers = random.Random(seed)
        image = image_of(seed, numbers.randint(1, 50), numbers.randint(1, 50), numbers.choice((1, 3)))
        tiles = numbers.randint(1, 9), numbers.randint(1, 9)
        op = ops.local_contrast(numbers.choice((0.0, 1.0, 2.5, 4.0, 300.0)), tiles)
        assert np.array_equal(compiled([op], image), CORE.apply(op, image)), (seed, image.shape, op.clip, tiles)


def test_clahe_of_opencv(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    cv2 = pytest.importorskip("cv2")
    for seed in (0, 3, 4):
        image = image_of(seed, 64, 96, 1)
        expected = cv2.createCLAHE(3.0, (4, 8)).apply(np.ascontiguousarray(image[..., 0]))
        assert np.array_equal(compiled([ops.local_contrast(3.0, (8, 4))], image)[..., 0], expected)


def test_motion_blur(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    for seed in range(60):
        numbers = random.Random(seed)
        channels = numbers.choice((1, 2, 3, 3, 4))
        image = image_of(seed, numbers.randint(1, 30), numbers.choice((1, 20, 300)), channels)
        op = ops.motion_blur(numbers.choice((1.0, 3.0, 7.5, 25.0)), numbers.choice((0.0, 45.0, 90.0, 200.0)))
        assert np.array_equal(compiled([op], image), CORE.apply(op, image)), (seed, image.shape, op)


def test_remaps(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Fields of every kind, small and large, computed anew by each side."""
    for seed in range(90):
        numbers = random.Random(seed)
        channels = numbers.choice((1, 2, 3, 3, 4))
        image = image_of(seed, numbers.randint(1, 40), numbers.choice((2, 25, 300)), channels)
        scene, kind = Scene(*image.shape), numbers.choice(("nearest", "bilinear"))
        fill = tuple(numbers.uniform(0, 255) for _ in range(channels))
        op = numbers.choice(
            (
                ops.elastic(scene, numbers.uniform(0, 200), numbers.choice((0.01, 1.0, 5.5)), seed, kind, fill),
                ops.grid(scene, numbers.randint(1, 6), numbers.randint(1, 6), numbers.uniform(0, 0.5), seed, kind),
                ops.lens(scene, numbers.uniform(-0.9, 0.9), kind, fill),
                ops.camera(scene, numbers.uniform(-2, 2), "camera", (0.5, 3.5), kind, fill),
                ops.waves(scene, 90.0, numbers.choice((0.01, 5.5)), seed, 0, False, kind, fill, edges="repeat"),
                ops.bands(scene, numbers.randint(1, 50), (-1.0, 1.0), "free", seed, True, kind, fill),
                ops.nodes(scene, 3, numbers.randint(2, 9), 0.3, seed, "sides", "distance", kind, fill),
            )
        )
        found = compiled([op], image)
        displacement._kept.cache_clear()
        assert np.array_equal(found, CORE.apply(op, image)), (seed, image.shape, op)
        displacement._kept.cache_clear()


def test_blurs_of_floats(isa: str) -> None:
    for seed in range(20):
        numbers = random.Random(seed)
        shape = numbers.randint(1, 40), numbers.randint(1, 40), numbers.randint(1, 4)
        image = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
        sigma = numbers.choice((0.01, 0.3, 2.0, 9.0))
        found, expected = KERNELS[Filter](ops.gaussian_blur(sigma), image), plain.float_blur(sigma, image)
        assert found.dtype == np.float32 and np.array_equal(found, expected), (seed, sigma, shape)


def test_resizes_that_are_not_antialiased(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Nearest by `Image.resize`, bilinear by `Image.transform`."""
    for seed in range(60):
        numbers = random.Random(seed)
        image = image_of(seed, numbers.randint(1, 40), numbers.randint(2, 40), numbers.choice((1, 3)))
        height, width = numbers.randint(1, 90), numbers.randint(1, 90)
        pil = Image.fromarray(np.ascontiguousarray(image if image.shape[2] == 3 else image[..., 0]))
        near = np.asarray(pil.resize((width, height), Image.Resampling.NEAREST))
        found = compiled([ops.resize(height, width, "nearest")], image)
        assert np.array_equal(found, near.reshape(height, width, -1)), seed
        if (height, width) == image.shape[:2]:
            continue
        scale = (pil.width / width, 0.0, 0.0, 0.0, pil.height / height, 0.0)
        kind, how = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        expected = np.asarray(pil.transform((width, height), kind, scale, how)).reshape(height, width, -1)
        assert np.array_equal(compiled([Resize(height, width, "bilinear", False)], image), expected), seed


def test_what_has_no_kernel_is_left_to_the_core() -> None:
    image = np.zeros((9, 9, 2), np.uint8)
    for op in (
        ops.local_contrast(2.0, (2, 2)),
        ColorMatrix(((1.0,),), (0.0,)),
        ColorMatrix(((float("inf"), 0.0), (0.0, 1.0)), (0.0, 0.0)),
        ops.lens(Scene(9, 9, 2), 0.1, "bilinear", (1.0, 2.0, 3.0)),
        ops.lens(Scene(9, 9, 2), 0.1, "bicubic"),
        ops.tiles(Scene(9, 9, 2), 2, 2, 3),
    ):
        assert program.run([op], 0, image)[0] == 0, op
    assert program.run([ops.lens(Scene(9, 1, 2), 0.1, "bilinear")], 0, image[:, :1])[0] == 0
