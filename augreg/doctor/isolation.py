"""What keeps an examination from changing anything: copies to work on, and the states of the global generators."""

from __future__ import annotations

import copy
import hashlib
import pickle
import random
from typing import Any, NamedTuple

import numpy as np

from augreg.doctor.findings import last_line

__all__ = [
    "GLOBAL_NAMES",
    "WorkingCopy",
    "digest_state",
    "epoch_of",
    "global_digests",
    "global_states",
    "seed_globals",
    "set_global_states",
    "working_copy",
]


GLOBAL_NAMES = ("random", "numpy.random", "torch")
"""The global generators, in the order of `global_states`."""


class WorkingCopy(NamedTuple):
    """Copies for work in this process; `shared` is why parts of them are not copied, or empty."""

    dataset: Any
    collate_fn: Any
    shared: str


def working_copy(dataset: Any, collate_fn: Any) -> WorkingCopy:
    """Deep copies of both, made together, since a collate_fn may belong to its dataset.

    If a deep copy fails (an open file, a lock), a shallow one is made: what it creates on first use is its own, but
    what the dataset already has is shared with the original.
    """
    try:
        return WorkingCopy(*copy.deepcopy((dataset, collate_fn)), "")
    except Exception as error:
        reason = last_line(error)
    try:
        return WorkingCopy(copy.copy(dataset), collate_fn, reason)
    except Exception:
        return WorkingCopy(dataset, collate_fn, reason)


def global_states() -> tuple[Any, Any, Any]:
    """The states of `random`, `numpy.random` and torch's CPU generator."""
    import torch

    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - it is examined


def digest_state(state: Any) -> bytes:
    """A hash of the state of a generator of NumPy, of Python or of torch."""
    plain = state.numpy().tobytes() if hasattr(state, "numpy") else pickle.dumps(state)
    return hashlib.blake2b(plain, digest_size=16).digest()


def global_digests() -> dict[str, bytes]:
    """The hashes of the states of the global generators, by name."""
    return dict(zip(GLOBAL_NAMES, map(digest_state, global_states()), strict=True))


def set_global_states(states: tuple[Any, Any, Any]) -> None:
    """Set the global generators to states returned by `global_states`."""
    import torch

    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


def seed_globals(number: int) -> None:
    """Seed all global generators with one number; of torch's only the CPU generator, as in `global_states`."""
    import torch

    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    torch.default_generator.manual_seed(number)


def epoch_of(thing: Any) -> int | None:
    """The epoch of a sampler or a dataset that has `set_epoch` and a readable `epoch`; else None."""
    epoch = getattr(thing, "epoch", None) if hasattr(thing, "set_epoch") else None
    return epoch if isinstance(epoch, int) else None
