"""Functions that run as they are where `torch.compile` compiles what calls them.

A compiler may contract a product and a sum, which rounds differently. It also reads arithmetic on arrays of NumPy as
if it were on tensors, which have no unsigned integers of 64 bits.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["eager"]

F = TypeVar("F", bound=Callable[..., Any])


def eager(function: F) -> F:
    """The function, at which `torch.compile` breaks the graph. Without a compiler at work, torch is not imported."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **named)
        return sys.modules["torch"].compiler.disable(function)(*args, **named)

    return cast(F, call)
