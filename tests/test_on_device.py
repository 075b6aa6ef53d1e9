"""Mixing, losses and regularizers stay on the GPU of what they are given: nothing is read back, or waits for it.

The GPU is pretended (pretended_gpu.py), so the results are compared with those of the CPU, too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models import BasicBlock  # noqa: E402
from pretended_gpu import DEVICE, MixesDevices, OnGPU, PretendedGPU, Waits  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from augreg import Pipeline, SoftLabels, nn as layers  # noqa: E402
from augreg.batch import torch_batched  # noqa: E402
from augreg.nn import drop_block, masks  # noqa: E402

COUNT, CLASSES = 6, 5
Put = Callable[[Any], Any]


def held(value: Any) -> Any:
    """A tensor without its gradient, on the CPU; it was on the pretended GPU if that ran."""
    return value.held if isinstance(value, OnGPU) else value.detach()


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
        with pytest.raises(Waits):
            work(x)


def test_a_pretended_gpu_mixes_no_devices_and_has_the_numbers_of_the_cpu() -> None:
    with PretendedGPU() as gpu:
        x = gpu.put(torch.arange(6.0).view(2, 3)).requires_grad_()
        for work in (
            lambda: x + torch.ones(3),
            lambda: x[torch.tensor([0, 1])],
            lambda: torch.cat([x, torch.ones(2, 3)]),
        ):
            with pytest.raises(MixesDevices):
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


# -------------------------------------------------------------------------------------------------------------- loss

SOURCES = np.array([[i, (i + 1) % COUNT] for i in range(COUNT)])
WEIGHTS = np.array([[0.7, 0.3]] * COUNT)
IDS = LABELS["ids"]
PROBABILITIES = random(COUNT, CLASSES, seed=4).softmax(1)
TARGETS: dict[str, Callable[[Put], Any]] = {
    "ids": lambda put: put(IDS),
    "ids with -100": lambda put: put(LABELS["ids with -100"].int()),
    "probabilities": lambda put: put(PROBABILITIES),
    "soft labels": lambda put: SoftLabels(put(IDS), SOURCES, WEIGHTS),
    "soft labels with -100": lambda put: SoftLabels(put(LABELS["ids with -100"]), SOURCES, WEIGHTS),
    "soft probabilities": lambda put: SoftLabels(put(PROBABILITIES), SOURCES, WEIGHTS, multi_label=False),
    "soft labels of arrays": lambda put: SoftLabels(LABELS["ids with -100"].numpy(), SOURCES, WEIGHTS),
    "multi-label": lambda put: put(MULTI),
    "soft multi-label": lambda put: SoftLabels(put(MULTI), SOURCES, WEIGHTS),
}
LOSS: dict[str, list[Any]] = {
    "plain": [],
    "smoothing": [{"label_smoothing": {"linear": [0.0, 0.2], "over": [0, 2]}}],
    "confidence": ["confidence_penalty"],
    "both": ["label_smoothing", "confidence_penalty"],
    "penalties": ["l1", "l2", "elastic_net", "orthogonality", {"orthogonality": {"diagonal": False}}],
    "max_norm": [{"max_norm": {"limit": 0.3}}],
    "projection": [{"orthogonal_projection": {"at": {"type": ["Linear", "ConvTranspose1d"]}}}],
}
OF_WEIGHTS = ("penalties", "max_norm", "projection")


def weighing() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(2, 4, 3), nn.ConvTranspose1d(4, 4, 2, groups=2), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("steps", "target"),
    [(steps, target) for steps in LOSS for target in TARGETS if target == "ids" or steps not in OF_WEIGHTS],
)
def test_losses(steps: str, target: str) -> None:
    pipe, make = Pipeline.from_spec({"loss": LOSS[steps]}), TARGETS[target]
    logits = random(COUNT, CLASSES, seed=3) * 4
    for number, reduction in enumerate(("mean", "mean", "sum", "none")):
        training, weight = number != 1, [0.5, 1, 2, 1, 3] if number in (1, 3) else None
        results = []
        with PretendedGPU() as gpu:
            for put in (gpu.put, itself):
                criterion = pipe.criterion(
                    weight=weight, reduction=reduction, multi_label="multi" in target, check=False
                )
                criterion.train(training).set_epoch(1)
                model = put(weighing())
                given = put(logits).requires_grad_()
                loss = criterion(given, make(put), None if reduction == "none" else model)
                loss.sum().backward()
                criterion.constrain(model)
                results.append([loss, given.grad, *model.parameters(), *(p.grad for p in model.parameters())])
        for found, wanted in zip(*results, strict=True):
            assert (found is None) == (wanted is None)
            assert found is None or torch.allclose(held(found), held(wanted), atol=1e-6)


def test_targets_on_a_gpu_are_validated_at_the_first_call_in_training_and_in_evaluation() -> None:
    criterion = Pipeline().criterion()
    with PretendedGPU() as gpu:
        logits, ids = gpu.put(random(COUNT, CLASSES)), gpu.put(IDS)
        for training in (True, False):
            criterion.train(training)
            with pytest.raises(Waits):
                criterion(logits, ids)
            with pytest.raises(Waits):
                criterion(logits, ids)  # nothing valid has been seen
            criterion._note_look(ids)
            for target in (ids, gpu.put(PROBABILITIES), SoftLabels(ids, SOURCES, WEIGHTS)):
                criterion(logits, target)
    with pytest.raises(ValueError, match="class ids are from 0 to 4"):
        criterion(random(COUNT, CLASSES), IDS + 1)  # those on the CPU at each call


# ------------------------------------------------------------------------------------------------------ regularizers


class Encoder(nn.Module):
    """The pixels of an image as tokens of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(4, 2, 6, 0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x.flatten(2).transpose(1, 2))


