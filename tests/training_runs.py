"""What the tests of trainers share: photos, a spec with every kind of step, and what a run trained on."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from augreg import Pipeline

ROOT = Path(__file__).parents[1]
CLASSES = 3
IMAGE: list[Any] = [
    {"random_crop": {"size": 8, "padding": 2}},
    "horizontal_flip",
    {"brightness": 0.4},
    {"normalize": {"mean": [0.5] * 3, "std": [0.5] * 3}},
]
BATCH: list[Any] = [{"one_of": [{"mixup": {"alpha": 1.0}}, {"cutmix": {"alpha": 1.0}}]}]
LOSS: list[Any] = [
    {"label_smoothing": {"linear": [0.0, 0.2], "over": [0, 2]}},
    {"l2": 1e-3},
    {"max_norm": {"limit": {"step": [1.0, 0.9], "at": [1]}, "at": "**.weight"}},
]


def pipeline(at: str = "2", also: str = "4", **sections: Any) -> Pipeline:
    """A pipeline whose masks come from torch's generator at one module, and from a seed at another."""
    model = [
        {"dropout": {"p": {"linear": [0.1, 0.5], "over": [0, 2]}, "at": at}},
        {"dropout": {"p": 0.3, "seed": 7, "at": also}},
    ]
    spec = {"seed": 3, "classes": CLASSES, "image": IMAGE, "batch": BATCH, "model": model, "loss": LOSS}
    return Pipeline.from_spec({**spec, **sections})


class Photos:
    """A map-style dataset of (image of 10 x 10 x 3 bytes, label)."""

    def __init__(self, count: int) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (count, 10, 10, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any], int]:
        if index >= len(self):
            raise IndexError(index)
        return self.images[index], index % CLASSES


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, CLASSES)
    )


def vit() -> Any:
    """A small ViT of transformers."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=8,
            patch_size=4, num_labels=CLASSES, hidden_dropout_prob=0.1,
        )
    )  # fmt: skip


def of_vit(**sections: Any) -> Pipeline:
    """The pipeline for this ViT."""
    return pipeline("**.mlp", "vit.layernorm", **sections)


def digest(*arrays: Any) -> str:
    """The hash of the bytes of tensors or arrays."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.asarray(array.detach().cpu() if isinstance(array, torch.Tensor) else array).tobytes())
    return found.hexdigest()[:16]


def weights(model: nn.Module) -> str:
    return digest(*model.state_dict().values())


class Killed(Exception):  # noqa: N818 - it stands for a crash
    """The run stops here, as in a crash."""


@contextmanager
def watched(model: nn.Module, kill_at: int | None = None) -> Iterator[list[list[str]]]:
    """The digests of each image and of the logits of the training steps of a model; at step `kill_at` it raises.

    The logits tell the weights and the masks.
    """
    steps: list[list[str]] = []

    def note(module: nn.Module, inputs: Any, keywords: Any, output: Any) -> None:
        if module.training:
            if len(steps) == kill_at:
                raise Killed
            images = inputs[0] if inputs else keywords["pixel_values"]
            logits = output["logits"] if isinstance(output, dict) else output
            steps.append([*map(digest, images), digest(logits)])

    handle = model.register_forward_hook(note, with_kwargs=True)
    try:
        yield steps
    finally:
        handle.remove()


def example(name: str) -> Any:
    """The names that a file of docs/examples/trainers defines: the tests run what the docs show."""
    return runpy.run_path(str(ROOT / "docs/examples/trainers" / f"{name}.py"))
