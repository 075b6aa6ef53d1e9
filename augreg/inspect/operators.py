"""The rule of each torch operation for receptive fields: a table by the name of the operation.

The names are those of ATen operations, which modules, functions and methods all call. Pointwise operations are not in
the table: their result depends on the same elements of their inputs. torch tags most of them as such, and `POINTWISE`
has those that it does not. An unknown operation has no rule; nothing is guessed.
"""

from __future__ import annotations

from augreg.inspect import operator_rules as rules
from augreg.inspect.operator_rules import OperatorCall, OperatorRule

__all__ = ["CONSTANT", "MOVES", "POINTWISE", "TABLE", "WHY_NOT"]


def _with_axes(axes: int, rule: OperatorRule) -> OperatorRule:
    """The rule with the number of axes as an additional argument of the call."""
    return lambda call: rule(OperatorCall({**call.arguments, "axes": axes}, call.fields, call.shapes))


MOVES: dict[str, OperatorRule] = {
    "convolution": rules.convolution,
    "pixel_shuffle": rules.shuffle,
    "pixel_unshuffle": rules.unshuffle,
    **{f"max_pool{n}d_with_indices": _with_axes(n, rules.pool) for n in (2, 3)},
    **{f"avg_pool{n}d": _with_axes(n, rules.pool) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _with_axes(n, rules.adaptive) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _with_axes(n, rules.adaptive) for n in (2, 3)},
    **{f"upsample_nearest{n}d": rules.upsample("nearest") for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": rules.upsample("nearest-exact") for n in (1, 2, 3)},
    "upsample_linear1d": rules.upsample("linear"),
    "upsample_bilinear2d": rules.upsample("linear"),
    "upsample_trilinear3d": rules.upsample("linear"),
    "upsample_bicubic2d": rules.upsample("cubic"),
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
    **dict.fromkeys(_PADS, rules.padded),
    "slice": rules.slice,
    "split": rules.split,
    "split_with_sizes": rules.split,
    "select": rules.select,
    "unbind": rules.unbind,
    "cat": rules.cat,
    "stack": rules.stack,
    **dict.fromkeys(_VIEWS, rules.view),
    "expand": rules.expand,
    "permute": rules.permute,
    "transpose": rules.transpose,
    "t": rules.transpose,
    **dict.fromkeys(["mm", "addmm", "bmm", "baddbmm"], rules.product),
    **dict.fromkeys([*_REDUCTIONS, "logsumexp", "linalg_vector_norm", "norm"], rules.reduce),
    **dict.fromkeys(["_softmax", "_safe_softmax", "_log_softmax", "cumsum", "sort", "topk"], rules.along),
    "roll": rules.roll,
    "repeat": rules.repeat,
    "as_strided": rules.strided,
    "index_select": rules.index_select,
    "glu": rules.glu,
    "native_batch_norm": rules.batch_norm,
    "cudnn_batch_norm": rules.batch_norm,
    "_native_batch_norm_legit": rules.batch_norm,
    "_native_batch_norm_legit_no_training": rules.batch_norm,
    **dict.fromkeys(["native_layer_norm", "_fused_rms_norm"], rules.layer_norm),
    "native_group_norm": rules.group_norm,
    **{f"_scaled_dot_product_{kind}": rules.attention for kind in _ATTENTIONS},
    **dict.fromkeys([*_COPIES, "rrelu_with_noise"], rules.same),
}
"""Every known operation."""

POINTWISE = frozenset(
    {"hardswish", "leaky_relu", "mish", "masked_fill", "where", "copysign", "fill", "tril", "triu", "bucketize"}
    | {"nan_to_num"}
)
"""Operations that are pointwise, and that torch does not tag as such in every version or form."""

_BY_VALUE = "where it reads depends on values, so no position has a field of its own"
_OVERLAP = "it copies windows that overlap, whose positions are no grid"
WHY_NOT: dict[str, str] = {
    **dict.fromkeys(["grid_sampler_2d", "grid_sampler_3d", "deform_conv2d", "roi_align", "nms"], _BY_VALUE),
    **dict.fromkeys(["gather", "index", "nonzero", "masked_select", "scatter"], _BY_VALUE),
    **dict.fromkeys(["im2col", "unfold"], _OVERLAP),
    **dict.fromkeys(["_fft_r2c", "_fft_c2c", "_fft_c2r"], "frequencies have no place in the image"),
}
"""Why some operations have no rule."""

CONSTANT = frozenset(
    [*(f"{kind}_like" for kind in ("zeros", "ones", "empty", "full", "rand", "randn"))]
    + [f"new_{kind}" for kind in ("zeros", "ones", "empty", "full")]
)
"""Operations whose result has the shape of a tensor, but does not depend on its values."""
