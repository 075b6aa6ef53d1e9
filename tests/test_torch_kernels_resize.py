"""A crop and an antialiased resize for each image of a batch: the bytes of Pillow's backend."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from augreg import ops

torch = pytest.importorskip("torch")

from batched import assert_same, pictures, tensor, top_left  # noqa: E402

from augreg.backends.torch_kernels import passes, resizing, weights  # noqa: E402

KINDS = ("bilinear", "bicubic", "lanczos")
WAYS = (passes.by_taps, passes.by_products)
SIZES = ((17, 17), (9, 31), (40, 6), (70, 75))


def _boxes(count: int, height: int, width: int, seed: int) -> np.ndarray:
    """Boxes of all proportions, the whole image and single pixels among them."""
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(count):
        tall, wide = rng.integers(1, height + 1), rng.integers(1, width + 1)
        boxes.append((rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1), tall, wide))
    boxes[0], boxes[1] = (0, 0, height, width), (height - 1, width - 1, 1, 1)
    return np.array(boxes)


def _resizes(boxes: np.ndarray, height: int, width: int, interpolation: str) -> list[list[ops.Op]]:
    return [[ops.crop(*box), ops.resize(height, width, interpolation)] for box in boxes.tolist()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("interpolation", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_boxes_of_one_batch(
    size: tuple[int, int], interpolation: str, way: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "resized", way)
    for channels in (1, 2, 3, 4):
        arrays = pictures(12, 53, 47, channels)
        boxes = _boxes(len(arrays), 53, 47, channels)
        found = resizing.crop_resize(tensor(arrays), torch.from_numpy(boxes), *size, interpolation)
        assert_same(found, _resizes(boxes, *size, interpolation), arrays)


def test_both_orders_of_the_passes_are_in_these_batches() -> None:
    for (height, width), channels in itertools.product(SIZES[:3], (1, 3)):
        boxes = _boxes(12, 53, 47, channels)
        first = [box[2] > height and box[2] - height > 2 * (box[3] - width) for box in boxes]
        assert any(first) or (height, width) == (40, 6)
        assert not all(first)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("interpolation", KINDS)
def test_many_taps(interpolation: str, way: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """More pixels for each pixel of the result than halves of weights have exact sums for."""
    monkeypatch.setattr(passes, "resized", way)
    arrays = pictures(3, 300, 411, 1)
    arrays[2] = np.full_like(arrays[2], 255)
    boxes = np.array([(0, 0, 300, 411), (10, 3, 290, 390), (0, 0, 300, 200)])
    found = resizing.crop_resize(tensor(arrays), torch.from_numpy(boxes), 5, 3, interpolation)
    assert_same(found, _resizes(boxes, 5, 3, interpolation), arrays)


def test_images_of_different_sizes_and_flips() -> None:
    rng = np.random.default_rng(3)
    arrays = [pictures(1, *rng.integers(20, 90, 2).tolist(), 3, seed)[0] for seed in range(16)]
    batch, sizes = top_left(arrays)
    assert sizes.tolist() == [list(array.shape[:2]) for array in arrays]
    batch = torch.where(batch == 0, 255, batch)  # what lies around the images must not count, nor do pixels of 0
    arrays = [np.where(array == 0, np.uint8(255), array) for array in arrays]
    whole = torch.cat([torch.zeros_like(sizes), sizes], 1)
    flip_y, flip_x = (torch.from_numpy(rng.random((2, len(arrays))) < 0.5)).unbind(0)
    scene = ops.Scene(32, 28)
    wanted: list[list[ops.Op]] = []
    for vertical, horizontal in zip(flip_y.tolist(), flip_x.tolist(), strict=True):
        flips = [ops.vertical_flip(scene)] * vertical + [ops.horizontal_flip(scene)] * horizontal
        wanted.append([ops.resize(32, 28, "bicubic"), *flips])
    assert {len(each) for each in wanted} == {1, 2, 3}
    found = resizing.crop_resize(batch, whole, 32, 28, "bicubic", flip_y, flip_x)
    assert_same(found, wanted, arrays)


@pytest.mark.parametrize("interpolation", KINDS)
def test_boxes_that_end_within_pixels(interpolation: str) -> None:
    rng = np.random.default_rng(4)
    arrays = pictures(12, 61, 44, 3)
    corner = rng.random((12, 2)) * (20, 15)
    boxes = np.concatenate([corner, 1.0 + rng.random((12, 2)) * (39, 27)], 1)
    wanted = [ops.ResizeBox(*box, 19, 23, interpolation) for box in boxes.tolist()]
    found = resizing.resize_box(tensor(arrays), torch.from_numpy(boxes), 19, 23, interpolation)
    assert_same(found, wanted, arrays)
    tall = [array[:, :20] for array in arrays]  # here the rows go first, because of the sizes of the images
    boxes[:, 1] *= 0.2
    boxes[:, 3] = 10.0
    wanted = [ops.ResizeBox(*box, 19, 23, interpolation) for box in boxes.tolist()]
    batch, sizes = top_left([*tall, arrays[0]])
    found = resizing.resize_box(batch[:12], torch.from_numpy(boxes), 19, 23, interpolation, sizes[:12])
    assert_same(found, wanted, [np.ascontiguousarray(array) for array in tall])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("box", [(0, 0, 53, 47), (2, 20, 51, 10)])
def test_one_box_for_all_images(box: tuple[int, ...], way: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "by_taps", way)  # what `resized` takes on the CPU
    arrays = pictures(5, 53, 47, 3)
    found = resizing.crop_resize(tensor(arrays), np.array([box]), 9, 31, "bicubic")
    assert_same(found, _resizes(np.array([box] * 5), 9, 31, "bicubic"), arrays)


@pytest.mark.parametrize("interpolation", KINDS)
def test_parts_of_weights_are_exact_in_float16_and_their_sums_in_float32(interpolation: str) -> None:
    """Weights above 1 among them: near a border bicubic and lanczos have some."""
    largest = 0
    for size, wanted in ((2, 64), (3, 50), (64, 64), (100, 41), (500, 130), (90, 17)):
        if weights.most_taps(size / wanted, interpolation) > passes.EXACT_TAPS:
            continue
        side = weights.Side(0, [size], 0, [size], 0, [wanted], wanted)
        values = weights.weigh([side], interpolation, torch.device("cpu"))[0].values
        high, low = (part.to(torch.float64) for part in passes.parts(values))
        assert torch.equal(high * 2.0**weights.BITS + low * 2.0**passes.LOW_BITS, values.to(torch.float64))
        high, low = high * 2.0 ** (weights.BITS - passes.LOW_BITS), low * 2.0**passes.LOW_BITS
        assert torch.equal(high, high.round()) and torch.equal(low, low.round())
        assert int(max((255 * part.abs().sum(0)).max() for part in (high, low))) < 2**24
        largest = max(largest, int(values.max()))
    assert largest > 2**22 or interpolation == "bilinear"
    assert 255 * 2 ** (passes.LOW_BITS - 1) * passes.EXACT_TAPS + 2 ** (weights.BITS - 1) < 2**24
