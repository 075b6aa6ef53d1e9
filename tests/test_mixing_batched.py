"""Mixing a whole batch in few calls, as on a GPU: how many, that none waits, what they move, and their results."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from mixing_oracle import blended
from test_mixing_arrays import cases
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from augreg import Pipeline
from augreg.batch import label_arrays, labels, numpy_kernels, torch_batched, torch_kernels, torch_scaling
from augreg.batch.blends import Mix, Paste, Patch
from augreg.batch.labels import SoftLabels
from augreg.batch.scaling import integer_weights, weights as float_weights

STEPS: list[Any] = [
    "mixup",
    {"mixup": {"per": "element", "alpha": 0.2}},
    "cutmix",
    {"cutmix": {"per": "element"}},
    {"cutmix": {"per": "element", "boxes": 16}},
    {"cutmix": {"per": "pair", "pairing": "flip"}},
    "resizemix",
    {"resizemix": {"per": "element"}},
    "mosaic",
    {"mosaic": {"per": "batch", "pairing": "permutation"}},
    {"mosaic": {"fit": "resize"}},
]


WAITS = {"_local_scalar_dense", "nonzero", "item", "equal", "is_nonzero", "masked_select", "unique", "_unique2"}
CACHE = 20 << 20  # bytes of a tensor that is taken to stay in the cache of the device between two calls


class Calls(TorchDispatchMode):
    """Counts what runs on the device, and the bytes of large tensors that it reads and writes. Views run nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if any(value.alias_info and not value.alias_info.is_write for value in func._schema.returns):
            return result
        if name.startswith(("empty", "new_empty")):
            return result
        self.names.append(name)
        written = [leaf for leaf in tree_leaves(result) if torch.is_tensor(leaf)]
        read = [leaf for leaf in tree_leaves(args) if torch.is_tensor(leaf)]
        if name in ("index", "copy_", "index_put_"):  # these do not read all of the first
            first, *read = read
            part = result if name == "index" else read[-1]
            self.bytes += part.numel() * part.element_size() * (moved(first) > 0)
            written = written if name == "index" else []
        self.bytes += sum(map(moved, read + written))
        return result


def moved(tensor: Any) -> int:
    """The bytes of a tensor, or of a part of one, that are read or written; those in the cache do not count."""
    if tensor.untyped_storage().nbytes() <= CACHE:
        return 0
    sizes = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]  # 0: repeated
    return math.prod(sizes) * int(tensor.element_size())


def on_a_device(step: Any, shape: tuple[int, ...], dtype: Any, in_place: bool = False) -> Calls:
    """A batch mixed on the device `meta`, which has no numbers: to read one is an error, as is a copy to the CPU."""
    pipe = Pipeline.from_spec({"batch": [step], "classes": 10, "seed": 3})
    images = torch.empty(shape, dtype=dtype, device="meta")
    ids = torch.empty(shape[0], dtype=torch.int64, device="meta")
    with Calls() as calls:
        mixed, soft = pipe.batch(images, ids, batch=2, out=images if in_place else None)
    assert mixed.shape == shape and mixed.device == soft.weights.device == images.device
    assert soft.dense().shape == (shape[0], 10)
    assert not WAITS & {*calls.names}
    return calls


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_calls_are_few_and_do_not_grow_with_the_batch(step: Any, dtype: Any) -> None:
    most = 200 if "resize" in str(step) else 30
    in_parts = 1200 if "fit" in str(step) else 400 if most == 200 else 60
    for in_place in (False, True):
        few, many = (on_a_device(step, (count, 3, 32, 32), dtype, in_place).names for count in (4, 64))
        assert Counter(few) == Counter(many)
        assert len(many) <= most
    assert len(on_a_device(step, (256, 3, 224, 224), dtype).names) <= in_parts


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_large_batch_is_read_and_written_at_most_twice(step: Any, dtype: Any, in_place: bool) -> None:
    """Four whole images are scaled into each image by `fit: resize`, so that four times as much is read."""
    calls = on_a_device(step, (256, 3, 224, 224), dtype, in_place)
    times = 2 if "resize" not in str(step) else 5 if "fit" in str(step) else 3 if in_place else 2
    assert calls.bytes <= times * (2 * 256 * 3 * 224 * 224 * dtype.itemsize)


