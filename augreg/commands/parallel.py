"""Run a function on many images in several processes. A failure, or a crash of a process, does not stop the rest."""

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
from typing import Any

from augreg.commands.console import print_error
from augreg.errors import AugregError
from augreg.sharding.outcome import Outcome, StopError

__all__ = ["Outcome", "StopError", "processors", "run", "stopping"]

_AHEAD = 4  # tasks in the queue for each process


def processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # only where the system has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run(
    job: Callable[[Any], Any], tasks: Iterable[Any], processes: int, message: str = "stopping"
) -> Generator[Outcome, None, None]:
    """Call `job` with every task, and yield the outcomes as they finish, in any order.

    When Ctrl-C stops the run, `message` is printed to stderr at once, before the wait for running tasks.

    The job and the tasks are pickled for the processes. These are spawned, so they do not inherit threads or locks
    of this process. If `processes` is 1, the tasks run in this process.
    """
    if processes == 1:
        with _announcing(message):
            for task in tasks:
                yield _attempt(job, task)
        return
    remaining = iter(tasks)
    while True:
        running: dict[Future[Any], Any] = {}
        try:
            with _pool(job, processes) as pool, _announcing(message):
                yield from _submit(pool, remaining, running, processes * _AHEAD)
            return
        except BrokenProcessPool:
            for task in running.values():  # one of them crashed its process: run each alone to find out which
                yield _alone(job, task, message)


def _submit(
    pool: ProcessPoolExecutor, tasks: Iterator[Any], running: dict[Future[Any], Any], most: int
) -> Iterator[Outcome]:
    """Keep the queue filled, and yield outcomes. Raises BrokenProcessPool, with the lost tasks left in `running`."""
    for task in tasks:
        try:
            running[pool.submit(_work, task)] = task
        except BrokenProcessPool:
            running[Future()] = task
            raise
        if len(running) >= most:
            yield from _finished(running)
    while running:
        yield from _finished(running)


def _finished(running: dict[Future[Any], Any]) -> Iterator[Outcome]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        outcome = future.result()  # raises if the process is gone
        del running[future]
        yield outcome


def _alone(job: Callable[[Any], Any], task: Any, message: str) -> Outcome:
    try:
        with _pool(job, 1) as pool, _announcing(message):
            outcome: Outcome = pool.submit(_work, task).result()
            return outcome
    except BrokenProcessPool:
        return Outcome(task, failure="the process that worked on it died; it may need more memory than is available")


@contextlib.contextmanager
def _announcing(message: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):  # raised here, or where the outcomes are consumed
        if sys.stderr.isatty():
            print(file=sys.stderr)  # a progress bar may be on this line
        print_error(message)
        raise


@contextlib.contextmanager
def _pool(job: Callable[[Any], Any], processes: int) -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.RawValue("b", 0)  # no lock: a killed process might never release it
    pool = ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start, initargs=(job, stop))
    try:
        yield pool
    finally:  # after Ctrl-C too: queued tasks are dropped, and running tasks may stop early
        stop.value = 1
        pool.shutdown(cancel_futures=True)


# The rest runs in a worker process.

_job: Callable[[Any], Any] | None = None
_stop: Any = None


def stopping() -> bool:
    """Whether the outcome is no longer needed; a job may check this in the middle of a task."""
    return _stop is not None and bool(_stop.value)


def _start(job: Callable[[Any], Any], stop: Any) -> None:
    global _job, _stop
    _job, _stop = job, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent handles it
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # the processes already use all processors
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """Exit when the parent ends, even if it was killed: nothing would collect the results of this process."""
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
    except StopError as error:
        return Outcome(task, failure=str(error), stop=True)
    except AugregError as error:
        return Outcome(task, failure=str(error))
    except Exception as error:  # a damaged file or a plugin may raise anything
        return Outcome(task, failure=f"{type(error).__name__}: {error}")
