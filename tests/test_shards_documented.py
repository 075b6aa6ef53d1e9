"""The examples of docs/scale.md: the shell loop runs, and those of Slurm and Spark with stand-ins for these."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from sharded import SPEC, data_of, encoded

from augreg.__main__ import main

TEXT = (Path(__file__).parents[1] / "docs/scale.md").read_text()
SHELL, SLURM = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
SPARK = textwrap.dedent(TEXT.partition("<!-- spark -->\n")[2].partition("\n\nThe paths")[0])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with what the examples name, and `augreg` on the path."""
    (tmp_path / "train.yaml").write_text(SPEC)
    (tmp_path / "photos").mkdir()
    for number in range(12):
        (tmp_path / f"photos/{number}.png").write_bytes(encoded(number))
    (tmp_path / "bin").mkdir()
    for name, code in (("augreg", f'exec "{sys.executable}" -m augreg "$@"'), ("srun", 'printf "%s\\n" "$@"')):
        script = tmp_path / "bin" / name
        script.write_text(f"#!/bin/sh\n{code}\n")
        script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    return tmp_path


def whole(shards: int) -> dict[str, bytes]:
    """What an undivided run writes."""
    command = ["apply", "train.yaml", "photos", "whole", "--to=tar", f"--shards={shards}", "--processes=1", "--quiet"]
    assert main(command) == 0
    return data_of(Path("whole"))


def test_the_shell_loop(place: Path) -> None:
    done = subprocess.run(["bash", "-e", "-c", SHELL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "8 shards of tar" in done.stdout and "8 of 8 shards are whole" in done.stderr
    assert data_of(place / "augmented") == whole(8)


def test_the_slurm_script(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = SLURM.replace("--shards 2000", "--shards 6")
    for task in (2, 1):
        environment = {"ARRAY_TASK_ID": f"{task}", "ARRAY_TASK_COUNT": "2", "CPUS_PER_TASK": "1"}
        for name, value in environment.items():
            monkeypatch.setenv(f"SLURM_{name}", value)
        done = subprocess.run(["bash", "-e", "-c", script], capture_output=True, text=True, check=True)
        assert main(done.stdout.splitlines()[1:]) == 0
    assert data_of(place / "augmented") == whole(6)


def test_the_spark_program(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tasks run one after another, in this process."""

    class Context:
        def parallelize(self, parts: Iterable[int], slices: int) -> Context:
            self.parts = list(parts)
            assert slices == len(self.parts)
            return self

        def foreach(self, make: Callable[[int], None]) -> None:
            for part in reversed(self.parts):
                make(part)

    builder = types.SimpleNamespace(getOrCreate=lambda: types.SimpleNamespace(sparkContext=Context()))
    for name in ("pyspark", "pyspark.sql"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["pyspark.sql"].SparkSession = types.SimpleNamespace(builder=builder)  # type: ignore[attr-defined]
    monkeypatch.setattr(subprocess, "run", lambda command: types.SimpleNamespace(returncode=main(command[1:])))
    exec(SPARK.replace("PARTS = 100", "PARTS = 3").replace("--shards 2000", "--shards 7"), {"__name__": "program"})
    assert data_of(place / "augmented") == whole(7)