def batched(blends: Any, images: Any, out: Any, masks: bool = False) -> Any:
    """The blends as on a device, on whatever device the images are."""
    for blend in blends:
        if isinstance(blend, Mix):
            torch_batched.mix(blend, images, out)
        elif not blend.layers.scales:
            torch_batched.move(blend.layers, images, out)
        else:
            torch_batched.paste(blend.layers, images, out, masks)
        images = out
    return out


def laid_out(images: Any, layout: str) -> Any:
    """The same images in memory of another layout."""
    if layout == "channels last":
        return images.contiguous(memory_format=torch.channels_last)
    if layout == "a part of larger ones":
        larger = images.new_zeros((len(images) + 1, images.shape[1] + 2, images.shape[2] + 3, images.shape[3] + 1))
        larger[1:, 2:, :-3, :-1] = images
        return larger[1:, 2:, :-3, :-1]
    return images.contiguous()


@pytest.fixture
def image_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_kernels, "_SMALL", 0)


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "a part of larger ones"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16", "float32", "float64"])
@given(case=cases(), large=st.booleans(), channels=st.integers(1, 4))
@settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_blends_give_the_bytes_of_images_one_by_one(
    image_by_image: None, dtype: str, layout: str, case: Any, large: bool, channels: int
) -> None:
    blends, count, size = case
    blends = tuple(blend for blend in blends if blend.reads())
    values = np.random.default_rng(count).integers(0, 256, (count, channels, *size), np.uint8)
    images = torch.from_numpy(values)
    images = laid_out(images if dtype == "uint8" else (images / 77).to(getattr(torch, dtype)), layout)
    before = images.clone()
    wanted = torch_kernels.apply(blends, images, torch.empty_like(images), False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_batched, "_LARGE", 0 if large else 1 << 60)
        found = batched(blends, images, laid_out(torch.zeros_like(images), layout)) if blends else wanted
        place = laid_out(images.clone(), layout)
        batched(blends, place, place)
    assert torch.equal(images, before) and torch.equal(place, found)
    if dtype == "float64" and any(isinstance(blend, Paste) and blend.layers.scales for blend in blends):
        assert torch.allclose(found, wanted, rtol=1e-14, atol=1e-14)  # sums of products in another order
    else:
        assert torch.equal(found, wanted)
    if dtype == "uint8":
        assert np.array_equal(found.numpy(), numpy_kernels.apply(blends, values, None, False, False))


@given(case=cases())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_masks_take_the_nearest(case: Any) -> None:
    blends, count, size = case
    blends = tuple(blend for blend in blends if isinstance(blend, Paste) and blend.reads())
    masks = np.random.default_rng(1).integers(-5, 2**40, (count, *size))
    wanted = numpy_kernels.apply(blends, masks, None, False, True)
    given_masks = torch.from_numpy(masks)
    assert not blends or np.array_equal(batched(blends, given_masks, given_masks.clone() * 0, True).numpy(), wanted)
    place = given_masks.clone()
    assert np.array_equal(batched(blends, place, place, True).numpy(), wanted)


def test_more_patches_than_a_grid_takes_and_images_whose_memory_is_shared() -> None:
    rng = np.random.default_rng(0)
    boxes = [(int(y), int(x), 2, 3) for y, x in rng.integers(0, 8, (40, 2))]
    many = Paste(tuple(Patch(i, box, (i + 1) % 3, box) for i in range(3) for box in boxes[i:]))
    images = torch.from_numpy(rng.integers(0, 256, (3, 2, 10, 11), np.uint8))
    wanted = numpy_kernels.apply([many], images.numpy(), None, False, False)
    assert np.array_equal(torch_kernels.apply([many], images, None, False).numpy(), wanted)
    assert torch_kernels.apply([many], images.to("meta"), None, False).shape == images.shape
    one = images[:1].expand(3, -1, -1, -1)
    few = Paste(many.patches[:2] + many.patches[-3:])
    wanted = numpy_kernels.apply([few], one.numpy(), None, False, False)
    assert np.array_equal(torch_kernels.apply([few], one, torch.zeros_like(images), False).numpy(), wanted)


def test_a_gpu_gets_all_numbers_in_one_copy_that_nothing_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[Any] = []

    def to(self: Any, *args: Any, **kwargs: Any) -> Any:
        copies.append((*args, kwargs))
        return self

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: copies.append("pinned") or self)
    monkeypatch.setattr(torch.Tensor, "to", to)
    whole, halves = np.arange(6).reshape(2, 3)[:, ::2], np.array([[0.5], [np.pi]])
    sent = torch_batched.send([whole, halves, np.arange(3)], torch.device("cuda"))
    assert copies == ["pinned", (torch.device("cuda"), {"non_blocking": True})]
    assert [part.tolist() for part in sent] == [[[0, 2], [3, 5]], [[0.5], [np.pi]], [0, 1, 2]]


