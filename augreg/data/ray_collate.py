"""The `collate_fn` of Ray's `iter_torch_batches`, in the class that Ray asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.data.collate_fn import NumpyBatchCollateFn

__all__ = ["CollateFn"]


class CollateFn(NumpyBatchCollateFn):
    """Calls functions with a batch of columns, one after the other."""

    def __init__(self, *functions: Callable[[Any], Any]) -> None:
        self._functions = functions

    def __call__(self, batch: Any) -> Any:
        """The result of the last function."""
        for function in self._functions:
            batch = function(batch)
        return batch
