"""Batches are mixed on the GPU that they are on: nothing is read back from it, or waits for it.

The GPU is pretended (pretended_gpu.py), so the results are compared with those of the CPU, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pretended_gpu import DEVICE, MixesDevicesError, OnGPU, PretendedGPU, WaitsError, held  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from augreg import Pipeline, SoftLabels  # noqa: E402
from augreg.batch import torch_batched  # noqa: E402

COUNT, CLASSES = 6, 5
Put = Callable[[Any], Any]


def itself(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------------- the pretended GPU


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x[0, 0].item(),
        lambda x: float(x.sum()),
        lambda x: bool((x > 0).all()),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.to("cpu"),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: torch.zeros(2, 3).copy_(x),
        lambda x: torch.tensor([1.0], device=x.device),
        lambda x: torch.ones(3).to(x),
        lambda x: torch.ones(3).to(x.device),
    ],
)
def test_a_pretended_gpu_does_not_wait(work: Callable[[Tensor], Any]) -> None:
    with PretendedGPU() as gpu:
        x = gpu.put(torch.ones(2, 3))
        with pytest.raises(WaitsError):
            work(x)


def test_a_pretended_gpu_mixes_no_devices_and_has_the_numbers_of_the_cpu() -> None:
    with PretendedGPU() as gpu:
        x = gpu.put(torch.arange(6.0).view(2, 3)).requires_grad_()
        for work in (
            lambda: x + torch.ones(3),
            lambda: x[torch.tensor([0, 1])],
            lambda: torch.cat([x, torch.ones(2, 3)]),
        ):
            with pytest.raises(MixesDevicesError):
                work()
        rows = torch.from_numpy(np.array([1, 0])).to(x.device, non_blocking=True)
        y = (x[rows] * torch.arange(3, device=DEVICE) * torch.tensor(2.0)).sum(1)
        y.sum().backward()
    assert y.device == DEVICE and held(y).tolist() == [2 * (4 + 2 * 5), 2 * (1 + 2 * 2)]
    assert held(x.grad).tolist() == [[0, 2, 4]] * 2
    assert gpu.uploads == [(2,)]


# ------------------------------------------------------------------------------------------------------------ mixing

STEPS: list[Any] = [
    *({"mixup": {"per": per, "pairing": "flip"}} for per in ("batch", "pair", "element")),
    *({"cutmix": {"per": per, "pairing": "flip"}} for per in ("batch", "pair", "element")),
    *({"resizemix": {"per": per, "pairing": "flip"}} for per in ("batch", "pair", "element")),
    *({"mosaic": {"per": per, "fit": fit}} for per in ("batch", "element") for fit in ("crop", "resize")),
    {"mixup": {"pairing": "roll"}},
    "mixup",
    {"cutmix": {"per": "element", "boxes": 16}},
    {"mosaic": {"pairing": "permutation"}},
    {"one_of": ["mixup", "cutmix"]},
    {"some_of": {"steps": ["mixup", "cutmix", "mosaic"], "count": 2}},
    {"random_order": ["mixup", {"resizemix": {"per": "element"}}]},
    {"sequential": ["cutmix", {"mosaic": {}}, {"mixup": {"p": 0.5}}]},
]
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32]
MULTI = random(COUNT, CLASSES, seed=1).round()
LABELS: dict[str, Any] = {
    "ids": torch.arange(COUNT) % CLASSES,
    "ids of a byte": (torch.arange(COUNT) % CLASSES).to(torch.uint8),
    "ids with -100": torch.tensor([0, -100, 2, 3, -100, 1]),
    "one-hot": nn.functional.one_hot(torch.arange(COUNT) % CLASSES, CLASSES),
    "multi-label": MULTI,
    "multi-label in half precision": MULTI.half(),
    "true and false": MULTI.bool(),
}


def pixels(dtype: torch.dtype, count: int = COUNT, channels: int = 3) -> Tensor:
    values = random(count, channels, 20, 18)
    return (values * 255).to(dtype) if dtype == torch.uint8 else values.to(dtype)


def close(found: Tensor, wanted: Tensor, step: Any) -> bool:
    """Equal in every bit; for scaled floats up to rounding."""
    if "resize" not in str(step) or not wanted.is_floating_point():
        return torch.equal(found, wanted)
    return torch.allclose(found.double(), wanted.double(), rtol=torch.finfo(wanted.dtype).eps, atol=1e-7)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_mixing(step: Any) -> None:
    pipe = Pipeline.from_spec({"batch": [step], "classes": CLASSES, "seed": 3})
    for number, dtype in enumerate([*DTYPES, *DTYPES]):
        images, ids, in_place = pixels(dtype), LABELS["ids"], number >= len(DTYPES)
        keys = [f"{number}/{i}" for i in range(COUNT)]
        wanted, soft = pipe.batch(images.clone(), ids, keys=keys, epoch=number)
        with PretendedGPU() as gpu:
            given = gpu.put(images)
            mixed, labels = pipe.batch(given, gpu.put(ids), keys=keys, epoch=number, out=given if in_place else None)
            target = labels.dense()
        assert (mixed is given) == in_place or not pipe.batch.plan(COUNT, (20, 18), keys, number).blends
        assert mixed.device == labels.device == labels.weights.device == target.device == DEVICE
        assert close(held(mixed), wanted, step) and torch.equal(held(target), soft.dense())
        assert len(gpu.uploads) <= (10 if "batch" in str(step) and "resize" in str(step) else 5)


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("where", ["on the GPU", "on the CPU", "as a list", "as an array"])
def test_labels_come_out_on_the_device_of_the_images(labels: str, where: str) -> None:
    pipe = Pipeline.from_spec({"batch": [{"mixup": {"per": "element"}}], "classes": CLASSES})
    images, given = pixels(torch.float32), LABELS[labels]
    _, wanted = pipe.batch(images, given, batch=1)
    predictions = random(COUNT, CLASSES, seed=2)
    with PretendedGPU() as gpu:
        put = {"on the GPU": gpu.put, "on the CPU": itself, "as a list": Tensor.tolist, "as an array": Tensor.numpy}
        _, soft = pipe.batch(gpu.put(images), put[where](given), batch=1)
        assert soft.device == soft.sources.device == soft.weights.device == DEVICE
        assert held(soft.labels).tolist() == given.tolist() and held(soft.weights).equal(wanted.weights)
        logits, target = gpu.put(predictions), soft.dense()
        losses = nn.functional.cross_entropy(logits, soft), Pipeline().criterion(check=False)(logits, soft)
        pairs = soft.pairs()
    assert torch.equal(held(target), wanted.dense()) and all(part.device == DEVICE for part in pairs)
    criterion = Pipeline().criterion(check=False)
    assert torch.allclose(held(losses[0]), nn.functional.cross_entropy(predictions, wanted))
    assert torch.allclose(held(losses[1]), criterion(predictions, wanted))


def test_labels_on_the_cpu_are_checked_before_they_are_sent() -> None:
    pipe = Pipeline.from_spec({"batch": ["mixup"], "classes": CLASSES})
    with PretendedGPU() as gpu:
        images = gpu.put(pixels(torch.float32))
        for labels in (torch.full((COUNT,), CLASSES), [0, 1, 2, 3, 4, 5], np.arange(COUNT)):
            with pytest.raises(ValueError, match="the ids of 5 classes are 0 to 4, got 5"):
                pipe.batch(images, labels, batch=0)
        _, soft = pipe.batch(images, gpu.put(torch.full((COUNT,), CLASSES)), batch=0)  # this would wait
    assert soft.device == DEVICE


def test_labels_on_the_gpu_stay_there_when_images_are_not() -> None:
    with PretendedGPU() as gpu:
        mixed, soft = Pipeline(batch=["mixup"]).batch(pixels(torch.uint8), gpu.put(LABELS["ids"]), batch=0)
    assert soft.device == DEVICE and not isinstance(mixed, OnGPU)


def test_soft_labels_of_columns_on_the_gpu() -> None:
    sources, weights = torch.tensor([[0, 1], [1, 2], [2, 0]]), torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    ids = torch.tensor([2, -100, 1])
    wanted = SoftLabels(ids, sources, weights).smoothed(0.1)
    with PretendedGPU() as gpu:
        soft = SoftLabels(gpu.put(ids), gpu.put(sources), gpu.put(weights), classes=3).smoothed(0.1)
        found = soft.dense(), soft.known, soft.ne(-100)
        moved = wanted.to(DEVICE, non_blocking=True).dense(3)
    for part, same in zip(
        (*found, moved), (wanted.dense(3), wanted.known, wanted.ne(-100), wanted.dense(3)), strict=True
    ):
        assert torch.equal(held(part), same)


@pytest.mark.parametrize("step", [*STEPS[3:6], *STEPS[6:9], "mosaic", {"mosaic": {"fit": "resize"}}], ids=str)
def test_masks_and_more_images_in_a_mapping(step: Any) -> None:
    pipe = Pipeline.from_spec({"batch": [step], "seed": 4})
    batch = {
        "image": pixels(torch.uint8),
        "image2": pixels(torch.float32, channels=2),
        "mask": pixels(torch.uint8, channels=1)[:, 0].long(),
        "masks": pixels(torch.float32, channels=4),
        "label": LABELS["ids"],
    }
    wanted = pipe.batch(batch, batch=7)
    with PretendedGPU() as gpu:
        mixed = pipe.batch({key: gpu.put(value) for key, value in batch.items()}, batch=7)
        target = mixed.pop("label").dense(CLASSES)
    assert torch.equal(held(target), wanted.pop("label").dense(CLASSES))
    assert all(close(held(value), wanted[key], step) for key, value in mixed.items())


def test_floats_are_averaged_as_masks() -> None:
    batch = {"image": pixels(torch.uint8), "mask": pixels(torch.float32, channels=4)}
    wanted = Pipeline(batch=["mixup"]).batch(batch, batch=7)
    with PretendedGPU() as gpu:
        mixed = Pipeline(batch=["mixup"]).batch({key: gpu.put(value) for key, value in batch.items()}, batch=7)
    assert all(torch.equal(held(mixed[key]), value) for key, value in wanted.items())


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_features_with_a_gradient_and_large_batches(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_batched, "_LARGE", 0)  # which are mixed in parts
    pipe = Pipeline.from_spec({"batch": [step], "seed": 5})
    features, slopes = pixels(torch.float32, channels=7), random(COUNT, 7, 20, 18, seed=9)
    results = []
    with PretendedGPU() as gpu:
        for put in (gpu.put, itself):
            given = put(features).requires_grad_()
            mixed = pipe.batch(given, batch=3)
            (mixed * put(slopes)).sum().backward()
            results.append((held(mixed), held(given.grad), held(pipe.batch(put(features), batch=3))))
    for found, wanted in zip(*results, strict=True):
        assert torch.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("step", STEPS[:-3], ids=str)
def test_calls_do_not_grow_with_the_batch(step: Any) -> None:
    pipe = Pipeline.from_spec({"batch": [step], "classes": CLASSES, "seed": 1})
    calls = []
    for count in (8, 80):
        with PretendedGPU() as gpu:
            pipe.batch(
                gpu.put(pixels(torch.uint8, count)), list(range(5)) * (count // 5) + [0] * (count % 5), batch=1
            )
        calls.append((sorted(gpu.calls), len(gpu.uploads)))
    assert calls[0] == calls[1]
