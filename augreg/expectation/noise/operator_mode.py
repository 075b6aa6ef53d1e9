"""A base for modes that see each operator of torch, without importing torch's compiler."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["OperatorMode"]


class OperatorMode(TorchDispatchMode):
    """A TorchDispatchMode for uncompiled code.

    torch keeps its compiler out of the code of a mode, and imports the compiler for that, which takes a second.
    """

    supports_higher_order_operators = True  # such as flex_attention

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: do not import the compiler."""
        return False
