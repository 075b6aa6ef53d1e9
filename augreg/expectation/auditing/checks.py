"""The rows of an audit that are about no noise: batch norm's running statistics, and the size of test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from augreg.errors import AugregError
from augreg.expectation.auditing.rows import AuditRow, Collected
from augreg.expectation.auditing.sampling import Predictor, SampledMean
from augreg.expectation.batch_norm.shift import BatchNormTable, batch_norm_shift, recalibrate_batch_norm
from augreg.expectation.image_size.test_sizes import SizeReport, test_size
from augreg.expectation.noise.kept_state import kept

__all__ = ["batch_norm_row", "size_check", "size_words"]

_SAME = 0.05  # of the ratio of apparent sizes
_NORMAL = 1.959964


def batch_norm_row(
    predictor: Predictor, images: list[Any], labels: Sequence[int] | None, seed: int, bins: int, tolerance: float
) -> tuple[BatchNormTable | None, AuditRow | None]:
    """How far the running statistics are off, and what recalibrated ones would predict.

    They are recomputed from every second image as `pipe.test` gives it, and compared on the others. No row if no
    layer is off, or if there is one image.
    """
    if not predictor.report.batch_norms:
        return None, None
    given = images if predictor.pipe is not None else _batches(predictor, images)
    shift = batch_norm_shift(predictor.model, given, predictor.pipe, side="test", batch_size=predictor.rows)
    if not shift.off or len(images) < 2:
        return shift, None
    fitted, checked = images[::2], images[1::2]
    fast = predictor.fast(checked)
    with kept(predictor.model):
        given = fitted if predictor.pipe is not None else _batches(predictor, fitted)
        recalibrate_batch_norm(predictor.model, given, predictor.pipe, side="test", batch_size=predictor.rows)
        after = predictor.fast(checked)
    name = f"batch norm, {len(shift.off)} of {len(shift.layers)} layers off"
    found = Collected(name, "batch norm", "recalibrated statistics (recalibrate_batch_norm)")
    found.add(
        fast,
        SampledMean(after, after, np.zeros(len(after)), 1, 1, {}, True),
        None if labels is None else labels[1 : 2 * len(checked) : 2],
    )
    return shift, found.row(seed, bins, tolerance)


def _batches(predictor: Predictor, images: list[Any]) -> list[torch.Tensor]:
    """Inputs of the model in batches."""
    parts = [images[start : start + predictor.rows] for start in range(0, len(images), predictor.rows)]
    return [predictor.groups(part, [], ())[0][1].rows(None, range(1), range(1))[0][0] for part in parts]


def size_check(
    predictor: Predictor, images: list[Any], labels: Sequence[int] | None
) -> tuple[SizeReport | None, str]:
    """The report on the size of test images, and a note if there is none."""
    measured = {} if labels is None else {"model": predictor.model, "labels": labels[: len(images)]}
    try:
        report = test_size(
            predictor.pipe, images=images, batch_size=predictor.rows, select=predictor.select, **measured
        )
    except (AugregError, ValueError) as error:
        return None, f"test size: not examined: {str(error).partition(chr(10))[0]}"
    return report, ""


def size_words(report: SizeReport) -> str:
    """What to do about the size of test images."""
    size, other = (f"{height}x{width}" for height, width in (report.size, report.corrected_size))
    if abs(report.ratio - 1.0) <= _SAME:
        return f"test size {size}: objects look as large as in training; keep it."
    seen = f"test size {size}: objects look {report.ratio:.2f} times as large as in training, at {other} the same; "
    if report.difference is None or report.standard_error is None:
        return seen + "give labels to compare the accuracies."
    points = f"{100 * report.difference:+.1f} points of accuracy there ({report.images} images)"
    half = _NORMAL * report.standard_error
    if report.difference - half > 0.0:
        return f"{seen}{points}; use {other}."
    if report.difference + half < 0.0:
        return f"{seen}{points}; keep {size}."
    return f"{seen}{points}; not enough images to tell."
