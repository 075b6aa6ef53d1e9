"""Work on many images in several processes: what fails, or takes its process down, does not stop the rest."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

from augreg.commands.console import print_error
from augreg.errors import AugregError

__all__ = ["Outcome", "processors", "run", "stopping"]

_AHEAD = 4  # tasks in the queue for each process


class Outcome(NamedTuple):
    """A task that is over: what came of it, or why nothing did."""

    task: Any
    value: Any = None
    failure: str = ""


def processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # only where the system has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run(
    job: Callable[[Any], Any], tasks: Iterable[Any], processes: int, farewell: str = "stopping"
) -> Generator[Outcome, None, None]:
    """Call `job` with every task, and give the outcomes as they come, in any order.

    `farewell` is said on stderr at once when it is stopped by Ctrl-C, before waiting for what is being worked on.

    The job and the tasks are pickled for the processes, which are spawned, so that neither threads nor locks of
    this process are carried over. With one process the work is done in this one.
    """
    if processes == 1:
        with _saying(farewell):
            for task in tasks:
                yield _attempt(job, task)
        return
    rest = iter(tasks)
    while True:
        flying: dict[Future[Any], Any] = {}
        try:
            with _pool(job, processes) as pool, _saying(farewell):
                yield from _fly(pool, rest, flying, processes * _AHEAD)
            return
        except BrokenProcessPool:
            for task in flying.values():  # one of them took its process down: each alone tells which
                yield _alone(job, task, farewell)


def _fly(
    pool: ProcessPoolExecutor, tasks: Iterator[Any], flying: dict[Future[Any], Any], most: int
) -> Iterator[Outcome]:
    """Keep the queue filled, and give what lands. Raises BrokenProcessPool, with the lost tasks left in `flying`."""
    for task in tasks:
        try:
            flying[pool.submit(_work, task)] = task
        except BrokenProcessPool:
            flying[Future()] = task
            raise
        if len(flying) >= most:
            yield from _landed(flying)
    while flying:
        yield from _landed(flying)


def _landed(flying: dict[Future[Any], Any]) -> Iterator[Outcome]:
    done, _ = wait(flying, return_when=FIRST_COMPLETED)
    for future in done:
        outcome = future.result()  # raises where the process is gone
        del flying[future]
        yield outcome


def _alone(job: Callable[[Any], Any], task: Any, farewell: str) -> Outcome:
    try:
        with _pool(job, 1) as pool, _saying(farewell):
            outcome: Outcome = pool.submit(_work, task).result()
            return outcome
    except BrokenProcessPool:
        return Outcome(task, failure="the process that worked on it died; it may need more memory than there is")


@contextlib.contextmanager
def _saying(farewell: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):  # here, or where the outcomes are taken
        print_error("\n" * sys.stderr.isatty() + farewell)  # a progress line may stand there
        raise


@contextlib.contextmanager
def _pool(job: Callable[[Any], Any], processes: int) -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.RawValue("b", 0)  # without a lock, which a process that is killed may hold
    pool = ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start, initargs=(job, stop))
    try:
        yield pool
    finally:  # after Ctrl-C too: what waits is dropped, and what is being worked on stops where it can
        stop.value = 1
        pool.shutdown(cancel_futures=True)


# In a worker process.

_job: Callable[[Any], Any] | None = None
_stop: Any = None


def stopping() -> bool:
    """Whether nobody waits for the outcome any more; for a job to ask in the middle of a task."""
    return _stop is not None and bool(_stop.value)


def _start(job: Callable[[Any], Any], stop: Any) -> None:
    global _job, _stop
    _job, _stop = job, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent answers it
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # the processes share the processors already
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End with the parent, even when it was killed: nobody would ever collect what this process makes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: Any) -> Outcome:
    assert _job is not None
    return _attempt(_job, task)


def _attempt(job: Callable[[Any], Any], task: Any) -> Outcome:
    try:
        return Outcome(task, job(task))
    except AugregError as error:
        return Outcome(task, failure=str(error))
    except Exception as error:  # whatever a damaged file or a plugin comes up with
        return Outcome(task, failure=f"{type(error).__name__}: {error}")
