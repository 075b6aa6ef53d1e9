"""Warps have the bytes of `Image.transform`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest
from augreg_native import program
from numpy.typing import NDArray
from PIL import Image

from augreg import ops
from augreg.ops import Op, Scene, Warp

Array = NDArray[np.uint8]
Run = Callable[[list[Op], Array], Array]
KINDS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def by_pillow(op: Warp, image: Array) -> Array:
    """Channel by channel."""
    kind, numbers = (Image.Transform.AFFINE, op.matrix[:6]) if op.affine else (Image.Transform.PERSPECTIVE, op.matrix)
    planes = []
    for channel in range(image.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
        fill = round(op.fill[channel % len(op.fill)])
        size = op.width, op.height
        planes.append(np.asarray(plane.transform(size, kind, numbers, KINDS[op.interpolation], fillcolor=fill)))
    return np.stack(planes, axis=2)


def random_warp(numbers: random.Random, scene: Scene) -> Op:
    """The maps that steps make, and any other, also with another size of the result."""
    height, width = scene.height, scene.width
    kind = numbers.choice(sorted(KINDS))
    fill = tuple(numbers.uniform(0, 255) for _ in range(numbers.choice((1, scene.channels))))

    def part(side: int) -> float:
        return side * numbers.uniform(-0.3, 0.3)

    def any_warp(*matrix: float) -> Warp:
        return Warp(matrix, numbers.randint(1, 50), numbers.randint(1, 50), kind, fill)  # type: ignore[arg-type]

    whole = ((0, 0), (width, 0), (width, height), (0, height))
    corners = tuple((x + part(width), y + part(height)) for x, y in whole)
    straight = numbers.choice((1.0, -1.0, 0.5, 2.0, 0.3))
    gauss = numbers.gauss
    makers: list[Callable[[], Op]] = [
        lambda: ops.rotate(scene, numbers.choice((45, 30, 1e-3, numbers.uniform(-180, 180))), kind, fill),
        lambda: ops.shear(scene, numbers.uniform(-1, 1), numbers.choice((0, numbers.uniform(-1, 1))), kind, fill),
        lambda: ops.translate(scene, numbers.choice((3.0, -2.5, part(width))), part(3 * height), kind, fill),
        lambda: ops.perspective(scene, corners, kind, fill),
        lambda: any_warp(gauss(0, 1), gauss(0, 1), gauss(0, 20), gauss(0, 1), gauss(0, 1), gauss(0, 20), 0, 0),
        lambda: any_warp(*(gauss(0, 1 + 19 * (i % 3 == 2)) for i in range(6)), gauss(0, 0.1), gauss(0, 0.1)),
        lambda: any_warp(straight, 0, width * (straight < 0), 0, numbers.choice((straight, -1.0)), height / 2, 0, 0),
        lambda: any_warp(0, straight, numbers.choice((0, width)), -straight, 0, numbers.choice((0, height)), 0, 0),
    ]
    return numbers.choice(makers)()


def test_random_warps(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    for seed in range(400):
        numbers = random.Random(seed)
        most = numbers.choice((3, 40, 40))
        channels = numbers.choice((1, 2, 3, 3, 4))
        image = image_of(seed, numbers.randint(1, most), numbers.randint(2, most), channels)
        op = random_warp(numbers, Scene(*image.shape))
        if isinstance(op, Warp):  # not a quarter turn
            assert np.array_equal(compiled([op], image), by_pillow(op, image)), (seed, image.shape, op.matrix)


@pytest.mark.parametrize("kind", KINDS)
def test_wide_images(isa: str, compiled: Run, image_of: Callable[..., Array], kind: str) -> None:
    """Rows that are computed in several pieces."""
    image = image_of(5, 40, 700)
    scene = Scene(*image.shape)
    corners = ((3.0, 2.0), (690.0, 5.0), (650.0, 38.0), (20.0, 33.0))
    matrices = ((scale, 0.0, 9.0 * scale, 0.0, 0.7, -3.0, 0.0, 0.0) for scale in (0.4, 1.7, 3.1, -3.9, 5.0))
    straight = [Warp(matrix, 50, 701, kind, (9.0,)) for matrix in matrices]  # type: ignore[arg-type]
    for op in (ops.rotate(scene, 9.0, kind), ops.perspective(scene, corners, kind), *straight):  # type: ignore[arg-type]
        assert isinstance(op, Warp)
        assert np.array_equal(compiled([op], image), by_pillow(op, image))


def test_neighbors_at_every_distance(isa: str, compiled: Run) -> None:
    """AVX-512 picks 32 values at once where all that they need is within 128 bytes."""
    row = np.random.default_rng(4).integers(0, 256, (1, 200, 4), dtype=np.uint8)
    for channels, scale in itertools.product((1, 2, 3, 4), np.arange(3.4, 4.8, 0.02).tolist()):
        image, op = row[..., :channels].copy(), Warp((scale, 0.0, 0.3, 0.0, 1.0, 0.0, 0.0, 0.0), 1, 40, "bilinear")
        assert np.array_equal(compiled([op], image), by_pillow(op, image)), (channels, scale)


def test_positions_at_the_edges_of_pixels(isa: str, compiled: Run, image_of: Callable[..., Array]) -> None:
    """Multiples of 1/8 of a pixel: on the border of the image, halfway between two pixels, and just outside."""
    image = image_of(6, 9, 11)
    for kind in KINDS:
        for eighth in range(-12, 100, 3):
            for matrix in ((1.0, 0.0, eighth / 8, 0.0, 1.0, eighth / 8), (1.0, 0.125, -1.0, 0.125, 1.0, eighth / 8)):
                op = Warp((*matrix, 0.0, 0.0), 9, 11, kind, (77.0,))  # type: ignore[arg-type]
                assert np.array_equal(compiled([op], image), by_pillow(op, image)), (kind, matrix)


def test_far_positions_are_left_to_pillow(image_of: Callable[..., Array]) -> None:
    """Beyond 16.16 fixed point, one column, and numbers that are not finite."""
    image = image_of(7, 9, 11)
    far = (1.0, 0.5, 40_000.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    for op in (
        Warp(far, 9, 11),
        Warp((float("inf"), 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0), 9, 11),
    ):
        assert program.run([op], 0, image)[0] == 0
    assert program.run([Warp(far, 9, 11, "bilinear")], 0, image[:, :1])[0] == 0
    count, found = program.run([Warp(far, 9, 11, "bilinear", (3.0,))], 0, image)
    assert count == 1 and (found == 3).all()
