"""Run a function on many shards as tasks of Ray, on a cluster or on this machine.

Each shard is one task with one CPU. A task whose process or node dies is given to another one; an exception of the
function is the outcome of its task, and is not tried again. The driver holds a few small tasks for each CPU, and
nothing else: whoever calls this knows which shards are finished, so a killed driver is simply started again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import pickle
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from augreg import __version__
from augreg.errors import AugregError, printable
from augreg.sharding.outcome import Outcome, StopError

__all__ = ["run"]

_AHEAD: Final = 2  # tasks for each CPU of the cluster: one that runs, and one that waits
_TRIES: Final = 5  # how often the process of one task may die
_LOOK: Final = 2.0  # seconds after which the CPUs of the cluster are counted again
_PATIENCE: Final = 10.0  # seconds that running tasks have to clean up after Ctrl-C
_AGAIN: Final = 2.0  # seconds until a task is tried again whose lock a process may hold that is about to end
_STORE: Final = 80 << 20  # bytes of the object store of a local cluster, the least that Ray takes: little is in it
_CONNECT: Final = 10.0  # seconds
_NO_CLUSTER: Final = (
    "there is no Ray cluster to use at {address}: {reason}; start one with `ray start --head`, or leave out the "
    "address for a cluster on this machine alone"
)
_USAGE: Final = "RAY_USAGE_STATS_ENABLED"


def _nothing_to_compare() -> Mapping[str, str]:
    return {}


def run(
    job: Callable[[Any], Any],
    tasks: Iterable[Any],
    *,
    address: str | None = None,
    processes: int | None = None,
    versions: Callable[[], Mapping[str, str]] = _nothing_to_compare,
    sees: Sequence[str | Path] = (),
    tell: Callable[[str], object] = lambda text: None,
    message: str = "stopping",
) -> Generator[Outcome, None, None]:
    """Call `job` with every task on a Ray cluster, and yield the outcomes as they finish, in any order.

    The job, the tasks and the results are pickled; keep them small. A result None says that another process has the
    task: if one died that had it, it is tried again.

    `address` is that of a running cluster, `auto` for the one of this machine, or None for the environment variable
    RAY_ADDRESS; without it a cluster of `processes` CPUs (all) is started on this machine, and shut down at the end.
    Where Ray is initialized already, that is used, and left running.

    Every node must have this version of augreg, must give the same `versions`, and must see the paths `sees`; if one
    does not, the outcome says so and has `stop` set. When Ctrl-C stops the run, `tell` gets `message` at once, and
    the running tasks are cancelled. Raises AugregError if Ray is not installed, or there is no cluster.
    """
    ray, tasks = _ray(), iter(tasks)
    first = list(itertools.islice(tasks, 1))
    if not first:
        return  # a cluster takes seconds to start
    tasks = itertools.chain(first, tasks)
    with _connected(ray, address, processes):
        # it travels with each task: were it an object of this driver, a node could only fetch it from this node
        payload = pickle.dumps((job, versions, dict(versions()), [os.fspath(path) for path in sees]))
        function = ray.remote(num_cpus=1, max_retries=0)(_work)  # tried again here, where the tries are counted
        running: dict[Any, _Entry] = {}
        try:
            yield from _submit(ray, lambda task: function.remote(__version__, payload, task), tasks, running)
        except (KeyboardInterrupt, GeneratorExit):  # raised here, or where the outcomes are consumed
            tell(message)
            raise
        finally:
            _cancel(ray, list(running))


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise AugregError(f"--engine ray needs {error.name}: pip install 'augreg[ray]'") from None
    return ray


@contextlib.contextmanager
def _connected(ray: Any, address: str | None, processes: int | None) -> Iterator[None]:
    """A cluster while the block runs. Raises AugregError if there is none at the address."""
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_reachable(address)
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options |= {"num_cpus": processes, "include_dashboard": False, "object_store_memory": _STORE}
    try:
        with _no_usage_statistics(address == "local"):
            ray.init(**options)
    except (OSError, RuntimeError, ValueError) as error:  # ConnectionError among them
        if address == "local":
            raise AugregError(f"Ray cannot be started: {printable(error)}") from None
        raise AugregError(_NO_CLUSTER.format(address=address, reason=printable(error))) from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise AugregError if nothing answers at a host and port: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return  # `auto`, `local`, the URL of a client, or wrong: Ray says so
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT).close()
    except (OSError, OverflowError) as error:
        raise AugregError(_NO_CLUSTER.format(address=address, reason=printable(error))) from None


@contextlib.contextmanager
def _no_usage_statistics(local: bool) -> Iterator[None]:
    """Ray reports its use over the network by default, which nobody asked for here; a user's setting stays."""
    if not local or _USAGE in os.environ:
        yield
        return
    os.environ[_USAGE] = "0"
    try:
        yield
    finally:
        del os.environ[_USAGE]


