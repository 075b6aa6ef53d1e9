"""Files of checkpoints, written whole or not at all: torch's format, and safetensors where that is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from augreg.files.whole_files import whole_file

__all__ = ["SAFETENSORS", "read", "write"]

SAFETENSORS = ".safetensors"
_ENTRY = "augreg"


def write(path: Path, checkpoint: Any, entry: Mapping[str, Any]) -> None:
    """Write a checkpoint that already contains the entry; for safetensors, the entry is metadata of the file.

    Raises OSError, with the path.
    """
    if path.suffix != SAFETENSORS:
        with _written(path) as part:
            torch.save(checkpoint, part)
        return
    _need_safetensors(path)
    from safetensors.torch import save_file

    tensors = {key: value.contiguous() for key, value in checkpoint.items()}
    with _written(path) as part:
        save_file(tensors, part, metadata={"format": "pt", _ENTRY: json.dumps(entry)})


def read(path: Path, map_location: Any) -> tuple[Any, Any]:
    """The checkpoint of a file, and the entry that its metadata has, which is None in torch's format.

    Raises ValueError for a file that cannot be read, and OSError for none.
    """
    if path.suffix != SAFETENSORS:
        with _reading(path):
            return torch.load(path, map_location=map_location, weights_only=True), None
    _need_safetensors(path)
    from safetensors import safe_open

    device = "cpu" if map_location is None else str(map_location)
    with _reading(path), safe_open(path, "pt", device=device) as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
    return tensors, json.loads(metadata[_ENTRY]) if _ENTRY in metadata else None


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """The path to save to, as `whole_file`; every error has the path of the checkpoint."""
    try:
        with whole_file(path) as part:
            yield part
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError where the folder is missing or the disk full
        raise OSError(f"{path}: cannot be written: {_first_line(error)}") from error


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what a damaged file makes a reader raise into a ValueError with the path."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # of torch and pickle, by chance
        raise ValueError(f"{path}: cannot be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0].strip()


def _need_safetensors(path: Path) -> None:
    if importlib.util.find_spec("safetensors") is None:
        raise ModuleNotFoundError(f"{path.name} needs safetensors: pip install safetensors", name="safetensors")
