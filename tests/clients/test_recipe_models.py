"""The steps of the recipe on the real transformers, timm and torchvision: they bring noise of many kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
tv = pytest.importorskip("torchvision.models")
transformers = pytest.importorskip("transformers")

from torch import nn  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402

from augreg.recipe import Task, fit, initial_loss, overfit  # noqa: E402

IMAGES = torch.randn(48, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = (IMAGES.mean((1, 2, 3)) > 0).long()


class Rows(Dataset[Any]):
    """The form of Hugging Face datasets."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"pixel_values": IMAGES[index], "labels": int(LABELS[index])}


def hugging_face() -> nn.Module:
    numbers = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    noise = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}
    return transformers.ViTForImageClassification(
        transformers.ViTConfig(image_size=32, patch_size=8, num_labels=2, **numbers, **noise)
    )


CASES: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "transformers ViT": (hugging_face, Rows()),
    "timm ResNet": (
        lambda: timm.create_model("resnet10t", num_classes=2, drop_path_rate=0.5, drop_rate=0.5),
        (IMAGES, LABELS),
    ),
    "timm ViT": (
        lambda: timm.create_model(
            "vit_tiny_patch16_224",
            img_size=32,
            patch_size=8,
            depth=2,
            num_classes=2,
            drop_path_rate=0.5,
            drop_rate=0.5,
        ),
        (IMAGES, LABELS),
    ),
    "torchvision ConvNeXt": (
        lambda: tv.ConvNeXt([tv.convnext.CNBlockConfig(16, None, 2)], stochastic_depth_prob=0.9, num_classes=2),
        (IMAGES, LABELS),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_noise_is_off_while_a_few_samples_are_learned(name: str) -> None:
    model, data = CASES[name]
    task = Task(model, data, optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=3e-3))
    first = initial_loss(task)
    assert first.verdict == "pass" and first.evidence["loss"] == initial_loss(task).evidence["loss"]
    result = overfit(task)
    assert result.verdict == "pass" and "draws all the same" not in result.evidence
    assert result.evidence["first loss"] == overfit(task).evidence["first loss"]


def test_a_run_with_noise_is_the_same_every_time() -> None:
    model, data = CASES["transformers ViT"]
    task = Task(model, data, data)
    assert fit(task, 1).losses == fit(task, 1).losses
