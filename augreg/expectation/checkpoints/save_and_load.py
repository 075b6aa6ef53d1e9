"""Checkpoints that carry the pipeline a model was trained with, so that skew is found when they are used.

    augreg.save_checkpoint("model.pt", model.state_dict(), pipe)
    loaded = augreg.load_checkpoint("model.pt", pipe=serving_pipe, images=photos)
    model.load_state_dict(loaded.checkpoint)
    print(loaded.skew)

The entry is plain data: the spec, the fingerprint of its test side, and the backend.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from augreg import __version__
from augreg.errors import SpecError
from augreg.expectation.checkpoints.files import SAFETENSORS, read, write
from augreg.expectation.preprocessing.report import Skew
from augreg.expectation.preprocessing.skew import skew
from augreg.pipeline import Pipeline

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from torch import nn

    from augreg.expectation.means.outputs import Select
    from augreg.registry.registry import Registry

__all__ = ["LoadedCheckpoint", "checkpoint_entry", "load_checkpoint", "pipeline_of_entry", "save_checkpoint"]

_KEY = "augreg"
_METADATA_KEY = "augreg:pipeline"  # beside the names of modules, none of which has a colon


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint as it was saved, without the entry; the pipeline that it was saved with; and the skew.

    `pipe` is None for a file without an entry, and `skew` is None if nothing was given to compare with.
    """

    checkpoint: Any
    pipe: Pipeline | None
    skew: Skew | None


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Mapping[str, Any], pipe: Pipeline) -> None:
    """Save a checkpoint with the pipeline that the model was trained with; the file is whole or not there.

    `checkpoint` is a state_dict, or a dict such as {"model": .., "optimizer": ..}. A dict gets the entry under the
    key "augreg". The keys of a state_dict stay as they are: the entry is in its `_metadata`, which torch saves with
    it. In a file named .safetensors, which takes a state_dict, the entry is metadata of the file. The file can be
    read by `torch.load(path, weights_only=True)`. Raises TypeError for what is no checkpoint, and OSError.
    """
    path = Path(path)
    if not isinstance(checkpoint, Mapping):
        hint = ": give its state_dict()" if hasattr(checkpoint, "state_dict") else ""
        raise TypeError(f"expected a state_dict or a dict, got a {type(checkpoint).__name__}{hint}")
    entry = checkpoint_entry(pipe)
    is_state = _is_state_dict(checkpoint)
    if path.suffix == SAFETENSORS:
        if not all(isinstance(value, torch.Tensor) for value in checkpoint.values()):
            raise TypeError(f"{path.name}: safetensors files have tensors only; give a state_dict")
        write(path, checkpoint, entry)
    elif is_state:
        with_entry = OrderedDict(checkpoint)
        metadata = getattr(checkpoint, "_metadata", None) or OrderedDict()
        vars(with_entry)["_metadata"] = OrderedDict({**metadata, _METADATA_KEY: entry})
        write(path, with_entry, entry)
    else:
        if _KEY in checkpoint and not _is_entry(checkpoint[_KEY]):
            raise ValueError(f"the checkpoint has a key {_KEY!r} with something else; the entry needs that key")
        write(path, {**checkpoint, _KEY: entry}, entry)


