"""Ops on batches of images by the table of batch kernels: what Pillow's backend makes of each image alone."""

from __future__ import annotations

import re

import numpy as np
import pytest

from augreg import ImageError, ops
from augreg.columns.records import Columns

torch = pytest.importorskip("torch")


from batch_ops import ANY, COLOR, COUNT, HEIGHT, WIDTH, flags, made  # noqa: E402
from batched import one_by_one, pictures, tensor  # noqa: E402
from pretended_gpu import DEVICE, PretendedGPU  # noqa: E402

from augreg.backends import torch as batches  # noqa: E402
from augreg.backends.torch_kernels import passes  # noqa: E402


def _alone(op: ops.Op) -> list[ops.Op]:
    """The op of each image."""
    columns = Columns(op, np.arange(COUNT))
    return [columns.at(place) for place in range(COUNT)]


def _assert_same(found: torch.Tensor, wanted: torch.Tensor, within: float = 0.0) -> None:
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    differ = (found.to(torch.float64) - wanted.to(torch.float64)).abs() > within
    assert not differ.any(), differ.flatten(1).sum(1).tolist()


BYTES = [(name, 3) for name in ANY] + [(name, (1, 4, 5)[place % 3]) for place, name in enumerate(ANY)]
BYTES += [(name, channels) for name in COLOR for channels in (1, 3)]


@pytest.mark.parametrize(("name", "channels"), BYTES)
def test_bytes(name: str, channels: int) -> None:
    op, arrays = made(name, channels), pictures(COUNT, HEIGHT, WIDTH, channels)
    images = tensor(arrays)
    assert batches.refused(op, "uint8", channels) == ""
    before = images.clone()
    _assert_same(batches.apply(op, images), one_by_one(_alone(op), arrays))
    assert torch.equal(images, before)


OTHER_ROUNDING = (
    "gamma",
    "multiply_add_mean",
    "multiply_add, of some numbers",
    "multiply_add between stages",
    "contrast",
    "saturation",
    "same saturation",
    "contrast between stages",
    "normalize after contrast",
)
"""Ops on floats with a power, a luma or a mean."""


@pytest.mark.parametrize(
    ("name", "channels"),
    [(name, c) for name in ANY for c in (1, 3)] + [(name, c) for name in COLOR for c in (1, 3) if "fill" not in name],
)
def test_floats(name: str, channels: int) -> None:
    op, arrays = made(name, channels), pictures(COUNT, HEIGHT, WIDTH, channels)
    rng = np.random.default_rng(9)
    arrays = [(array / 220.0 - 0.05 + rng.random(array.shape) / 256).astype(np.float32) for array in arrays]
    assert min(map(np.min, arrays)) < 0 and max(map(np.max, arrays)) > 1
    images = tensor(arrays)
    assert batches.refused(op, "float32", channels) == ""
    before = images.clone()
    _assert_same(batches.apply(op, images), one_by_one(_alone(op), arrays), 2e-6 * (name in OTHER_ROUNDING))
    assert torch.equal(images, before)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_a_border_a_crop_and_flips_in_one_pass(mode: str) -> None:
    rng, arrays = np.random.default_rng(2), pictures(COUNT, 32, 32, 3)
    pad = ops.Pad(4, 4, 4, 4, (3.0, 4.0, 5.0), mode)
    crop = ops.Move(rng.integers(0, 9, COUNT), rng.integers(0, 9, COUNT), 32, 32, False, False, flags(rng))
    wanted = [[pad, each] for each in _alone(crop)]
    _assert_same(batches.padded_crop(pad, crop, tensor(arrays)), one_by_one(wanted, arrays))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", [*ANY, *COLOR])
def test_a_gpu_gives_the_same_and_nothing_waits_for_it(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "_WIDE_SUMS", False)  # CPUs have no such product of float16
    op, images = made(name, 3), tensor(pictures(COUNT, HEIGHT, WIDTH, 3))
    images = images if dtype == "uint8" else images / 255.0
    with PretendedGPU() as gpu:
        found = batches.apply(op, gpu.put(images))
    assert found.device == DEVICE
    _assert_same(found.held, batches.apply(op, images))


