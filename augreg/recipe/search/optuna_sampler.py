"""The sampler `tpe` of Optuna, by ask and tell. Optuna is imported when it is used.

The trials so far are given to a new study in memory for each trial, and the sampler is seeded by the trial's number:
so the parameters of a trial depend on the seed and the trials before it only, not on the process that asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from augreg.recipe.search.samplers import quasi_random
from augreg.recipe.search.space import Choice, Parameter, Space
from augreg.recipe.search.trial import Trial
from augreg.training.rng_state import hashed_seed

__all__ = ["distributions", "encoded", "imported", "suggested"]

_STARTUP = 10  # trials that are quasi-random


def imported() -> Any:
    """The package optuna. Raises ModuleNotFoundError with what to install."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"this needs {error.name}: pip install 'augreg[search]'", name=error.name) from None
    return optuna


def suggested(space: Space, trials: Sequence[Trial], number: int, seed: int, maximize: bool) -> dict[str, Any]:
    """The parameters of a trial by TPE, from the trials with parameters in this space; the first are quasi-random."""
    inside = [trial for trial in trials if all(_inside(each, trial, path) for path, each in space.items())]
    if len(inside) < _STARTUP:
        point = quasi_random(space, number, 0, seed)
        return {path: each.value(unit) for unit, (path, each) in zip(point, space.items(), strict=True)}
    optuna = imported()
    sampler = optuna.samplers.TPESampler(seed=hashed_seed(seed, number) % 2**32, n_startup_trials=0)
    with quiet(optuna):
        study = optuna.create_study(direction="maximize" if maximize else "minimize", sampler=sampler)
        study.add_trials([_frozen(optuna, space, trial) for trial in inside])
        asked = study.ask(distributions(optuna, space)).params
    return {path: decoded(each, asked[path]) for path, each in space.items()}


class quiet:  # noqa: N801 - a context manager, as those of contextlib
    """A context in which Optuna logs warnings only."""

    def __init__(self, optuna: Any) -> None:
        self._logging = optuna.logging

    def __enter__(self) -> None:
        self._before = self._logging.get_verbosity()
        self._logging.set_verbosity(self._logging.WARNING)

    def __exit__(self, *error: object) -> None:
        self._logging.set_verbosity(self._before)


def distributions(optuna: Any, space: Space) -> dict[str, Any]:
    """The space as Optuna has it. A choice is its number, since Optuna takes no lists."""
    found = {}
    for path, each in space.items():
        if isinstance(each, Choice):
            found[path] = optuna.distributions.CategoricalDistribution(range(len(each.values)))
        elif each.integer:
            found[path] = optuna.distributions.IntDistribution(int(each.low), int(each.high), log=each.log)
        else:
            found[path] = optuna.distributions.FloatDistribution(float(each.low), float(each.high), log=each.log)
    return found


def encoded(space: Space, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as Optuna has them."""
    return {
        path: each.values.index(parameters[path]) if isinstance(each, Choice) else parameters[path]
        for path, each in space.items()
    }


def decoded(each: Parameter, value: Any) -> Any:
    """The value of a parameter for what Optuna has."""
    return each.values[value] if isinstance(each, Choice) else value


def _inside(each: Parameter, trial: Trial, path: str) -> bool:
    return path in trial.parameters and 0 <= each.unit(trial.parameters[path]) <= 1


def _frozen(optuna: Any, space: Space, trial: Trial) -> Any:
    states = optuna.trial.TrialState
    state = {"complete": states.COMPLETE, "running": states.RUNNING}.get(trial.state, states.PRUNED)
    return optuna.trial.create_trial(
        state=state,  # failed ones too are pruned, before their first epoch, since Optuna learns nothing from others
        value=trial.value if trial.state == "complete" else None,
        params=encoded(space, trial.parameters),
        distributions=distributions(optuna, space),
        intermediate_values={} if trial.state == "failed" else dict(enumerate(trial.values, 1)),
    )
