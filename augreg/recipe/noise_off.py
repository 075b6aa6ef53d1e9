"""Turns the random draws of a model off while it trains: dropout, stochastic depth, noise. Batch norm stays as it is.

Functions of torch that drop are told not to, by a mode of torch, so functional dropout counts too. Modules that draw
in code of their own, such as timm's DropPath, are found by running the model once, and are in evaluation meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import nn
from torch.overrides import TorchFunctionMode

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
_DRAWS = {
    *("bernoulli", "bernoulli_", "rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm"),
    *("normal", "normal_", "uniform_", "multinomial", "exponential_", "poisson", "binomial", "random_", "cauchy_"),
    *("log_normal_", "geometric_", "native_dropout"),
}
_MOST_SEARCHES = 4


@contextlib.contextmanager
def noise_off(model: nn.Module, run: Callable[[], Any]) -> Iterator[tuple[str, ...]]:
    """A context in which a model trains without random draws; yields the names of modules that draw all the same.

    `run` calls the model once, for the search. Modes are restored at the end.
    """
    with modes_kept(model):
        model.train()
        for module in model.modules():
            if isinstance(module, nn.RNNBase):
                module.training = False  # their dropout is a part of the kernel; nothing else depends on the mode
        with _NoDropout():
            found: dict[str, nn.Module] = {}
            for _ in range(_MOST_SEARCHES):
                found = drawing_modules(model, _without_dropout(run))
                inactive = [module for module in found.values() if not module.training]
                for module in found.values():
                    module.training = False
                if len(inactive) == len(found):
                    break
            yield tuple(found)


def _without_dropout(run: Callable[[], Any]) -> Callable[[], Any]:
    """The call in a mode of its own, inside that of the search: what this mode turns off is not found."""

    def call() -> Any:
        with _NoDropout():
            return run()

    return call


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


def drawing_modules(model: nn.Module, run: Callable[[], Any]) -> dict[str, nn.Module]:
    """The modules whose code draws random numbers while `run` calls the model, by name.

    A draw belongs to the innermost module that is running. Modes are as they are; gradients are not recorded.
    """
    names = {module: name or "(the model)" for name, module in model.named_modules()}
    stack: list[nn.Module] = []
    drawn: dict[str, nn.Module] = {}

    def note() -> None:
        innermost = stack[-1] if stack else model
        drawn[names[innermost]] = innermost

    def enter(module: nn.Module, inputs: Any) -> None:
        stack.append(module)

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        while stack and stack.pop() is not module:
            pass

    handles = [module.register_forward_pre_hook(enter) for module in model.modules()]
    handles += [module.register_forward_hook(leave, always_call=True) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        with torch.no_grad(), _Draws(note):
            run()
    finally:
        for handle in handles:
            handle.remove()
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
    return drawn


class _Draws(TorchFunctionMode):
    """Calls `note` whenever a function draws."""

    def __init__(self, note: Callable[[], None]) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        if _draws(func, args, keywords):
            self.note()
        return func(*args, **keywords)


def _draws(func: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    if func in _DROPOUTS:
        p = keywords.get("p", args[1] if len(args) > 1 else 0.5)
        training = keywords.get("training", keywords.get("train", args[2] if len(args) > 2 else True))
        return bool(training) and p > 0
    if func is F.scaled_dot_product_attention:
        return bool(keywords.get("dropout_p", args[4] if len(args) > 4 else 0.0) > 0)
    if func is F.multi_head_attention_forward:  # what it calls is not seen
        return (
            bool(keywords.get("training", True)) and keywords.get("dropout_p", args[10] if len(args) > 10 else 0) > 0
        )
    return getattr(func, "__name__", "") in _DRAWS