def test_labels_on_a_device_are_not_looked_at_and_wrong_ones_fail_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "on_a_device", torch.is_tensor)
    monkeypatch.setattr(label_arrays, "on_a_device", torch.is_tensor)
    monkeypatch.setattr(torch_batched, "send", lambda arrays, device: [torch.from_numpy(array) for array in arrays])
    mixture = np.array([[0, 1], [1, 2], [2, 0]]), np.array([[0.75, 0.25], [1.0, 0.0], [0.5, 0.5]])
    logits = torch.randn(3, 4)
    loss = torch.nn.functional.cross_entropy
    with Calls() as calls:
        soft = SoftLabels(torch.tensor([3, 0, 1]), *mixture, classes=4)
        found = loss(logits, soft)
        dense = soft.smoothed(0.1).dense()
        binary = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft)
    assert not WAITS & {*calls.names}
    wanted = torch.tensor([[0.25, 0.0, 0.0, 0.75], [1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.5]])
    assert torch.equal(soft.dense(), wanted) and torch.allclose(dense, wanted * 0.9 + 0.025)
    assert torch.allclose(found, loss(logits, wanted))
    assert torch.allclose(binary, torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted))
    some = SoftLabels(torch.tensor([3, -100, 1]), *mixture, classes=4)
    assert torch.equal(some.known, torch.tensor([0.75, 0.0, 1.0]))
    hard = [loss(logits[i : i + 1], torch.tensor([label])) for i, label in ((0, 3), (2, 1), (2, 3))]
    assert torch.allclose(loss(logits, some), (0.75 * hard[0] + 0.5 * hard[1] + 0.5 * hard[2]) / 1.75)
    for wrong in (-1, 4, -100):
        ids = SoftLabels(torch.tensor([3, wrong, 1]), *mixture, classes=4)
        with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
            torch.nn.functional.binary_cross_entropy_with_logits(logits, ids)
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        SoftLabels(torch.tensor([3, -1, 1]), *mixture, classes=4).dense()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 32, 45, 64, 224])
def test_weights_made_on_a_device_are_those_of_the_cpu(size: int) -> None:
    new = np.unique([1, 2, 3, 5, 8, 13, 21, 33, 64, 100, 224, size, 2 * size])
    box, whole = (np.stack([new * 0, new * 0, part, part], 1) for part in (new, new * 0 + size))
    taps, longest = torch_scaling.most_taps(box, whole)[0], int(new.max())
    sent = torch.from_numpy(box), torch.from_numpy(whole)
    for in_bytes, matrix in ((True, integer_weights), (False, float_weights)):
        places, found = torch_scaling.taps_of(*sent, 0, longest, size, taps, in_bytes)
        dense = torch.zeros(len(new), longest, size + 1, dtype=torch.float64).scatter_(2, places, found).numpy()
        assert not dense[:, :, size].any()
        for piece, count in enumerate(new.tolist()):
            wanted = matrix(size, count) / (1 << 15 if in_bytes else 1)
            assert np.array_equal(dense[piece, :count, :size], wanted) or not in_bytes
            assert np.allclose(dense[piece, :count, :size], wanted, rtol=0, atol=1e-15)
            assert (dense[piece, count:] == dense[piece, count - 1]).all()


def test_gradients_pass_pieces_that_are_scaled_on_a_device() -> None:
    """Linear in the images: along any direction the change is the mixture of the direction, here by the oracle."""
    box, whole = (1, 2, 4, 3), (0, 0, 7, 9)
    blend = Paste(
        (Patch(0, box, 1, whole), Patch(1, (0, 0, 3, 5), 2, whole), Patch(1, (1, 1, 2, 2), 0, (0, 0, 2, 2)))
    )
    images, weights, direction = torch.rand(3, 3, 2, 7, 9, dtype=torch.float64).unbind()
    images.requires_grad_()
    mixed = torch.empty_like(images, requires_grad=False)
    torch_batched.paste(blend.layers, images, mixed, False)
    (mixed * weights).sum().backward()
    change = blended((blend,), direction.numpy()) * weights.numpy()
    assert images.grad is not None and np.isclose(float((images.grad * direction).sum()), change.sum(), rtol=1e-9)
