"""Error messages for the page, without the folders of the machine that made it."""

from __future__ import annotations

import re

__all__ = ["error_text", "hide_folders"]

# The folders of an absolute path, of any system: a page that is passed on should not reveal them.
_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:/|[A-Za-z]:[\\/])(?:[^\s/\\'\"():]+[\\/])+")


def error_text(error: BaseException) -> str:
    """The message of an error, or its type if the message is empty."""
    return hide_folders(str(error)) or type(error).__name__


def hide_folders(text: str) -> str:
    """The text with every absolute path shortened to its last part."""
    return _FOLDERS.sub("", text)
