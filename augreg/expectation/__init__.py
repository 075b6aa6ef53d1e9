"""The expectation of a model's predictions over image views and model noise, and how far fast rules are from it.

Each folder is one subject: `noise` (what draws in a model), `means` (`expect`), `moments` (one pass), `auditing`
(`audit`), `batch_norm`, `image_size` (`test_size`), `checkpoints` and `preprocessing` (`skew`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.expectation.auditing.audit import audit as audit
    from augreg.expectation.auditing.report import Audit as Audit
    from augreg.expectation.auditing.rows import AuditRow as AuditRow
    from augreg.expectation.batch_norm.shift import (
        BatchNormTable as BatchNormTable,
        LayerShift as LayerShift,
        batch_norm_shift as batch_norm_shift,
        recalibrate_batch_norm as recalibrate_batch_norm,
    )
    from augreg.expectation.checkpoints.save_and_load import (
        LoadedCheckpoint as LoadedCheckpoint,
        checkpoint_entry as checkpoint_entry,
        load_checkpoint as load_checkpoint,
        pipeline_of_entry as pipeline_of_entry,
        save_checkpoint as save_checkpoint,
    )
    from augreg.expectation.image_size.test_sizes import SizeReport as SizeReport, test_size as test_size
    from augreg.expectation.means.expect import Expectation as Expectation, expect as expect
    from augreg.expectation.means.prediction import ExpectationReport as ExpectationReport, Prediction as Prediction
    from augreg.expectation.moments.propagation import propagate as propagate
    from augreg.expectation.moments.result import Moments as Moments
    from augreg.expectation.noise.find_noise import (
        NoiseReport as NoiseReport,
        NoiseSource as NoiseSource,
        drawing as drawing,
        find_noise as find_noise,
        kept as kept,
    )
    from augreg.expectation.preprocessing.report import Difference as Difference, Effect as Effect, Skew as Skew
    from augreg.expectation.preprocessing.skew import skew as skew

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "auditing.audit": ("audit",),
        "auditing.report": ("Audit",),
        "auditing.rows": ("AuditRow",),
        "batch_norm.shift": ("BatchNormTable", "LayerShift", "batch_norm_shift", "recalibrate_batch_norm"),
        "checkpoints.save_and_load": (
            "LoadedCheckpoint",
            "checkpoint_entry",
            "load_checkpoint",
            "pipeline_of_entry",
            "save_checkpoint",
        ),
        "image_size.test_sizes": ("SizeReport", "test_size"),
        "means.expect": ("Expectation", "expect"),
        "means.prediction": ("ExpectationReport", "Prediction"),
        "noise.find_noise": ("NoiseReport", "NoiseSource", "drawing", "find_noise", "kept"),
        "moments.propagation": ("propagate",),
        "moments.result": ("Moments",),
        "preprocessing.report": ("Difference", "Effect", "Skew"),
        "preprocessing.skew": ("skew",),
    },
    needs="torch",
)
