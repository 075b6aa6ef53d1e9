"""Files of checkpoints, written whole or not at all: torch's format, and safetensors where that is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["SAFETENSORS", "read", "write"]

SAFETENSORS = ".safetensors"
_ENTRY = "augreg"


def write(path: Path, checkpoint: Any, entry: Mapping[str, Any]) -> None:
    """Write a checkpoint that already contains the entry; for safetensors, the entry is metadata of the file."""
    if path.suffix != SAFETENSORS:
        _whole(path, lambda part: torch.save(checkpoint, part))
        return
    _need_safetensors(path)
    from safetensors.torch import save_file

    tensors = {key: value.contiguous() for key, value in checkpoint.items()}
    _whole(path, lambda part: save_file(tensors, part, metadata={"format": "pt", _ENTRY: json.dumps(entry)}))


def read(path: Path, map_location: Any) -> tuple[Any, Any]:
    """The checkpoint of a file, and the entry that its metadata has, which is None in torch's format."""
    if path.suffix != SAFETENSORS:
        return torch.load(path, map_location=map_location, weights_only=True), None
    _need_safetensors(path)
    from safetensors import safe_open

    with safe_open(path, "pt", device="cpu" if map_location is None else str(map_location)) as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
    return tensors, json.loads(metadata[_ENTRY]) if _ENTRY in metadata else None


def _whole(path: Path, save: Callable[[Path], None]) -> None:
    """Save to a file beside it, then give that its name, so that a reader never sees a part of it."""
    part = path.with_name(f".{os.getpid()}-{zlib.crc32(os.fsencode(path.name)):08x}.augreg-part")
    try:
        save(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _need_safetensors(path: Path) -> None:
    if importlib.util.find_spec("safetensors") is None:
        raise ModuleNotFoundError(f"{path.name} needs safetensors: pip install safetensors", name="safetensors")
