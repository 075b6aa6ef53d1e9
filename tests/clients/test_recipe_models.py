"""The steps of the recipe on the real transformers, timm and torchvision: they bring noise of many kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
tv = pytest.importorskip("torchvision.models")
transformers = pytest.importorskip("transformers")
lightning = pytest.importorskip("lightning")

from torch import nn  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402

from augreg.recipe import Task, coarse_search, fine_search, fit, initial_loss, overfit  # noqa: E402
from augreg.recipe.search import with_values  # noqa: E402

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


PIXELS = (IMAGES * 40 + 128).clamp(0, 255).to(torch.uint8)


class PixelRows(Dataset[Any]):
    """The form of Hugging Face datasets, with images for a pipeline."""

    def __init__(self, start: int, end: int) -> None:
        self.rows = range(start, end)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"pixel_values": PIXELS[self.rows[index]], "labels": int(LABELS[self.rows[index]])}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16), nn.ReLU(), nn.Linear(16, 2))


class Lit(lightning.LightningModule):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Any) -> Any:
        return self.net(x)

    def training_step(self, batch: Any, index: int) -> Any:
        inputs, targets = batch
        return nn.functional.cross_entropy(self(inputs), targets)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.1)


def clipped(model: Any, optimizer: Any, inputs: Any, targets: Any) -> Any:
    """The update of a plain loop of the user."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss


def pairs(start: int, end: int) -> tuple[Any, Any]:
    return list(PIXELS[start:end]), LABELS[start:end].tolist()


SEARCHED: dict[str, tuple[Callable[[], Any], str, dict[str, Any]]] = {
    "Lightning": (Lit, "net.2", {"train": pairs(0, 32), "validation": pairs(32, 48)}),
    "transformers": (hugging_face, "vit.layernorm", {"train": PixelRows(0, 32), "validation": PixelRows(32, 48)}),
    "plain loop": (network, "2", {"train": pairs(0, 32), "validation": pairs(32, 48), "step": clipped}),
}


@pytest.mark.parametrize("name", SEARCHED)
def test_a_search_over_the_rate_and_a_number_of_the_spec(name: str) -> None:
    make, at, data = SEARCHED[name]
    spec = {
        "image": [{"normalize": {"mean": [0.5], "std": [0.2]}}],
        "model": [{"dropout": {"at": at, "p": 0.1}}],
        "classes": 2,
    }
    torch.manual_seed(0)
    model = make().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    task = Task(model, **data, spec=spec, batch_size=8)
    space = {"learning_rate": "choice [1e-12, 1e-2]", "model[0].dropout.p": "choice [0.0, 0.9]"}
    options: dict[str, Any] = {"sampler": "grid", "epochs": 1, "measure": "loss", "widen": 0, "pruner": "none"}
    coarse = coarse_search(task, space, trials=4, **options)
    losses = {
        (trial["parameters"]["learning_rate"], trial["parameters"]["model[0].dropout.p"]): trial["value"]
        for trial in coarse.evidence["trials"]
    }
    assert len(losses) == 4 and coarse.evidence["states"]["complete"] == 4
    assert losses[1e-12, 0.0] == pytest.approx(losses[1e-12, 0.9], abs=1e-5)  # nothing is learned
    assert abs(losses[1e-2, 0.0] - losses[1e-12, 0.0]) > 1e-3  # the rate reaches the optimizer
    assert abs(losses[1e-2, 0.0] - losses[1e-2, 0.9]) > 1e-3  # and the dropout the model
    fine = fine_search(task, coarse, trials=2, epochs=2, widen=0)
    run = fit(with_values(task, fine.evidence["best"]), 2)
    assert run.last("validation loss") == fine.evidence["value"]
    assert not model.training and all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
