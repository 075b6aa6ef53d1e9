"""The recipe for training a model, step by step on your own task, each with a verdict, likely causes and what to do.

from augreg.recipe import Task, initial_loss

task = Task(model=make_model, train=(images, labels), validation=(more_images, more_labels))
print(initial_loss(task))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.recipe.fitting import Run as Run, fit as fit
    from augreg.recipe.task import Task as Task

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "fitting": ("Run", "fit"),
        "task": ("Task",),
    },
    needs="torch",
)
