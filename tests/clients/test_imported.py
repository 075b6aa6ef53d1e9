"""Public pipelines of torchvision in the importer, as tools/imported.py counts them."""

from __future__ import annotations

import runpy
from pathlib import Path

import augreg

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools/imported.py"))


def test_torchvision_counts() -> None:
    """Raise these floors with what the importer learns; nothing may fall below them."""
    counts = TOOL["count"](TOOL["torchvision"](), augreg.from_torchvision)
    outcome = TOOL["Outcome"]
    assert counts.total == 13
    assert counts.outcomes[outcome.CRASHED] == 0
    assert counts.whole == 13
    assert counts.outcomes[outcome.SAME] >= 10
