"""The manifest beside an output: what it was made from, so that nothing else is mixed into it."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from typing import Any, Final

from augreg.images.folders import MANIFEST
from augreg.sharding.records import Column
from augreg.sharding.storage import Storage
from augreg.sharding.storage_names import FOLDER

__all__ = [
    "MANIFEST", "OtherOutputError", "change", "check_empty", "check_equal", "claim", "differences", "made_with",
    "read_manifest", "version_notes",
]  # fmt: skip

_FREE: Final = ("spec", "location", "made_with")  # may differ: the fingerprints identify the spec and the input
_SHOWN: Final = 12  # letters of a fingerprint
_ADVICE: Final = "choose another folder, or remove this one"


class OtherOutputError(Exception):
    """The folder contains files of another run."""


def made_with(backend: str, to: str = "folder") -> Mapping[str, str]:
    """The versions of the libraries on which the bytes of an output of a kind depend."""
    from augreg import __version__

    names = ["numpy", "pillow"]
    names += {"opencv": ["opencv-python-headless"], "native": ["augreg-native"]}.get(backend, [])
    names += ["pyarrow"] if to == "parquet" else []
    versions = {"augreg": __version__}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # the module comes from another distribution
            versions[name] = "of another distribution"
    return versions


def read_manifest(storage: Storage) -> dict[str, Any] | None:
    """The manifest of an output in shards; None if there is none. Raises OtherOutputError for another one."""
    if not storage.exists(MANIFEST):
        return None
    try:
        found = json.loads(storage.read(MANIFEST))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not {"fingerprint", "made_with"} <= found.keys():
        raise OtherOutputError(f"{storage.location}/{MANIFEST} is not a manifest of augreg apply; {_ADVICE}")
    if not _valid(found):
        raise OtherOutputError(
            f"{storage.location} was written by augreg apply without shards, or its {MANIFEST} was edited; {_ADVICE}"
        )
    return found


def _valid(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is one of an output in shards, as far as a run relies on it: somebody may have edited it."""
    shards = manifest.get("shards")
    texts = ("backend", "fingerprint", "format", "to")
    columns = manifest.get("columns")
    return (
        type(shards) is int
        and 1 <= shards < 2**31
        and isinstance(columns, list)
        and all(isinstance(column, list) and len(column) == len(Column._fields) for column in columns)
        and all(isinstance(manifest.get(name), str) for name in texts)
        and all(isinstance(manifest.get(name), dict) for name in ("input", "made_with"))
    )


def check_empty(storage: Storage) -> dict[str, Any] | None:
    """Raise OtherOutputError unless a place for a new output is empty: `rm OUT/*` leaves the records of the old one.

    Returns the manifest if another run has begun there meanwhile: then the files are its own.
    """
    others = [name for name in storage.names("") if name != MANIFEST and not name.endswith(".lock")]
    if not others:
        return None
    manifest = read_manifest(storage)
    if manifest is None and all(name.startswith(f"{FOLDER}/") for name in others):
        raise OtherOutputError(
            f"{storage.location} has the records of an output that is gone, in {FOLDER}; remove {FOLDER} as well, "
            "or choose another folder"
        )
    if manifest is None:
        raise OtherOutputError(
            f"{storage.location} is not empty, and was not written by augreg apply; choose another folder"
        )
    return manifest


def claim(storage: Storage, manifest: Mapping[str, Any]) -> list[str]:
    """Check that an output belongs to this manifest; write the manifest if there is none.

    Two runs that begin at once agree on one. Returns notes on harmless differences. Raises OtherOutputError.
    """
    before = read_manifest(storage)
    if before is None:
        data = (json.dumps(manifest, indent=2) + "\n").encode()
        if storage.create(MANIFEST, data):
            return []
        before = read_manifest(storage) or {}
    return differences(storage.location, before, manifest)


def differences(location: str, before: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """Notes on harmless differences of two manifests of one output. Raises OtherOutputError for others."""
    check_equal(location, before, manifest)
    notes = []
    if before.get("location") != manifest["location"]:
        notes.append(f"the input was at {before.get('location')}, and is at {manifest['location']} with equal names")
    return notes + version_notes(location, before, manifest["made_with"])


def version_notes(location: object, before: Mapping[str, Any], versions: Mapping[str, str]) -> list[str]:
    """Notes on the libraries whose versions are others than those in the manifest of an output."""
    old = before.get("made_with", {})
    return [
        f"{location} was started with {name} {old.get(name)}, and this is {version}: the bytes may differ"
        for name, version in versions.items()
        if old.get(name) != version
    ]


def check_equal(location: str, before: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Raise OtherOutputError if a manifest, or a part of one, differs in what must be the same."""
    changes = [
        _input_change(before.get("input", {}), manifest["input"]) if key == "input" else change(key, before, value)
        for key, value in manifest.items()
        if key not in _FREE and before.get(key) != value
    ]
    if changes:
        raise OtherOutputError(f"{location} contains the output of another run: {', '.join(changes)}; {_ADVICE}")


def change(key: str, before: Mapping[str, Any], now: Any) -> str:
    """What a manifest said under a key, and what is so now."""
    return f"{key} was {_shown(key, before.get(key, 'not recorded'))} and is {_shown(key, now)}"


def _input_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    known = {"kind": "the kind of input", "classes": "the classes"}
    for key, what in known.items():
        if before.get(key) != now[key]:
            return f"{what} was {_shown(key, before.get(key))} and is {_shown(key, now[key])}"
    if before.get("names") != now["names"]:
        what = "samples" if now["names"] == now["count"] else "files"
        return f"the input had {before.get('names')} {what} and has {now['names']}"
    return f"the input has other {now['kind']} files or names than before"


def _shown(key: str, value: Any) -> str:
    text = str(value)
    most = _SHOWN if key == "fingerprint" else 200
    return f"{text[:most]}.." if len(text) > most + 4 else text
