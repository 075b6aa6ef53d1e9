"""The verdict of an audit, rule by rule."""

from __future__ import annotations

import pytest

from augreg.expectation.auditing.bootstrap import Difference
from augreg.expectation.auditing.verdicts import Evidence, verdict

LOWER, HIGHER = Difference(-0.1, -0.2, -0.05), Difference(0.1, 0.05, 0.2)
SAME, WIDE = Difference(0.0, -0.004, 0.004), Difference(0.0, -0.1, 0.1)


def seen(low: float, high: float, loss=None, accuracy=None, images: int = 100) -> Evidence:
    return Evidence(images, low, high, 0.01, loss, accuracy)


@pytest.mark.parametrize(
    ("evidence", "action", "reason"),
    [
        (seen(0.0, 0.01), "keep", "within the tolerance"),
        (seen(0.0, 0.01, LOWER, SAME), "keep", "within the tolerance"),
        (seen(0.0, 0.01, images=2), "keep", "within the tolerance"),
        (seen(0.05, 0.1, LOWER, SAME, images=29), "unknown", "at least 30 images"),
        (seen(0.05, 0.1, LOWER, SAME, images=30), "change", "better likelihood"),
        (seen(0.005, 0.02, LOWER, HIGHER), "change", "better likelihood"),
        (seen(0.05, 0.1, LOWER, LOWER), "keep", "lower accuracy"),
        (seen(0.05, 0.1, HIGHER, SAME), "keep", "worse likelihood"),
        (seen(0.05, 0.1, SAME, WIDE), "keep", "likelihood is the same"),
        (seen(0.05, 0.1, WIDE, WIDE), "unknown", "may be chance"),
        (seen(0.05, 0.1, Difference(0.0, -0.1, 0.004), WIDE), "unknown", "may be chance"),
        (seen(0.05, 0.1, Difference(0.0, -0.004, 0.1), WIDE), "unknown", "may be chance"),
        (seen(0.0101, 0.1), "change", "above the tolerance"),
        (seen(0.01, 0.1), "unknown", "more images or samples"),
    ],
)
def test_the_first_rule_that_holds_decides(evidence: Evidence, action: str, reason: str) -> None:
    found = verdict(evidence)
    assert (found.action, reason in found.reason) == (action, True)
