"""What a forward pass of a model costs in memory, and whether several samples of an image may share one.

Both are found by two runs, with one row and with three copies of it. The tensors that are alive at the same time are
added up by their storages, on any device; the working memory inside a kernel is not seen. Every draw must be three
times as large with three rows: then each row has noise of its own, and the samples in one forward are independent. A
draw that keeps its size (DropConnect's weights, stochastic depth for the batch) is shared by the rows.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from augreg.expectation.noise.operator_mode import OperatorMode

__all__ = ["ForwardCost", "forward_cost"]

_COPIES = 3


@dataclass(frozen=True)
class ForwardCost:
    """The bytes of a forward pass, as `fixed + rows * per_row`, and whether the rows draw independently."""

    fixed: int
    per_row: int
    independent_rows: bool

    def rows(self, memory: int) -> int:
        """How many rows fit into these bytes; it may be none."""
        return max(0, memory - self.fixed) // max(1, self.per_row)


def forward_cost(run: Callable[[int], Any]) -> ForwardCost:
    """Measure a model; `run(rows)` runs it on this many copies of one row."""
    records = []
    for rows in (1, _COPIES):
        with _Record() as record:
            output = run(rows)
        del output
        records.append(record)
    one, several = records
    per_row = max(0, several.peak - one.peak) // (_COPIES - 1)
    independent = [_COPIES * size for size in one.draws] == several.draws and not one.permutes
    return ForwardCost(max(0, one.peak - per_row), per_row, independent)


class _Record(OperatorMode):
    """Records the peak of the bytes that are allocated, and the sizes of what operators draw."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self.draws: list[int] = []
        self.permutes = False
        self._alive: dict[int, int] = {}
        self._bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and note what it allocates and draws."""
        given = {_key(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        output = func(*args, **(kwargs or {}))
        made = [value for value in tree_leaves(output) if isinstance(value, Tensor)]
        if torch.Tag.nondeterministic_seeded in func.tags and made:
            self.draws.append(made[0].numel())
            self.permutes = self.permutes or "randperm" in func.name()
        for value in made:
            key = _key(value)
            if key not in given and key not in self._alive:
                storage = value.untyped_storage()
                self._alive[key] = storage.nbytes()
                self._bytes += storage.nbytes()
                weakref.finalize(storage, self._freed, key)
        self.peak = max(self.peak, self._bytes)
        return output

    def _freed(self, key: int) -> None:
        self._bytes -= self._alive.pop(key, 0)


def _key(value: Tensor) -> int:
    return value.untyped_storage()._cdata  # type: ignore[no-any-return]
