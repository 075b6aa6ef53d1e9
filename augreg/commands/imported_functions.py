"""Functions of the user that a command calls: MODULE:FUNCTION on the command line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from augreg.commands.console import print_error

__all__ = ["imported_function"]


def imported_function(module: str, function: str) -> Any:
    """The function, from a module in the current folder or an installed one; None, after an error, if missing."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # not removed again: spawned workers import from there too
    try:
        value: Any = importlib.import_module(module)
    except Exception as error:  # the user's module may raise anything
        print_error(f"{module}: cannot be imported: {type(error).__name__}: {error}")
        return None
    for name in function.split("."):
        value = getattr(value, name, None)
    if not callable(value):
        print_error(f"{module}: has no function {function!r}")
        return None
    return value
