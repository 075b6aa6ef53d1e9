"""Traces an input through a model: intercepts every torch operation that runs, and applies its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from augreg.inspect.operator_rules import OperatorCall, Result
from augreg.inspect.operators import CONSTANT, MOVES, POINTWISE, TABLE, WHY_NOT
from augreg.inspect.tensor_fields import TensorField, merged

__all__ = ["InputTracer"]

_OVERWRITES = {"copy_": "src", "fill_": "value", "zero_": ""}


class InputTracer(TorchDispatchMode):
    """A context manager that computes the receptive field of every tensor: `field(tensor)`.

    `moved(name, tensor)` is called after each operation in `MOVES`. After an operation without a known rule, the
    field of a tensor is a sentence that says why it is not known. Raises ValueError where the input becomes a number
    or is written into a view, as what depends on it afterwards cannot be found.
    """

    def __init__(self, moved: Callable[[str, torch.Tensor], None]) -> None:
        super().__init__()
        self._fields = WeakIdKeyDictionary()
        self._moved = moved
        self.inside = ""  # the running module, for messages

    def field(self, tensor: Any) -> TensorField | str | None:
        """The field of a tensor, or why it is not known; None if the tensor does not depend on the input."""
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
        name = func._schema.name.partition("::")[2]
        if name == "as_strided_":
            named["before"] = (tuple(args[0].shape), args[0].stride())
        out = func(*args, **kwargs)
        written = [named[a.name] for a in func._schema.arguments if a.alias_info and a.alias_info.is_write]
        if name in _OVERWRITES:
            fields = {key: value for key, value in fields.items() if key == _OVERWRITES[name]}
            if not fields:
                self._fields.pop(written[0], None)
        if not fields or name in CONSTANT:
            return out
        outputs = list(out) if isinstance(out, tuple | list) else [out]
        tensors = [each for each in outputs if isinstance(each, torch.Tensor)]
        where = f"{func}{f' in {self.inside}' if self.inside else ''}"
        try:
            self._refuse_writes_into_views(written, fields, name in _OVERWRITES)
            if not tensors:
                raise ValueError("it converts a tensor to a number, and the use of that number cannot be traced")
        except ValueError as error:
            raise ValueError(f"cannot trace the input through {where}: {error}") from None
        for tensor, field in zip(tensors, _results(func, name, named, fields, tensors, where), strict=True):
            if field is not None:
                self._fields[tensor] = field
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


def _results(
    func: Any, name: str, named: dict[str, Any], fields: dict[str, Any], tensors: list[torch.Tensor], where: str
) -> list[TensorField | str | None]:
    """The fields of the outputs of an operation, or why they are not known."""
    for value in fields.values():
        for field in value if isinstance(value, list) else [value]:
            if isinstance(field, str):
                return [field] * len(tensors)
    call = OperatorCall(named, fields, tuple(tuple(each.shape) for each in tensors))
    try:
        found = _apply(func, name, call)
    except ValueError as error:
        return [f"not known after {where}: {error}"] * len(tensors)
    results = found if isinstance(found, list) else [found]
    for tensor, field in zip(tensors, results, strict=True):
        assert field is None or field.shape == tuple(tensor.shape), f"{func}: {field.shape}, {tuple(tensor.shape)}"
    return [*results]


def _apply(func: Any, name: str, call: OperatorCall) -> Result:
    plain = name if name in TABLE else name.rstrip("_")
    if plain in TABLE:
        return TABLE[plain](call)
    if torch.Tag.pointwise in func.tags or plain in POINTWISE or name in _OVERWRITES:
        fields = [field for field in call.fields.values() if isinstance(field, TensorField)]
        return [merged(fields, shape) for shape in call.shapes]
    raise ValueError(WHY_NOT.get(plain, "its receptive field is not known"))
