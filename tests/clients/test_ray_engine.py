"""Shards as tasks of a Ray cluster of two nodes on this machine, of which processes and nodes are killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import ray
from conftest import RAY_NODE
from ray.cluster_utils import Cluster
from ray_jobs import Deadly, Refusing, Square, processes_differ

from augreg import __version__
from augreg.sharding import on_ray


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_AGAIN", 0.1)
    monkeypatch.setattr(on_ray, "_LOOK", 0.5)


def run(cluster: Cluster, job: Callable[[Any], Any], tasks: Any, **options: Any) -> list[Any]:
    return list(on_ray.run(job, tasks, address=cluster.address, **options))


def begun(folder: Path) -> dict[int, list[tuple[int, str]]]:
    """The processes that began each task, and their nodes."""
    found: dict[int, list[tuple[int, str]]] = {}
    for path in folder.glob("*.begun"):
        number, pid = map(int, path.stem.split("-"))
        found.setdefault(number, []).append((pid, path.read_text()))
    return found


def wait_for(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen within 30 seconds")


def test_a_killed_process_and_a_removed_node_lose_nothing(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.add_node(**RAY_NODE)

    def at_work(on_node: bool) -> list[int]:
        """The processes of tasks that are not done, on the second node or on the head."""
        left = [one for number, one in begun(tmp_path).items() if not (tmp_path / str(number)).exists()]
        return [pid for one in left for pid, of in one if (of == node.node_id) == on_node]

    def disturb() -> None:
        os.kill(wait_for(lambda: at_work(False))[0], signal.SIGKILL)
        processes = wait_for(lambda: at_work(True))
        cluster.remove_node(node, allow_graceful=False)
        for process in processes:  # they would live on for a second
            os.kill(process, signal.SIGKILL)

    thread = threading.Thread(target=disturb)
    thread.start()
    outcomes = run(cluster, Square(tmp_path, 0.5), range(8))
    thread.join()
    assert sorted(outcomes) == [(number, number**2, "", False) for number in range(8)]
    assert [(tmp_path / str(number)).read_text() for number in range(8)] == [str(n**2) for n in range(8)]
    tries = Counter(len(one) for one in begun(tmp_path).values())
    assert tries[1] >= 5 and tries[2] >= 2, tries  # the killed process had one task, and the node another


def test_a_task_that_kills_its_process_is_given_up_and_the_others_are_done(cluster: Cluster) -> None:
    outcomes = {outcome.task: outcome for outcome in run(cluster, Deadly(1), range(4))}
    assert [outcomes[number].value for number in (0, 2, 3)] == [0, 2, 3]
    assert outcomes[1].failure == "its process died 5 times; it may need more memory than a node has"
    assert not outcomes[1].stop


def test_errors_of_the_job_are_outcomes(cluster: Cluster) -> None:
    outcomes = {outcome.task: outcome[1:] for outcome in run(cluster, Refusing(), range(4))}
    assert outcomes == {
        0: (None, "ZeroDivisionError: integer division or modulo by zero", False),
        1: (None, "one is damaged", False),
        2: (None, "the disk is full", True),
        3: (3, "", False),
    }


def test_nodes_with_other_versions_and_without_the_folder_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    (outcome,) = run(cluster, Deadly(1), [0], versions=processes_differ)
    assert outcome.stop and f"and this run was started with {os.getpid()}: the bytes may differ" in outcome.failure
    (outcome,) = run(cluster, Deadly(1), [0], sees=[tmp_path, tmp_path / "augreg.json"])
    assert outcome.stop and f"does not see {tmp_path / 'augreg.json'}: put it on a file system" in outcome.failure


def test_a_node_that_lacks_augreg_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("installed_here_alone")
    exec("def _work(version, payload, task): return task", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(on_ray, "_work", module._work)
    (outcome,) = run(cluster, Deadly(1), [0])
    said = f"No module named 'installed_here_alone'; every node needs augreg {__version__}"
    assert outcome.stop and outcome.failure.endswith(said)


def test_only_a_few_tasks_are_taken_ahead_and_the_rest_is_interrupted(cluster: Cluster, tmp_path: Path) -> None:
    taken, said = [], []

    def tasks() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    with closing(
        on_ray.run(Square(tmp_path, 0.2), tasks(), address=cluster.address, tell=said.append, message="stopping")
    ) as outcomes:
        for done in range(1, 4):
            next(outcomes)
            assert len(taken) <= done + 2 * ray.cluster_resources()["CPU"]
        wait_for(lambda: len(begun(tmp_path)) > 3)
    assert said == ["stopping"]
    assert len(list(tmp_path.glob("*.interrupted"))) == 1
    assert not ray.is_initialized()


def test_a_ray_that_runs_is_used_and_left(cluster: Cluster) -> None:
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        assert [outcome.value for outcome in on_ray.run(Deadly(1), [5])] == [5]
        assert ray.is_initialized()
    finally:
        ray.shutdown()
