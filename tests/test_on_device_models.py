"""Losses and regularizers work on the GPU of what they are given: nothing is read back from it, or waits for it.

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
from pretended_gpu import PretendedGPU, WaitsError, held  # noqa: E402
from test_on_device import CLASSES, COUNT, LABELS, MULTI, Put, itself, random  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from augreg import Pipeline, SoftLabels, nn as layers  # noqa: E402
from augreg.nn import drop_block, masks  # noqa: E402

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
            with pytest.raises(WaitsError):
                criterion(logits, ids)
            with pytest.raises(WaitsError):
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


LAYERS: dict[str, tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = {
    **{f"Dropout{n}d": ((0.3,), {"seed": 1}, (4, 3, *(5,) * n)) for n in (1, 2, 3)},
    **{f"DropBlock{n}d": ((0.3, 2), {"seed": 1}, (4, 3, *(5,) * n)) for n in (1, 2, 3)},
    **{f"DropConnectConv{n}d": ((3, 2, 2), {"p": 0.3, "per": 3, "seed": 1}, (4, 3, *(5,) * n)) for n in (1, 2, 3)},
    "DropConnectLinear": ((3, 2), {"p": 0.3, "seed": 1}, (4, 5, 3)),
    "AlphaDropout": ((1.0,), {}, (4, 6)),
    "Dropout": ((1.0,), {}, (4, 6)),
    "DropBlock2d": ((1.0,), {}, (4, 3, 5, 5)),
    "GaussianDropout": ((0.3,), {"seed": 1}, (4, 6)),
    "GaussianNoise": ((0.3,), {"seed": 1}, (4, 6)),
    "Maxout": ((2,), {}, (4, 6)),
    "ShakeDrop": ((0.3,), {"seed": 1}, (4, 3, 5)),
    "SpatialDropout": ((0.3,), {"seed": 1}, (4, 3, 5)),
    "StochasticDepth": ((0.5,), {"seed": 1}, (4, 3)),
}
"""The arguments of layers, and the shape of an input."""


def test_every_layer_is_here() -> None:
    names = {name for name in dir(layers) if isinstance(getattr(layers, name), type)}
    assert names == {*LAYERS, "ShakeShake"}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    positional, named, shape = LAYERS[name]
    results = []
    with PretendedGPU() as gpu:
        for put in (gpu.put, itself):
            torch.manual_seed(0)
            layer = put(getattr(layers, name)(*positional, **named))
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


def test_from_images_to_a_step_of_training() -> None:
    spec = {
        "image": [
            {"random_resized_crop": 12},
            "horizontal_flip",
            {"color_jitter": {"contrast": 0.4}},
            {"normalize": "cifar10"},
        ],
        "batch": [{"mixup": {"per": "element"}}],
        "model": [{"drop_connect": {"at": "1", "seed": 2}}],
        "loss": ["label_smoothing", "l2", {"max_norm": {"limit": 0.3}}],
        "backend": "pillow",
    }
    pipe = Pipeline.from_spec(spec)
    pixels = (random(COUNT, 3, 20, 24) * 255).to(torch.uint8)
    results = []
    with PretendedGPU() as gpu:
        for put in (gpu.put, itself):
            torch.manual_seed(0)
            model = put(nn.Sequential(nn.Flatten(), nn.Linear(3 * 144, CLASSES)))
            attached, criterion = pipe.regularize(model), pipe.criterion(check=False)
            images = pipe.train.batch(put(pixels), range(COUNT), epoch=1)
            mixed, labels = pipe.batch(images, IDS, keys=range(COUNT), epoch=1)
            criterion(model(mixed), labels, model).backward()
            attached.constrain()
            results.append([*map(held, (images, mixed, model[1].weight, model[1].weight.grad))])
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*results, strict=True))
