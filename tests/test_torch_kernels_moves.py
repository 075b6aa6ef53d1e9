"""Crops, flips, borders, boxes of color and warps for each image of a batch: the bytes of Pillow's backend."""

from __future__ import annotations

import numpy as np
import pytest

from augreg import ops

torch = pytest.importorskip("torch")

from batched import assert_same, pictures, tensor  # noqa: E402

from augreg.backends.torch_kernels import moving, painting, warping  # noqa: E402

COUNT = 24


def _flags(rng: np.random.Generator, count: int = 3) -> list[torch.Tensor]:
    return [torch.from_numpy(rng.random(COUNT) < 0.5) for _ in range(count)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_flips(channels: int) -> None:
    flip_y, flip_x = _flags(np.random.default_rng(channels), 2)
    arrays = pictures(COUNT, 11, 17, channels)
    wanted = [ops.Move(0, 0, 11, 17, False, *map(bool, flips)) for flips in zip(flip_y, flip_x, strict=True)]
    assert_same(moving.flipped(tensor(arrays), flip_y, flip_x), wanted, arrays)
    assert torch.equal(moving.flipped(tensor(arrays)), tensor(arrays))


@pytest.mark.parametrize("transposing", [False, True])
def test_moves(transposing: bool) -> None:
    rng = np.random.default_rng(5)
    transpose, flip_y, flip_x = _flags(rng)
    arrays = pictures(COUNT, 21, 27, 3)
    top, left = rng.integers(0, 9, COUNT), rng.integers(0, 15, COUNT)
    wanted = []
    for number in range(COUNT):
        turned = transposing and bool(transpose[number])
        box = (12, 8) if turned else (8, 12)
        place = int(top[number]), int(left[number])
        wanted.append(ops.Move(*place, *box, turned, bool(flip_y[number]), bool(flip_x[number])))
    flags = (transpose if transposing else None), flip_y, flip_x
    found = moving.cut(tensor(arrays), torch.from_numpy(top), torch.from_numpy(left), 8, 12, *flags)
    assert_same(found, wanted, arrays)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("size", [(16, 16), (5, 7), (1, 3)])
def test_crops_of_padded_images(size: tuple[int, int], mode: str) -> None:
    rng = np.random.default_rng(6)
    height, width = size
    arrays = pictures(COUNT, height, width, 3)
    top, left = rng.integers(-13, 1, COUNT), rng.integers(-13, 1, COUNT)
    fill = rng.random((COUNT, 3)) * 270 - 5
    flip_y, flip_x = _flags(rng, 2)
    wanted = []
    for number in range(COUNT):
        move = ops.Move(int(top[number]) + 13, int(left[number]) + 13, 13, 12, False)
        flip = ops.Move(0, 0, 13, 12, False, bool(flip_y[number]), bool(flip_x[number]))
        wanted.append([ops.Pad(13, 13, 13, 13, tuple(fill[number].tolist()), mode), move, flip])
    columns = torch.from_numpy(top), torch.from_numpy(left)
    found = moving.cut_padded(tensor(arrays), *columns, 13, 12, torch.from_numpy(fill), mode, flip_y, flip_x)
    assert_same(found, wanted, arrays)


def test_a_border_is_black_without_a_fill() -> None:
    images = torch.full((1, 2, 2, 2), 9, dtype=torch.uint8)
    found = moving.cut_padded(images, torch.tensor([-1]), torch.tensor([0]), 2, 2)
    assert found[0, 0].tolist() == [[0, 0], [9, 9]]


@pytest.mark.parametrize("colors", [1, 4])
def test_painted_boxes(colors: int) -> None:
    rng = np.random.default_rng(7)
    arrays = pictures(COUNT, 15, 19, 4)
    boxes = np.stack([rng.integers(0, 8, COUNT), rng.integers(0, 8, COUNT), *rng.integers(0, 8, (2, COUNT))], 1)
    fill = rng.integers(-3, 520, (COUNT, colors)) / 2.0  # halves, which are rounded to even
    wanted = [ops.Paint(*box, tuple(color)) for box, color in zip(boxes.tolist(), fill.tolist(), strict=True)]
    assert_same(painting.painted(tensor(arrays), torch.from_numpy(boxes), torch.from_numpy(fill)), wanted, arrays)


def _maps(scene: ops.Scene, interpolation: str, rng: np.random.Generator) -> list[ops.Warp]:
    """Maps of every kind that Pillow computes in another way, each with its fill."""
    found: list[ops.Op] = []
    height, width = scene.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    # positions on the edges of pixels: sums of 0.1 stay below 1, and 0.2 in fixed point is rounded down
    sums = (0.1, 0.0, -0.05, 0.0, 0.1, -0.05)
    far = (0.2, 2000.0, -997.5, 0.1, 0.1, 0.3)  # beyond fixed point in the lower rows
    for _ in range(8):
        fill = tuple((rng.random(3) * 255).tolist())
        x, y = rng.normal(0, 9, 2)
        moved = tuple(map(tuple, (corners + rng.normal(0, 4, (4, 2))).tolist()))
        found += [
            ops.rotate(scene, rng.uniform(-180, 180), interpolation, fill),
            ops.shear(scene, x / 30, y / 30, interpolation, fill),
            ops.translate(scene, x, y, interpolation, fill),
            ops.affine(scene, (rng.uniform(0.1, 3), 0.0, x, 0.0, -0.7, y + 9), interpolation, fill, "scale"),
            ops.perspective(scene, moved, interpolation, fill),
        ]
    found.append(ops.affine(scene, far, interpolation, (3.0,) * 3, "far"))
    found.append(ops.affine(scene, sums, interpolation, (3.0,) * 3, "sums"))
    found.append(ops.affine(scene, (0.0, 0.0, 4.0, 0.0, 0.0, 2.0), interpolation, (3.0,) * 3, "one point"))
    return [op for op in found if isinstance(op, ops.Warp)]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [(23, 31), (1, 2), (40, 1)])
def test_warps(size: tuple[int, int], interpolation: str) -> None:
    wanted = _maps(ops.Scene(*size), interpolation, np.random.default_rng(8))
    arrays = pictures(len(wanted), *size, 3)
    matrices = torch.tensor([op.matrix for op in wanted], dtype=torch.float64)
    fill = torch.tensor([op.fill for op in wanted], dtype=torch.float64)
    assert_same(warping.warped(tensor(arrays), matrices, *size, interpolation, fill), wanted, arrays)


def test_a_warp_may_change_the_size() -> None:
    arrays = pictures(2, 20, 30, 1)
    wanted = [ops.Warp((0.5, 0.2, 1.0, 0.1, 0.7, 2.0, 0.0, 0.0), 25, 9, kind) for kind in ("nearest", "nearest")]
    matrices = torch.tensor([op.matrix for op in wanted], dtype=torch.float64)
    assert_same(warping.warped(tensor(arrays), matrices, 25, 9), wanted, arrays)
