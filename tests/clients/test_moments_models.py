"""Moments in one pass through the models of torchvision and timm, against Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
tv = pytest.importorskip("torchvision.models")

from torch import nn  # noqa: E402

from augreg.expectation import drawing, find_noise, kept  # noqa: E402
from augreg.expectation.moments import propagate  # noqa: E402
from augreg.nn import SpatialDropout  # noqa: E402


def resnet() -> nn.Module:
    """With dropout of channels in a block."""
    model = tv.resnet18(num_classes=5)
    model.layer3[0].conv1 = nn.Sequential(SpatialDropout(0.3), model.layer3[0].conv1)
    return model


def convnext() -> nn.Module:
    """With stochastic depth and layer norm."""
    blocks = [tv.convnext.CNBlockConfig(16, 32, 2), tv.convnext.CNBlockConfig(32, None, 2)]
    return tv.convnext.ConvNeXt(blocks, 0.3, 1.0, num_classes=5)


def vit() -> nn.Module:
    """With dropout of tokens' features, and attention, which has no rule."""
    return timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=5, proj_drop_rate=0.1)


@pytest.mark.parametrize(
    ("make", "monte_carlo", "near"), [(resnet, (), 0.0), (convnext, (), 0.03), (vit, "*.attn", 0.0)]
)
def test_moments_are_near_monte_carlo(make: Callable[[], nn.Module], monte_carlo: Any, near: float) -> None:
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
    assert (found.mean - draws.mean(0)).abs().mean() < max(0.8 * far, 2 * error, near)
    if make is convnext:  # a norm cancels much of the noise that scales its input as a whole
        return
    assert 0.5 < (found.variance.mean() / draws.var(0).mean()).sqrt() < 1.6
