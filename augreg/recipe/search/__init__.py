"""The search of the recipe: spaces, samplers, and studies whose trials many processes share.

from augreg.recipe.search import Study, TrainedTask, space_of
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.recipe.search.objective import TrainedTask as TrainedTask
    from augreg.recipe.search.optuna_study import OptunaStudy as OptunaStudy, journal as journal
    from augreg.recipe.search.paths import (
        known_values as known_values,
        space_of as space_of,
        with_values as with_values,
    )
    from augreg.recipe.search.space import Choice as Choice, Range as Range, parameter as parameter
    from augreg.recipe.search.study import Study as Study
    from augreg.recipe.search.trial import Trial as Trial
    from augreg.recipe.search.usual_ranges import default_space as default_space

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "usual_ranges": ("default_space",),
        "objective": ("TrainedTask",),
        "optuna_study": ("OptunaStudy", "journal"),
        "paths": ("known_values", "space_of", "with_values"),
        "space": ("Choice", "Range", "parameter"),
        "study": ("Study",),
        "trial": ("Trial",),
    },
    needs="torch",
)
