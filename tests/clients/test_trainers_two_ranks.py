"""Two ranks by gloo: images by their index in the whole dataset, masks that differ, and a run that resumes."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_runs import Photos, digest
from two_ranks import COUNT, FRAMEWORKS, KILL_AT, PIPE

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What each rank saw, by framework; one pair of processes for the tests of all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "two_ranks"
    folder.mkdir(exist_ok=True)
    results = [folder / f"{rank}.json" for rank in range(2)]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(result.exists() for result in results):
            train_together(folder)
    return [json.loads(result.read_text()) for result in results]


def train_together(folder: Path) -> None:
    """Run two_ranks.py as two processes. Raises AssertionError with the end of its log if one fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    try:
        for rank in range(2):
            names = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
            environment = {**os.environ, **{name: str(value) for name, value in {**names, **address}.items()}}
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # the files of tests/, too
            with (folder / f"{rank}.log").open("w") as log:
                command = [sys.executable, str(HERE / "two_ranks.py"), str(folder)]
                processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        for rank, process in enumerate(processes):
            assert process.wait(timeout=240) == 0, (folder / f"{rank}.log").read_text()[-4000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def alone(epoch: int) -> list[str]:
    """The digests of the images of an epoch, each made by the pipeline by itself."""
    return [digest(made(index, epoch)) for index in range(COUNT)]


def made(index: int, epoch: int) -> np.ndarray[Any, Any]:
    return PIPE.train(Photos(COUNT)[index][0], index=index, epoch=epoch)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_ranks_share_the_images_of_an_epoch_by_their_indices(ranks: list[Any], framework: str) -> None:
    for epoch in range(3):
        found = [
            image for rank in ranks for step in rank[framework]["unmixed"][2 * epoch :][:2] for image in step[:-1]
        ]
        assert sorted(found) == sorted(alone(epoch))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_mixed_batch_is_a_function_of_its_keys(ranks: list[Any], framework: str) -> None:
    for rank in ranks:
        for step in range(6):
            images = alone(step // 2)
            keys = [images.index(image) for image in rank[framework]["unmixed"][step][:-1]]
            labels = np.array([Photos(COUNT)[index][1] for index in keys])
            batch = np.stack([made(index, step // 2) for index in keys])
            mixed, _ = PIPE.batch(batch, labels, keys=keys, epoch=step // 2)
            assert rank[framework]["whole"][step][:-1] == [digest(image) for image in mixed]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_masks_differ_between_ranks_and_weights_do_not(ranks: list[Any], framework: str) -> None:
    first, second = (rank[framework] for rank in ranks)
    assert all(one != other for one, other in zip(first["masks"], second["masks"], strict=True))
    assert first["weights"] == second["weights"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_resumed_run_of_two_ranks_ends_with_the_same_weights(ranks: list[Any], framework: str) -> None:
    last = 4 if framework == "lightning" else 3  # Lightning saves at the end of an epoch, the others within one
    for rank in ranks:
        found = rank[framework]
        assert len(found["whole"]) == 6 and found["killed"] == found["whole"][:KILL_AT]
        assert found["resumed"] == found["whole"][last:]
        assert found["weights"][0] == found["weights"][1]
