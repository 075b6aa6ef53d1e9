"""The expectation of a model's predictions over image views and model noise, and how far fast rules are from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.expectation.audit_report import Audit as Audit
    from augreg.expectation.audit_rows import AuditRow as AuditRow
    from augreg.expectation.audits import audit as audit
    from augreg.expectation.batch_norm import (
        BatchNormTable as BatchNormTable,
        LayerShift as LayerShift,
        batch_norm_shift as batch_norm_shift,
        recalibrate_batch_norm as recalibrate_batch_norm,
    )
    from augreg.expectation.checkpoints import (
        LoadedCheckpoint as LoadedCheckpoint,
        checkpoint_entry as checkpoint_entry,
        load_checkpoint as load_checkpoint,
        pipeline_of_entry as pipeline_of_entry,
        save_checkpoint as save_checkpoint,
    )
    from augreg.expectation.mean_predictions import Expectation as Expectation, expect as expect
    from augreg.expectation.noise import (
        NoiseReport as NoiseReport,
        NoiseSource as NoiseSource,
        drawing as drawing,
        find_noise as find_noise,
        kept as kept,
    )
    from augreg.expectation.prediction import ExpectationReport as ExpectationReport, Prediction as Prediction
    from augreg.expectation.preprocessing_skew import skew as skew
    from augreg.expectation.skew_report import Difference as Difference, Effect as Effect, Skew as Skew
    from augreg.expectation.test_sizes import SizeReport as SizeReport, test_size as test_size

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "audit_report": ("Audit",),
        "audit_rows": ("AuditRow",),
        "audits": ("audit",),
        "batch_norm": ("BatchNormTable", "LayerShift", "batch_norm_shift", "recalibrate_batch_norm"),
        "checkpoints": (
            "LoadedCheckpoint",
            "checkpoint_entry",
            "load_checkpoint",
            "pipeline_of_entry",
            "save_checkpoint",
        ),
        "mean_predictions": ("Expectation", "expect"),
        "noise": ("NoiseReport", "NoiseSource", "drawing", "find_noise", "kept"),
        "prediction": ("ExpectationReport", "Prediction"),
        "preprocessing_skew": ("skew",),
        "skew_report": ("Difference", "Effect", "Skew"),
        "test_sizes": ("SizeReport", "test_size"),
    },
    needs="torch",
)