REFUSED: dict[str, ops.Op] = {
    "no batch kernel for ops of the kind LocalContrast": ops.local_contrast(2.0, (8, 8)),
    "no batch kernel for ops of the kind BranchMix": ops.BranchMix((), ()),
    "no batch kernel for median blur": ops.median_blur(3),
    "no batch kernel for a box of a nearest resize": ops.ResizeBox(0.0, 0.0, 5.0, 5.0, 4, 4, "nearest"),
    "no batch kernel for a border named 'mirror'": ops.Pad(1, 1, 1, 1, mode="mirror"),
    "no batch kernel for a border named 'twice'": ops.Warp((1.0, *[0.0] * 7), 9, 9, mode="twice"),
    "no batch kernel for a border named 'never'": ops.Remap("lens", (0.1,), mode="never"),
    "no batch kernel for a function of the pixel value named 'sepia'": ops.point_function("sepia"),
    "no batch kernel for grids of different numbers of cells": ops.Remap("grid", (np.array([3.0, 4.0]), 4.0, 0.1)),
    "no batch kernel for a displacement field named 'wave'": ops.Remap("wave", (1.0,)),
    "no batch kernel for a mean or std for each image": ops.Normalize((np.array([0.4, 0.5]),), (0.2,)),
    "no batch kernel for ops of the kind Encode": ops.Pad(1, 1, 1, 1, fill_ops=(ops.hue(0.1), ops.jpeg(9))),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_refused(why: str) -> None:
    assert batches.refused(REFUSED[why], "uint8", 3) == why
    with pytest.raises(ImageError, match=re.escape(why)):
        batches.apply(REFUSED[why], torch.zeros((2, 3, 9, 9), dtype=torch.uint8))


def test_a_part_of_an_enlarged_image_needs_the_order_of_passes_of_pillow_13(monkeypatch: pytest.MonkeyPatch) -> None:
    op = made("enlarge bilinear True", 3)
    monkeypatch.setattr("PIL.__version__", "13.1.0")
    assert batches.refused(op, "uint8", 3) == ""
    monkeypatch.setattr("PIL.__version__", "12.3.0")
    assert batches.refused(op, "uint8", 3) == "no batch kernel for a part of an enlarged image with Pillow before 13"


def test_ops_that_do_not_fit_the_images() -> None:
    images = torch.zeros((2, 3, 9, 9), dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"must share the height of a Resize, got \[3, 4\]"):
        batches.apply(ops.Resize(np.array([3, 4]), 4), images)
    with pytest.raises(ImageError, match="not within the images of the batch, which are 9x9"):
        batches.apply(ops.Move(np.array([0, 5]), 0, 5, 9), images)
    with pytest.raises(ImageError, match="saturation needs a gray or RGB image"):
        batches.apply(ops.Enhance("gray", 0.5), images[:, :2])
    with pytest.raises(ImageError, match="fill has 2 numbers"):
        batches.apply(ops.Pad(1, 1, 1, 1, (1.0, 2.0)), images)
    with pytest.raises(ImageError, match="drawn for 2 channels and the images have 3 channels"):
        batches.apply(ops.permute_channels((1, 0)), images)
    with pytest.raises(ImageError, match="not within the padded images of the batch, which are 11x11"):
        batches.padded_crop(ops.Pad(1, 1, 1, 1), ops.Move(np.array([0, 3]), 0, 9, 9), images)
    with pytest.raises(ValueError, match="does not transpose"):
        batches.padded_crop(ops.Pad(1, 1, 1, 1), ops.Move(0, 0, 9, 9, np.array([True, False])), images)


SIZELESS = [
    name
    for name in {**ANY, **COLOR}
    if not any(word in name for word in ("crop", "flip", "turn", "paint", "box", "parts", "mean image", "enlarge"))
]


@pytest.mark.parametrize("name", SIZELESS)
def test_images_of_a_few_pixels(name: str) -> None:
    """Where kernels reach beyond the image on both sides, or there is nothing to smooth."""
    op = made(name, 3)
    for size in ((1, 1), (1, 4), (3, 2)):
        arrays = pictures(COUNT, *size, 3)
        _assert_same(batches.apply(op, tensor(arrays)), one_by_one(_alone(op), arrays))


@pytest.mark.parametrize("name", [*ANY, *COLOR])
def test_the_default_dtype_of_torch_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "by_taps", passes.by_products)
    op, images = made(name, 3), tensor(pictures(COUNT, HEIGHT, WIDTH, 3))
    wanted, before = batches.apply(op, images), torch.get_default_dtype()
    try:
        for dtype in (torch.float64, torch.bfloat16):
            torch.set_default_dtype(dtype)
            _assert_same(batches.apply(op, images), wanted)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", [*ANY, *COLOR])
def test_images_in_another_memory_order(name: str, dtype: str) -> None:
    op, images = made(name, 3), tensor(pictures(COUNT, HEIGHT, WIDTH, 3))
    images = images if dtype == "uint8" else images / 255.0
    found = batches.apply(op, images.to(memory_format=torch.channels_last))
    _assert_same(found, batches.apply(op, images))
    larger = torch.nn.functional.pad(images, (2, 3, 1, 0))
    _assert_same(batches.apply(op, larger[:, :, 1:, 2:-3]), batches.apply(op, images))
