"""What the forward of a module may read from it besides tensors, to see whether a graph of it still holds."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import Tensor, nn

__all__ = ["Attributes"]


class Attributes:
    """The attributes of a module when its graph was traced.

    Numbers, strings, and lists, tuples, sets and dictionaries of them are compared by value; functions and other
    objects by identity, and those with a `__dict__`, such as a configuration, by the values in it too. Tensors are no
    part: a graph reads them anew. Nor are the attributes of the modules in it, except for the forward of their class,
    which stays when torch puts another class over theirs, as FSDP does.
    """

    def __init__(self, module: nn.Module) -> None:
        self.taken: Any = _taken(module)

    def changed(self, module: nn.Module) -> bool:
        """Whether they have changed since the last call; always so in a copy, which has other objects."""
        before, self.taken = self.taken, _taken(module)
        return bool(before != self.taken)

    def __getstate__(self) -> dict[str, Any]:
        return {"taken": None}  # a module may leave some of its attributes out of its copies


class _Same:
    """An object that is compared by identity. It is kept, so that no other object can get its id."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    __hash__ = None  # type: ignore[assignment]


_DEPTH = 4  # of nested containers and objects; deeper ones are compared by identity
_LENGTH = 100  # longer containers, such as the names of 1000 classes, are compared by identity and length
_OF_MODULES = frozenset(vars(nn.Module())) | {"forward"}


def _taken(module: nn.Module) -> dict[str, Any]:
    own = {
        name: _value(value, 0)
        for name, value in vars(module).items()
        if name not in _OF_MODULES and not name.startswith(("_augreg", "__"))  # "__": state of FSDP
    }
    present = [
        (name, value is None) for store in (module._parameters, module._buffers) for name, value in store.items()
    ]
    forwards = [(name, getattr(type(part), "forward", None)) for name, part in module._modules.items()]
    return {**own, "": (present, forwards)}


def _value(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    if isinstance(value, Tensor):
        return Tensor
    if depth < _DEPTH and not isinstance(value, nn.Module | ModuleType | type):
        if isinstance(value, list | tuple | dict) and len(value) > _LENGTH:
            return _Same(value), len(value)
        if isinstance(value, list | tuple):
            return type(value).__name__, [_value(item, depth + 1) for item in value]
        if isinstance(value, set | frozenset):
            return frozenset(item for item in value if isinstance(item, int | float | str)), len(value)
        if isinstance(value, dict):
            return {key: _value(item, depth + 1) for key, item in value.items()}
        if isinstance(getattr(value, "__dict__", None), dict):
            return _Same(value), {key: _value(item, depth + 2) for key, item in vars(value).items()}
    return _Same(value)
