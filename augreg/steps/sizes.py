"""One bound on the size and the depth of what a spec says, wherever it comes from: a file, or data in Python.

Aliases in a file and lists that are used twice in Python count each time that they are used, because each use becomes
something of its own: a few of them, one in the other, would fill the memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["MOST_LEVELS", "MOST_PROBLEMS", "MOST_VALUES", "TOO_DEEP", "TOO_LARGE", "check_size"]

MOST_VALUES: Final = 300_000
"""The most values in a spec: keys, items and numbers. A mean image of 256 x 256 pixels, written out, is one."""
MOST_LEVELS: Final = 100
MOST_PROBLEMS: Final = 100
"""So many problems of a spec are reported; a spec with more is not searched further."""
TOO_LARGE: Final = (
    f"too large: a spec may have at most {MOST_VALUES:,} values, and what is used twice counts twice; put a large "
    "array, such as a mean image, into a file of its own"
)
TOO_DEEP: Final = f"nested too deeply: a spec may have at most {MOST_LEVELS} levels; or it contains itself"
_PLAIN: Final = (str, bytes, int, float, type(None))


def check_size(data: Any, levels: bool = True) -> None:
    """Raise ValueError if plain data has more than 300,000 values, or more than 100 levels.

    Without `levels`, what is deeper is passed over, for a reader that says where it is too deep.
    """
    count = 1
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        value, level = waiting.pop()
        if isinstance(value, _PLAIN):
            continue
        if isinstance(value, Mapping):
            count += 2 * len(value)  # the keys are values, too
        elif isinstance(value, Sequence):
            count += len(value)
        else:
            count += getattr(value, "size", 0) if hasattr(value, "dtype") and isinstance(value.size, int) else 0
        if count > MOST_VALUES:
            raise ValueError(TOO_LARGE)
        if isinstance(value, Mapping | Sequence):
            if level >= MOST_LEVELS:
                if levels:
                    raise ValueError(TOO_DEEP)
                continue
            inner = value.values() if isinstance(value, Mapping) else value
            waiting += [(item, level + 1) for item in inner if not isinstance(item, _PLAIN)]
