"""The rule of each torch operation for receptive fields: a table by the name of the operation.

The names are those of ATen operations, which modules, functions and methods all call. Pointwise operations, which
torch tags as such, are not in the table: their result depends on the same elements of their inputs. An unknown
operation is an error; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from augreg.inspect import windows
from augreg.inspect.axis_fields import Window
from augreg.inspect.tensor_fields import Factor, TensorField, merged

__all__ = ["CONSTANT", "MOVES", "TABLE", "OperatorCall"]


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


def _each(value: Any, count: int) -> list[Any]:
    listed = list(value) if isinstance(value, list | tuple) else [value]
    return listed * count if len(listed) == 1 else listed


def _windowed(field: TensorField, given: Iterable[Window], shape: tuple[int, ...]) -> TensorField:
    """Apply a window to each of the last dimensions."""
    given = list(given)
    for dim, window in zip(range(len(shape) - len(given), len(shape)), given, strict=True):
        if shape[dim] != field.shape[dim] or not _is_identity(window):
            field = field.through(dim, window, shape[dim])
    return field


def _is_identity(window: Window) -> bool:
    return window.outputs == window.inputs == 1 and list(window.taps(0)) == [0]


def _convolution(call: OperatorCall) -> TensorField:
    field, shape = call.first, call.shapes[0]
    if "input" not in call.fields:
        raise ValueError("its weight depends on the input")
    kernel = call["weight"].shape[2:]
    make = windows.transposed if call["transposed"] else windows.convolution
    settings = [_each(call[name], len(kernel)) for name in ("stride", "padding", "dilation")]
    channels = len(shape) - len(kernel) - 1
    field = field.summed([channels]).with_dim(channels, (Factor(shape[channels]),))
    return _windowed(field, (make(*numbers) for numbers in zip(kernel, *settings, strict=True)), shape)


def _pool(call: OperatorCall) -> Result:
    field, shape = call.first, call.shapes[0]
    kernel = _each(call["kernel_size"], int(call.arguments["axes"]))
    stride = _each(call["stride"] or kernel, len(kernel))
    padding = _each(call["padding"], len(kernel))
    dilation = _each(call.arguments.get("dilation", 1), len(kernel))
    numbers = zip(kernel, stride, padding, dilation, strict=True)
    result = _windowed(field, (windows.convolution(*each) for each in numbers), shape)
    return [result] + [None] * (len(call.shapes) - 1)  # the indices of a maximum are not traced


def _adaptive(call: OperatorCall) -> Result:
    field, shape = call.first, call.shapes[0]
    count = int(call.arguments["axes"])
    sizes = zip(field.shape[-count:], shape[-count:], strict=True)
    result = _windowed(field, (windows.adaptive(*each) for each in sizes), shape)
    return [result] + [None] * (len(call.shapes) - 1)


def _upsample(kind: str) -> OperatorRule:
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


def _padded(call: OperatorCall) -> TensorField:
    pads = call.arguments.get("pad") or call.arguments["padding"]
    return _windowed(call.first, [windows.shifted(-first) for first in pads[::2]][::-1], call.shapes[0])


def _shuffle(call: OperatorCall) -> TensorField:
    factor, shape = call["upscale_factor"], call.shapes[0]
    return _windowed(_channels(call), [windows.pixel_shuffle(factor)] * 2, shape)


def _unshuffle(call: OperatorCall) -> TensorField:
    factor, shape = call["downscale_factor"], call.shapes[0]
    return _windowed(_channels(call), [windows.pixel_unshuffle(factor)] * 2, shape)


def _channels(call: OperatorCall) -> TensorField:
    dim = len(call.shapes[0]) - 3
    return call.first.summed([dim]).with_dim(dim, (Factor(call.shapes[0][dim]),))


def _dim(value: int, field: TensorField) -> int:
    return value % max(1, len(field.dims))


def _slice(call: OperatorCall) -> TensorField:
    field = call.first
    dim = _dim(call["dim"], field)
    size = field.shape[dim]
    first = min(max(0, (call["start"] or 0) + (size if (call["start"] or 0) < 0 else 0)), size)
    return _piece(field, dim, first, call.shapes[0][dim], call["step"])


def _piece(field: TensorField, dim: int, first: int, size: int, step: int = 1) -> TensorField:
    if (first, size, step) == (0, field.shape[dim], 1):
        return field
    return field.through(dim, windows.shifted(first, step), size)


def _split(call: OperatorCall) -> list[TensorField | None]:
    dim = _dim(call["dim"], call.first)
    sizes = [shape[dim] for shape in call.shapes]
    return [_piece(call.first, dim, sum(sizes[:k]), size) for k, size in enumerate(sizes)]


def _select(call: OperatorCall) -> TensorField:
    dim = _dim(call["dim"], call.first)
    return call.first.chosen(dim, call["index"] % call.first.shape[dim])


def _unbind(call: OperatorCall) -> list[TensorField | None]:
    dim = _dim(call["dim"], call.first)
    return [call.first.chosen(dim, k) for k in range(len(call.shapes))]


def _cat(call: OperatorCall) -> TensorField:
    fields, shape = [field for field in call.fields["tensors"] if field is not None], call.shapes[0]
    dim = call["dim"] % len(shape)
    if any(field.axes(dim) for field in fields):
        raise ValueError("it concatenates tensors along a spatial axis")
    return merged([field.with_dim(dim, (Factor(shape[dim]),)) for field in fields], shape)


def _stack(call: OperatorCall) -> TensorField:
    fields, shape = [field for field in call.fields["tensors"] if field is not None], call.shapes[0]
    dim = call["dim"] % len(shape)
    new = (Factor(shape[dim]),)
    return merged([TensorField((*t.dims[:dim], new, *t.dims[dim:]), t.axis_fields, t.limits) for t in fields], shape)


def _view(call: OperatorCall) -> TensorField:
    return call.first.viewed(call.shapes[0])


def _expand(call: OperatorCall) -> TensorField:
    return merged([call.first], call.shapes[0])


def _permute(call: OperatorCall) -> TensorField:
    field = call.first
    return field.permuted([_dim(d, field) for d in call["dims"]])


def _transpose(call: OperatorCall) -> TensorField:
    field = call.first
    order = list(range(len(field.dims)))
    if len(order) > 1:
        a, b = (_dim(call.arguments.get(name, k), field) for k, name in enumerate(("dim0", "dim1")))
        order[a], order[b] = order[b], order[a]
    return field.permuted(order)


def _reduce(call: OperatorCall) -> Result:
    field = call.first
    dims = call.arguments.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(len(field.dims)))
    gone = {_dim(d, field) for d in dims}
    field = field.summed(gone)
    kept = [(Factor(1),) if d in gone else dim for d, dim in enumerate(field.dims)]
    if len(call.shapes[0]) != len(kept):
        kept = [dim for d, dim in enumerate(kept) if d not in gone]
    return [TensorField(tuple(kept), field.axis_fields, field.limits) for _ in call.shapes]


def _along(call: OperatorCall) -> Result:
    """Each element depends on all elements along a dimension: softmax, cumulative sums, sorting."""
    field = call.first
    dim = _dim(call["dim"], field)
    field = field.summed([dim])
    return [field.with_dim(dim, (Factor(shape[dim]),)) if shape else field for shape in call.shapes]


def _glu(call: OperatorCall) -> TensorField:
    dim = _dim(call["dim"], call.first)
    if call.first.axes(dim):
        raise ValueError("it splits a spatial axis")
    return call.first.with_dim(dim, (Factor(call.shapes[0][dim]),))


def _batch_norm(call: OperatorCall) -> Result:
    field = call.first
    running = call.arguments.get("running_mean") is not None
    if call.arguments.get("training", not running) or not running:
        field = field.summed(d for d in range(len(field.dims)) if d != 1)  # statistics of this input
    return [field] + [None] * (len(call.shapes) - 1)


def _layer_norm(call: OperatorCall) -> Result:
    field = call.first
    count = len(call["normalized_shape"])
    return [field.summed(range(len(field.dims) - count, len(field.dims)))] + [None] * (len(call.shapes) - 1)


def _group_norm(call: OperatorCall) -> Result:
    return [call.first.summed(range(1, len(call.first.dims)))] + [None] * (len(call.shapes) - 1)


def _product(call: OperatorCall) -> TensorField:
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


def _attention(call: OperatorCall) -> Result:
    """Every query sees every key: tokens and features are summed over; batch and heads are not."""
    shape = call.shapes[0]
    parts = [field.summed(range(len(shape) - 2, len(shape))) for field in call.fields.values()]
    parts = [TensorField((*t.dims[:-2], (Factor(1),), (Factor(1),)), t.axis_fields, t.limits) for t in parts]
    return [merged(parts, shape)] + [None] * (len(call.shapes) - 1)


def _same(call: OperatorCall) -> Result:
    return [call.first] + [None] * (len(call.shapes) - 1)


def _with_axes(axes: int, rule: OperatorRule) -> OperatorRule:
    """The rule with the number of axes as an additional argument of the call."""
    return lambda call: rule(OperatorCall({**call.arguments, "axes": axes}, call.fields, call.shapes))


MOVES: dict[str, OperatorRule] = {
    "convolution": _convolution,
    "pixel_shuffle": _shuffle,
    "pixel_unshuffle": _unshuffle,
    **{f"max_pool{n}d_with_indices": _with_axes(n, _pool) for n in (2, 3)},
    **{f"avg_pool{n}d": _with_axes(n, _pool) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _with_axes(n, _adaptive) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _with_axes(n, _adaptive) for n in (2, 3)},
    **{f"upsample_nearest{n}d": _upsample("nearest") for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _upsample("nearest-exact") for n in (1, 2, 3)},
    "upsample_linear1d": _upsample("linear"),
    "upsample_bilinear2d": _upsample("linear"),
    "upsample_trilinear3d": _upsample("linear"),
    "upsample_bicubic2d": _upsample("cubic"),
}
"""Operations that move along axes; each gets a row of its own if it is called outside of a layer."""

_PADS = ["constant_pad_nd", *(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3))]
_VIEWS = ["view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze"]
_REDUCTIONS = ["mean", "sum", "prod", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean"]
_ATTENTIONS = ["flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention"]
_COPIES = [
    "clone", "detach", "alias", "_to_copy", "lift_fresh", "native_dropout", "log_sigmoid_forward",
    "_prelu_kernel",
]  # fmt: skip
TABLE: dict[str, OperatorRule] = {
    **MOVES,
    **dict.fromkeys(_PADS, _padded),
    "slice": _slice,
    "split": _split,
    "split_with_sizes": _split,
    "select": _select,
    "unbind": _unbind,
    "cat": _cat,
    "stack": _stack,
    **dict.fromkeys(_VIEWS, _view),
    "expand": _expand,
    "permute": _permute,
    "transpose": _transpose,
    "t": _transpose,
    **dict.fromkeys(["mm", "addmm", "bmm", "baddbmm"], _product),
    **dict.fromkeys([*_REDUCTIONS, "logsumexp", "linalg_vector_norm", "norm"], _reduce),
    **dict.fromkeys(["_softmax", "_log_softmax", "cumsum", "sort", "topk"], _along),
    "glu": _glu,
    "native_batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **{f"_scaled_dot_product_{kind}": _attention for kind in _ATTENTIONS},
    **dict.fromkeys([*_COPIES, "rrelu_with_noise"], _same),
}
"""Every known operation."""

CONSTANT = frozenset(
    f"{kind}{suffix}" for kind in ("zeros", "ones", "empty", "full", "rand", "randn") for suffix in ("_like",)
) | {"new_zeros", "new_ones", "new_empty", "new_full"}
"""Operations whose result has the shape of a tensor, but does not depend on its values."""
