"""The doctor: examines data loaders, and reports what is wrong with them and how to fix it.

`augreg.doctor.loader(train, validation)` runs samples through torch DataLoaders, with any dataset and any transforms,
and returns a `Report` of `Finding`s.
"""

from __future__ import annotations

from augreg.doctor.examination import loader
from augreg.doctor.findings import Finding, Report

__all__ = ["Finding", "Report", "loader"]
