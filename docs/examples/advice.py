"""Follow the advice of the recipe on six models that overfit, and measure what it does to the validation metric.

    python docs/examples/advice.py            # the table, as Markdown
    python docs/examples/advice.py --seeds 10

The rules of the advice were chosen on other models and other numbers of samples: an MLP and a CNN on 60 to 200
digits, and MLPs on the wine, breast cancer and diabetes data. As a control, each model is also trained as long as
with the patch, but without it: `as long`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional

from augreg.recipe import Patch, Task, advised_patch, curves, fit, measure_patch

NORMALIZE = {"normalize": {"mean": [0.305], "std": [0.376]}}


def digits(train: int, **arguments: Any) -> dict[str, Any]:
    """Images of bytes for a task with a spec: so many for training, and 400 for validation."""
    images, labels = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(images))
    found = torch.tensor(images[order] / 16 * 255).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    names = labels[order].tolist()
    pairs = {
        "train": (list(found[:train]), names[:train]),
        "validation": (list(found[1000:1400]), names[1000:1400]),
    }
    return {**pairs, "spec": {"image": [NORMALIZE], "classes": 10}, **arguments}


def photo_patches(train: int) -> dict[str, Any]:
    """Patches of 16 x 16 pixels of the two photos of scikit-learn; the class is the photo and its quadrant."""
    generator = np.random.default_rng(1)
    found: list[tuple[Tensor, int]] = []
    for photo, pixels in enumerate(datasets.load_sample_images().images):
        for row, column in generator.integers(0, (427 - 32, 640 - 32), (400, 2)).tolist():
            quadrant = 2 * (row + 16 >= 427 // 2) + (column + 16 >= 320)
            patch = torch.from_numpy(pixels[row : row + 32 : 2, column : column + 32 : 2].copy())
            found.append((patch.permute(2, 0, 1), 4 * photo + quadrant))
    found = [found[index] for index in generator.permutation(len(found))]
    images, labels = [image for image, _ in found], [label for _, label in found]
    spec = {"image": [{"normalize": {"mean": [0.45] * 3, "std": [0.25] * 3}}], "classes": 8}
    return {"train": (images[:train], labels[:train]), "validation": (images[400:], labels[400:]), "spec": spec}


def friedman(train: int) -> dict[str, Any]:
    """Friedman's first function of 10 numbers, of which 5 matter, with noise; standardized."""
    inputs, targets = datasets.make_friedman1(train + 400, noise=2.0, random_state=1)
    x = torch.tensor((inputs - 0.5) / 0.29, dtype=torch.float32)
    y = torch.tensor((targets - 14.4) / 5.3, dtype=torch.float32)[:, None]
    return {"train": (x[:train], y[:train]), "validation": (x[train:], y[train:])}


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 12, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(12, 24, 3), nn.Tanh()),
        *(nn.Flatten(), nn.Linear(96, 60), nn.Tanh(), nn.Linear(60, 10)),
    )


def gelu_mlp() -> nn.Module:
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 96), nn.GELU(), nn.LayerNorm(96)),
        *(nn.Linear(96, 96), nn.GELU(), nn.Linear(96, 10)),
    )


class PatchMixer(nn.Module):
    """An attention model on patches of 2 x 2 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 40, 2, 2)
        self.places = nn.Parameter(torch.randn(1, 16, 40) * 0.02)
        self.attention = nn.MultiheadAttention(40, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.LayerNorm(40), nn.Linear(40, 80), nn.GELU(), nn.Linear(80, 40))
        self.head = nn.Linear(40, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).mT + self.places
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head((x + self.mlp(x)).mean(1))


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.norms[1](self.second(functional.relu(self.norms[0](self.first(x))))))


def resnet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(), Residual(12)),
        *(nn.MaxPool2d(2), Residual(12), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 10)),
    )


def photo_cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 24, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(384, 48), nn.ReLU(), nn.Linear(48, 8)),
    )


def regressor() -> nn.Module:
    return nn.Sequential(*(nn.Linear(10, 80), nn.ReLU(), nn.Linear(80, 80), nn.ReLU(), nn.Linear(80, 1)))


MODELS: dict[str, tuple[Callable[[], Task], int]] = {
    "LeNet, 70 digits": (lambda: Task(lenet, **digits(70, learning_rate=3e-3)), 60),
    "MLP with GELU, 50 digits": (lambda: Task(gelu_mlp, **digits(50, learning_rate=2e-3)), 60),
    "attention, 120 digits": (lambda: Task(PatchMixer, **digits(120, learning_rate=3e-3)), 60),
    "ResNet, 50 digits": (
        lambda: Task(resnet, **digits(50, optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9))),
        50,
    ),
    "CNN, 200 patches of photos": (lambda: Task(photo_cnn, **photo_patches(200), learning_rate=3e-3), 40),
    "MLP, 80 values of Friedman's function": (lambda: Task(regressor, **friedman(80), learning_rate=3e-3), 100),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="models whose name has this in it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | state | patch | without | as long | with | difference, 95 % interval | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (make, epochs) in MODELS.items():
        if arguments.only in name:
            print(f"| {name} | {row(make(), epochs, arguments.seeds)} |", flush=True)


def row(task: Task, epochs: int, seeds: int) -> str:
    """The state of the curves, the patch, the validation metrics, and what the patch does to them."""
    found = curves(task, epochs)
    patch = advised_patch(task, found)
    effect = measure_patch(task, patch, epochs, seeds=seeds)
    long = [fit(task, patch.epochs_of(epochs), seed=seed).last("validation metric") for seed in range(seeds)]
    low, high = effect.interval
    return " | ".join(
        [
            str(found.evidence["state"]),
            short(patch),
            *(f"{np.mean(values):.3f}" for values in (effect.before, long, effect.after)),
            f"{effect.difference:+.3f} ({low:+.3f} to {high:+.3f})",
            effect.answer,
        ]
    )


def short(patch: Patch) -> str:
    """The names of what is changed."""
    names = [next(iter(each.value)) if isinstance(each.value, dict) else each.place for each in patch.changes]
    return ", ".join(dict.fromkeys(names))


if __name__ == "__main__":
    main()
