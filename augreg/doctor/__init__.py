"""The doctor: looks at what people already have, and says what is wrong with it and what to do.

`augreg.doctor.loader(train, validation)` runs samples through a torch DataLoader, whatever its dataset and its
transforms are, and returns a `Report` of `Finding`s.
"""

from __future__ import annotations

from augreg.doctor.examination import loader
from augreg.doctor.findings import Finding, Report

__all__ = ["Finding", "Report", "loader"]
