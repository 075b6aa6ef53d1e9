"""Parameter groups for torch optimizers: weight decay for the weights, none for biases and norm layers.

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
    """Two groups, with and without weight decay, that hold every parameter of a model exactly once.

    Decay is for what the penalties of a spec are for: the weights that multiply, not biases, norm layers and
    embeddings; `include="all"` decays these too. `at` and `no_decay`, written as in a spec, say which of them decay,
    and which do not after all. What a model names in a method `no_weight_decay()`, as timm's do, does not decay
    either. Frozen parameters are in the groups too, as they may be thawed. A group that would be empty is left out.

    Raises SpecError where `at` or `no_decay` selects nothing, and ValueError for a negative decay.
    """
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(f"weight_decay must be 0 or more, got {weight_decay!r}")
    if include not in ("weights", "all"):
        raise ValueError(f"include is 'weights' or 'all', got {include!r}")
    decaying = {id(weight.value) for weight in weights(model, _selectors(at), include, frozen=True)}
    if no_decay is not None:
        decaying -= {id(weight.value) for weight in weights(model, _selectors(no_decay), "all", frozen=True)}
    excepted = exempt(model)
    with_decay: list[nn.Parameter] = []
    without: list[nn.Parameter] = []
    for weight in parameters(model):
        decays = id(weight.value) in decaying and excepted.isdisjoint(weight.names)
        (with_decay if decays else without).append(weight.value)
    groups = [{"params": with_decay, "weight_decay": weight_decay}, {"params": without, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _selectors(at: Any) -> tuple[Selector, ...] | None:
    if at is None:
        return None
    try:
        found: tuple[Selector, ...] = convert_one(At, at)
    except ValueError as error:
        raise ValueError(f"a selection of parameters: {str(error).rpartition(chr(0))[2]}") from None
    return found
