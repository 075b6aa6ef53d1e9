"""What each operation of torch does to a track: a table by the operation's name.

The names are those of ATen, to which every model comes down, whether it calls modules, functions or methods.
Pointwise operations, which torch tags as such, are not in the table: their result depends on the same elements of
their inputs. An operation that is not known is refused, so that nothing is ever guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from augreg.inspect import windows
from augreg.inspect.extents import Window
from augreg.inspect.tracks import Factor, Track, merged

__all__ = ["CONSTANT", "MOVES", "TABLE", "Call"]


@dataclass(frozen=True)
class Call:
    """One call of an operation: its arguments by name, the tracks of its tensors, and the shapes that came out."""

    arguments: Mapping[str, Any]
    tracks: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def first(self) -> Track:
        """The track of the one tensor that is followed. Raises ValueError if there are more."""
        if len(self.tracks) > 1:
            raise ValueError(f"its {' and '.join(self.tracks)} all depend on the input")
        found = next(iter(self.tracks.values()))
        if not isinstance(found, Track):
            raise ValueError("it takes a list of tensors")
        return found


Result = Track | list[Track | None]
Rule = Callable[[Call], Result]


def _each(value: Any, count: int) -> list[Any]:
    listed = list(value) if isinstance(value, list | tuple) else [value]
    return listed * count if len(listed) == 1 else listed


def _windowed(track: Track, made: Iterable[Window], shape: tuple[int, ...]) -> Track:
    """Each of the last dimensions through its window."""
    made = list(made)
    for dim, window in zip(range(len(shape) - len(made), len(shape)), made, strict=True):
        if shape[dim] != track.shape[dim] or not _still(window):
            track = track.through(dim, window, shape[dim])
    return track


def _still(window: Window) -> bool:
    return window.outputs == window.inputs == 1 and list(window.taps(0)) == [0]


def _convolution(call: Call) -> Track:
    track, shape = call.first, call.shapes[0]
    if "input" not in call.tracks:
        raise ValueError("its weight depends on the input")
    kernel = call["weight"].shape[2:]
    make = windows.transposed if call["transposed"] else windows.convolution
    settings = [_each(call[name], len(kernel)) for name in ("stride", "padding", "dilation")]
    channels = len(shape) - len(kernel) - 1
    track = track.summed([channels]).with_dim(channels, (Factor(shape[channels]),))
    return _windowed(track, (make(*numbers) for numbers in zip(kernel, *settings, strict=True)), shape)


def _pool(call: Call) -> Result:
    track, shape = call.first, call.shapes[0]
    kernel = _each(call["kernel_size"], int(call.arguments["axes"]))
    stride = _each(call["stride"] or kernel, len(kernel))
    padding = _each(call["padding"], len(kernel))
    dilation = _each(call.arguments.get("dilation", 1), len(kernel))
    numbers = zip(kernel, stride, padding, dilation, strict=True)
    result = _windowed(track, (windows.convolution(*each) for each in numbers), shape)
    return [result] + [None] * (len(call.shapes) - 1)  # the indices of a maximum are not followed


def _adaptive(call: Call) -> Result:
    track, shape = call.first, call.shapes[0]
    count = int(call.arguments["axes"])
    sizes = zip(track.shape[-count:], shape[-count:], strict=True)
    result = _windowed(track, (windows.adaptive(*each) for each in sizes), shape)
    return [result] + [None] * (len(call.shapes) - 1)


def _enlarge(kind: str) -> Rule:
    def rule(call: Call) -> Track:
        track, shape = call.first, call.shapes[0]
        sizes = list(zip(track.shape[2:], shape[2:], strict=True))
        given = [scale for name, scale in call.arguments.items() if name.startswith("scale")]
        given = _each(given[0], len(sizes)) if len(given) == 1 else given
        corners = bool(call.arguments.get("align_corners", False))
        for (before, after), scale in zip(sizes, given or [None] * len(sizes), strict=True):
            if scale is not None and not corners and before * scale != after:
                raise ValueError(f"a scale of {scale} makes {after} of {before}: its positions are not known then")
        track = track.summed(d + 2 for d, (before, after) in enumerate(sizes) if before == 1 != after)
        return _windowed(track, (windows.enlarged(*each, kind, corners) for each in sizes), shape)

    return rule


def _padded(call: Call) -> Track:
    pads = call.arguments.get("pad") or call.arguments["padding"]
    return _windowed(call.first, [windows.shifted(-first) for first in pads[::2]][::-1], call.shapes[0])


def _shuffle(call: Call) -> Track:
    factor, shape = call["upscale_factor"], call.shapes[0]
    return _windowed(_channels(call), [windows.spread(factor)] * 2, shape)


def _unshuffle(call: Call) -> Track:
    factor, shape = call["downscale_factor"], call.shapes[0]
    return _windowed(_channels(call), [windows.grouped(factor)] * 2, shape)


def _channels(call: Call) -> Track:
    dim = len(call.shapes[0]) - 3
    return call.first.summed([dim]).with_dim(dim, (Factor(call.shapes[0][dim]),))


def _dim(value: int, track: Track) -> int:
    return value % max(1, len(track.dims))


def _slice(call: Call) -> Track:
    track = call.first
    dim = _dim(call["dim"], track)
    size = track.shape[dim]
    first = min(max(0, (call["start"] or 0) + (size if (call["start"] or 0) < 0 else 0)), size)
    return _piece(track, dim, first, call.shapes[0][dim], call["step"])


def _piece(track: Track, dim: int, first: int, size: int, step: int = 1) -> Track:
    if (first, size, step) == (0, track.shape[dim], 1):
        return track
    return track.through(dim, windows.shifted(first, step), size)


def _split(call: Call) -> list[Track | None]:
    dim = _dim(call["dim"], call.first)
    sizes = [shape[dim] for shape in call.shapes]
    return [_piece(call.first, dim, sum(sizes[:k]), size) for k, size in enumerate(sizes)]


def _select(call: Call) -> Track:
    dim = _dim(call["dim"], call.first)
    return call.first.chosen(dim, call["index"] % call.first.shape[dim])


def _unbind(call: Call) -> list[Track | None]:
    dim = _dim(call["dim"], call.first)
    return [call.first.chosen(dim, k) for k in range(len(call.shapes))]


def _cat(call: Call) -> Track:
    tracks, shape = [track for track in call.tracks["tensors"] if track is not None], call.shapes[0]
    dim = call["dim"] % len(shape)
    if any(track.axes(dim) for track in tracks):
        raise ValueError("it joins tensors along a spatial axis")
    return merged([track.with_dim(dim, (Factor(shape[dim]),)) for track in tracks], shape)


def _stack(call: Call) -> Track:
    tracks, shape = [track for track in call.tracks["tensors"] if track is not None], call.shapes[0]
    dim = call["dim"] % len(shape)
    new = (Factor(shape[dim]),)
    return merged([Track((*t.dims[:dim], new, *t.dims[dim:]), t.extents, t.limits) for t in tracks], shape)


def _view(call: Call) -> Track:
    return call.first.viewed(call.shapes[0])


def _expand(call: Call) -> Track:
    return merged([call.first], call.shapes[0])


def _permute(call: Call) -> Track:
    track = call.first
    return track.permuted([_dim(d, track) for d in call["dims"]])


def _transpose(call: Call) -> Track:
    track = call.first
    order = list(range(len(track.dims)))
    if len(order) > 1:
        a, b = (_dim(call.arguments.get(name, k), track) for k, name in enumerate(("dim0", "dim1")))
        order[a], order[b] = order[b], order[a]
    return track.permuted(order)


def _reduce(call: Call) -> Result:
    track = call.first
    dims = call.arguments.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(len(track.dims)))
    gone = {_dim(d, track) for d in dims}
    track = track.summed(gone)
    kept = [(Factor(1),) if d in gone else dim for d, dim in enumerate(track.dims)]
    if len(call.shapes[0]) != len(kept):
        kept = [dim for d, dim in enumerate(kept) if d not in gone]
    return [Track(tuple(kept), track.extents, track.limits) for _ in call.shapes]


def _along(call: Call) -> Result:
    """Each element depends on everything along a dimension: softmax, cumulative sums, sorting."""
    track = call.first
    dim = _dim(call["dim"], track)
    track = track.summed([dim])
    return [track.with_dim(dim, (Factor(shape[dim]),)) if shape else track for shape in call.shapes]


def _halved(call: Call) -> Track:
    dim = _dim(call["dim"], call.first)
    if call.first.axes(dim):
        raise ValueError("it halves a spatial axis")
    return call.first.with_dim(dim, (Factor(call.shapes[0][dim]),))


def _batch_norm(call: Call) -> Result:
    track = call.first
    running = call.arguments.get("running_mean") is not None
    if call.arguments.get("training", not running) or not running:
        track = track.summed(d for d in range(len(track.dims)) if d != 1)  # statistics of this very input
    return [track] + [None] * (len(call.shapes) - 1)


def _layer_norm(call: Call) -> Result:
    track = call.first
    count = len(call["normalized_shape"])
    return [track.summed(range(len(track.dims) - count, len(track.dims)))] + [None] * (len(call.shapes) - 1)


def _group_norm(call: Call) -> Result:
    return [call.first.summed(range(1, len(call.first.dims)))] + [None] * (len(call.shapes) - 1)


def _product(call: Call) -> Track:
    """Matrix products: rows stay rows, columns stay columns, and what is multiplied and added is summed over."""
    shape = call.shapes[0]
    left, right = ("mat1", "mat2") if "mat1" in call.arguments else ("batch1", "batch2")
    if left not in call.arguments:
        left, right = "self", "mat2"
    rows, columns = call.tracks.get(left), call.tracks.get(right)
    parts: list[Track] = []
    if rows is not None:
        rows = rows.summed([len(shape) - 1])
        parts.append(rows.with_dim(len(shape) - 1, (Factor(1),)))
    if columns is not None:
        columns = columns.summed([len(shape) - 2])
        parts.append(columns.with_dim(len(shape) - 2, (Factor(1),)))
    if left != "self" and "self" in call.tracks:
        parts.append(call.tracks["self"])
    return merged(parts, shape)


def _attention(call: Call) -> Result:
    """Every query sees every key: what a token is made of is summed over; batch and heads are not."""
    shape = call.shapes[0]
    parts = [track.summed(range(len(shape) - 2, len(shape))) for track in call.tracks.values()]
    parts = [Track((*t.dims[:-2], (Factor(1),), (Factor(1),)), t.extents, t.limits) for t in parts]
    return [merged(parts, shape)] + [None] * (len(call.shapes) - 1)


def _same(call: Call) -> Result:
    return [call.first] + [None] * (len(call.shapes) - 1)


def _whole(axes: int, rule: Rule) -> Rule:
    """A rule that is told how many axes its operation has."""
    return lambda call: rule(Call({**call.arguments, "axes": axes}, call.tracks, call.shapes))


MOVES: dict[str, Rule] = {
    "convolution": _convolution,
    "pixel_shuffle": _shuffle,
    "pixel_unshuffle": _unshuffle,
    **{f"max_pool{n}d_with_indices": _whole(n, _pool) for n in (2, 3)},
    **{f"avg_pool{n}d": _whole(n, _pool) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _whole(n, _adaptive) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _whole(n, _adaptive) for n in (2, 3)},
    **{f"upsample_nearest{n}d": _enlarge("nearest") for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _enlarge("nearest-exact") for n in (1, 2, 3)},
    "upsample_linear1d": _enlarge("linear"),
    "upsample_bilinear2d": _enlarge("linear"),
    "upsample_trilinear3d": _enlarge("linear"),
    "upsample_bicubic2d": _enlarge("cubic"),
}
"""Operations that move along axes; they get rows of their own where a model calls them outside of a layer."""

_PADS = ["constant_pad_nd", *(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3))]
_VIEWS = ["view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze"]
_REDUCTIONS = ["mean", "sum", "prod", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean"]
_ATTENTIONS = ["flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention"]
_COPIES = [
    "clone",
    "detach",
    "alias",
    "_to_copy",
    "lift_fresh",
    "native_dropout",
    "log_sigmoid_forward",
    "_prelu_kernel",
]

TABLE: dict[str, Rule] = {
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
    "glu": _halved,
    "native_batch_norm": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **{f"_scaled_dot_product_{kind}": _attention for kind in _ATTENTIONS},
    **dict.fromkeys([*_COPIES, "rrelu_with_noise"], _same),
}
"""Every other known operation."""

CONSTANT = frozenset(
    f"{kind}{suffix}" for kind in ("zeros", "ones", "empty", "full", "rand", "randn") for suffix in ("_like",)
) | {"new_zeros", "new_ones", "new_empty", "new_full"}
"""Operations whose result has the shape of a tensor and none of its values."""
