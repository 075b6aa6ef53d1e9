"""Reading an image once for several runs: files and encoded bytes are decoded, what is decoded passes as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from augreg.execution.run import RunSettings
from augreg.images.codecs import to_array
from augreg.targets.kinds import kind_of

__all__ = ["read_once"]


def read_once(given: Any, settings: RunSettings) -> Any:
    """The image, or the sample, with encoded images decoded. Raises ImageError, as a test image does."""
    if not isinstance(given, Mapping):
        return _decoded(given, settings.channels)
    return {
        key: _members(value, settings.channels) if kind_of(key, value, settings.targets) == "image" else value
        for key, value in given.items()
    }


def _members(value: Any, channels: str) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_decoded(member, channels) for member in value)
    return _decoded(value, channels)


def _decoded(image: Any, channels: str) -> Any:
    encoded = isinstance(image, str | bytes | bytearray | memoryview | os.PathLike)
    if not encoded and not callable(getattr(image, "read", None)):
        return image
    return to_array(image, channels)
