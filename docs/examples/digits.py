"""What each regularizer does for a small network and 200 images: training and test accuracy, and the gap.

    python docs/examples/digits.py        # 8 regularizations x 10 seeds; docs/examples/README.md has the table

The images are the digits of scikit-learn: 1797 handwritten digits of 8 x 8 gray pixels. 200 are for training and
1000 for testing; the strengths below were chosen on the other 597 (`--validation` tests on them). Rows differ only by
their spec, and the runs of a row only by their seed. It runs in one thread: the same command makes the same table.
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader

import augreg
from augreg.data import Augmented, EpochSampler
from augreg.training import Epochs

NORMALIZE = {"normalize": {"mean": 0.3, "std": 0.38}}
SECTIONS = {  # what each row adds to the spec without regularization
    "none": {},
    "augmentation": {
        "image": [
            {"affine": {"degrees": 10, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "shear_x": 10}},
            {"random_erasing": {"area": [0.02, 0.15]}},
        ]
    },
    "mixup": {"batch": [{"mixup": {"alpha": 0.2}}]},
    "dropout": {"model": [{"dropout": {"at": "relu", "p": 0.25}}]},
    "DropConnect": {"model": [{"drop_connect": {"at": "hidden", "p": 0.25}}]},
    "stochastic depth": {"model": [{"stochastic_depth": {"at": "blocks.*", "survival": 0.8}}]},
    "weight decay": {"loss": [{"l2": 1e-3}]},
}


def spec_of(row: str, seed: int) -> dict:
    """The spec of a row; the row `all` has the steps of all others."""
    spec = {"seed": seed, "classes": 10, "image": [], "batch": [], "model": [], "loss": []}
    for name in SECTIONS if row == "all" else [row]:
        for section, steps in SECTIONS[name].items():
            spec[section] += steps
    spec["image"].append(NORMALIZE)
    return spec


class Block(nn.Module):
    """x + f(x): stochastic depth drops f."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.norm1(self.conv1(x)).relu()
        return (x + self.norm2(self.conv2(out))).relu()


class Network(nn.Module):
    """A stem, three residual blocks and a head of two layers; its only regularization is batch norm."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(Block(width), Block(width), Block(width))
        self.pool = nn.MaxPool2d(2)
        self.hidden, self.relu = nn.Linear(width * 16, 64), nn.ReLU()
        self.classes = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.blocks(self.stem(x))).flatten(1)
        return self.classes(self.relu(self.hidden(x)))


def digits(count: int) -> tuple[list, list, list]:
    """Pairs (image, label) for training, validation and test, each with the same proportion of every digit."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) * (255 / 16)).round().astype(np.uint8)
    samples = list(zip(images, labels.tolist(), strict=True))
    rest, test = train_test_split(samples, test_size=1000, stratify=labels, random_state=0)
    train, validation = train_test_split(
        rest, train_size=count, stratify=[label for _, label in rest], random_state=0
    )
    return train, validation, test


def train(pipe: augreg.Pipeline, samples: list, seed: int, epochs: int) -> nn.Module:
    """A new network, trained as the spec says."""
    torch.manual_seed(seed)  # the first weights, and the masks
    model = Network()
    attached, criterion = pipe.regularize(model), pipe.criterion()
    data = Augmented(samples, pipe.train)
    sampler = EpochSampler(data, seed=seed)
    loader = DataLoader(data, batch_size=25, sampler=sampler, collate_fn=pipe.collate)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=epochs * len(loader))
    for _ in Epochs(epochs, sampler, attached, criterion):
        model.train()
        for images, labels in loader:
            loss = criterion(model(images), labels, model)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            attached.constrain()
            rate.step()
    return model


@torch.no_grad()
def accuracy(model: nn.Module, pipe: augreg.Pipeline, samples: list) -> float:
    """The accuracy in percent, on test-time images, with the model in evaluation."""
    data = Augmented(samples, pipe.test)
    images, labels = next(iter(DataLoader(data, batch_size=len(data), collate_fn=pipe.collate)))
    return 100 * (model.eval()(images).argmax(1) == labels).float().mean().item()


def shown(values: np.ndarray) -> str:
    """The mean over seeds, with its standard error if there are at least two seeds."""
    error = f" ± {values.std(ddof=1) / len(values) ** 0.5:.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--images", type=int, default=200, help="the number of training images")
    parser.add_argument("--validation", action="store_true", help="test on the validation images")
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    known, validation, test = digits(given.images)
    unseen = validation if given.validation else test
    print("| regularization | training | test | gap | change of the gap |")
    print("|---|---|---|---|---|")
    plain = np.zeros(given.seeds)
    for row in [*SECTIONS, "all"]:
        results = []
        for seed in range(given.seeds):
            pipe = augreg.Pipeline.from_spec(spec_of(row, seed))
            model = train(pipe, known, seed, given.epochs)
            results.append([accuracy(model, pipe, known), accuracy(model, pipe, unseen)])
        on_known, on_unseen = np.array(results).T
        gap = on_known - on_unseen
        plain = gap if row == "none" else plain
        change = "" if row == "none" else shown(gap - plain)  # seed by seed
        print(f"| {row} | {shown(on_known)} | {shown(on_unseen)} | {shown(gap)} | {change} |", flush=True)
    took = time.perf_counter() - start
    print(f"\naugreg {augreg.__version__} ({pipe.backend}), torch {torch.__version__}, ", end="")
    print(f"scikit-learn {sklearn.__version__}, Python {platform.python_version()}; {took:.0f} s")


if __name__ == "__main__":
    main()
