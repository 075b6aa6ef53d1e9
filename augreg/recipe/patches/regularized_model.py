"""A function that makes a model and attaches regularizers to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn

from augreg.pipeline import regularize

__all__ = ["regularized_model"]


def regularized_model(model: nn.Module | Callable[[], nn.Module], steps: Sequence[Any]) -> Callable[[], nn.Module]:
    """A function that makes the model, or copies one that was given, with the steps of a model section attached."""
    return partial(_made, model, tuple(steps))


def _made(model: Any, steps: Sequence[Any]) -> nn.Module:
    made: nn.Module = copy.deepcopy(model) if isinstance(model, nn.Module) else model()
    regularize(made, list(steps))
    return made
