"""The report of an attachment: one row for each module that a rule selects."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

__all__ = ["AttachmentReport", "AttachmentRow"]


@dataclass(frozen=True)
class AttachmentRow:
    """What one rule did to one module.

    `module` and `type` are the module's name and class; `rule` is the regularizer and `numbers` its current numbers.
    `by` says how it was attached: `hook`, `class`, `set`, `skip` (a dropped branch is not computed), `computed` (the
    branch is computed and then masked), `replaced`, `written`, or `none` (nothing was done; `note` says why).
    `test` is the test-time rule. `eval` compares the module's output in evaluation with that of the plain model:
    `unchanged` (bit for bit) or `changes`. `runs` is how often it ran in training; None where that is not counted: a
    layer of the model that was set, weights that were written, and compiled code. `exact` is the quantity for which
    the test-time rule gives the exact expectation, or `nothing`.
    """

    module: str
    type: str
    rule: str
    numbers: str
    by: str
    test: str
    eval: str
    runs: int | None = None
    note: str = ""
    exact: str = "nothing"


class AttachmentReport(tuple[AttachmentRow, ...]):
    """The rows in the order of the model section; prints as a table."""

    def __str__(self) -> str:
        if not self:
            return "nothing is attached"
        lines = [tuple(field.name for field in fields(AttachmentRow)), *(_cells(row) for row in self)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        cells = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join(line.rstrip() for line in cells)

    __repr__ = __str__


def _cells(row: AttachmentRow) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in astuple(row))
