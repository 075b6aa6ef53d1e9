"""Inputs for tests of outputs in shards, runs of them that are killed, and what is in them afterwards."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

SPEC = "image:\n  - random_crop: {size: 8, padding: 2}\n  - horizontal_flip\n  - brightness: 0.4\n"
SCRIPT = Path(__file__).with_name("counted_shards.py")


def encoded(seed: int, size: int = 12) -> bytes:
    """A random image as PNG."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    """A tar with these members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_tars(folder: Path, tars: int, images: int) -> None:
    """Tars of tiny images with a class each; of many images, some are equal."""
    for number in range(tars):
        members = {}
        for image in range(images):
            key = f"{number:04d}-{image:05d}"
            members[f"{key}.png"] = encoded((number * images + image) % 1000)
            members[f"{key}.cls"] = b"%d" % (image % 10)
        write_tar(folder / f"in-{number:04d}.tar", members)


def data_of(out: Path) -> dict[str, bytes]:
    """The files of an output without its manifest and its records."""
    paths = (path for path in out.rglob("*") if path.is_file() and path.name != "augreg.json")
    named = {path.relative_to(out).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".augreg/")}


def finished(out: Path) -> set[int]:
    """The numbers of the finished shards, by their records."""
    return {int(path.stem) for path in (out / ".augreg/shards").glob("[0-9]*.json")}


@dataclass
class Runs:
    """What runs did that were killed, as their log says."""

    lines: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    """The lines on shards that were finished before the run began."""
    kills: int = 0

    @property
    def twice(self) -> int:
        """How many samples were augmented although they had been before."""
        augmented = [line for line in self.lines if line.startswith("augment ")]
        return len(augmented) - len(set(augmented))


def run_killed(
    command: list[str], out: Path, log: Path, kills: int, images: int, seed: int, processes: tuple[int, ...]
) -> Runs:
    """Run `augreg apply` until it ends, killed at random moments, each time with another number of processes.

    A moment is when so many samples were augmented, and up to 30 ms. What is killed is either all processes or the
    first one alone.
    """
    chance, found = random.Random(seed), Runs()
    moments: list[int | None] = [*sorted(chance.randrange(1, images) for _ in range(kills)), None]
    environment = {**os.environ, "AUGREG_LOG": str(log)}
    log.touch()
    with log.open("rb") as file:
        lines = _Lines(file)
        for number, moment in enumerate(moments):
            before = finished(out)
            arguments = [*command, "--quiet", "--processes", str(processes[number % len(processes)])]
            new: list[str] = []
            with subprocess.Popen(
                [sys.executable, str(SCRIPT), "apply", *arguments], env=environment, start_new_session=True
            ) as process:
                augmented = sum(line.startswith("augment ") for line in found.lines)
                while process.poll() is None:
                    new += lines
                    if moment is not None and augmented + sum(map(_is_augmented, new)) >= moment:
                        time.sleep(chance.random() * 0.03)
                        with contextlib.suppress(ProcessLookupError):
                            (os.killpg if chance.random() < 0.5 else os.kill)(process.pid, signal.SIGKILL)
                            found.kills += 1
                        break
                    time.sleep(0.01)
                code = process.wait(timeout=600)
            assert code == 0 or (moment is not None and code == -signal.SIGKILL), code
            new += _rest(lines)
            found.lines += new
            found.again += [line for line in new if int(line.split()[1]) in before]
    return found


def _is_augmented(line: str) -> bool:
    return line.startswith("augment ")


class _Lines:
    """The whole lines that were added to a file since the last time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._begun = file, b""

    def __iter__(self) -> Iterator[str]:
        *whole, self._begun = (self._begun + self._file.read()).split(b"\n")
        return iter([line.decode() for line in whole])


def _rest(lines: _Lines) -> list[str]:
    """The last lines of a killed run: processes whose first one is killed end when they notice it."""
    rest: list[str] = []
    while more := list(lines) or _later(lines):
        rest += more
    return rest


def _later(lines: _Lines) -> list[str]:
    time.sleep(0.1)
    return list(lines)
