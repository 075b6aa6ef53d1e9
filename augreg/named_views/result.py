"""The views of one image, by name."""

from __future__ import annotations

from typing import Any

__all__ = ["NamedViews"]


class NamedViews(dict[str, Any]):
    """The views of one image, or of a batch of them, by name: `views["global_1"]`.

    `views["global", 1]` is the same, and `views.of("global")` has all views of this name by their numbers. It is a
    dict, which torch's default_collate and `pin_memory` keep. `key` and `layout` are those of an augmented sample.
    """

    key: Any
    layout: Any

    def __missing__(self, name: Any) -> Any:
        if isinstance(name, tuple) and len(name) == 2 and f"{name[0]}_{name[1]}" in self:
            return self[f"{name[0]}_{name[1]}"]
        raise KeyError(f"there is no view {name!r}; the views are: {', '.join(self)}")

    def of(self, name: str) -> list[Any]:
        """All views of this name by their numbers, such as `global_1` and `global_2`; or the one without a number.

        Raises KeyError if there is none.
        """
        if name in self:
            return [self[name]]
        numbers = sorted(int(end) for key in self if (end := _number(key, name)))
        if not numbers:
            raise KeyError(f"there are no views {name!r}; the views are: {', '.join(self)}")
        return [self[f"{name}_{number}"] for number in numbers]

    def __copy__(self) -> NamedViews:  # of the views alone: the key is that of one sample
        return NamedViews(self)


def _number(key: str, name: str) -> str:
    start, _, end = key.rpartition("_")
    return end if start == name and end.isdecimal() else ""
