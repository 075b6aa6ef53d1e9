"""Receptive fields and output sizes of a model, layer by layer.

For a chain of layers with kernels k, dilations d and strides s, the receptive field is
1 + sum over layers of d (k - 1) times the product of the strides before it. This module computes it exactly for any
model, including branches, transposed convolutions and upsampling, by tracing its input through one forward pass. See
W. Luo et al. 2016, arXiv 1701.04128, for which part of the field matters in practice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from augreg.inspect.axis_fields import AxisField
from augreg.inspect.model_state import evaluating
from augreg.inspect.tables import ByLayer, numbered
from augreg.inspect.tensor_fields import TensorField, start
from augreg.inspect.tracing import InputTracer

__all__ = ["LayerField", "ReceptiveFields", "receptive_field"]


@dataclass(frozen=True)
class LayerField:
    """The output of one layer and its receptive field. Tuples have one item for each spatial axis.

    `output` is the shape without the batch. `size` is the length of the receptive field, in input positions; borders
    are ignored, so it can be larger than the input. `stride` is the distance between the fields of neighboring output
    positions, a Fraction after upsampling, and 0 if all positions see the same. `start` is the center of the first
    position's field, where 0 is the center of the first input position; nan, printed as `-`, if that position sees
    nothing, as at the padding of a transposed convolution. `axis_fields` are the exact fields, and `limits` the sizes
    of the input, without the end that nothing reads where strides leave a rest.

    After an operation without a known rule, `note` says why there is no field, and the other tuples are empty.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[Fraction, ...]
    start: tuple[float, ...]
    axis_fields: tuple[AxisField, ...]
    limits: tuple[int, ...]
    note: str = ""

    def seen(self, *position: int) -> tuple[tuple[int, int] | None, ...]:
        """The first and last input index that an output position sees, for each axis; None if it sees nothing.

        `position` has one index for each axis. The result is clipped to the input, without the end that nothing reads
        where strides leave a rest. Not every index between the two need be seen: a dilated kernel has gaps, and if
        the border of the input falls into a gap, the border is returned. Raises ValueError for another number of
        indices, and if the field is not known.
        """
        if self.note:
            raise ValueError(f"the receptive field of {self.name} is {self.note}")
        if len(position) != len(self.axis_fields):
            raise ValueError(f"expected an index for each of {len(self.axis_fields)} axes, got {len(position)}")
        return tuple(
            _clipped(axis_field, index, limit)
            for axis_field, index, limit in zip(self.axis_fields, position, self.limits, strict=True)
        )


def _clipped(axis_field: AxisField, index: int, limit: int) -> tuple[int, int] | None:
    interval = axis_field.at(index)
    if interval is None or interval[1] < 0 or interval[0] >= limit:
        return None
    return (max(0, interval[0]), min(limit - 1, interval[1]))


@dataclass(frozen=True)
class ReceptiveFields(ByLayer[LayerField]):
    """The layers in the order in which they ran; by index, or by name. Prints as a table."""

    def _header(self) -> Sequence[str]:
        return ("layer", "type", "output", "field", "stride", "start")

    def _rows(self) -> Iterable[Sequence[str]]:
        return (
            (
                each.name,
                each.kind,
                "x".join(map(str, each.output)),
                *map(_joined, (each.size, each.stride, each.start)),
            )
            for each in self.layers
        )

    def _notes(self) -> Sequence[str]:
        return list(dict.fromkeys(each.note for each in self.layers if each.note))


def _joined(numbers: Iterable[Any]) -> str:
    words = [f"{number:g}".replace("nan", "-") if isinstance(number, float) else str(number) for number in numbers]
    return words[0] if len(set(words)) == 1 else "x".join(words) or "-"


