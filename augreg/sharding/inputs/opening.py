"""Open an input by its location: it says what kind it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from augreg.images import folders
from augreg.images.folders import is_image
from augreg.sharding.inputs import parquet, tars
from augreg.sharding.inputs.folders import open_folder
from augreg.sharding.inputs.lists import open_list
from augreg.sharding.inputs.locations import (
    expanded,
    files_below,
    filesystem,
    is_folder,
    is_url,
    located,
    named_files,
    path_of,
    reason,
    remote_errors,
)
from augreg.sharding.inputs.parquet import open_parquet
from augreg.sharding.inputs.roles import Roles
from augreg.sharding.inputs.tars import open_tars
from augreg.sharding.records import Input, InputError
from augreg.targets.conventions import Targets

__all__ = ["kind_of", "open_input"]

_LISTS: Final = (".txt", ".csv", ".jsonl")
_EXPECTED: Final = (
    "a folder of images, tars or Parquet files, or a file that ends in .tar, .parquet, .txt, .csv or .jsonl"
)


def kind_of(location: str) -> str:
    """The kind of an input: folder, tar, parquet or list. Raises InputError if it is none.

    A folder that has tars or Parquet files in it or below it, and no image, is of their kind.
    """
    location = located(location)
    try:
        files = expanded(location)
        if files is None and is_folder(location):
            return _kind_of_folder(location)
    except OSError as error:
        raise InputError(f"{location}: cannot be read: {reason(error)}") from None
    kinds = {_kind_of_file(file) for file in (files or [location])}
    kind = kinds.pop()
    if kinds or not kind or (files is not None and kind not in ("tar", "parquet")):
        raise InputError(f"{location}: expected {_EXPECTED}; a pattern stands for tars or Parquet files")
    return kind


def open_input(
    location: str,
    *,
    columns: Mapping[str, str] | None = None,
    masks: bool | str = True,
    leave_out: str = "",
    targets: Targets | None = None,
    outputs: list[Path] | None = None,
) -> Input:
    """The samples at a location, which is a path or a URL; see `kind_of`. They are listed, and none is read.

    `columns` maps the names of parts to their places in a sample: {"image": "jpg", "boxes": "bbox", "id": "name"}.
    `masks` is True for masks beside the images of a folder, or the folder that has them. `leave_out` is a folder to
    skip. `targets` is what the spec says of the parts of samples. Folders in a local folder that `augreg apply` wrote
    are skipped and added to `outputs`. Raises InputError, which says what is wrong with the input.
    """
    kind, location = kind_of(location), _absolute(location)
    if columns and kind == "folder":
        raise InputError(f"{location}: a folder of images has no columns; leave --columns out")
    if masks is not True and kind != "folder":
        raise InputError(
            f"{location}: --masks and --no-masks are for folders of images; here, --columns says which part is a mask"
        )
    roles = Roles(columns or {}, targets or Targets())
    try:
        if kind == "folder":
            return open_folder(location, _absolute(masks) if isinstance(masks, str) else masks, leave_out, outputs)
        if kind == "list":
            return open_list(location, roles)
        suffixes = tars.SUFFIXES if kind == "tar" else parquet.SUFFIXES
        files = expanded(location)
        below = files is None and is_folder(location)
        found = files_below(location, suffixes, leave_out) if below else named_files(files or [location])
    except OSError as error:
        raise InputError(f"{location}: cannot be read: {reason(error)}") from None
    return open_tars(location, found, roles) if kind == "tar" else open_parquet(location, found, roles)


def _absolute(location: str) -> str:
    """The location for processes that run elsewhere; links in it stay."""
    location = located(location)
    return location if is_url(location) else os.path.abspath(location)  # noqa: PTH100


def _kind_of_file(location: str) -> str:
    name = path_of(location).lower()
    if name.endswith(tars.SUFFIXES):
        return "tar"
    if name.endswith(parquet.SUFFIXES):
        return "parquet"
    return "list" if name.endswith(_LISTS) else "folder" if is_image(name) else ""


def _kind_of_folder(folder: str) -> str:
    """The kind of a folder, by the first image, or else by its other files."""
    if is_url(folder):
        system, path = filesystem(folder)
        kinds = set()
        with remote_errors(folder):
            for _, _, names in system.walk(path):
                kinds |= {_kind_of_file(name) for name in names if not name.startswith(".")}
                if "folder" in kinds:
                    break
    else:
        if next(folders.walk(folder, sort=iter), None) is not None:
            return "folder"
        kinds = {
            kind
            for kind, suffixes in (("tar", tars.SUFFIXES), ("parquet", parquet.SUFFIXES))
            if files_below(folder, suffixes)
        }
    return next((kind for kind in ("folder", "tar", "parquet") if kind in kinds), "folder")
