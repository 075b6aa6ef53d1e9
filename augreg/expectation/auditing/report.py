"""Audit: what `audit` found, as text, as plain data, and as an HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from augreg.expectation.auditing.findings import AuditFindings
from augreg.expectation.auditing.page import audit_page
from augreg.files.whole_files import whole_file

__all__ = ["Audit"]


@dataclass(frozen=True, repr=False)
class Audit(AuditFindings):
    """What an audit found. Prints as a table and sentences; `audit[name]` is the row of a name."""

    def save(self, path: str | Path) -> None:
        """Write the audit as one HTML file with plots, which loads nothing else. It is written whole or not at all.

        Needs matplotlib; ImportError names the extra of augreg that has it.
        """
        page = audit_page(self)
        with whole_file(Path(path)) as part:
            part.write_text(page, encoding="utf-8", newline="\n")