def receptive_field(model: nn.Module, input_size: int | Sequence[int]) -> ReceptiveFields:
    """Compute the receptive field and output size of each layer for an input size.

    `input_size` is (channels, *axes) with one to three axes; n means (3, n, n). The model runs once, in eval mode, on
    a batch of one image, and its state is restored. There is a row for every module, after those in it (for the model
    itself only if it does more than its last child), and for a convolution, pooling or upsampling that is called as
    a function. A module that runs several times has a row for each run: `relu`, `relu (2)`. If branches merge, the
    field reaches from the first to the last position of theirs. After global pooling, attention, or a linear layer
    over the flattened map, it is the union of the fields of all positions; after attention in windows, of those in a
    window. Tokens beside those of the image, such as a class token, see nothing until attention mixes them.

    After an operation without a known rule, rows have no numbers, and a `note` with the names of the operation and
    the module. Raises ValueError if the input is converted to a number or written into a view of a tensor.
    """
    shape = (3, input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if not 2 <= len(shape) <= 4 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise ValueError(f"input_size must be (channels, *axes) with 1 to 3 axes, or a number, got {input_size!r}")
    model = getattr(model, "_orig_mod", model)  # unwrap a compiled model
    recorder = _Recorder()
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    with evaluating(model), torch.inference_mode(False), torch.enable_grad(), recorder.hooked(model):
        # some operations are dispatched only if gradients are recorded; in-place operations need a non-leaf: clone
        image = torch.zeros((1, *shape), device=like.device, dtype=like.dtype, requires_grad=True).clone()
        recorder.tracer.add(image, start((1, *shape)))
        with recorder.tracer:
            model(image)
    if not recorder.layers:
        raise ValueError(f"no output in {type(model).__name__} can be traced to its input")
    return ReceptiveFields(tuple(recorder.layers))


class _Recorder:
    """Records rows while a model runs."""

    def __init__(self) -> None:
        self.tracer = InputTracer(self._moved)
        self.layers: list[LayerField] = []
        self._running: list[tuple[str, nn.Module]] = []
        self._last: tuple[Any, TensorField | str | None] = (None, None)

    @contextlib.contextmanager
    def hooked(self, model: nn.Module) -> Iterator[None]:
        """Add hooks to every module, and remove them at the end."""
        handles = []
        try:
            for name, module in model.named_modules():
                handles.append(module.register_forward_pre_hook(lambda m, args, name=name: self._enter(name, m)))
                handles.append(module.register_forward_hook(lambda m, args, out: self._leave(m, out)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str, module: nn.Module) -> None:
        self._running.append((name, module))
        self.tracer.inside = name

    def _leave(self, module: nn.Module, output: Any) -> None:
        name, _ = self._running.pop()
        self.tracer.inside = self._running[-1][0] if self._running else ""
        tensor = _first_tensor(output)
        field = self.tracer.field(tensor)
        if field is not None and (name or self._last[0] is not tensor or self._last[1] != field):
            self._record(name or "output", type(module).__name__, tensor, field)

    def _moved(self, name: str, tensor: torch.Tensor) -> None:
        where, module = self._running[-1] if self._running else ("", None)
        field = self.tracer.field(tensor)
        if field is not None and (module is None or _has_children(module)):
            self._record(f"{where}.{name}" if where else name, "function", tensor, field)

    def _record(self, name: str, kind: str, tensor: Any, field: TensorField | str) -> None:
        self._last = (tensor, field)
        name, shape = numbered(name, self.layers), tuple(tensor.shape[1:])
        if isinstance(field, str):
            self.layers.append(LayerField(name, kind, shape, (), (), (), (), (), field))
            return
        field = field.by_position()
        axis_fields = tuple(
            each if field.varies(axis) else each.over([0]) for axis, each in enumerate(field.axis_fields)
        )
        firsts = [axis_field.at(0) for axis_field in axis_fields]
        self.layers.append(
            LayerField(
                name=name,
                kind=kind,
                output=shape,
                size=tuple(axis_field.size for axis_field in axis_fields),
                stride=tuple(axis_field.stride for axis_field in axis_fields),
                start=tuple(float("nan") if first is None else (first[0] + first[1]) / 2 for first in firsts),
                axis_fields=axis_fields,
                limits=field.limits,
            )
        )


def _has_children(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _first_tensor(output: Any) -> Any:
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if isinstance(output, dict) and output:
        return _first_tensor(next(iter(output.values())))
    return output
