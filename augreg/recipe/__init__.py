"""The recipe for training a model, step by step on your own task, each with a verdict, likely causes and what to do.

from augreg.recipe import Task, initial_loss

task = Task(model=make_model, train=(images, labels), validation=(more_images, more_labels))
print(initial_loss(task))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.recipe.charts import Chart as Chart
    from augreg.recipe.fitting import Run as Run, fit as fit
    from augreg.recipe.patches.advised import advised_patch as advised_patch
    from augreg.recipe.patches.effect import Effect as Effect, measure_patch as measure_patch
    from augreg.recipe.patches.patch import Change as Change, Patch as Patch
    from augreg.recipe.rate_curve import BestRate as BestRate, best_rate as best_rate
    from augreg.recipe.report import Report as Report
    from augreg.recipe.result import Cause as Cause, Result as Result
    from augreg.recipe.run_steps import run as run
    from augreg.recipe.step1_initial_loss import initial_loss as initial_loss
    from augreg.recipe.step2_overfit import overfit as overfit
    from augreg.recipe.step3_learning_rate import learning_rate as learning_rate
    from augreg.recipe.step4_coarse_search import coarse_search as coarse_search
    from augreg.recipe.step5_fine_search import fine_search as fine_search
    from augreg.recipe.step6_curves import curves as curves, judge_curves as judge_curves
    from augreg.recipe.step7_advice import advice as advice
    from augreg.recipe.task import Task as Task

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "charts": ("Chart",),
        "fitting": ("Run", "fit"),
        "patches.advised": ("advised_patch",),
        "patches.effect": ("Effect", "measure_patch"),
        "patches.patch": ("Change", "Patch"),
        "rate_curve": ("BestRate", "best_rate"),
        "report": ("Report",),
        "result": ("Cause", "Result"),
        "run_steps": ("run",),
        "step1_initial_loss": ("initial_loss",),
        "step2_overfit": ("overfit",),
        "step3_learning_rate": ("learning_rate",),
        "step4_coarse_search": ("coarse_search",),
        "step5_fine_search": ("fine_search",),
        "step6_curves": ("curves", "judge_curves"),
        "step7_advice": ("advice",),
        "task": ("Task",),
    },
    needs="torch",
)