def load_checkpoint(
    path: str | os.PathLike[str],
    pipe: Pipeline | Callable[[Any], Any] | None = None,
    images: Iterable[Any] = (),
    model: nn.Module | None = None,
    *,
    registry: Registry | None = None,
    map_location: Any = "cpu",
    select: Select = None,
) -> LoadedCheckpoint:
    """Load a checkpoint, with the pipeline that it was saved with, and compare that with how images are prepared now.

    `pipe` is the pipeline in use, or a function that prepares an image; `skew` of the result names how it differs
    from the pipeline of the checkpoint, with the effects on `images`, and on the predictions of `model`, into which
    you have loaded the weights. See `augreg.skew`. `registry` has the classes that you added by hand. Nothing but
    plain data and tensors is read (`weights_only`). Raises ValueError for a file that cannot be read, and for one
    without an entry if there is something to compare with; SpecError if its spec cannot be read; and OSError.
    """
    path = Path(path)
    checkpoint, entry = read(path, map_location)
    if isinstance(checkpoint, Mapping) and entry is None:
        checkpoint, entry = _taken_out(checkpoint)
    if entry is None:
        if pipe is not None:
            raise ValueError(
                f"{path}: the file does not say how images were prepared; augreg.save_checkpoint writes that"
            )
        return LoadedCheckpoint(checkpoint, None, None)
    try:
        saved = pipeline_of_entry(entry, registry)
    except SpecError as error:
        raise SpecError(
            f"{path}: the pipeline of this checkpoint cannot be made; registry= has classes of your own: {error}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if pipe is None:
        return LoadedCheckpoint(checkpoint, saved, None)
    found = skew(saved, pipe, images, model, select=select)
    notes = [*found.notes, *_notes(entry, saved)]
    return LoadedCheckpoint(
        checkpoint, saved, Skew(found.differences, found.total, found.residual, found.images, tuple(notes))
    )


def checkpoint_entry(pipe: Pipeline) -> dict[str, Any]:
    """What a checkpoint says about a pipeline, as plain data for any file format, JSON too.

    A trainer that writes its own checkpoints stores it under the key "augreg": `load_checkpoint` finds it there.
    """
    if not isinstance(pipe, Pipeline):
        raise TypeError(f"expected a pipeline, got a {type(pipe).__name__}")
    return {
        "version": 1,
        "augreg": __version__,
        "spec": copy.deepcopy(pipe.to_spec()),
        "test_fingerprint": pipe.test.fingerprint,
        "backend": pipe.backend,
    }


def pipeline_of_entry(entry: Mapping[str, Any], registry: Registry | None = None) -> Pipeline:
    """The pipeline of an entry, as it was: with the backend that `auto` chose, if that is installed."""
    if not _is_entry(entry):
        raise ValueError(f"expected what checkpoint_entry returns, got {entry!r}")
    if entry["version"] != 1:
        raise ValueError(f"the entry has the version {entry['version']}, which a newer augreg wrote: update augreg")
    pipe = Pipeline.from_spec(entry["spec"], registry)
    if pipe.backend == entry["backend"]:
        return pipe
    try:
        return pipe.replace(backend=entry["backend"])
    except SpecError:  # it is not installed here
        return pipe


def _is_state_dict(checkpoint: Mapping[str, Any]) -> bool:
    """Whether it is the state_dict of a module: that says so, or has tensors only."""
    return hasattr(checkpoint, "_metadata") or (
        bool(checkpoint) and all(isinstance(value, torch.Tensor) for value in checkpoint.values())
    )


def _is_entry(value: Any) -> bool:
    return isinstance(value, Mapping) and {"version", "spec", "test_fingerprint", "backend"} <= set(value)


def _taken_out(checkpoint: Mapping[str, Any]) -> tuple[Any, Any]:
    """The checkpoint without the entry, and the entry; None if there is none."""
    metadata = getattr(checkpoint, "_metadata", None)
    if metadata is not None and _METADATA_KEY in metadata:
        return checkpoint, metadata.pop(_METADATA_KEY)
    if _is_entry(checkpoint.get(_KEY)):
        return {key: value for key, value in checkpoint.items() if key != _KEY}, checkpoint[_KEY]
    return checkpoint, None


def _notes(entry: Mapping[str, Any], saved: Pipeline) -> list[str]:
    """What has changed since the checkpoint was written."""
    notes = []
    if saved.backend != entry["backend"]:
        notes.append(f"the model was trained with the backend {entry['backend']}, which is not installed here")
    elif saved.test.fingerprint != entry["test_fingerprint"]:
        notes.append(
            f"the spec reads differently now: augreg {entry.get('augreg')} wrote it, and this is {__version__}"
        )
    return notes
