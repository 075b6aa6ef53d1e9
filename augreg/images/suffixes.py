"""The suffixes of image files."""

from __future__ import annotations

__all__ = ["SUFFIXES"]

SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff",
    ".webp",
)  # fmt: skip
"""Suffixes of files that are read as images when a folder is searched, in lower case."""
