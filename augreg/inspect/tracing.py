"""Traces an input through a model: intercepts every torch operation that runs, and applies its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from augreg.inspect.operators import CONSTANT, MOVES, TABLE, OperatorCall, Result
from augreg.inspect.tensor_fields import TensorField, merged

__all__ = ["InputTracer"]

_OVERWRITES = {"copy_": "src", "fill_": "value", "zero_": ""}


class InputTracer(TorchDispatchMode):
    """A context manager that computes the receptive field of every tensor: `field(tensor)`.

    `moved(name, tensor)` is called after each operation in `MOVES`. Raises ValueError at an operation without a known
    rule.
    """

    def __init__(self, moved: Callable[[str, torch.Tensor], None]) -> None:
        super().__init__()
        self._fields = WeakIdKeyDictionary()
        self._moved = moved
        self.inside = ""  # the running module, for messages

    def field(self, tensor: Any) -> TensorField | None:
        """The field of a tensor; None if it does not depend on the input."""
        return self._fields.get(tensor) if isinstance(tensor, torch.Tensor) else None

    def add(self, tensor: torch.Tensor, field: TensorField) -> None:
        """Trace this tensor from now on."""
        self._fields[tensor] = field

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, then apply its rule."""
        kwargs = kwargs or {}
        named = _named(func, args, kwargs)
        fields = {name: field for name, value in named.items() if (field := self._field_of(value)) is not None}
        out = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        written = [named[a.name] for a in func._schema.arguments if a.alias_info and a.alias_info.is_write]
        if name in _OVERWRITES:
            fields = {key: value for key, value in fields.items() if key == _OVERWRITES[name]}
            if not fields:
                self._fields.pop(written[0], None)
        if not fields or name in CONSTANT:
            return out
        outputs = list(out) if isinstance(out, tuple | list) else [out]
        try:
            self._refuse_writes_into_views(written, fields, name in _OVERWRITES)
            tensors = [each for each in outputs if isinstance(each, torch.Tensor)]
            call = OperatorCall(named, fields, tuple(tuple(each.shape) for each in tensors))
            results = _apply(func, name, call)
            for tensor, field in zip(tensors, results if isinstance(results, list) else [results], strict=True):
                if field is not None:
                    assert field.shape == tuple(tensor.shape), f"{func}: {field.shape}, {tuple(tensor.shape)}"
                    self._fields[tensor] = field
        except ValueError as error:
            where = f" in {self.inside}" if self.inside else ""
            raise ValueError(f"cannot trace the input through {func}{where}: {error}") from None
        if name in MOVES:
            self._moved(name.strip("_").removesuffix("_with_indices"), outputs[0])
        return out

    def _field_of(self, value: Any) -> Any:
        if isinstance(value, tuple | list):
            fields = [self.field(each) for each in value]
            return fields if any(each is not None for each in fields) else None
        return self.field(value)

    def _refuse_writes_into_views(self, written: list[Any], fields: dict[str, Any], overwrites: bool) -> None:
        for tensor in written:
            if len(fields) + overwrites < 2 or not isinstance(tensor, torch.Tensor):
                continue  # its field does not change
            if tensor._base is not None or any(other._base is tensor for other in self._alive()):
                raise ValueError("it writes to a view of a tensor, or to a tensor that has views")

    def _alive(self) -> Iterator[torch.Tensor]:
        return iter(list(self._fields.keys()))


def _named(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, including defaults."""
    arguments = func._schema.arguments
    given = dict(zip((argument.name for argument in arguments), args, strict=False))
    defaults = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
    return {**defaults, **given, **kwargs}


def _apply(func: Any, name: str, call: OperatorCall) -> Result:
    if not call.shapes:
        raise ValueError("it converts a tensor to a number, and the use of that number cannot be traced")
    plain = name if name in TABLE else name.rstrip("_")
    if plain in TABLE:
        return TABLE[plain](call)
    if torch.Tag.pointwise in func.tags or name in _OVERWRITES:
        fields = [field for field in call.fields.values() if isinstance(field, TensorField)]
        return [merged(fields, shape) for shape in call.shapes]
    raise ValueError("its receptive field is not known")
