"""Why something failed, in words that can be shown to anybody."""

from __future__ import annotations

import re

__all__ = ["reason", "without_folders"]

# An absolute path, of this system or another: a page that is passed on should not tell whose machine made it.
_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:/|[A-Za-z]:[\\/])(?:[^\s/\\'\"():]+[\\/])+")


def reason(error: BaseException) -> str:
    """The error's own words, or its kind if it has none."""
    return without_folders(str(error)) or type(error).__name__


def without_folders(text: str) -> str:
    """The text with every absolute path cut down to the name at its end."""
    return _FOLDERS.sub("", text)
