"""Turns the random draws of a model off while it trains: dropout, stochastic depth, noise. Batch norm stays as it is.

Functions of torch that drop are told not to, by a mode of torch, so functional dropout that is always on counts too.
All other modules whose mode lets them draw are found by running the model, and are in evaluation meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import nn
from torch.overrides import TorchFunctionMode

from augreg.expectation.noise.draw_recorder import DrawRecorder
from augreg.expectation.noise.find_noise import find_noise
from augreg.expectation.noise.kept_state import kept
from augreg.expectation.noise.modes import named_modules
from augreg.nn.modes import modes_kept

__all__ = ["drawing_modules", "noise_off"]

_DROPOUTS = {
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.alpha_dropout,
    F.feature_alpha_dropout,
    torch.dropout,
    torch.dropout_,
    torch.alpha_dropout,
    torch.alpha_dropout_,
    torch.feature_dropout,
    torch.feature_dropout_,
    torch.feature_alpha_dropout,
    torch.feature_alpha_dropout_,
}


@contextlib.contextmanager
def noise_off(model: nn.Module, run: Callable[[], Any]) -> Iterator[tuple[str, ...]]:
    """A context in which a model trains without random draws; yields the names of modules that draw all the same.

    `run` calls the model once, for the search. Modes are restored at the end.
    """
    with modes_kept(model), _recurrent_without_dropout(model), _NoDropout():
        sources = find_noise(model, run).sources
        model.train()
        modules = named_modules(model)
        for source in sources:
            modules[source.flag].training = False
        yield tuple(drawing_modules(model, run))


def drawing_modules(model: nn.Module, run: Callable[[], Any]) -> dict[str, nn.Module]:
    """The modules whose code draws random numbers while `run` calls the model in its current modes, by name.

    A draw belongs to the innermost module that is running. Gradients are not recorded, and the state is kept.
    """
    modules = named_modules(model)
    with torch.no_grad(), kept(model), DrawRecorder({id(each): name for name, each in modules.items()}) as recorder:
        run()
    return {draw.name or "(the model)": modules[draw.name] for draw in recorder.draws}


@contextlib.contextmanager
def _recurrent_without_dropout(model: nn.Module) -> Iterator[None]:
    """Recurrent layers drop inside of their kernel, which has no backward pass in evaluation on some devices."""
    layers = [(module, module.dropout) for module in model.modules() if isinstance(module, nn.RNNBase)]
    try:
        for layer, _ in layers:
            layer.dropout = 0.0
        yield
    finally:
        for layer, dropout in layers:
            layer.dropout = dropout


class _NoDropout(TorchFunctionMode):
    """In this mode dropout returns its input, and attention drops nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = dict(kwargs or {})
        if func in _DROPOUTS:
            return args[0] if args else keywords["input"]
        if func is F.scaled_dot_product_attention:
            args, keywords = args[:4], {**keywords, **({"is_causal": args[5]} if len(args) > 5 else {})}
            keywords["dropout_p"] = 0.0
        return func(*args, **keywords)
