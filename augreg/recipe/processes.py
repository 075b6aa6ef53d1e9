"""The processes that work in a folder: each has a locked file there; a killed one loses its lock.

Processes with the same arguments may share a folder. One with others would remove what they need.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from augreg.recipe.search.locks import held, release, taken

__all__ = ["locked", "refuse_others", "taking_part"]

_MARK = ".running-"


def locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    """A context in which no other process has the lock of a folder."""
    return held(folder / "lock")


@contextlib.contextmanager
def taking_part(folder: Path, arguments: str, begin: Callable[[bool], None]) -> Iterator[None]:
    """A context in which others see that this process works in a folder, with arguments of this hash.

    `begin(alone)` is called while no other process can come or go. Raises ValueError if others have other arguments.
    """
    with locked(folder):
        others = _running(folder)
        if any(other != arguments for other in others):
            raise ValueError(
                f"{folder}: another process is running there with other arguments: "
                "wait for it, or choose another folder"
            )
        begin(not others)
        path = folder / f"{_MARK}{arguments}-{secrets.token_hex(4)}"
        file = taken(path)
        assert file is not None
    try:
        yield
    finally:
        with locked(folder):
            release(file)
            path.unlink(missing_ok=True)


def refuse_others(folder: Path) -> None:
    """Raise ValueError if a process works in the folder."""
    with locked(folder):
        if _running(folder):
            raise ValueError(f"{folder}: another process is running there: wait for it, or choose another folder")


def _running(folder: Path) -> list[str]:
    """The arguments of the processes that work there. Files of those that were killed are removed."""
    found = []
    for path in folder.glob(f"{_MARK}*"):
        file = taken(path)
        if file is None:
            found.append(path.name.removeprefix(_MARK).partition("-")[0])
        else:
            release(file)
            path.unlink()
    return found
