"""Tests beside real torchvision, timm and others: `make clients` runs them in an environment of their own."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # models have random weights: nothing is downloaded

# Warnings are errors here too, except these, which the libraries raise in code of their own.
OTHERS_WARN = (
    "ignore:`torch.jit.:DeprecationWarning",
    "ignore:`torch.jit.:FutureWarning",
    "ignore::DeprecationWarning:(torch|torchvision|timm|transformers|lightning|accelerate|datasets|ray)(\\.|$)",
    "ignore::FutureWarning:(torch|torchvision|timm|transformers|lightning|accelerate|datasets|ray)(\\.|$)",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in OTHERS_WARN:
        config.addinivalue_line("filterwarnings", line)
