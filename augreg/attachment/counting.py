"""Counts how often what was attached runs in training."""

from __future__ import annotations

import torch

__all__ = ["RunCounter"]


class RunCounter:
    """Counts the training calls of one attached layer. Compiled code only notes that it contains such a layer."""

    compiled = False  # of any counter: a number of its own per layer would make torch compile each layer anew

    def __init__(self) -> None:
        self.calls = 0

    def count(self) -> None:
        """Count one call."""
        if torch.compiler.is_compiling():
            _note_compiled()
        else:
            self.calls += 1


def _note_compiled() -> None:
    RunCounter.compiled = True


# torch.compiler.assume_constant_result, without its import of the compiler: called while compiling, not afterwards
_note_compiled._dynamo_marked_constant = True  # type: ignore[attr-defined]
