"""AuditFindings: what `audit` found, as text and as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from augreg import notebook
from augreg.expectation.auditing.checks import size_words
from augreg.expectation.auditing.examples import ExampleView
from augreg.expectation.auditing.learned_weights import LearnedWeights
from augreg.expectation.auditing.rows import AuditRow
from augreg.expectation.batch_norm.shift import BatchNormTable
from augreg.expectation.image_size.test_sizes import SizeReport
from augreg.expectation.noise.find_noise import NoiseReport
from augreg.inspect.tables import table

__all__ = ["AuditFindings"]

_WIDTH = 100
_LONGEST = 30


@dataclass(frozen=True)
class AuditFindings:
    """What an audit found. Prints as a table and sentences; `audit[name]` is the row of a name.

    `rows` compare a fast rule with a mean each. `images` is the number of images, `samples` that of predictions for
    each of them and each row, and `labeled` whether there were labels. `noise` is what draws in the model,
    `batch_norm` how far running statistics are off, `size` what objects look like in test images, and `weights` are
    learned weights of views; None where there is none. `examples` are views of the first image.
    """

    rows: tuple[AuditRow, ...]
    images: int
    labeled: bool
    samples: int
    tolerance: float
    noise: NoiseReport
    batch_norm: BatchNormTable | None
    size: SizeReport | None
    weights: LearnedWeights | None
    examples: tuple[ExampleView, ...]
    notes: tuple[str, ...]
    seconds: float = 0.0

    @property
    def sentences(self) -> tuple[str, ...]:
        """The findings with their verdicts, in words."""
        found = [row.sentence for row in self.rows]
        if self.batch_norm is not None and not self.batch_norm.off:
            count = len(self.batch_norm.layers)
            statistics = "the running statistics are those of the test images"
            found.append(f"batch norm, {count} layer{'s' * (count != 1)}: {statistics}; keep them.")
        if self.size is not None:
            found.append(size_words(self.size))
        if self.weights is not None:
            found.append(self.weights.sentence)
        return tuple(found)

    @property
    def to_change(self) -> tuple[str, ...]:
        """The names of the rows whose fast rule should be replaced."""
        return tuple(row.name for row in self.rows if row.verdict.action == "change")

    def __getitem__(self, name: str) -> AuditRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row is named {name!r}; the rows are {', '.join(row.name for row in self.rows)}")

    def as_dict(self) -> dict[str, Any]:
        """The audit as plain data, for JSON."""
        return {
            "images": self.images,
            "labeled": self.labeled,
            "samples": self.samples,
            "tolerance": self.tolerance,
            "seconds": self.seconds,
            "rows": [row.as_dict() for row in self.rows],
            "noise": self.noise.as_dict(),
            "batch_norm": None if self.batch_norm is None else self.batch_norm.as_dict(),
            "test_size": None if self.size is None else self.size.as_dict(),
            "view_weights": None if self.weights is None else self.weights.as_dict(),
            "views": [view.as_dict() for view in self.examples],
            "sentences": list(self.sentences),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        shown = [table(self.header(), self.cells(_LONGEST))] if self.rows else []
        return "\n".join([self.headline(), *shown, *self._wrapped([*self.sentences, *self.notes])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.table(self.headline(), self.header(), self.cells(), [*self.sentences, *self.notes])

    def headline(self) -> str:
        """What was compared."""
        known = "with labels" if self.labeled else "without labels"
        return f"audit of {self.images:,} image{'s' * (self.images != 1)} {known}, {self.samples} samples each"

    def header(self) -> Sequence[str]:
        """The names of the columns of `cells`."""
        measured = ("accuracy", "NLL", "calibration") if self.labeled else ()
        return ("noise", "verdict", "off %", "+-", "agree %", *measured)

    def cells(self, longest: int | None = None) -> Iterable[Sequence[str]]:
        """The rows as text. Metrics are those of the fast rule, and what the mean adds to them."""
        for row in self.rows:
            measured = []
            if row.fast is not None and row.mean is not None:
                errors = [side.calibration.error for side in (row.fast, row.mean)]
                measured = [
                    f"{100 * row.fast.accuracy:.1f} {100 * (row.mean.accuracy - row.fast.accuracy):+.1f}",
                    f"{row.fast.log_loss:.3f} {row.mean.log_loss - row.fast.log_loss:+.3f}",
                    f"{errors[0]:.3f} {errors[1] - errors[0]:+.3f}",
                ]
            word = {"keep": "keep", "change": "change", "unknown": "?"}[row.verdict.action]
            error = f"{100 * row.standard_error:.2f}" if row.images > 1 else "?"
            name = row.name if longest is None or len(row.name) <= longest else f"..{row.name[2 - longest :]}"
            yield (name, word, f"{100 * row.distance:.2f}", error, f"{100 * row.agreement:.1f}", *measured)

    def _wrapped(self, sentences: Iterable[str]) -> list[str]:
        return [
            line
            for sentence in sentences
            for line in textwrap.wrap(
                sentence, _WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
            )
        ]
