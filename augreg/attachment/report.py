"""The report of an attachment: which module, what, with which numbers, by which means, and what evaluation sees."""

from __future__ import annotations

from dataclasses import astuple, dataclass

__all__ = ["Report", "Row"]


@dataclass(frozen=True)
class Row:
    """What was done to one module.

    `by` is the means: `hook`, `class`, `set`, `skip` (a dropped branch is not computed), `computed` (it is computed
    and then masked), `replaced`, `written`, or `left`, for which the note says why. `test` is the
    test-time rule, and `eval` says whether the output in evaluation is what it was before, bit for bit: `unchanged`
    or `changes`.
    """

    module: str
    type: str
    rule: str
    numbers: str
    by: str
    test: str
    eval: str
    note: str = ""


_HEADS = ("module", "type", "rule", "numbers", "by", "test", "eval", "note")


class Report(tuple[Row, ...]):
    """The rows in the order of the model section; prints as a table."""

    def __str__(self) -> str:
        if not self:
            return "nothing is attached"
        lines = [_HEADS, *(astuple(row) for row in self)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
        cells = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join(line.rstrip() for line in cells)

    __repr__ = __str__
