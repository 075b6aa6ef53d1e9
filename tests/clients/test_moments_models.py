"""Moments in one pass through the models of torchvision and timm, with attached regularizers, against Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
tv = pytest.importorskip("torchvision.models")

from torch import nn  # noqa: E402

import augreg  # noqa: E402
from augreg.expectation import drawing, find_noise, kept  # noqa: E402
from augreg.expectation.moments import propagate  # noqa: E402
from augreg.nn import SpatialDropout  # noqa: E402


def resnet() -> nn.Module:
    """With dropout of channels in a block."""
    model = tv.resnet18(num_classes=5)
    model.layer3[0].conv1 = nn.Sequential(SpatialDropout(0.3), model.layer3[0].conv1)
    return model


def attached_resnet() -> nn.Module:
    """With attached dropout, stochastic depth whose branches are skipped, and dropped weights."""
    model = timm.create_model("resnet18", num_classes=5)
    spec = [
        {"dropout": {"at": "layer2", "p": 0.2}},
        {"stochastic_depth": {"at": "layer3.*", "survival": 0.7, "skip": True}},
        {"drop_connect": {"at": "fc", "p": 0.3}},
    ]
    augreg.regularize(model, spec)
    return model


def vgg() -> nn.Module:
    """With its own dropout in a small classifier, attached dropout of channels, and dropped weights."""
    with torch.device("meta"):  # its classifier has 120 million weights
        model = tv.vgg11_bn(init_weights=False)
    model.avgpool = nn.AdaptiveAvgPool2d(1)
    model.classifier = nn.Sequential(nn.Linear(512, 64), nn.ReLU(True), nn.Dropout(0.5), nn.Linear(64, 5))
    model.to_empty(device="cpu")
    for layer in model.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    spec = [
        {"spatial_dropout": {"at": "features.14", "p": 0.2}},
        {"drop_connect": {"at": "classifier.0", "p": 0.5}},
    ]
    augreg.regularize(model, spec)
    return model


def convnext() -> nn.Module:
    """With stochastic depth and layer norm."""
    blocks = [tv.convnext.CNBlockConfig(16, 32, 2), tv.convnext.CNBlockConfig(32, None, 2)]
    return tv.convnext.ConvNeXt(blocks, 0.3, 1.0, num_classes=5)


def vit() -> nn.Module:
    """With dropout of tokens' features, and attention, which has no rule."""
    return timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=5, proj_drop_rate=0.1)


def paths() -> nn.Module:
    """A transformer with stochastic depth only: attention has no random input while it is held."""
    return timm.create_model("vit_tiny_patch16_224", img_size=32, depth=4, num_classes=5, drop_path_rate=0.3)


@pytest.mark.parametrize(
    ("make", "monte_carlo"),
    [(resnet, ()), (attached_resnet, ()), (vgg, ()), (convnext, ()), (vit, "*.attn"), (paths, ())],
)
def test_moments_are_near_monte_carlo(make: Callable[[], nn.Module], monte_carlo: Any) -> None:
    torch.manual_seed(1)
    model, x = make().eval(), torch.randn(2, 3, 32, 32)
    for parameter in model.parameters():
        if parameter.dim() == 2 and len(parameter) == 5:
            nn.init.normal_(parameter, std=0.1)  # some heads begin with zeros
    report = find_noise(model, x[:1])
    found = propagate(model, x, monte_carlo=monte_carlo, samples=64, noise=report)
    with torch.no_grad():
        scaling = model(x)
        with kept(model), drawing(model, report):
            draws = torch.stack([model(x) for _ in range(100)])
    error = (draws.var(0) / 100).sqrt().mean()
    far = (scaling - draws.mean(0)).abs().mean()
    off = (found.mean - draws.mean(0)).abs().mean()
    assert off < max(0.8 * far, 2 * error)
    assert 0.8 < (found.variance.mean() / draws.var(0).mean()).sqrt() < 1.25
