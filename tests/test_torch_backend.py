"""Ops on batches of images by the table of batch kernels: what Pillow's backend makes of each image alone."""

from __future__ import annotations

import numpy as np
import pytest

from augreg import ImageError, ops
from augreg.columns.records import Columns

torch = pytest.importorskip("torch")


from batch_ops import ANY, COLOR, COUNT, HEIGHT, MEAN, STD, WIDTH, flags, made, stages  # noqa: E402
from batched import one_by_one, pictures, tensor  # noqa: E402
from fake_gpu import GPU, fake_gpu  # noqa: E402

from augreg.backends import torch as batches, torch_geometry  # noqa: E402
from augreg.backends.torch_kernels import lookups, normalizing, resizing, tables  # noqa: E402


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


def test_a_crop_a_resize_and_flips_of_images_of_different_sizes_in_one_pass() -> None:
    rng = np.random.default_rng(1)
    arrays = [pictures(1, *rng.integers(20, 60, 2).tolist(), 3, seed)[0] for seed in range(COUNT)]
    batch, _ = resizing.stacked([torch.from_numpy(array).permute(2, 0, 1) for array in arrays])
    sizes = np.array([array.shape[:2] for array in arrays])
    extents = rng.integers(5, sizes + 1)
    crop = ops.Move(*rng.integers(0, sizes - extents + 1).T, *extents.T)
    resize = ops.Resize(16, 18, "bicubic")
    flip = ops.Move(0, 0, 16, 18, False, flags(rng), flags(rng))
    wanted = [list(each) for each in zip(_alone(crop), _alone(resize), _alone(flip), strict=True)]
    _assert_same(torch_geometry.cropped_resize(crop, resize, flip, batch, sizes), one_by_one(wanted, arrays))
    wanted = [[resize, each] for each in _alone(flip)]
    _assert_same(torch_geometry.cropped_resize(None, resize, flip, batch, sizes), one_by_one(wanted, arrays))
    same = [array[:20, :20] for array in arrays]
    crop = ops.Move(1, 3, 19, 11)
    _assert_same(
        torch_geometry.cropped_resize(crop, resize, None, tensor(same)), one_by_one([[crop, resize]] * COUNT, same)
    )


def test_what_does_not_run_in_one_pass_with_a_resize() -> None:
    images = torch.zeros((2, 3, 9, 9), dtype=torch.uint8)
    resize, whole = ops.Resize(4, 5), ops.Move(0, 0, 4, 5, flip_x=True)
    for crop, scale, flip, error in (
        (ops.Move(0, 0, 9, 9, flip_x=np.array([True, False])), resize, None, "must not flip"),
        (None, ops.Resize(4, 5, "nearest"), None, "only an antialiased"),
        (None, resize, ops.Move(0, 0, 5, 4, True), "only flips"),
        (None, resize, ops.Move(0, 0, 4, 4), "of whole images"),
        (ops.Move(np.array([0, 1]), 0, 9, 9), resize, whole, "not within"),
    ):
        with pytest.raises(ValueError, match=error):
            torch_geometry.cropped_resize(crop, scale, flip, images)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_a_border_a_crop_and_flips_in_one_pass(mode: str) -> None:
    rng, arrays = np.random.default_rng(2), pictures(COUNT, 32, 32, 3)
    pad = ops.Pad(4, 4, 4, 4, (3.0, 4.0, 5.0), mode)
    crop = ops.Move(rng.integers(0, 9, COUNT), rng.integers(0, 9, COUNT), 32, 32, False, False, flags(rng))
    wanted = [[pad, each] for each in _alone(crop)]
    _assert_same(batches.padded_crop(pad, crop, tensor(arrays)), one_by_one(wanted, arrays))


def test_stages_of_some_of_the_images() -> None:
    rng, arrays = np.random.default_rng(3), pictures(COUNT, 20, 15, 3)
    parts, own = [], [[] for _ in arrays]
    for names in (("brightness", "equalize"), ("solarize",), ("invert",), ("contrast", "posterize"), ("equalize",)):
        rows = rng.permutation(COUNT)[:4]
        every = Columns(ops.Lookup(stages(rng, *names)), np.arange(COUNT))
        for row in rows:
            own[row].append(every.at(row))
        part = [
            type(s)(s.name, s.amount[rows] if isinstance(s.amount, np.ndarray) else s.amount) for s in every.op.stages
        ]
        parts.append((tuple(part), rows))
    assert {len(each) for each in own} >= {0, 1, 2}
    images = tensor(arrays)
    found = lookups.merged_tables(parts, images)
    _assert_same(tables.looked_up(images, found), one_by_one(own, arrays))
    whole = [[*each, ops.Normalize(MEAN, STD)] for each in own]
    _assert_same(normalizing.normalized(images, MEAN, STD, found), one_by_one(whole, arrays))


@pytest.mark.parametrize("name", [*ANY, *COLOR])
def test_nothing_is_read_from_a_device_and_no_devices_are_mixed(name: str) -> None:
    op = made(name, 3)
    wanted = batches.apply(op, tensor(pictures(COUNT, HEIGHT, WIDTH, 3)))
    with fake_gpu():
        images = torch.empty((COUNT, 3, HEIGHT, WIDTH), dtype=torch.uint8, device=GPU)
        found = batches.apply(op, images)
    assert (found.device, found.shape, found.dtype) == (GPU, wanted.shape, wanted.dtype)


def test_a_fake_device_notices_both() -> None:
    with fake_gpu():
        images = torch.empty((COUNT, 3, HEIGHT, WIDTH), device=GPU)
        with pytest.raises(Exception, match="on the same device"):
            images + torch.ones(WIDTH)
        with pytest.raises(Exception, match="_local_scalar_dense"):
            images.sum().item()


def test_what_cannot_be_done_is_said() -> None:
    images = torch.zeros((2, 3, 9, 9), dtype=torch.uint8)
    assert (
        batches.refused(ops.local_contrast(2.0, (8, 8)), "uint8", 3)
        == "no batch kernel for ops of the kind LocalContrast"
    )
    with pytest.raises(ImageError, match="no batch kernel for ops of the kind Encode"):
        batches.apply(ops.jpeg(50), images)
    with pytest.raises(ValueError, match=r"must share the height of a Resize, got \[3, 4\]"):
        batches.apply(ops.Resize(np.array([3, 4]), 4), images)
    with pytest.raises(ImageError, match="not within the images of the batch, which are 9x9"):
        batches.apply(ops.Move(np.array([0, 5]), 0, 5, 9), images)
    with pytest.raises(ImageError, match="saturation needs a gray or RGB image"):
        batches.apply(ops.Enhance("gray", 0.5), images[:, :2])
    with pytest.raises(ImageError, match="fill has 2 numbers"):
        batches.apply(ops.Pad(1, 1, 1, 1, (1.0, 2.0)), images)


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


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", [*ANY, *COLOR])
def test_images_in_another_memory_order(name: str, dtype: str) -> None:
    op, images = made(name, 3), tensor(pictures(COUNT, HEIGHT, WIDTH, 3))
    images = images if dtype == "uint8" else images / 255.0
    found = batches.apply(op, images.to(memory_format=torch.channels_last))
    _assert_same(found, batches.apply(op, images))
    larger = torch.nn.functional.pad(images, (2, 3, 1, 0))
    _assert_same(batches.apply(op, larger[:, :, 1:, 2:-3]), batches.apply(op, images))
