"""The names in a function or a class that others wrote, without evaluating its annotations.

From Python 3.14 on, annotations are evaluated when they are read. Names that are imported for type checkers only then
raise NameError.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["annotated_names", "parameter_names"]


def parameter_names(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters, with `self` of a plain method. Raises as `inspect.signature` does."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return list(inspect.signature(function, annotation_format=Format.STRING).parameters)
    return list(inspect.signature(function).parameters)


def annotated_names(cls: type) -> list[str]:
    """The names that a class annotates itself, without those of its bases."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return list(get_annotations(cls, format=Format.STRING))
    return list(inspect.get_annotations(cls))
