"""Turns chosen noise of a model on, and everything else to evaluation."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from augreg.loss.penalties import unwrapped
from augreg.nn.modes import modes_kept
from augreg.steps.fields import convert_one
from augreg.steps.selectors import At, Selector, around, listed, nearest_names, selects, without_match

if TYPE_CHECKING:
    from augreg.expectation.noise import NoiseReport

__all__ = ["drawing", "evaluating", "selected"]


@contextlib.contextmanager
def drawing(
    model: nn.Module,
    report: NoiseReport,
    only: str | Mapping[str, Any] | Sequence[Any] | None = None,
    batch_statistics: bool = False,
) -> Iterator[None]:
    """A context in which the noise that `find_noise` found in a model draws, and everything else is in evaluation.

    `only` selects among the modules that draw, as `at` does in a spec: by name pattern or type. With
    `batch_statistics` the selected batch norm layers normalize with the mean and variance of their batch, and their
    running statistics stay as they are. Modes are restored at the end. Raises ValueError if `only` selects nothing.
    """
    chosen = selected(model, report, only)
    flags = {source.flag for source in report.sources if source.name in chosen}
    norms = [norm for norm in report.batch_norms if batch_statistics and norm in chosen]
    inner = unwrapped(model)
    with evaluating(model), _batch_statistics(inner, norms):
        for name in flags:
            inner.get_submodule(name).training = True
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


def selected(model: nn.Module, report: NoiseReport, only: Any = None) -> set[str]:
    """The names of the modules that draw, and of batch norm layers, that `only` selects; all of them by default."""
    known = {*(source.name for source in report.sources), *report.batch_norms}
    if only is None:
        return known
    selectors: tuple[Selector, ...] = convert_one(At, only)
    modules = dict(unwrapped(model).named_modules(remove_duplicate=False))
    types = {name: [cls.__name__ for cls in type(module).__mro__] for name, module in modules.items()}
    errors = without_match(selectors, types.items())
    if errors:
        raise ValueError(errors[0])
    first = {id(module): name for name, module in reversed(modules.items())}  # a shared module has several names
    chosen = {
        first[id(modules[name])]
        for name, names in types.items()
        if first[id(modules[name])] in known
        and selects(selectors, name, names, functools.partial(around, name, types))
    }
    if not chosen:
        near = ", ".join(nearest_names(selectors, known)) or "none"
        raise ValueError(f"no module that draws is {listed(selectors, ' or ')}; the nearest names are {near}")
    return chosen


@contextlib.contextmanager
def _batch_statistics(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Let batch norm layers use the statistics of the batch; without tracking, torch leaves the buffers alone."""
    layers: list[Any] = [model.get_submodule(name) for name in names]
    tracking = [layer.track_running_stats for layer in layers]
    try:
        for layer in layers:
            layer.training, layer.track_running_stats = True, False
        yield
    finally:
        for layer, value in zip(layers, tracking, strict=True):
            layer.track_running_stats = value
