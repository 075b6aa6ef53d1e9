"""Parameter groups for torch optimizers: weight decay for weights, but not for biases and norm layers.

    optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay=0.05), lr=1e-3)

AdamW's decay is decoupled from the gradient, which the penalty `l2` is not.
Loshchilov and Hutter 2019, arXiv 1711.05101.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from augreg.loss.penalties import exempt, parameters, weights
from augreg.steps.fields import convert_one
from augreg.steps.selectors import At, Selector

__all__ = ["parameter_groups"]


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    *,
    at: Any = None,
    no_decay: Any = None,
    include: Literal["weights", "all"] = "weights",
) -> list[dict[str, Any]]:
    """Two groups, with and without weight decay, that contain every parameter of a model exactly once.

    The decaying parameters are those that penalties apply to: the weights of linear layers, convolutions and the
    like, not biases, norm layers, embeddings, class tokens or layer scales, except with `include="all"`. `at` selects
    among them, and `no_decay` makes exceptions; both are written as in a spec. Names that the model returns from a
    method `no_weight_decay()`, as timm's models do, do not decay. Frozen parameters are included, as they may be
    unfrozen later. An empty group is left out.

    Raises SpecError if `at` or `no_decay` selects nothing, and ValueError for a negative decay.
    """
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(f"weight_decay must be 0 or more, got {weight_decay!r}")
    if include not in ("weights", "all"):
        raise ValueError(f"include must be 'weights' or 'all', got {include!r}")
    decaying = {id(weight.value) for weight in weights(model, _selectors(at), include, frozen=True)}
    if no_decay is not None:
        decaying -= {id(weight.value) for weight in weights(model, _selectors(no_decay), "all", frozen=True)}
    exempted = exempt(model)
    with_decay: list[nn.Parameter] = []
    without: list[nn.Parameter] = []
    for weight in parameters(model):
        decays = id(weight.value) in decaying and exempted.isdisjoint(weight.names)
        (with_decay if decays else without).append(weight.value)
    groups = [{"params": with_decay, "weight_decay": weight_decay}, {"params": without, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _selectors(at: Any) -> tuple[Selector, ...] | None:
    if at is None:
        return None
    try:
        selectors: tuple[Selector, ...] = convert_one(At, at)
    except ValueError as error:
        raise ValueError(f"selection of parameters: {str(error).rpartition(chr(0))[2]}") from None
    return selectors
