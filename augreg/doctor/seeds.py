"""Whether samples create NumPy generators from seeds, and whether they draw few numbers from them or many."""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.random.bit_generator import ISeedSequence

__all__ = ["SeedWatch", "Seeds"]

Seeds = Literal["few", "many"] | None
"""How many numbers are drawn from generators that are created from seeds; None if there are none."""

_MANY = 64  # numbers: an augmentation needs fewer, an image that consists of random numbers more


class SeedWatch:
    """Watches samples being made. `seeds` is what was seen.

    Any way to create a generator from a seed, default_rng(3) or Generator(PCG64(3)), checks whether the seed is an
    ISeedSequence, which Python's profiler reports. How much is drawn is seen for default_rng only, which is replaced
    for a moment, also in the modules that were seen to call it; other generators count as few.
    """

    def __init__(self) -> None:
        self.seeds: Seeds = None
        self._modules: list[dict[str, Any]] = []
        self._made: list[tuple[Any, Any]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what is done meanwhile."""
        if sys.getprofile() is not None:  # leave a profiler of the user alone
            yield
            return
        before = sys.modules.get("numpy.random"), np.random.default_rng
        patched = [module for module in self._modules if module.get("default_rng") is before[1]]
        self._made.clear()
        for module in patched:
            module["default_rng"] = self._make(before[1])
        np.random.default_rng = self._make(before[1])
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            np.random.default_rng = before[1]
            for module in patched:
                module["default_rng"] = before[1]
        if any(_drew_many(generator, start) for generator, start in self._made):
            self.seeds = "many"

    def _profile(self, frame: Any, event: str, argument: Any) -> None:
        if event != "call" or frame.f_code is not ABCMeta.__instancecheck__.__code__:
            return
        if frame.f_locals["cls"] is ISeedSequence and frame.f_locals["instance"] is not None:
            self.seeds = self.seeds or "few"
            caller = frame.f_back
            if caller is not None and not any(caller.f_globals is module for module in self._modules):
                self._modules.append(caller.f_globals)

    def _make(self, default_rng: Any) -> Any:
        def make(seed: Any = None) -> Any:
            generator = default_rng(seed)
            if seed is not None and type(generator.bit_generator) is np.random.PCG64:
                self._made.append((generator, generator.bit_generator.state))
            return generator

        return make


def _drew_many(generator: Any, start: Any) -> bool:
    replay, end = np.random.PCG64(0), generator.bit_generator.state["state"]
    replay.state = start
    for _ in range(_MANY):
        if replay.state["state"] == end:
            return False
        replay.random_raw()
    return True