class _Entry(NamedTuple):
    """A task that was not finished yet."""

    task: Any
    pickled: bytes
    deaths: int = 0
    """How many processes died that worked on it."""


def _submit(
    ray: Any, start: Callable[[bytes], Any], tasks: Iterable[Any], running: dict[Any, _Entry]
) -> Iterator[Outcome]:
    """Keep a few tasks running for each CPU, and yield outcomes. `running` has the tasks by their references."""
    remaining = (_Entry(task, pickle.dumps(task)) for task in tasks)
    waiting: deque[tuple[float, _Entry]] = deque()  # to be tried again, in the order of their times
    looked, most, more = float("-inf"), 0, True
    while more or running or waiting:
        now = time.monotonic()
        if now - looked > _LOOK:  # nodes come and go
            most, looked = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 0))), now
        while waiting and waiting[0][0] <= now:
            entry = waiting.popleft()[1]
            running[start(entry.pickled)] = entry
        while more and len(running) + len(waiting) < most:
            following = next(remaining, None)
            if following is None:
                more = False
            else:
                running[start(following.pickled)] = following
        if not running:
            time.sleep(_AGAIN / 10)
            continue
        done, _ = ray.wait(list(running), timeout=_AGAIN / 10 if waiting else _LOOK)
        for reference in done:
            entry = running.pop(reference)
            outcome = _outcome(ray, reference, entry.task)
            died = outcome is None
            # the process that died may be on a node that was lost, and still be about to end
            if died or (entry.deaths and outcome == Outcome(entry.task)):
                entry = entry._replace(deaths=entry.deaths + 1)
                if entry.deaths < _TRIES:
                    waiting.append((time.monotonic() + _AGAIN, entry))
                    continue
            why = f"its process died {_TRIES} times; it may need more memory than a node has"
            yield Outcome(entry.task, failure=why) if outcome is None else outcome


def _outcome(ray: Any, reference: Any, task: Any) -> Outcome | None:
    """How a task ended; None if its process or its node died."""
    errors = ray.exceptions
    try:
        value, failure, stop = ray.get(reference)
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError, errors.ObjectLostError):
        return None
    except errors.RayError as error:  # the node has no augreg, or the cluster is gone: the others would fail too
        why = printable(str(error).strip().rpartition("\n")[2])
        failure, value, stop = f"Ray cannot run the task: {why}; every node needs augreg {__version__}", None, True
    return Outcome(task, value, failure, stop)


def _cancel(ray: Any, references: Sequence[Any]) -> None:
    """Interrupt tasks, and give them time to remove what they have begun."""
    if not references:
        return
    with contextlib.suppress(ray.exceptions.RayError):  # the cluster may be gone
        for reference in references:
            ray.cancel(reference)
        ray.wait(references, num_returns=len(references), timeout=_PATIENCE)


# The rest runs in a worker process.

_job: tuple[bytes, Callable[[Any], Any]] | None = None


def _work(version: str, payload: bytes, task: bytes) -> tuple[Any, str, bool]:
    """The result of a task, or the reason why it failed, and whether all others would fail for it too."""
    global _job
    node = socket.gethostname()
    if version != __version__:  # before anything is unpickled that another version may not know
        return None, f"node {node} has augreg {__version__}, and this run needs {version} on every node", True
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # the tasks already use all CPUs
    try:
        if _job is None or _job[0] != payload:
            job, versions, expected, sees = pickle.loads(payload)
            _check(node, versions(), expected, sees)
            _job = payload, job
        return _job[1](pickle.loads(task)), "", False
    except StopError as error:
        return None, str(error), True
    except AugregError as error:
        return None, str(error), False
    except Exception as error:  # a damaged file or a plugin may raise anything
        return None, f"{type(error).__name__}: {error}", False


def _check(node: str, found: Mapping[str, str], expected: Mapping[str, str], sees: Iterable[str]) -> None:
    """Raise StopError if this node would make other bytes, or would read or write elsewhere."""
    for name, version in expected.items():
        if found.get(name) != version:
            raise StopError(
                f"node {node} has {name} {found.get(name, 'not at all')}, and this run was started with {version}: "
                "the bytes may differ; install the same version on every node"
            )
    for path in sees:
        if not Path(path).exists():
            raise StopError(
                f"node {node} does not see {path}: put it on a file system that all nodes share under one path, or "
                "give a URL such as s3://bucket/folder"
            )
