"""Turns chosen noise of a model on, and everything else to evaluation."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from augreg.expectation.noise.batch_statistics import batch_statistics_used, statistics_of
from augreg.loss.penalties import unwrapped
from augreg.nn.modes import modes_kept
from augreg.steps.fields import convert_one
from augreg.steps.selectors import At, Selector, around, listed, nearest_names, selects, without_match

if TYPE_CHECKING:
    from augreg.expectation.noise.report import NoiseReport

__all__ = ["called", "drawing", "evaluating", "named_modules", "training"]


@contextlib.contextmanager
def drawing(
    model: nn.Module,
    report: NoiseReport,
    only: str | Mapping[str, Any] | Sequence[Any] | None = None,
    batch_statistics: Any = False,
) -> Iterator[None]:
    """A context in which the noise that `find_noise` found in a model draws, and everything else is in evaluation.

    `only` selects among the modules that draw, as `at` does in a spec: by name pattern or type. With
    `batch_statistics=True` batch norm layers, which `only` selects too, normalize with the mean and variance of their
    batch. Or it is a batch of training images, as the model takes it: then they normalize with its statistics, which
    an image does not share with others of its batch (Teye et al. 2018, arXiv 1802.06455: one such batch for each
    sample). Running statistics stay as they are, and modes are restored at the end.

    Raises ValueError if `only` selects nothing. Does not restore generators: see `kept`.
    """
    inner = unwrapped(model)
    modules = named_modules(inner)
    normalizing = batch_statistics is not False
    known = {*report.names, *(report.batch_norms if normalizing else ())}
    chosen = known if only is None else _selected(inner, known, convert_one(At, only))
    norms = {name: modules[name] for name in report.batch_norms if normalizing and name in chosen}
    flags = [modules[name] for name in dict.fromkeys(s.flag for s in report.sources if s.name in chosen)]
    others = [module for module in flags if module not in set(norms.values())]
    with evaluating(model), contextlib.ExitStack() as stack:
        if batch_statistics is True:
            stack.enter_context(training(others))
            stack.enter_context(batch_statistics_used([*norms.values()]))
        else:
            if norms:
                with training(others):
                    stack.enter_context(statistics_of(norms, lambda: called(inner, batch_statistics)))
            stack.enter_context(training(flags))
        yield


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A context in which all modules are in evaluation and torch calls every module of a transformer.

    Its fast path reads the weights without calling dropout, and looks at the mode of the whole layer only.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with modes_kept(model):
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            for module in model.modules():
                if module.training:
                    module.training = False
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)


@contextlib.contextmanager
def training(modules: Iterable[nn.Module]) -> Iterator[None]:
    """A context in which modules that are in evaluation are in training.

    What normalizes by running statistics goes on to do so, although its mode, at which hooks look, is training.
    """
    chosen = [*modules]
    norms = [module for module in chosen if isinstance(module, _NormBase)]
    own = [vars(norm).get("forward") for norm in norms]  # a wrapper may have set one on the instance
    try:
        for norm in norms:
            norm.forward = functools.partial(_as_in_evaluation, norm, norm.forward)
        for module in chosen:
            module.training = True
        yield
    finally:
        for module in chosen:
            module.training = False
        for norm, forward in zip(norms, own, strict=True):
            vars(norm).pop("forward", None)
            if forward is not None:
                norm.forward = forward


def _as_in_evaluation(norm: nn.Module, forward: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
    norm.training = False
    try:
        return forward(*inputs, **keywords)
    finally:
        norm.training = True


def named_modules(model: nn.Module, every_name: bool = False) -> dict[str, nn.Module]:
    """The modules by name, with the names that they have when no part of the model is compiled.

    A module that stands at several places has its first name only, or with `every_name` all of them.
    """
    named = model.named_modules(remove_duplicate=not every_name)
    parts = ((name.split("."), module) for name, module in named)
    return {".".join(part for part in name if part != "_orig_mod"): module for name, module in parts}


def called(model: nn.Module, batch: Any) -> Any:
    """The output of a model for a tensor, a tuple of arguments, or a mapping of keyword arguments."""
    if hasattr(batch, "keys"):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple) else model(batch)


def _selected(model: nn.Module, known: set[str], selectors: tuple[Selector, ...]) -> set[str]:
    """Those of the known modules that are selected, by any of their names if they have several."""
    modules = named_modules(model, every_name=True)
    first = {id(module): name for name, module in named_modules(model).items()}
    types = {name: [cls.__name__ for cls in type(module).__mro__] for name, module in modules.items()}
    errors = without_match(selectors, types.items())
    if errors:
        raise ValueError(errors[0])
    chosen = {
        own
        for name, module in modules.items()
        if (own := first[id(module)]) in known
        and selects(selectors, name, types[name], functools.partial(around, name, types))
    }
    if not chosen:
        near = ", ".join(nearest_names(selectors, known)) or "none"
        raise ValueError(f"no module that draws is {listed(selectors, ' or ')}; the nearest names are: {near}")
    return chosen
