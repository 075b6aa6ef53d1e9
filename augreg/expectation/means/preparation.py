"""What `expect` finds out about models once, and again when they change: their noise, and the cost of a forward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from augreg.attachment.attach import attachments
from augreg.expectation.means.forward_cost import ForwardCost, forward_cost
from augreg.expectation.means.settings import Settings
from augreg.expectation.noise.find_noise import NoiseReport, find_noise
from augreg.expectation.noise.modes import named_modules
from augreg.loss.penalties import unwrapped

__all__ = ["Preparation"]

_FEW_ROWS = 32
_FAST_BYTES = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Samples are joined into one forward pass of so many bytes, or of a few rows: more is no faster."""
_NOTHING = NoiseReport((), (), {}, (), ())
_NOT_BY_ROWS = frozenset({"random", "numpy.random"})


class Preparation:
    """The noise of some models and the cost of their forward passes, kept until the models change."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key: Any = None
        self._noise: tuple[NoiseReport, ...] = ()
        self._costs: dict[Any, ForwardCost] = {}

    def noise(self, models: nn.ModuleList, inputs: Any) -> tuple[NoiseReport, ...]:
        """What draws in each model; where its noise is not asked for, only what draws in evaluation, too."""
        key = tuple(_state(models))
        if key != self._key:
            self._key, self._costs = key, {}
            positional, named = inputs.first(1)
            self._noise = tuple(self._found(unwrapped(model), positional, named) for model in models)
        return self._noise

    def _found(self, model: nn.Module, positional: Any, named: Any) -> NoiseReport:
        if "model" in self._settings.over:
            return find_noise(model, lambda: model(*positional, **named))
        if isinstance(model, torch.jit.ScriptModule):  # find_noise cannot see into it, and need not
            return _NOTHING
        return replace(_NOTHING, always=find_noise(model, lambda: model(*positional, **named)).always)

    def draws(self, models: nn.ModuleList) -> bool:
        """Whether anything draws, in the modes that the models have now."""
        return any(
            report.always or any(named_modules(unwrapped(model))[source.flag].training for source in report.sources)
            for model, report in zip(models, self._noise, strict=True)
        )

    def cost(self, inputs: Any, run: Callable[[int], Any]) -> ForwardCost:
        """The cost of a forward pass of all models for rows like these, which `run` makes, too."""
        positional, named = inputs.first(1)
        leaves = [leaf for leaf in tree_leaves((positional, named)) if isinstance(leaf, torch.Tensor)]
        rows = [(tuple(leaf.shape), leaf.dtype, leaf.device) for leaf in leaves]
        key = (
            tuple(rows),
            torch.is_grad_enabled(),
            *(torch.is_autocast_enabled(device.type) for _, _, device in rows),
        )
        if key not in self._costs:
            self._costs[key] = forward_cost(run)
        return self._costs[key]

    def sizes(self, cost: ForwardCost, inputs: Any) -> tuple[int, int | None]:
        """How many images go together, and how many rows one forward pass may have: None for those images only.

        Raises ValueError if too little memory is allowed.
        """
        memory = self._settings.memory or _default_memory(inputs.device_type())
        limit = cost.rows(memory)
        whole = self._settings.batch_statistics is True
        size = inputs.count if whole else 1
        if limit < size:
            needed = cost.fixed + size * cost.per_row
            what = "the batch, which batch norm cannot split," if whole else "a forward pass of one image"
            raise ValueError(f"{what} takes {needed:,} bytes, more than memory={memory:,}: give more memory")
        size = min(inputs.count, limit)
        alone = self._settings.batch_statistics is not False or not cost.independent_rows
        if alone or any(self._by_other_generators()):
            return size, None
        fast = _FAST_BYTES.get(inputs.device_type(), _FAST_BYTES["cuda"]) // max(1, cost.per_row)
        return size, max(size, min(limit, max(_FEW_ROWS, fast)))

    def _by_other_generators(self) -> Iterator[bool]:
        """Whether sources draw by something that is not a torch operator, so that their sizes are not known."""
        for report in self._noise:
            for source in (*report.sources, *report.always):
                yield any(word in draw for draw in source.draws for word in _NOT_BY_ROWS)


def _state(models: Iterable[nn.Module]) -> Iterator[Any]:
    """What decides which modules draw and what they cost: the modules, their hooks and their numbers."""
    for model in models:
        for attached in attachments(unwrapped(model)):
            yield id(attached), attached.epoch
        for module in model.modules():
            yield id(module), type(module), len(module._forward_hooks), len(module._forward_pre_hooks)
            for name, value in vars(module).items():
                if name != "training" and isinstance(value, int | float) and 0 <= value <= 1:  # a rate
                    yield value


def _default_memory(device: str) -> int:
    """1 GiB, or a quarter of the memory of a GPU. It is the same for each call, since results depend on the rows."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties().total_memory) // 4
    return 1 << 30
