"""Plain text tables, and lists of records by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from augreg import notebook

__all__ = ["ByLayer", "numbered", "table"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a header; the first two columns are left-aligned, the others right-aligned."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            word.ljust(width) if column < 2 else word.rjust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def numbered(name: str, layers: Iterable[_Named]) -> str:
    """The name of the next record of a layer, after these: `relu`, and if it has run before, `relu (2)`."""
    runs = 1 + sum(layer.name == name or layer.name.startswith(f"{name} (") for layer in layers)
    return name if runs == 1 else f"{name} ({runs})"


_Layer = TypeVar("_Layer", bound=_Named)


@dataclass(frozen=True)
class ByLayer(Generic[_Layer]):
    """One record for each layer, in the order in which they ran; by index, or by name."""

    layers: tuple[_Layer, ...]

    def _header(self) -> Sequence[str]:
        raise NotImplementedError

    def _rows(self) -> Iterable[Sequence[str]]:
        raise NotImplementedError

    def _notes(self) -> Sequence[str]:
        return ()

    def __str__(self) -> str:
        return "\n".join([table(self._header(), self._rows()), *self._notes()])

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.table(type(self).__name__, self._header(), self._rows(), self._notes())

    def __getitem__(self, key: int | str) -> _Layer:
        if isinstance(key, int):
            return self.layers[key]
        for layer in self.layers:
            if layer.name == key:
                return layer
        raise KeyError(f"no layer is named {key!r}; the layers are {', '.join(layer.name for layer in self.layers)}")

    def __iter__(self) -> Iterator[_Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)
