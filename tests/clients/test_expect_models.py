"""expect with models of torchvision, timm and transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import augreg


def images(side: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_stochastic_depth_of_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    model = torchvision.models.efficientnet_b0(num_classes=5, stochastic_depth_prob=0.5)
    p = augreg.expect(model, samples=4)(images(32))
    assert (p.standard_error > 0).all() and p.report.batches == 1  # mode="row": every row draws
    assert len(p.report.noise[0].names) == 9 + 1  # the blocks with a shortcut, and the dropout of the classifier
    assert model.training


def test_maps_of_torchvision_come_back() -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    model = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    )
    pipe = augreg.Pipeline(["horizontal_flip", {"normalize": {"mean": "imagenet", "std": "imagenet"}}])
    photo = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    p = augreg.expect(model, pipe, over="image", select="out")(photo)
    x = pipe.test(photo)
    with torch.no_grad():
        both = model.eval()(torch.stack([x, x.flip(-1)]))["out"].softmax(1)
    assert torch.allclose(p.mean[0], (both[0] + both[1].flip(-1)) / 2, atol=1e-5)
    with pytest.raises(TypeError, match=r"by select=.*'out'"):
        augreg.expect(model, pipe, over="image")(photo)


def test_a_transformer_of_timm() -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, num_classes=5, drop_path_rate=0.3, drop_rate=0.2, attn_drop_rate=0.1
    )
    p = augreg.expect(model, samples=8)(images(32))
    assert (p.standard_error > 0).all()
    with torch.no_grad():
        torch.manual_seed(0)
        loop = torch.stack([model.train()(images(32)).softmax(1) for _ in range(64)]).mean(0)
    assert torch.allclose(p.mean.float(), loop, atol=0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_classifier_of_transformers(dtype: Any) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        num_labels=5,
        hidden_dropout_prob=0.3,
        attention_probs_dropout_prob=0.2,
    )
    model = transformers.ViTForImageClassification(config).to(dtype)
    with pytest.raises(TypeError, match=r"by select=.*'logits'"):
        augreg.expect(model)(images(32).to(dtype))
    p = augreg.expect(model, select="logits", samples=16)(pixel_values=images(32).to(dtype))
    assert p.mean.shape == (2, 5) and (p.standard_error > 0).all()
