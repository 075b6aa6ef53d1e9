"""Finds the noise of a model: which of its modules draw random numbers in training.

report = find_noise(model, image[None])
print(report)
with torch.no_grad(), kept(model), drawing(model, report):
    samples = [model(images) for _ in range(32)]
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from augreg.expectation.noise.kept_state import kept as kept
from augreg.expectation.noise.modes import called, drawing as drawing, evaluating, named_modules
from augreg.expectation.noise.report import NoiseReport as NoiseReport, NoiseSource as NoiseSource
from augreg.expectation.noise.search import Found, Search, running_eagerly
from augreg.loss.penalties import unwrapped

__all__ = ["NoiseReport", "NoiseSource", "drawing", "find_noise", "kept"]


def find_noise(model: nn.Module, call: Any) -> NoiseReport:
    """Run a model a few times on a small input, and find which of its modules draw random numbers in training.

    `call` is the model's argument (a tensor, a tuple of arguments, or a mapping of keyword arguments), or a function
    without arguments that runs the model. One image is enough. Dropout in a function, attention or a recurrent layer,
    stochastic depth, attached regularizers and plain `torch.rand` are all found; what this input does not run is not.

    The runs record no gradients, batch norm stays in evaluation, compiled code runs uncompiled, and the model and all
    generators are as before at the end. `model` may be wrapped (torch.compile, DistributedDataParallel and others):
    names are those of the model inside. If FSDP has split it, all ranks must call this.

    Raises TypeError if the model is no torch.nn.Module, or is scripted, and ValueError if it has lazy layers that
    have not run.
    """
    inner = _checked(model)
    with torch.no_grad(), kept(model), evaluating(model), running_eagerly(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the call that follows gives them
        found = Search(inner, call if _is_function(call) else lambda: called(inner, call)).found()
    return NoiseReport(
        _sources(inner, found.draws, found.flags),
        _sources(inner, found.always, {name: name for name in found.always}),
        found.silent,
        found.batch_norms,
        found.notes,
    )


def _checked(model: Any) -> nn.Module:
    """The model inside its wrappers. Raises TypeError if there is none whose modules can be seen."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected the model, a torch.nn.Module, got {type(model).__name__}")
    inner = unwrapped(model)
    if isinstance(inner, torch.jit.ScriptModule):
        raise TypeError(
            f"the model is a {type(inner).__name__}, whose modules do not show what they draw: pass the "
            f"torch.nn.Module that was scripted"
        )
    if any(is_lazy(tensor) for tensor in (*inner.parameters(), *inner.buffers())):
        raise ValueError("the model has lazy layers, whose weights do not exist yet: run it once before")
    return inner


def _is_function(call: Any) -> bool:
    return callable(call) and not isinstance(call, torch.Tensor)


def _sources(model: nn.Module, draws: dict[str, Found], flags: dict[str, str]) -> tuple[NoiseSource, ...]:
    """The modules that draw, in the order of the model."""
    modules = named_modules(model)
    return tuple(
        NoiseSource(name, type(module).__name__, draws[name].by, draws[name].seeded, flags[name])
        for name, module in modules.items()
        if name in draws and name in flags
    )
