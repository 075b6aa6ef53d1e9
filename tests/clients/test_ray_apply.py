"""`augreg apply --engine ray` on a cluster of two nodes on this machine: the bytes are those of local processes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RAY_NODE
from PIL import Image
from ray.cluster_utils import Cluster

from augreg.__main__ import main


def write_tars(folder: Path, tars: int, each: int) -> None:
    """Small images with classes in tars, which have numbers as names."""
    folder.mkdir()
    for number in range(tars):
        with tarfile.open(folder / f"{number:04d}.tar", "w") as tar:
            for key in range(number * each, (number + 1) * each):
                image = np.random.default_rng(key).integers(0, 256, (8, 8, 3), np.uint8)
                data = io.BytesIO()
                Image.fromarray(image).save(data, "PNG")
                for suffix, content in (("png", data.getvalue()), ("cls", str(key % 3).encode())):
                    member = tarfile.TarInfo(f"{key:06d}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def contents(folder: Path) -> dict[str, str]:
    """A hash of every file of an output."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """The finished shards, with what would change if they were made again."""
    records = (folder / ".augreg/shards").glob("*.json")
    data = (folder / f"shard-{record.stem}.tar" for record in records)
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in data}


def applied(place: Path, out: str, shards: int, *options: str) -> list[str]:
    spec = json.dumps({"image": ["horizontal_flip", {"rotate": 10}]})
    (place / "spec.json").write_text(spec)
    return ["apply", "spec.json", "in", out, "--shards", str(shards), "--copies", "2", *options]


def kill_until_done(place: Path, cluster: Cluster, shards: int, kills: int, pause: tuple[float, float]) -> int:
    """Kill the driver so many times while it works, and let it finish then. Returns how often it was killed."""
    command = [sys.executable, "-m", "augreg"]
    command += applied(place, "ray", shards, "--engine", "ray", "--address", cluster.address, "--quiet")
    seconds, killed = random.Random(0), 0
    for left in itertools.count(kills, -1):
        before = finished(place / "ray")
        driver = subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True)
        if left > 0:
            while driver.poll() is None and len(finished(place / "ray")) <= len(before):
                time.sleep(0.02)
            time.sleep(seconds.uniform(*pause))
        if left > 0 and driver.poll() is None:
            driver.send_signal(signal.SIGKILL)
            killed += 1
        said = driver.communicate(timeout=300)[1]
        assert before.items() <= finished(place / "ray").items(), "a finished shard was made again"
        if driver.returncode != -signal.SIGKILL:
            assert driver.returncode == 0, said
            return killed
    raise AssertionError


def check_bytes(place: Path, shards: int) -> None:
    """The output of Ray is complete, and that of local processes."""
    assert main(applied(place, "local", shards, "--processes", "2", "--quiet")) == 0
    assert contents(place / "ray") == contents(place / "local")
    assert len(finished(place / "ray")) == shards


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder, which the nodes of the cluster do not have."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_killed_driver_goes_on_where_it_was(place: Path, cluster: Cluster, second_node: Any) -> None:
    write_tars(place / "in", tars=4, each=60)
    assert kill_until_done(place, cluster, shards=8, kills=1, pause=(0.0, 0.1)) == 1
    check_bytes(place, 8)


def disturb(cluster: Cluster, ended: Callable[[], bool]) -> list[str]:
    """Every few seconds, kill a process that works on the head, or the second node, which is replaced then."""
    killed, seconds, node = [], random.Random(1), cluster.add_node(**RAY_NODE)
    while not ended():
        time.sleep(seconds.uniform(2.0, 6.0))
        if len(killed) % 3 == 2:
            cluster.remove_node(node, allow_graceful=False)
            node = cluster.add_node(**RAY_NODE)
            killed.append("node")
        elif workers := working(cluster.head_node.all_processes["raylet"][0].process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(seconds.choice(workers), signal.SIGKILL)
                killed.append("process")
    cluster.remove_node(node)
    return killed


def working(raylet: int) -> list[int]:
    """The processes of a node that work on a task."""
    children = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
    return [int(pid) for pid in children if b"ray::_work" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.soak
def test_killed_drivers_processes_and_nodes_lose_nothing(place: Path, cluster: Cluster) -> None:
    """20,000 images in 100 shards: ten drivers are killed, and meanwhile processes and nodes."""
    write_tars(place / "in", tars=50, each=400)
    with ThreadPoolExecutor(1) as pool:  # Ray starts nodes in the main thread only
        drivers = pool.submit(kill_until_done, place, cluster, 100, 10, (0.0, 1.5))
        killed = disturb(cluster, drivers.done)
    assert drivers.result() == 10 and killed.count("process") >= 4 and killed.count("node") >= 2, killed
    check_bytes(place, 100)


def test_a_part_made_locally_and_the_rest_on_a_cluster_of_its_own(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    write_tars(place / "in", tars=2, each=10)
    assert main(applied(place, "local", 4)) == 0
    assert main(applied(place, "out", 4, "--part", "1/2")) == 0
    assert main(applied(place, "out", 4, "--engine", "ray", "--processes", "2")) == 0
    assert (
        "20 copies of 10 images written to out in 2 shards, 2 of 4 shards existed already" in capsys.readouterr().err
    )
    assert contents(place / "out") == contents(place / "local")


def test_a_damaged_shard_is_a_failure_as_it_is_locally(
    place: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tars(place / "in", tars=2, each=10)
    data = (place / "in/0000.tar").read_bytes()
    (place / "in/0000.tar").write_bytes(data[:3000])
    ray = ("--engine", "ray", "--address", cluster.address)
    assert main(applied(place, "out", 2, *ray)) == 1
    said = capsys.readouterr().err
    assert "1 shards failed, and are not finished:" in said and "0000.tar" in said
    assert main(applied(place, "out", 2)) == 1  # the same locally
    assert capsys.readouterr().err.splitlines()[1:] == said.splitlines()[1:]
