"""Tasks for the tests of the recipe: small models on the data of scikit-learn, sound ones and faulty ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional

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
        "model": [{"dropout": {"p": 0.2, "at": "2", "seed": 1}}],
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
    "MLP on iris": lambda: Task(partial(mlp, 4, 3), *table("iris"), batch_size=16),
}
"""Pairs of model and data without a fault, on which the thresholds were tuned."""


def frozen_layer() -> nn.Module:
    model: Any = cnn()
    model[3].requires_grad_(False)
    return model


def step_without_zero_grad(model: Any, optimizer: Any, inputs: Tensor, targets: Tensor) -> Tensor:
    loss = functional.cross_entropy(model(inputs), targets)
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


def _binary() -> Task:
    (inputs, labels), (others, true) = table("breast_cancer")
    return Task(partial(mlp, 30, 1), (inputs, labels.float()[:, None]), (others, true.float()[:, None]))


class Residual(nn.Module):
    """A block whose branch begins at zero, as in torchvision with zero_init_residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x))))))


def resnet() -> nn.Module:
    stem = [nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(
        *stem, Residual(16), nn.MaxPool2d(2), Residual(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )


LATER_SOUND: dict[str, Callable[[], Task]] = {
    "ResNet on digits, SGD": lambda: Task(resnet, *digits(), optimizer=SGD, weight_decay=5e-4),
    "deep MLP with dropout on digits": lambda: Task(deep_mlp, *digits()),
    "MLP on breast cancer, one output": _binary,
}
"""Sound pairs that were not used while thresholds were chosen."""


def biased_head() -> nn.Module:
    model: Any = cnn()
    model[-1].bias.data[3] = 8.0
    return model


class AugmentedInValidation(torch.utils.data.Dataset[Any]):
    """Validation images that are moved at random, as training images would be."""

    def __len__(self) -> int:
        return 300

    def __getitem__(self, index: int) -> Any:
        images, labels = digits()[1]
        shifts = torch.randint(-2, 3, (2,)).tolist()
        return torch.roll(images[index], shifts, (1, 2)), labels[index]


class ForgottenDropout(nn.Module):
    """Dropout as a function, which does not know whether the model is in training."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = cnn()[:-1], nn.Linear(128, 10)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.dropout(self.features(x), 0.3))


class Detached(nn.Module):
    """A model whose features go through NumPy on their way to the head."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = cnn()[:-1], nn.Linear(128, 10)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.from_numpy(self.features(x).detach().numpy()))


LATER_FAULTS: dict[str, Callable[[], Task]] = {
    "bias of the head": lambda: _task(biased_head),
    "augmentation in validation": lambda: _task(validation=AugmentedInValidation()),
    "noise in evaluation": lambda: _task(ForgottenDropout),
    "detached gradients": lambda: _task(Detached),
}
"""Faults that were not used while the probes were written."""
