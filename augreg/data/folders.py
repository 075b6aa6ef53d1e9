"""Class folders of images as a dataset: `train/cat/1.jpg`, `train/dog/1.jpg`, .."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from augreg.images.suffixes import SUFFIXES

__all__ = ["Folder", "folder"]


class Folder:
    """Images in one folder a class, also in folders below: items are (path, class number).

    Nothing is read before it is asked for, and nothing decoded: the pipeline reads the file at the path, and an error
    of it names the file. `classes` are the names, sorted; `samples` the items, sorted by class and path; `ids`
    the paths within the folder, the same on every machine: `Augmented(data, pipe.train, ids=data.ids)` draws by them.
    """

    def __init__(self, path: str | os.PathLike[str], endings: Iterable[str] = SUFFIXES) -> None:
        """`endings` are those of the files to take; hidden files and folders are left out.

        Raises FileNotFoundError, NotADirectoryError or ValueError if there is nothing to train on, or a class has
        no image.
        """
        self.path = Path(path)
        wanted = tuple(ending.lower() for ending in endings)
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: there is no such folder")
        if not self.path.is_dir():
            raise NotADirectoryError(
                f"{self.path}: expected a folder with a folder for each class, and this is a file"
            )
        self.classes: list[str] = sorted(
            entry.name for entry in self.path.iterdir() if entry.is_dir() and not entry.name.startswith(".")
        )
        if not self.classes:
            raise ValueError(f"{self.path}: expected a folder with a folder for each class, and it has no folders")
        self.samples: list[tuple[Path, int]] = []
        for number, name in enumerate(self.classes):
            found = _images(self.path / name, wanted)
            if not found:
                raise ValueError(
                    f"{self.path / name}: a class without an image; it has no file that ends in {', '.join(wanted)}"
                )
            self.samples += [(file, number) for file in found]
        self.class_numbers = {name: number for number, name in enumerate(self.classes)}

    @property
    def ids(self) -> list[str]:
        """Each file's path within the folder, with forward slashes."""
        return [file.relative_to(self.path).as_posix() for file, _ in self.samples]

    @property
    def labels(self) -> list[int]:
        """The class number of each sample."""
        return [number for _, number in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Path, int]:
        found: tuple[Path, int] = self.samples[index]
        return found

    def __repr__(self) -> str:
        return f"Folder({str(self.path)!r}: {len(self)} images of {len(self.classes)} classes)"


def folder(path: str | os.PathLike[str], endings: Iterable[str] = SUFFIXES) -> Folder:
    """The dataset in a folder with a folder of images for each class; see `Folder`."""
    return Folder(path, endings)


def _images(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".") and name.lower().endswith(endings)]
    return sorted(found)
