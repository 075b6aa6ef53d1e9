"""Jobs for the tests of Ray, which its workers import: each task writes a file, and says which process has it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from augreg.errors import AugregError
from augreg.sharding.outcome import StopError

__all__ = ["Deadly", "Refusing", "Square", "processes_differ"]


@dataclass(frozen=True)
class Square:
    """Writes the square of a number to a file, after a while."""

    folder: Path
    seconds: float = 0.0

    def __call__(self, number: int) -> int:
        import ray

        node = ray.get_runtime_context().get_node_id()
        begun = self.folder / f"{number}-{os.getpid()}.begun"
        begun.with_suffix(".half").write_text(node)
        begun.with_suffix(".half").rename(begun)  # nobody reads half of it
        try:
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                time.sleep(0.02)
            (self.folder / f"{number}").write_text(str(number**2))
        except KeyboardInterrupt:
            (self.folder / f"{number}.interrupted").touch()
            raise
        return number**2


@dataclass(frozen=True)
class Deadly:
    """Kills its process at one number."""

    number: int

    def __call__(self, number: int) -> int:
        if number == self.number:
            os.kill(os.getpid(), signal.SIGKILL)
        return number


class Refusing:
    """Raises what a job may raise."""

    def __call__(self, number: int) -> int:
        if number == 1:
            raise AugregError("one is damaged")
        if number == 2:
            raise StopError("the disk is full")
        return 10 // number


def processes_differ() -> Mapping[str, str]:
    """Versions that are others in every process."""
    return {"numpy": str(os.getpid())}
