"""Tasks for the tests of the recipe: small models on data that ships with scikit-learn, sound ones and faulty ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from sklearn import datasets
from torch import Tensor, nn

from augreg.recipe import Task

Pair = tuple[Tensor, Tensor]


@functools.cache
def digits() -> tuple[Pair, Pair]:
    """Training and validation data: standardized images of 8 x 8."""
    images, labels = _shuffled(*datasets.load_digits(return_X_y=True))
    images = ((images - images.mean()) / images.std()).reshape(-1, 1, 8, 8)
    return (images[:1200], labels[:1200]), (images[1200:], labels[1200:])


@functools.cache
def table(name: str) -> tuple[Pair, Pair]:
    """A data set of standardized numbers; the targets of a regression are standardized too."""
    inputs, labels = _shuffled(*getattr(datasets, f"load_{name}")(return_X_y=True))
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    if name == "diabetes":
        labels = ((labels - labels.mean()) / labels.std())[:, None]
    cut = len(inputs) * 3 // 4
    return (inputs[:cut], labels[:cut]), (inputs[cut:], labels[cut:])


def _shuffled(inputs: Any, labels: Any) -> Pair:
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    targets = torch.tensor(labels)
    targets = targets.float() if targets.is_floating_point() else targets
    return torch.tensor(inputs, dtype=torch.float32)[order], targets[order]


def mlp(inputs: int = 64, outputs: int = 10) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, outputs))


def deep_mlp() -> nn.Module:
    layers = [nn.Linear(64, 64), nn.ReLU(), nn.LayerNorm(64)]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))


def cnn() -> nn.Module:
    """A small CNN without normalization, for the faults."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, 10)),
    )


def normalized_cnn(dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(2)),
        *(nn.Flatten(), nn.Dropout(dropout), nn.Linear(128, 10)),
    )


class TinyViT(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.places = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT + self.places
        return self.head(self.norm(self.blocks(x)).mean(1))


def regularized() -> Task:
    """A task with a spec: augmentation, mixing, dropout, label smoothing and a penalty."""
    (images, labels), (others, true) = digits()
    spec = {
        "image": [{"pad": 1}, {"random_crop": 8}, {"normalize": {"mean": [0.3], "std": [0.38]}}],
        "batch": [{"mixup": {"alpha": 0.2}}],
        "model": [{"dropout": {"p": 0.2, "at": "2"}}],
        "loss": [{"label_smoothing": 0.1}, {"l2": 1e-4}],
        "classes": 10,
    }
    return Task(
        cnn, (_bytes(images[:400]), labels[:400].tolist()), (_bytes(others[:200]), true[:200].tolist()), spec=spec
    )


def _bytes(images: Tensor) -> list[Tensor]:
    low, high = float(images.min()), float(images.max())
    return [((image - low) / (high - low) * 255).round().to(torch.uint8) for image in images]


SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)

SOUND: dict[str, Callable[[], Task]] = {
    "MLP on digits": lambda: Task(mlp, *digits()),
    "CNN on digits": lambda: Task(normalized_cnn, *digits()),
    "ViT on digits": lambda: Task(TinyViT, *digits()),
    "MLP on wine": lambda: Task(partial(mlp, 13, 3), *table("wine")),
    "MLP on breast cancer, SGD": lambda: Task(partial(mlp, 30, 2), *table("breast_cancer"), optimizer=SGD),
    "MLP on diabetes, a regression": lambda: Task(partial(mlp, 10, 1), *table("diabetes"), optimizer=SGD),
    "CNN on digits, regularized by a spec": regularized,
}
"""Pairs of model and data without a fault, on which the thresholds were tuned."""


def frozen_layer() -> nn.Module:
    model: Any = cnn()
    model[3].requires_grad_(False)
    return model


def step_without_zero_grad(model: Any, optimizer: Any, inputs: Tensor, targets: Tensor) -> Tensor:
    loss = F.cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss


def _task(model: Any = cnn, images: Any = None, labels: Any = None, **changes: Any) -> Task:
    (known, true), validation = digits()
    return Task(model, (known if images is None else images, true if labels is None else labels), **{
        "validation": validation, **changes
    })  # fmt: skip


def _labels_shuffled() -> Task:
    labels = digits()[0][1]
    return _task(labels=labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))])


def _validation_inside() -> Task:
    (images, labels), (others, true) = digits()
    return _task(cnn, torch.cat([images, others[:300]]), torch.cat([labels, true[:300]]))


def _not_normalized() -> Task:
    (images, labels), (others, true) = digits()
    return Task(cnn, ((images * 0.38 + 0.3) * 255, labels), ((others * 0.38 + 0.3) * 255, true))


FAULTS: dict[str, Callable[[], Task]] = {
    "double softmax": lambda: _task(lambda: nn.Sequential(cnn(), nn.Softmax(1))),
    "missing zero_grad": lambda: _task(step=step_without_zero_grad),
    "labels shuffled": _labels_shuffled,
    "frozen parameters": lambda: _task(frozen_layer),
    "validation in training": _validation_inside,
    "rate too high": lambda: _task(optimizer=partial(torch.optim.Adam, lr=0.5)),
    "inputs not normalized": _not_normalized,
    "summed loss": lambda: _task(loss=nn.CrossEntropyLoss(reduction="sum")),
}
"""Faults by the name that the recipe gives them, on which the probes were tuned."""

LATER_SOUND: dict[str, Callable[[], Task]] = {}
LATER_FAULTS: dict[str, Callable[[], Task]] = {}
