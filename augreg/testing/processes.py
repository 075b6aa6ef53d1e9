"""The check that a transform pickles, also into a process that shares nothing with this one."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from augreg.testing.attempts import Array, attempt, same, suited
from augreg.testing.subjects import Subject

__all__ = ["pickles"]

_SECONDS = 120


def pickles(tested: Subject) -> None:
    """It pickles, here and into a spawned process, and gives the same bytes there."""
    for pipeline in tested.pipelines():
        image = suited(pipeline.train, 24, 32)
        data = pickle.dumps(pipeline)
        assert pickle.loads(data) == pipeline, "it is another one after pickling"
        expected = attempt(pipeline.train, image, 5)
        found = _elsewhere(_trained, data, image)
        assert same(found, expected), "a spawned process makes another image"


def _trained(data: bytes, image: Array) -> Any:
    return attempt(pickle.loads(data).train, image, 5)


@functools.lru_cache(maxsize=1)
def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _elsewhere(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a spawned process. AssertionError where it dies; the next one is new."""
    try:
        return _pool().submit(function, *arguments).result(timeout=_SECONDS)
    except (BrokenProcessPool, TimeoutError) as error:
        _pool.cache_clear()
        what = "died" if isinstance(error, BrokenProcessPool) else f"gave no answer within {_SECONDS} seconds"
        cause = "the transform does that" if _starts() else _NO_START
        raise AssertionError(f"the spawned process {what}: {cause}") from error


_NO_START = (
    "so does one that is given nothing to do. It imports the script that runs the checks, which must be a file, and "
    "start them under `if __name__ == '__main__':` (`python -m augreg.testing NAMESPACE` and pytest need neither)"
)


def _starts() -> bool:
    """Whether a spawned process can be had at all."""
    try:
        return _pool().submit(int).result(timeout=_SECONDS) == 0
    except (BrokenProcessPool, TimeoutError):
        _pool.cache_clear()
        return False
