"""How an operation changes receptive fields: a function from the fields of its arguments to those of its outputs.

Each takes an `OperatorCall`, and raises ValueError with the reason where there is no such field. operators.py says
which operation has which rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from augreg.inspect import windows
from augreg.inspect.axis_fields import Window
from augreg.inspect.tensor_fields import Factor, TensorField, merged


@dataclass(frozen=True)
class OperatorCall:
    """One call of an operation: its arguments by name, the fields of its tensors, and the shapes of its outputs."""

    arguments: Mapping[str, Any]
    fields: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def first(self) -> TensorField:
        """The field of its only traced tensor. Raises ValueError if there are several."""
        if len(self.fields) > 1:
            raise ValueError(f"its {' and '.join(self.fields)} all depend on the input")
        field = next(iter(self.fields.values()))
        if not isinstance(field, TensorField):
            raise ValueError("it takes a list of tensors")
        return field


Result = TensorField | list[TensorField | None]
OperatorRule = Callable[[OperatorCall], Result]


def _first_only(field: TensorField, call: OperatorCall) -> Result:
    """The field of the first output; further ones, such as the indices of a maximum, are not traced."""
    return [field] + [None] * (len(call.shapes) - 1)


def _each(value: Any, count: int) -> list[Any]:
    listed = list(value) if isinstance(value, list | tuple) else [value]
    return listed * count if len(listed) == 1 else listed


def _windowed(field: TensorField, given: Iterable[Window], shape: tuple[int, ...]) -> TensorField:
    """Apply a window to each of the last dimensions."""
    given = list(given)
    for dim, window in zip(range(len(shape) - len(given), len(shape)), given, strict=True):
        if shape[dim] != field.shape[dim] or not _is_identity(window):
            field = field.through(dim, window, shape[dim])
            if window.inputs > window.outputs:  # strides may leave a rest
                field = field.cut(dim)
    return field


def _is_identity(window: Window) -> bool:
    return window.outputs == window.inputs == 1 and list(window.taps(0)) == [0]


def convolution(call: OperatorCall) -> TensorField:
    """Windows along the axes; all channels are summed over."""
    field, shape = call.first, call.shapes[0]
    if "input" not in call.fields:
        raise ValueError("its weight depends on the input")
    kernel = call["weight"].shape[2:]
    make = windows.transposed if call["transposed"] else windows.convolution
    settings = [_each(call[name], len(kernel)) for name in ("stride", "padding", "dilation")]
    channels = len(shape) - len(kernel) - 1
    field = field.summed([channels]).with_dim(channels, (Factor(shape[channels]),))
    return _windowed(field, (make(*numbers) for numbers in zip(kernel, *settings, strict=True)), shape)


def pool(call: OperatorCall) -> Result:
    """Windows along the last axes."""
    field, shape = call.first, call.shapes[0]
    kernel = _each(call["kernel_size"], int(call.arguments["axes"]))
    stride = _each(call["stride"] or kernel, len(kernel))
    padding = _each(call["padding"], len(kernel))
    dilation = _each(call.arguments.get("dilation", 1), len(kernel))
    numbers = zip(kernel, stride, padding, dilation, strict=True)
    return _first_only(_windowed(field, (windows.convolution(*each) for each in numbers), shape), call)


def adaptive(call: OperatorCall) -> Result:
    """Windows that divide the last axes evenly."""
    field, shape = call.first, call.shapes[0]
    count = int(call.arguments["axes"])
    sizes = zip(field.shape[-count:], shape[-count:], strict=True)
    return _first_only(_windowed(field, (windows.adaptive(*each) for each in sizes), shape), call)


def upsample(kind: str) -> OperatorRule:
    """Interpolation of a kind along the axes."""

    def rule(call: OperatorCall) -> TensorField:
        field, shape = call.first, call.shapes[0]
        sizes = list(zip(field.shape[2:], shape[2:], strict=True))
        given = [scale for name, scale in call.arguments.items() if name.startswith("scale")]
        given = _each(given[0], len(sizes)) if len(given) == 1 else given
        corners = bool(call.arguments.get("align_corners", False))
        for (before, after), scale in zip(sizes, given or [None] * len(sizes), strict=True):
            if scale is not None and not corners and before * scale != after:
                raise ValueError(
                    f"a scale of {scale} resizes {before} positions to {after}, and where these lie is not known"
                )
        field = field.summed(d + 2 for d, (before, after) in enumerate(sizes) if before == 1 != after)
        return _windowed(field, (windows.upsampled(*each, kind, corners) for each in sizes), shape)

    return rule


def padded(call: OperatorCall) -> TensorField:
    """Positions are added or removed at the ends."""
    pads = call.arguments.get("pad") or call.arguments["padding"]
    return _windowed(call.first, [windows.shifted(-first) for first in pads[::2]][::-1], call.shapes[0])


def shuffle(call: OperatorCall) -> TensorField:
    """Channels become positions: neighbors see the same."""
    factor, shape = call["upscale_factor"], call.shapes[0]
    return _windowed(_channels(call), [windows.pixel_shuffle(factor)] * 2, shape)


def unshuffle(call: OperatorCall) -> TensorField:
    """Positions become channels."""
    factor, shape = call["downscale_factor"], call.shapes[0]
    return _windowed(_channels(call), [windows.pixel_unshuffle(factor)] * 2, shape)


def _channels(call: OperatorCall) -> TensorField:
    dim = len(call.shapes[0]) - 3
    return call.first.summed([dim]).with_dim(dim, (Factor(call.shapes[0][dim]),))


def _dim(value: int, field: TensorField) -> int:
    return value % max(1, len(field.dims))


def slice(call: OperatorCall) -> TensorField:
    """A part of a dimension, at equal steps."""
    field = call.first
    dim = _dim(call["dim"], field)
    size = field.shape[dim]
    first = min(max(0, (call["start"] or 0) + (size if (call["start"] or 0) < 0 else 0)), size)
    return _piece(field, dim, first, call.shapes[0][dim], call["step"])


def _piece(field: TensorField, dim: int, first: int, size: int, step: int = 1) -> TensorField:
    if (first, size, step) == (0, field.shape[dim], 1):
        return field
    if step == 1 and field.dims[dim][0].grid:
        return field.piece(dim, first, size)
    return field.through(dim, windows.shifted(first, step), size)


def split(call: OperatorCall) -> list[TensorField | None]:
    """Parts of a dimension."""
    dim = _dim(call["dim"], call.first)
    sizes = [shape[dim] for shape in call.shapes]
    return [_piece(call.first, dim, sum(sizes[:k]), size) for k, size in enumerate(sizes)]


def select(call: OperatorCall) -> TensorField:
    """One position of a dimension."""
    dim = _dim(call["dim"], call.first)
    return call.first.chosen(dim, call["index"] % call.first.shape[dim])


def unbind(call: OperatorCall) -> list[TensorField | None]:
    """Every position of a dimension."""
    dim = _dim(call["dim"], call.first)
    return [call.first.chosen(dim, k) for k in range(len(call.shapes))]


def cat(call: OperatorCall) -> TensorField:
    """Tensors one after the other, along channels or as tokens."""
    fields, shape = [field for field in call.fields["tensors"] if field is not None], call.shapes[0]
    dim = call["dim"] % len(shape)
    if any(field.axes(dim) for field in fields):
        return _tokens(call, dim)
    return merged([field.with_dim(dim, (Factor(shape[dim]),)) for field in fields], shape)


def _tokens(call: OperatorCall, dim: int) -> TensorField:
    """The positions of an image, as tokens, joined with tokens that do not depend on it, such as a class token."""
    fields, sizes = call.fields["tensors"], [tensor.shape[dim] for tensor in call["tensors"]]
    here = [k for k, field in enumerate(fields) if field is not None and not _sees_nothing(field)]
    if len(here) > 1:
        raise ValueError("it concatenates positions along a spatial axis")
    field = fields[here[0]]
    if field.dims[dim][0].grid:
        raise ValueError("it concatenates other tokens with the image's twice")
    tokens = Factor(sum(sizes), grid=field.dims[dim], before=sum(sizes[: here[0]]))
    return field.with_dim(dim, (tokens,))  # type: ignore[no-any-return]


def _sees_nothing(field: TensorField) -> bool:
    return not any(map(field.axes, range(len(field.dims)))) and not any(seen.size for seen in field.axis_fields)


def roll(call: OperatorCall) -> TensorField:
    """Positions come from beside them; those that come from the other end of the axis count as padding."""
    field = call.first
    if not call["dims"]:
        raise ValueError("it rolls the flattened tensor")
    for dim, shift in zip(call["dims"], call["shifts"], strict=True):
        dim = _dim(dim, field)
        if field.axes(dim) and shift:
            field = field.through(dim, windows.shifted(-shift), field.shape[dim])
    return field


def repeat(call: OperatorCall) -> TensorField:
    """Repeated along dimensions that have no positions."""
    field, shape = call.first, call.shapes[0]
    dims = (*((Factor(1),) for _ in shape[len(field.dims) :]), *field.dims)
    field = TensorField(dims, field.axis_fields, field.limits)
    for dim, times in enumerate(call["repeats"]):
        if times != 1 and field.axes(dim) and field.shape[dim] > 1:
            raise ValueError("it repeats a spatial axis")
        field = field if times == 1 else field.summed([dim]).with_dim(dim, (Factor(shape[dim]),))
    return field


def strided(call: OperatorCall) -> TensorField:
    """torch gives a pooled map other strides; the elements are the same if only lengths of 1 get another one."""
    tensor, size, stride = call["self"], call["size"], call["stride"]
    shape, strides = call.arguments.get("before", (tuple(tensor.shape), tensor.stride()))
    moved = call["storage_offset"] not in (None, tensor.storage_offset())
    if moved or tuple(size) != shape or any(n > 1 and a != b for n, a, b in zip(size, stride, strides, strict=True)):
        raise ValueError("it reads the memory in another order")
    return call.first


def index_select(call: OperatorCall) -> TensorField:
    """Some channels."""
    dim = _dim(call["dim"], call.first)
    if call.first.axes(dim):
        raise ValueError("it selects positions of a spatial axis by a list")
    return call.first.with_dim(dim, (Factor(call.shapes[0][dim]),))


def stack(call: OperatorCall) -> TensorField:
    """Tensors along a new dimension."""
    fields, shape = [field for field in call.fields["tensors"] if field is not None], call.shapes[0]
    dim = call["dim"] % len(shape)
    new = (Factor(shape[dim]),)
    return merged([TensorField((*t.dims[:dim], new, *t.dims[dim:]), t.axis_fields, t.limits) for t in fields], shape)


def view(call: OperatorCall) -> TensorField:
    """The same elements in another shape."""
    return call.first.viewed(call.shapes[0])


def expand(call: OperatorCall) -> TensorField:
    """Repeated along dimensions of length 1."""
    return merged([call.first], call.shapes[0])


def permute(call: OperatorCall) -> TensorField:
    """Dimensions in another order."""
    field = call.first
    return field.permuted([_dim(d, field) for d in call["dims"]])


def transpose(call: OperatorCall) -> TensorField:
    """Two dimensions exchanged."""
    field = call.first
    order = list(range(len(field.dims)))
    if len(order) > 1:
        a, b = (_dim(call.arguments.get(name, k), field) for k, name in enumerate(("dim0", "dim1")))
        order[a], order[b] = order[b], order[a]
    return field.permuted(order)


def reduce(call: OperatorCall) -> Result:
    """Each element depends on all elements along some dimensions, which are dropped."""
    field = call.first
    dims = call.arguments.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(len(field.dims)))
    gone = {_dim(d, field) for d in dims}
    field = field.summed(gone)
    kept = [(Factor(1),) if d in gone else dim for d, dim in enumerate(field.dims)]
    if len(call.shapes[0]) != len(kept):
        kept = [dim for d, dim in enumerate(kept) if d not in gone]
    return [TensorField(tuple(kept), field.axis_fields, field.limits) for _ in call.shapes]


def along(call: OperatorCall) -> Result:
    """Each element depends on all elements along a dimension: softmax, cumulative sums, sorting."""
    field = call.first
    dim = _dim(call["dim"], field)
    field = field.summed([dim])
    return [field.with_dim(dim, (Factor(shape[dim]),)) if shape else field for shape in call.shapes]


def glu(call: OperatorCall) -> TensorField:
    """Half of a dimension gates the other half."""
    dim = _dim(call["dim"], call.first)
    if call.first.axes(dim):
        raise ValueError("it splits a spatial axis")
    return call.first.with_dim(dim, (Factor(call.shapes[0][dim]),))


def batch_norm(call: OperatorCall) -> Result:
    """Pointwise in evaluation; with statistics of the batch, every element sees all of its channel."""
    field = call.first
    running = call.arguments.get("running_mean") is not None
    if call.arguments.get("training", not running) or not running:
        field = field.summed(d for d in range(len(field.dims)) if d != 1)  # statistics of this input
    return _first_only(field, call)


def layer_norm(call: OperatorCall) -> Result:
    """Each element depends on all elements of the last dimensions."""
    field = call.first
    count = len(call["normalized_shape"])
    return _first_only(field.summed(range(len(field.dims) - count, len(field.dims))), call)


def group_norm(call: OperatorCall) -> Result:
    """Each element depends on the whole map."""
    return _first_only(call.first.summed(range(1, len(call.first.dims))), call)


def product(call: OperatorCall) -> TensorField:
    """Matrix products: rows and columns are kept, and the shared dimension is summed over."""
    shape = call.shapes[0]
    left, right = ("mat1", "mat2") if "mat1" in call.arguments else ("batch1", "batch2")
    if left not in call.arguments:
        left, right = "self", "mat2"
    rows, columns = call.fields.get(left), call.fields.get(right)
    parts: list[TensorField] = []
    if rows is not None:
        rows = rows.summed([len(shape) - 1])
        parts.append(rows.with_dim(len(shape) - 1, (Factor(1),)))
    if columns is not None:
        columns = columns.summed([len(shape) - 2])
        parts.append(columns.with_dim(len(shape) - 2, (Factor(1),)))
    if left != "self" and "self" in call.fields:
        parts.append(call.fields["self"])
    return merged(parts, shape)


def attention(call: OperatorCall) -> Result:
    """Every query sees every key: tokens and features are summed over; batch and heads, such as windows, are not."""
    shape = call.shapes[0]
    parts = []
    for name, field in call.fields.items():
        if name in ("attn_mask", "attn_bias"):
            raise ValueError("its mask depends on the input")
        field = field.summed(range(len(shape) - 2, len(shape)))
        tokens = field.dims[-2] if name == "query" else (Factor(1),)
        parts.append(TensorField((*field.dims[:-2], tokens, (Factor(1),)), field.axis_fields, field.limits))
    return _first_only(merged(parts, shape), call)


def same(call: OperatorCall) -> Result:
    """Pointwise; further outputs are not traced."""
    return _first_only(call.first, call)
