"""Folders of images: every image below one is a sample, with its mask beside it or in another folder."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from augreg.images import folders
from augreg.images.folders import MANIFEST, MASK, is_image, key_of, masked
from augreg.images.suffixes import SUFFIXES
from augreg.sharding.inputs.dividing import default_shards, share
from augreg.sharding.inputs.locations import (
    filesystem,
    is_folder,
    is_url,
    joined,
    parent_of,
    read,
    reason,
    remote_errors,
)
from augreg.sharding.inputs.names import Names, NamesWriter, sort_names
from augreg.sharding.inputs.stems import ByStem, Stems
from augreg.sharding.records import Column, Input, InputError, Sample

__all__ = ["FolderInput", "open_folder"]

_WITH: Final = "//"  # between an image and its mask: no path of a file has it
_MASK_END: Final = f"{MASK}."
_MOST_CLASSES: Final = 1 << 16
_AT_ONCE: Final = 1 << 12


@dataclass(frozen=True)
class FolderPiece:
    """Some images of a folder."""

    root: str
    masks: str
    records: Names
    twins: NDArray[np.bool_] | None
    classes: tuple[str, ...]

    def samples(self) -> Iterator[Sample]:
        """The samples in order. An image that cannot be read is a failure of its own."""
        for number, record in enumerate(self.records):
            name, _, mask = record.partition(_WITH)
            key = key_of(name)
            stem = key if self.twins is not None and self.twins[number] else _stem(key)
            label = bisect_left(self.classes, key.partition("/")[0]) if self.classes else None
            try:
                what = ""
                image = read(joined(self.root, name))
                what = "the mask "
                found = {"mask": read(joined(self.masks, mask))} if mask else {}
            except OSError as error:
                yield Sample(key, key, stem, failure=f"{what}cannot be read: {reason(error)}")
                continue
            yield Sample(key, key, stem, image=image, masks=found, label=label)


@dataclass
class FolderInput(Input):
    """A folder of images."""

    root: str
    masks: str
    records: Names
    twins: NDArray[np.bool_] | None = field(repr=False)

    def piece(self, shard: int, shards: int) -> FolderPiece:
        """What an output shard reads."""
        start, stop = share(len(self.records), shard, shards)
        twins = None if self.twins is None else self.twins[start:stop]
        twins = twins if twins is not None and twins.any() else None
        return FolderPiece(self.root, self.masks, self.records.part(start, stop), twins, self.classes)


def open_folder(location: str, masks: bool | str, leave_out: str, outputs: list[Path] | None = None) -> FolderInput:
    """The images of a folder and of those below it, or one image, in the order of `augreg apply`.

    `masks` is a folder that has the masks at the same paths, or True for masks beside the images. Raises InputError.
    """
    if is_folder(location):
        root, names = location, _names(location, leave_out, outputs)
    elif is_image(location):
        root, name = parent_of(location), location.rpartition("/")[2]
        names = iter([name])
    else:
        raise InputError(f"{location}: not a folder, nor a file of a known kind; images end in {', '.join(SUFFIXES)}")
    if masks is True:
        records, place = _beside(names), root
    elif masks is False:
        records, place = names, ""
    else:
        if not is_folder(masks):
            raise InputError(f"{masks}: no such folder; --masks expects a folder with the same paths as the images")
        records, place = _elsewhere(names, masks), masks
    return _listed(location, root, place, records)


def _listed(location: str, root: str, place: str, records: Iterator[str]) -> FolderInput:
    """Write the list down, and note on the way what the whole of it says."""
    writer, stems = NamesWriter("folder"), Stems()
    top: str | None = None
    tops: list[str] = []
    at_the_top = any_mask = False
    for record in records:
        writer.add(record)
        name = record
        if _WITH in record:
            any_mask = True
            name = record.partition(_WITH)[0]
        stems.add(_stem(key_of(name)))
        first, slash, _ = name.partition("/")
        at_the_top |= not slash
        if first != top and slash and len(tops) <= _MOST_CLASSES:
            tops.append(first)
        top = first
    names, fingerprint = writer.finish()
    if not len(names):
        raise InputError(f"{location}: no images in it or below it; image files end in {', '.join(SUFFIXES)}")
    twins = stems.twins(
        lambda: ((_stem(key), key) for key in (key_of(record.partition(_WITH)[0]) for record in names))
    )
    classes = sorted(map(key_of, tops)) if not at_the_top and 1 < len(tops) <= _MOST_CLASSES else []
    columns = [Column("image", "image")]
    columns += [Column("mask", "mask")] * any_mask + [Column("label", "label", "int64")] * bool(classes)
    count = len(names)
    return FolderInput(
        "folder", fingerprint, count, count, tuple(classes), tuple(columns), default_shards(count), root, place,
        names, twins,
    )  # fmt: skip


def _stem(name: str) -> str:
    """The path of an image without its suffix."""
    return name[: name.rfind(".")]


def _names(folder: str, leave_out: str, outputs: list[Path] | None = None) -> Iterator[str]:
    """The paths of the images below a folder, in order. Raises InputError where a folder cannot be read."""
    walk = (
        _walk_remote(folder, leave_out)
        if is_url(folder)
        else folders.walk(folder, leave_out or None, outputs, sort_names)
    )
    try:
        yield from walk
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read: {reason(error)}") from None


def _walk_remote(folder: str, leave_out: str) -> Iterator[str]:
    """The same of a remote folder: whatever is hidden, and folders that `augreg apply` wrote, are skipped."""
    system, root = filesystem(folder)
    skipped = filesystem(leave_out)[1].rstrip("/") if is_url(leave_out) else None

    def below(path: str, prefix: str) -> Iterator[str]:
        with remote_errors(folder):
            found = system.ls(path, detail=True)
        entries = {entry["name"].rstrip("/").rpartition("/")[2]: entry["type"] for entry in found}
        if prefix and MANIFEST in entries:
            return
        for name in sort_names(name for name in entries if name and not name.startswith(".")):
            if entries[name] == "directory":
                if f"{path}/{name}" != skipped:
                    yield from below(f"{path}/{name}", f"{prefix}{name}/")
            elif is_image(name):
                yield prefix + name

    return below(root.rstrip("/"), "")


def _beside(names: Iterator[str]) -> Iterator[str]:
    """Images with the masks beside them; a mask is no sample of its own."""
    writer = NamesWriter()
    any_mask = False
    for name in names:
        writer.add(name)
        any_mask = any_mask or _MASK_END in name
    everything = writer.finish()[0]
    if not any_mask:
        return iter(everything)
    return _without_masks(everything, ByStem(everything, _stem))


def _without_masks(everything: Names, by_stem: ByStem) -> Iterator[str]:
    remaining = iter(everything)
    while some := list(islice(remaining, _AT_ONCE)):
        images = [masked(_stem(name)) for name in some]
        owners = by_stem.find([image or "" for image in images])
        some = [name for name, image, owner in zip(some, images, owners, strict=True) if not image or owner is None]
        yield from _paired(some, by_stem.find([_stem(name) + MASK for name in some]))


def _elsewhere(names: Iterator[str], masks: str) -> Iterator[str]:
    """Images with the masks of another folder."""
    writer = NamesWriter()
    for name in _names(masks, ""):
        writer.add(name)
    found = writer.finish()[0]
    if not len(found):
        raise InputError(f"{masks}: no masks in it or below it; image files end in {', '.join(SUFFIXES)}")
    by_stem = ByStem(found, _stem)
    while some := list(islice(names, _AT_ONCE)):
        yield from _paired(some, by_stem.find([_stem(name) for name in some]))


def _paired(images: list[str], masks: Iterator[str | None]) -> Iterator[str]:
    for image, mask in zip(images, masks, strict=True):
        yield image if mask is None else f"{image}{_WITH}{mask}"
