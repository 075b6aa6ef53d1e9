"""The page of an audit: findings, a table, plots, and the views of one image side by side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from augreg.expectation.auditing.examples import ExampleView
from augreg.expectation.auditing.findings import AuditFindings
from augreg.expectation.auditing.rows import AuditRow
from augreg.images.thumbnails import thumbnail
from augreg.pages.figures import Line, Plot, bars, lines, points, reliability
from augreg.pages.report import Section, Table, Tile, report

__all__ = ["audit_page"]

_LONGEST = 160  # pixels of an image's longer side
_MOST_LINES = 4
_MOST_DIAGRAMS = 2
_LEAD = (
    "A fast rule stands for the mean over what is random in training. Each row compares the two: how far the class "
    "probabilities are off, how many predictions change, and whether the mean is better."
)
_COLUMNS = (
    "Off is the root mean square difference of the class probabilities, in percent, with its standard error; the "
    "error of the mean itself is subtracted. Accuracy (in percent), negative log-likelihood (NLL, in nats) and "
    "calibration error are those of the fast rule, and what the mean adds to them."
)
_CONVERGENCE = (
    "How far the mean of n samples is from the mean of all. For independent samples the error falls as 1/sqrt(n); "
    "spread-out draws of image steps do better."
)


def audit_page(audit: AuditFindings) -> str:
    """The page as HTML. Raises ImportError if matplotlib is not installed."""
    facts = [
        f"{audit.images:,} images, {'with' if audit.labeled else 'without'} labels",
        f"{audit.samples} samples each",
        f"{audit.seconds:.0f} s",
    ]
    return report("Audit of the test-time rules", _LEAD, facts, list(_sections(audit)), "audit.save(..)")


def _sections(audit: AuditFindings) -> Iterator[Section]:
    yield Section("Findings", "findings", items=[*audit.sentences, *audit.notes] or ["Nothing is random."])
    if audit.rows:
        names = [row.name for row in audit.rows]
        off = points(
            names,
            [100 * row.distance for row in audit.rows],
            [100 * row.low for row in audit.rows],
            [100 * min(row.high, 1.0) for row in audit.rows],
            "distances",
            "How far each fast rule is off, with 95 % intervals",
            "off, in percent of probability",
            100 * audit.tolerance,
        )
        table = Table(audit.header(), [*audit.cells()])
        yield Section("Rows", "rows", [_COLUMNS], table=table, plots=[off, *_changes(audit)])
    convergence = _convergence(audit)
    if convergence is not None:
        yield Section("Convergence", "convergence", [_CONVERGENCE], plots=[convergence])
    if audit.labeled:
        plots = [_reliability(row, number) for number, row in enumerate(_broadest(audit))]
        if plots:
            yield Section("Calibration", "calibration", plots=plots)
    if audit.examples:
        yield _views(audit)
    if audit.batch_norm is not None or audit.size is not None:
        texts = [str(each) for each in (audit.size, audit.batch_norm) if each is not None]
        yield Section("Batch norm and test size", "statistics", details="\n\n".join(texts), details_title="Tables")


def _broadest(audit: AuditFindings) -> list[AuditRow]:
    """The rows with the most noise: those of several sources together, or the last ones."""
    rows = [row for row in audit.rows if row.fast is not None and row.kind in ("model noise", "image steps")]
    return rows[-_MOST_DIAGRAMS:]


def _changes(audit: AuditFindings) -> Iterator[Plot]:
    """What the mean adds to the negative log-likelihood, by row."""
    rows = [(row, row.loss_difference) for row in audit.rows if row.loss_difference is not None]
    if not rows:
        return
    yield points(
        [row.name for row, _ in rows],
        [difference.value for _, difference in rows],
        [difference.low for _, difference in rows],
        [difference.high for _, difference in rows],
        "losses",
        "What the mean adds to the NLL, with 95 % intervals (below 0 it is better)",
        "difference, in nats",
        0.0,
        signed=True,
    )


def _convergence(audit: AuditFindings) -> Plot | None:
    rows = [row for row in audit.rows if sum(error > 0.0 for error in row.curve.values()) > 1]
    rows = [row for row in rows if row.kind != "moments"][:_MOST_LINES]
    if not rows:
        return None
    found = []
    for row in rows:
        known = {n: 100 * error for n, error in row.curve.items() if error > 0.0}
        found.append(Line(row.name, list(known), list(known.values())))
    longest = max(found, key=lambda line: len(line.x))
    n = np.array(longest.x, np.float64)
    guide = Line("1/sqrt(n)", n.tolist(), (longest.y[0] * np.sqrt(n[0] / n)).tolist(), guide=True)
    return lines(
        [*found, guide], "convergence", "Error of the mean of n samples", "samples n", "error, % of probability",
        log=True,
    )  # fmt: skip


def _reliability(row: AuditRow, number: int) -> Plot:
    series = []
    for name, metrics in (("fast rule", row.fast), ("mean", row.mean)):
        assert metrics is not None
        filled = metrics.calibration.counts > 0
        found = metrics.calibration
        series.append((name, found.confidence[filled].tolist(), found.accuracy[filled].tolist()))
    return reliability(series, f"reliability-{number}", f"Reliability: {row.name}")


def _views(audit: AuditFindings) -> Section:
    words = ["The first image as the pipeline may show it in training, with the weight of each view."]
    plots = []
    if audit.weights is not None and audit.weights.is_better:
        words.append(audit.weights.sentence)
        names = [f"{number}: {name}" for number, name in enumerate(audit.weights.names)]
        plots = [bars(names, audit.weights.weights.tolist(), "weights", "Learned weights of the views", "weight")]
    return Section("Views", "views", words, plots=plots, tiles=[_tile(view) for view in audit.examples])


def _tile(view: ExampleView) -> Tile:
    small = thumbnail(view.image, _LONGEST)
    return Tile(
        small.src,
        small.width,
        small.height,
        f"view {view.number}: {view.shows}",
        f"view {view.number}, weight {view.weight:.3f}",
        f"class {view.predicted}, probability {view.probability:.2f}. {view.shows}",
    )