def model_for(at: Any) -> nn.Module:
    """A model with modules of these names, for images of 4 x 6 x 5."""
    torch.manual_seed(1)
    if at == "encoder":
        return Encoder()
    if at == "blocks.*":
        return nn.Sequential(OrderedDict(blocks=nn.Sequential(BasicBlock(4, 4), BasicBlock(4, 4))))
    stem, linear = nn.Conv2d(4, 6, 3, padding=1), nn.Linear(6 * 30, 8)
    parts = {"stem": stem, "act": nn.ReLU(), "point": nn.Conv2d(6, 6, 1), "flat": nn.Flatten(), "fc1": linear}
    return nn.Sequential(OrderedDict(**parts, relu=nn.ReLU(), fc2=nn.Linear(8, 5)))


CONV, LINEAR = {"type": "Conv2d"}, {"name": "fc*", "type": "Linear"}
RULES: list[dict[str, Any]] = [
    *(
        {"dropout": {"at": "fc1", "on": on, "mode": mode}}
        for on, mode in (("input", "inverted"), ("output", "original"))
    ),
    {"dropout": {"at": "fc1", "p": 0.3, "remove_infinities": True}},
    {"spatial_dropout": {"at": "stem", "p": 0.3}},
    {"alpha_dropout": {"at": "act"}},
    {"gaussian_dropout": {"at": "act"}},
    {"activation_noise": {"at": "stem", "on": "input"}},
    {"drop_block": {"at": "stem", "p": 0.2, "block_size": 3}},
    {"drop_block": {"at": "stem", "p": {"linear": [0, 0.3], "over": [0, 2]}, "block_size": 4, "per": "sample"}},
    *({"drop_connect": {"at": at, "per": per, "p": 0.3}} for at in (CONV, LINEAR) for per in ("sample", 4, "batch")),
    {"drop_connect": {"at": CONV, "mode": "original", "mask_bias": True}},
    {"drop_connect": {"at": "fc1", "inference": "moment", "mask_bias": True}},
    *(
        {"stochastic_depth": {"at": at, "mode": mode, "skip": skip, "survival": 0.4, "scaling": scaling}}
        for at, scaling in (("blocks.*", "original"), ("encoder", "inverted"))
        for mode in ("row", "batch")
        for skip in (False, True)
    ),
    *({"shake_drop": {"at": "blocks.*", "per": per}} for per in ("batch", "sample", "channel", "element")),
]


