"""Seeds all generators that a model may draw from."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import nn

from augreg.rng import stream_key
from augreg.training.rng_state import seeded_sources

__all__ = ["seeded"]


def seeded(seed: int, models: Iterable[nn.Module], indices: Sequence[int | str] = ()) -> None:
    """Seed the global generators of Python, NumPy and torch, and the layers that have a seed of their own.

    The caller restores them (`kept`). Devices that are not in use yet are left alone.
    """
    key = stream_key(repr((seed, list(indices))))
    random.seed(key)
    np.random.seed(key & 0xFFFFFFFF)  # noqa: NPY002  models may draw from the global generator
    torch.default_generator.manual_seed(key)
    for backend in (torch.cuda, torch.xpu):
        if backend.is_available() and backend.is_initialized():
            backend.manual_seed_all(key)
    for model in models:
        for source in seeded_sources(model).values():
            source.calls = torch.tensor(key >> 33, dtype=torch.int64)
