"""Checks that a transform can be pickled, also into a spawned process."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from augreg.testing.running import Array, accepted_image, attempt, same
from augreg.testing.step_under_test import StepUnderTest

__all__ = ["pickles"]

_SECONDS = 120


def pickles(tested: StepUnderTest) -> None:
    """It can be pickled, in this process and into a spawned one, and gives the same image there."""
    for pipeline in tested.pipelines():
        image = accepted_image(pipeline.train, 24, 32)
        data = pickle.dumps(pipeline)
        assert pickle.loads(data) == pipeline, "it differs after pickling; have only fields with plain values"
        expected = attempt(pipeline.train, image, 5)
        assert same(_spawned(_trained, sys.path, data, image), expected), (
            "a spawned process gives another image; depend on the fields, `rng` and `scene` alone, and not on the "
            "process or on what a module holds"
        )


def _trained(path: list[str], data: bytes, image: Array) -> Any:
    sys.path[:] = path  # it may have grown since this process was started
    return attempt(pickle.loads(data).train, image, 5)


@functools.lru_cache(maxsize=1)
def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _spawned(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a spawned process. Raises AssertionError if the process dies or hangs."""
    try:
        return _pool().submit(function, *arguments).result(timeout=_SECONDS)
    except (BrokenProcessPool, TimeoutError) as error:
        _pool.cache_clear()
        event = "died" if isinstance(error, BrokenProcessPool) else f"did not respond within {_SECONDS} seconds"
        cause = "end no process in a transform, and wait for nothing" if _starts() else _NO_START
        raise AssertionError(f"the spawned process {event}; {cause}") from error


_NO_START = (
    "so does any spawned process: it imports the script that runs the checks, which must be a file that runs them "
    "under `if __name__ == '__main__':` (not needed with `python -m augreg.testing NAMESPACE` or pytest)"
)


def _starts() -> bool:
    """Whether any process can be spawned."""
    try:
        return _pool().submit(int).result(timeout=_SECONDS) == 0
    except (BrokenProcessPool, TimeoutError):
        _pool.cache_clear()
        return False
