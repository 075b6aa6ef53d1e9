"""Class folders of images as a dataset: `train/cat/1.jpg`, `train/dog/1.jpg`, .."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from augreg.images.suffixes import SUFFIXES
from augreg.steps.calls import explains

__all__ = ["Folder", "folder"]


class Folder:
    """Images in one folder per class, including its subfolders: items are (path, class number).

    The dataset reads no files: the pipeline reads the file at the path, and its errors name the file. `classes` are
    the class names, sorted; `samples` the items, sorted by class and path; `ids` the paths relative to the folder,
    which are the same on every machine: use them as in `Augmented(data, pipe.train, ids=data.ids)`.
    """

    def __init__(self, path: str | os.PathLike[str], endings: Iterable[str] = SUFFIXES) -> None:
        """`endings` are the suffixes of the image files; hidden files and folders are skipped.

        Raises FileNotFoundError or NotADirectoryError for the path, and ValueError if there is no class, or a class
        has no image.
        """
        self.path = Path(path)
        endings = (endings,) if isinstance(endings, str) else endings
        if not isinstance(endings, Iterable):
            raise TypeError(
                f"endings are suffixes of files, such as ['.png'], got {type(endings).__name__}; a pipeline is given "
                "to Augmented(folder(path), pipe.train)"
            )
        suffixes = tuple(ending.lower() for ending in endings)
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: no such folder")
        if not self.path.is_dir():
            raise NotADirectoryError(f"{self.path}: expected a folder with one folder per class, but this is a file")
        self.classes: list[str] = sorted(
            entry.name for entry in self.path.iterdir() if entry.is_dir() and not entry.name.startswith(".")
        )
        if not self.classes:
            raise ValueError(
                f"{self.path}: expected a folder with one folder per class, but it has no folders; for images "
                "without classes, give Augmented a list of their paths"
            )
        self.samples: list[tuple[Path, int]] = []
        for number, name in enumerate(self.classes):
            files = _images(self.path / name, suffixes)
            if not files:
                raise ValueError(
                    f"{self.path / name}: this class has no image, that is no file that ends in {', '.join(suffixes)}"
                )
            self.samples += [(file, number) for file in files]
        self.class_numbers = {name: number for number, name in enumerate(self.classes)}

    @property
    def ids(self) -> list[str]:
        """The path of each file relative to the folder, with forward slashes."""
        return [file.relative_to(self.path).as_posix() for file, _ in self.samples]

    @property
    def labels(self) -> list[int]:
        """The class number of each sample."""
        return [number for _, number in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> tuple[Path, int]:
        sample: tuple[Path, int] = self.samples[index]
        return sample

    def __repr__(self) -> str:
        return f"Folder({str(self.path)!r}: {len(self)} images of {len(self.classes)} classes)"


@explains(
    "folder(path)",
    dict.fromkeys(("transform", "train", ""), "wrap the result: Augmented(folder(path), pipe.train)")
    | {"extensions": "these are the endings", "root": "this is the path"},
)
def folder(path: str | os.PathLike[str], endings: Iterable[str] = SUFFIXES) -> Folder:
    """The dataset in a folder that has one folder of images per class; see `Folder`."""
    return Folder(path, endings)


def _images(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".") and name.lower().endswith(endings)]
    return sorted(found)
