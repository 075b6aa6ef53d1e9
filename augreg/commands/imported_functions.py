"""Functions of the user that a command calls: MODULE:FUNCTION on the command line. An object is taken as it is."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from augreg.commands.console import print_error

__all__ = ["called", "imported_function", "module_and_function"]

_MISSING = object()


def module_and_function(arguments: argparse.Namespace, example: str) -> tuple[str, str]:
    """The two names in `arguments.source`; a usage error, with an example of the function, if it has another form."""
    module, colon, function = arguments.source.partition(":")
    if not (module and colon and function):
        arguments.usage_error(f"{arguments.source!r}: expected MODULE:FUNCTION, such as train:{example}")
    return module, function


def called(module: str, function: str) -> tuple[Any] | None:
    """What the function returns, in a tuple; None, after an error, if it is missing or fails."""
    make = imported_function(module, function)
    if make is None:
        return None
    try:
        return (make(),)
    except Exception as error:  # the user's function may raise anything
        print_error(f"{module}:{function}() failed: {type(error).__name__}: {error}")
        return None


def imported_function(module: str, function: str) -> Any:
    """The function, from a module in the current folder or an installed one; None, after an error, if missing.

    For a name of something else, such as `task = Task(..)`, it is a function that returns this object.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # not removed again: spawned workers import from there too
    try:
        value: Any = importlib.import_module(module)
    except Exception as error:  # the user's module may raise anything
        print_error(f"{module}: cannot be imported: {type(error).__name__}: {error}")
        return None
    for name in function.split("."):
        value = getattr(value, name, _MISSING)
    if value is _MISSING:
        print_error(f"{module}: has no function {function!r}")
        return None
    return value if callable(value) else lambda: value