def trained(rule: dict[str, Any], seed: int | None, put: Put, channels_last: bool = False) -> list[Tensor]:
    """Outputs and gradients in training, in two epochs, and in evaluation."""
    ((name, arguments),) = rule.items()
    model = put(model_for(arguments["at"]))
    attached = Pipeline.from_spec({"model": [{name: {**arguments, "seed": seed}}]}).regularize(model)
    found = []
    for epoch, training in ((0, True), (1, True), (2, False)):
        attached.set_epoch(epoch)
        images = random(COUNT, 4, 6, 5, seed=epoch)
        if channels_last:
            images = images.to(memory_format=torch.channels_last)
        images = put(images).requires_grad_()
        output = model.train(training)(images)
        output.square().sum().backward()
        found += [output, images.grad]
    return [*map(held, found), *(held(p.grad) for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_regularizers(rule: dict[str, Any]) -> None:
    """With a seed, masks are those of the CPU; without, they are drawn by torch's generator of the device."""
    wanted = trained(rule, 3, itself)
    with PretendedGPU() as gpu:
        found = trained(rule, 3, gpu.put)
        other = trained(rule, None, gpu.put, channels_last=True)
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(found, wanted, strict=True))
    assert [part.shape for part in other[:6]] == [part.shape for part in wanted[:6]]
    assert all(part.isfinite().all() for part in other)
    assert ("drop_block" in rule) == bool(gpu.uploads)


@pytest.mark.parametrize("rule", [RULES[0], RULES[6], RULES[7], RULES[9], RULES[-3], RULES[-6]], ids=str)
def test_regularizers_in_one_of_several_processes(rule: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "rank_and_count", lambda: (1, 2))
    with PretendedGPU() as gpu:
        assert all(part.isfinite().all() for part in trained(rule, None, gpu.put))


def test_skipped_depth_while_a_cuda_graph_is_captured() -> None:
    for mode in ("row", "batch"):
        rule = {"stochastic_depth": {"at": "blocks.*", "mode": mode, "skip": True, "survival": 0.4}}
        with PretendedGPU(capturing=True) as gpu:
            assert all(part.isfinite().all() for part in trained(rule, None, gpu.put))
        assert not gpu.uploads


def test_drop_block_sends_the_scale_of_a_rate_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_block, "is_plain", lambda input: True)
    layer = layers.DropBlock2d(0.123, 3)
    drop_block._remembered.cache_clear()
    with PretendedGPU() as gpu:
        for _ in range(3):
            layer(gpu.put(random(2, 3, 8, 8)))
        assert gpu.uploads == [(8, 8)]
    drop_block._remembered.cache_clear()


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    **{f"Dropout{n}d": (lambda n=n: getattr(layers, f"Dropout{n}d")(0.3, seed=1), (4, 3, *(5,) * n)) for n in (1, 2, 3)},
    **{f"DropBlock{n}d": (lambda n=n: getattr(layers, f"DropBlock{n}d")(0.3, 2, seed=1), (4, 3, *(5,) * n)) for n in (1, 2, 3)},
    **{
        f"DropConnectConv{n}d": (
            lambda n=n: getattr(layers, f"DropConnectConv{n}d")(3, 2, 2, p=0.3, per=3, seed=1), (4, 3, *(5,) * n),
        )
        for n in (1, 2, 3)
    },
    "Maxout": (lambda: layers.Maxout(2), (4, 6)),
    "all are dropped": (lambda: layers.Dropout(1.0), (4, 6)),
    "no block is kept": (lambda: layers.DropBlock2d(1.0), (4, 3, 5, 5)),
    "SpatialDropout": (lambda: layers.SpatialDropout(0.3, seed=1), (4, 3, 5)),
    "StochasticDepth": (lambda: layers.StochasticDepth(0.5, seed=1), (4, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    make, shape = LAYERS[name]
    results = []
    with PretendedGPU() as gpu:
        for put in (gpu.put, itself):
            torch.manual_seed(0)
            layer = put(make())
            x = put(random(*shape)).requires_grad_()
            y = layer(x)
            y.square().sum().backward()
            results.append([*map(held, (y, x.grad, layer.eval()(x)))])
    assert all(torch.allclose(a, b) for a, b in zip(*results, strict=True))


def test_shake_shake() -> None:
    results = []
    with PretendedGPU() as gpu:
        for put in (gpu.put, itself):
            layer = layers.ShakeShake(seed=1)
            a, b = (put(random(4, 3, 5, seed=seed)).requires_grad_() for seed in (0, 1))
            y = layer(a, b)
            y.square().sum().backward()
            results.append([*map(held, (y, a.grad, b.grad, layer.eval()(a, b)))])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
