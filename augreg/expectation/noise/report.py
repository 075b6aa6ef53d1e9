"""What draws random numbers in a model, as a record that prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from augreg import notebook
from augreg.inspect.tables import table

__all__ = ["NoiseReport", "NoiseSource"]


@dataclass(frozen=True)
class NoiseSource:
    """A module that draws random numbers.

    `name` and `type` are those of the module, `draws` says by which functions, layers or operators. `seeded` is
    whether the numbers are a function of a seed and a call number instead of a generator's. `flag` is the name of the
    module whose mode decides, which is `name` itself unless a module around it hands its mode down.
    """

    name: str
    type: str
    draws: tuple[str, ...]
    seeded: bool
    flag: str


@dataclass(frozen=True)
class NoiseReport:
    """What draws random numbers in a model.

    `sources` draw in training and not in evaluation: `drawing` turns each of them on. `always` draw in evaluation,
    too, and cannot be turned off. `silent` maps the names of modules that cannot be turned on to the reason.
    `batch_norms` are the names of the batch norm layers with running statistics. `notes` are sentences.
    """

    sources: tuple[NoiseSource, ...]
    always: tuple[NoiseSource, ...]
    silent: dict[str, str]
    batch_norms: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the modules that `drawing` turns on, in the order of the model."""
        return tuple(source.name for source in self.sources)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "sources": [dict(vars(source)) for source in self.sources],
            "always": [dict(vars(source)) for source in self.always],
            "silent": dict(self.silent),
            "batch_norms": list(self.batch_norms),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        rows = [*self._rows()]
        shown = table(self._header(), rows) if rows else "no module draws random numbers"
        return "\n".join([shown, *self._lines()])

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.table(type(self).__name__, self._header(), self._rows(), self._lines())

    def _header(self) -> Sequence[str]:
        return ("module", "type", "draws", "when")

    def _rows(self) -> Iterable[Sequence[str]]:
        for when, sources in (("in training", self.sources), ("always", self.always)):
            for source in sources:
                draws = ", ".join(source.draws)
                yield (_shown(source.name), source.type, f"{draws}, seeded" if source.seeded else draws, when)

    def _lines(self) -> Sequence[str]:
        lines = [f"does not draw: {_shown(name)}: {reason}" for name, reason in self.silent.items()]
        if self.batch_norms:
            count = len(self.batch_norms)
            lines.append(f"batch norm with running statistics: {count} layer{'s' * (count != 1)}")
        return [*lines, *self.notes]


def _shown(name: str) -> str:
    return name or "(the model)"
