"""The libraries are those of the registry, in the versions that constraints-clients.txt pins."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "constraints-clients.txt").read_text().splitlines()
PINNED = dict(line.split("==") for line in LINES if not line.startswith("#"))
LIBRARIES = ("torch", "torchvision", "timm", "transformers", "lightning", "accelerate", "datasets", "ray")


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_library_is_installed_in_the_pinned_version(name: str) -> None:
    module = importlib.import_module(name)
    assert importlib.metadata.version(name) == PINNED[name]
    assert "site-packages" in str(module.__file__)


def test_torchvision_runs_its_compiled_operators() -> None:
    import torch
    from torchvision.ops import nms

    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.9], [8.0, 8.0, 9.0, 9.0]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]
