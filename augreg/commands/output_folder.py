"""Where `augreg apply` writes: whole files or none, never over what is there, and a manifest of what made them.

A file is written under a temporary name in its own folder and then renamed, so whatever bears its final name is
finished: a run that was killed is taken up by skipping what is there. (A power cut is another matter: an empty
file counts as unfinished.)
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "MANIFEST", "BusyError", "OtherOutputError", "claim", "finished", "hold", "known", "others", "replace_manifest",
    "sweep", "write",
]  # fmt: skip

MANIFEST = "augreg.json"
_PART = ".augreg-part"
_FREE = ("spec", "copies", "left_over")  # the fingerprint speaks for the spec; the others may grow and shrink


class OtherOutputError(Exception):
    """The folder holds what this run would not make."""


class BusyError(Exception):
    """Another run writes to the same folder."""


def write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def finished(path: Path) -> bool:
    """Whether a file has been written."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed run left."""
    for path in _parts(folder):
        path.unlink(missing_ok=True)


def _parts(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.endswith(_PART) and name.startswith("."))


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder while the block runs; a process that is killed lets go. Raises BusyError.

    Where the system, or the file system, has no such locks, nothing is kept out.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{folder}: another augreg apply is writing there; wait for it, or give another folder"
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def claim(folder: Path, manifest: Mapping[str, Any], made_with: Mapping[str, str]) -> list[str]:
    """Check that what the folder holds is of this manifest, and write the manifest where there is none.

    Returns notes on what differs harmlessly. Raises OtherOutputError, with what to do.
    """
    path = folder / MANIFEST
    notes: list[str] = []
    if path.exists():
        before = _read(path)
        differs = [key for key in manifest if key not in _FREE and before.get(key) != manifest[key]]
        if differs:
            changes = ", ".join(
                f"{key} was {_shown(key, before.get(key, 'not noted'))} and is {_shown(key, manifest[key])}"
                for key in differs
            )
            raise OtherOutputError(
                f"{folder} holds the output of another run: {changes}; give another folder, or --overwrite"
            )
        for name, version in made_with.items():
            old = before.get("made_with", {}).get(name)
            if old != version:
                notes.append(f"{folder} was begun with {name} {old}, and this is {version}: bytes may differ")
        return notes
    if any(folder.iterdir()):
        raise OtherOutputError(
            f"{folder} is not empty, and no augreg apply wrote it; give another folder, or --overwrite"
        )
    replace_manifest(folder, manifest, made_with)
    return notes


def replace_manifest(folder: Path, manifest: Mapping[str, Any], made_with: Mapping[str, str]) -> None:
    """Write the manifest, whatever there was."""
    data = json.dumps({**manifest, "made_with": dict(made_with)}, indent=2) + "\n"
    write(folder / MANIFEST, data.encode())


def known(folder: Path) -> dict[str, Any]:
    """The manifest of a folder; nothing where there is none that can be read."""
    try:
        return _read(folder / MANIFEST)
    except (OtherOutputError, FileNotFoundError):
        return {}


def others(folder: Path) -> list[str]:
    """Every file below the folder but the manifest, as paths with `/`."""
    paths = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in paths if path != folder / MANIFEST)


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise OtherOutputError(f"{path} is no manifest of augreg apply; give another folder, or --overwrite")
    return read


def _shown(key: str, value: Any) -> str:
    text = str(value)
    return f"{text[:12]}.." if key == "fingerprint" and len(text) > 16 else text
