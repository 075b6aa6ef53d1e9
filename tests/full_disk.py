"""A disk that is full, as far as this process sees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

__all__ = ["full"]


@contextlib.contextmanager
def full(most: int) -> Iterator[None]:
    """No file of this process may have more bytes: writing beyond raises OSError, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
