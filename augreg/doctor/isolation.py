"""That an examination leaves no trace: copies to work on, and what is put back at the end."""

from __future__ import annotations

import copy
import random
from typing import Any, NamedTuple

import numpy as np

from augreg.doctor.findings import last_line

__all__ = [
    "StandIn",
    "epoch_of",
    "global_states",
    "seed_globals",
    "set_global_states",
    "working_copy",
]


class StandIn(NamedTuple):
    """Copies for work in this process; `shared` says why something in them is not copied, if so."""

    dataset: Any
    collate_fn: Any
    shared: str


def working_copy(dataset: Any, collate_fn: Any) -> StandIn:
    """Deep copies of both, in one, since a collate_fn may belong to its dataset.

    What cannot be copied so (an open file, a lock) is copied flat: what the copy makes on first use stays in it,
    while what it holds already is shared with the original.
    """
    try:
        return StandIn(*copy.deepcopy((dataset, collate_fn)), "")
    except Exception as error:
        reason = last_line(error)
    try:
        return StandIn(copy.copy(dataset), collate_fn, reason)
    except Exception:
        return StandIn(dataset, collate_fn, reason)


def global_states() -> tuple[Any, Any, Any]:
    """The states of `random`, `numpy.random` and torch's generator of the CPU."""
    import torch

    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - it is what is examined


def set_global_states(states: tuple[Any, Any, Any]) -> None:
    """Put the global generators into states that `global_states` gave."""
    import torch

    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


def seed_globals(number: int) -> None:
    """Seed the global generators alike; of torch's only that of the CPU, which is what `global_states` keeps."""
    import torch

    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    torch.default_generator.manual_seed(number)


def epoch_of(told: Any) -> int | None:
    """The epoch of a sampler or a dataset that takes epochs and says which it has; else None."""
    epoch = getattr(told, "epoch", None) if hasattr(told, "set_epoch") else None
    return epoch if isinstance(epoch, int) else None
