"""Folders of files, such as sample photos: beside the package in a checkout, and inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

__all__ = ["folder"]


def folder(name: str) -> Path:
    """The folder `name`, such as `gallery/photos`, in the installed package or else beside it in the checkout.

    Raises FileNotFoundError if it is in neither.
    """
    package = Path(__file__).parents[1]
    for path in (package / name, package.parent / name):
        if path.is_dir():
            return path
    raise FileNotFoundError(f"{package / name}: no such folder; it is part of augreg, so install augreg again")
