"""Gradients go through mixing: it is linear in the images, so its derivative is known without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mixing_oracle import blended

from augreg import Pipeline
from augreg.batch import torch_kernels

STEPS: list[Any] = [
    {"mixup": {"per": "element"}},
    {"mixup": {"pairing": "flip"}},
    "cutmix",
    {"cutmix": {"boxes": 3, "per": "element"}},
    "resizemix",
    "mosaic",
    {"sequential": ["mixup", "cutmix", "mosaic"]},
]


@pytest.mark.parametrize("small", [0, 1 << 60])
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_gradient_is_that_of_the_blends(step: Any, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_kernels, "_SMALL", small)
    pipe = Pipeline.from_spec({"image": ["normalize"], "batch": [step], "seed": 2})
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((5, 2, 9, 7)))
    weights = torch.from_numpy(rng.random((5, 2, 9, 7)))
    features = images.clone().requires_grad_()
    mixed = pipe.batch(features, batch=0)
    assert mixed.requires_grad and torch.allclose(mixed, pipe.batch(images, batch=0), rtol=1e-12)
    (mixed * weights).sum().backward()
    blends = pipe.batch.plan(5, (9, 7), batch=0, channels=2).blends
    direction = rng.random((5, 2, 9, 7))  # linear: the change along a direction is the mixture of the direction
    change = (blended(blends, direction) * weights.numpy()).sum()
    assert features.grad is not None
    assert np.isclose((features.grad.numpy() * direction).sum(), change, rtol=1e-9)


def test_features_of_a_layer_train_it_also_in_half_precision_and_beside_masks() -> None:
    pipe = Pipeline.from_spec({"image": ["normalize"], "batch": [{"mixup": {"pairing": "roll"}}], "classes": 3})
    layer = torch.nn.Conv2d(3, 3, 3)
    x, y = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    mixed, labels = pipe.batch(layer(x), y, batch=0)
    torch.nn.functional.cross_entropy(mixed.mean((2, 3)), labels).backward()
    assert layer.weight.grad is not None and layer.weight.grad.abs().sum() > 0
    half = x.to(torch.bfloat16).requires_grad_()
    assert pipe.batch(half, batch=0).requires_grad
    soft = torch.rand(4, 2, 8, 8, requires_grad=True)
    assert pipe.batch({"image": x, "mask": soft, "label": y}, batch=0)["mask"].requires_grad
    with torch.no_grad():
        assert not pipe.batch(layer(x), batch=0).requires_grad
    probabilities = torch.rand(4, 3, requires_grad=True)  # labels too: a teacher's, for example
    assert pipe.batch(x, probabilities, batch=0)[1].dense().requires_grad


def test_what_cannot_pass_a_gradient_on_is_refused() -> None:
    pipe = Pipeline.from_spec({"image": ["normalize"], "batch": ["mixup"]})
    x = torch.rand(4, 3, 8, 8, requires_grad=True)
    with pytest.raises(ValueError, match="out cannot take a batch that requires a gradient"):
        pipe.batch(x, batch=0, out=torch.empty(4, 3, 8, 8))
