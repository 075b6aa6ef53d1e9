"""Step 3 of the recipe: the best rate of noisy curves whose best rate is known, and of real sweeps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from recipe_tasks import SOUND, mlp, table

from augreg.recipe import Result, Task, best_rate, fit, learning_rate

Curve = Callable[[np.ndarray], np.ndarray]


def curve(random: np.random.Generator, cliff: bool) -> tuple[Curve, float, float]:
    """A loss over log10 of the rate, the place of its minimum, and the loss at the start.

    It falls by 1 - exp(-rate / r0), as gradient descent on a parabola does, and rises by noise or at a cliff.
    """
    start, fall = random.uniform(1.5, 3), random.uniform(0.5, 0.95)
    place, width = random.uniform(-4, -1), random.uniform(0.7, 1.8)
    steep, rising = random.uniform(1, 2), random.uniform(1, 3)

    def loss(x: np.ndarray) -> np.ndarray:
        low = start * (1 - fall)
        down = low + (start - low) * np.exp(-(10.0 ** (steep * (x - place))))
        if cliff:
            return np.where(x > place + width, np.inf, down + 0.1 * (x - place - width) ** 2)
        return down + (start - low) * 10.0 ** (rising * (x - place - width))

    grid = np.linspace(-6, 1, 7001)
    return loss, float(grid[loss(grid).argmin()]), start


def sweep(loss: Curve, start: float, noise: float, random: np.random.Generator) -> tuple[list[float], list[float]]:
    """The rates and losses that a sweep by decades and then finer sees."""
    places = np.arange(-6.0, 2.0)
    losses = loss(places) + random.normal(0, noise, len(places))
    middle = math.log10(best_rate(10.0**places, losses, start).rate)
    finer = np.linspace(middle - 0.75, middle + 0.75, 6)
    losses = np.append(losses, loss(finer) + random.normal(0, noise, 6))
    return list(10.0 ** np.append(places, finer)), list(losses)


def test_the_best_rate_of_300_noisy_curves() -> None:
    random = np.random.default_rng(0)
    errors, inside = [], []
    for number in range(300):
        loss, truth, start = curve(random, cliff=number % 3 == 0)
        found = best_rate(*sweep(loss, start, random.uniform(0, 0.1), random), start)
        errors.append(abs(math.log10(found.rate) - truth))
        inside.append(found.low <= 10**truth <= found.high)
        assert found.low <= found.rate <= found.high
    assert np.mean(np.array(errors) <= 0.5) >= 0.95
    assert np.mean(inside) >= 0.9


@pytest.mark.parametrize(("flat", "cliff"), [(0.0, False), (0.0, True), (1.5, False), (1.5, True)])
def test_curves_that_are_narrow_flat_or_end_at_a_cliff(flat: float, cliff: bool) -> None:
    """In 98 % of them the loss at the rate found is near the best, and training never diverges there."""
    random = np.random.default_rng(1)
    regrets = []
    for _ in range(100):
        start, fall, place = random.uniform(1.5, 3), random.uniform(0.5, 0.95), random.uniform(-4, -1)

        def loss(x: np.ndarray) -> np.ndarray:
            steep = 1.0 if flat else 0.4
            distance = np.clip((np.abs(x - place) - flat / 2) * steep, 0, 1)  # noqa: B023
            ends = place + flat / 2 + 0.2  # noqa: B023
            return np.where(cliff & (x > ends), np.nan, start * (1 - fall * (1 - distance)))  # noqa: B023

        found = best_rate(*sweep(loss, start, random.uniform(0, 0.1), random), start)
        value = float(loss(np.array(math.log10(found.rate))))
        regrets.append((value - start * (1 - fall)) / (start * fall))
    assert np.isfinite(regrets).all() and np.mean(np.array(regrets) < 0.1) >= 0.98


def test_a_parabola_without_noise() -> None:
    places = np.linspace(-5, 0, 11)
    found = best_rate(10.0**places, 1 + 0.05 * (places + 2.25) ** 2, 3.0)
    assert math.log10(found.rate) == pytest.approx(-2.25, abs=0.02)
    half = math.sqrt(0.03 * 2 / 0.05)  # where the loss is 3 % of the fall of 2 above the lowest
    assert math.log10(found.low) == pytest.approx(-2.25 - half, abs=0.05)
    assert math.log10(found.high) == pytest.approx(-2.25 + half, abs=0.05)
    assert found.fitted == pytest.approx(1, abs=1e-3) and found.noise < 1e-6


def test_what_best_rate_refuses() -> None:
    for rates in ([0.1, 0.2], [0.0, 0.1, 0.2, 0.3]):
        with pytest.raises(ValueError, match="four positive rates"):
            best_rate(rates, rates, 1.0)


def test_a_run_at_the_rate_found_is_about_the_best_of_the_sweep() -> None:
    task = Task(partial(mlp, 13, 3), *table("wine"), optimizer=partial(torch.optim.SGD, lr=0.1))
    result = learning_rate(task, iterations=40)
    assert result.verdict == "pass"
    rate, best = result.evidence["rate"], min(filter(None, result.evidence["losses"]))
    run = fit(task.replace(learning_rate=rate), iterations=40)
    assert np.mean(run.losses[-10:]) <= best + 0.1 * (result.evidence["loss at the start"] - best)
    assert result.evidence["range"][0] < rate < result.evidence["range"][1]
    assert Result.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False))) == Result.from_dict(
        result.as_dict()
    )
    axes = result.plot().axes[0]
    assert axes.get_xscale() == "log" and len(axes.lines) == 2


def test_the_task_has_a_rate_that_is_too_high_or_useless() -> None:
    task = Task(partial(mlp, 13, 3), *table("wine"), optimizer=partial(torch.optim.SGD, lr=1000.0))
    result = learning_rate(task, iterations=20, finer=3)
    assert result.verdict == "fail" and [cause.name for cause in result.causes] == ["rate too high"]
    result = learning_rate(task.replace(learning_rate=1e-8), iterations=20, finer=3)
    assert result.verdict == "warning" and [cause.name for cause in result.causes] == ["rate too low"]


def test_rates_are_added_where_the_best_is_at_the_border() -> None:
    task = Task(partial(mlp, 13, 3), *table("wine"), optimizer=partial(torch.optim.SGD, lr=0.1))
    calls: list[tuple[int, int]] = []
    options: dict[str, Any] = {"iterations": 20, "rates": [1e-5, 1e-4, 1e-3, 1e-2], "finer": 0}
    result = learning_rate(task, **options, progress=lambda done, total: calls.append((done, total)))
    runs = result.evidence["runs"]
    assert [done for done, _ in calls] == list(range(1, runs + 1)) and runs > 5
    assert calls[0] == (1, 5) and calls[-1] == (runs, runs)
    assert max(result.evidence["rates"]) >= 1 and result.evidence["rate"] > 0.03


@pytest.mark.soak
@pytest.mark.parametrize("name", SOUND)
def test_real_models_train_as_well_at_the_rate_found_as_at_the_best_of_the_sweep(name: str) -> None:
    """Within a tenth of the fall of the loss from its start."""
    task = SOUND[name]()
    result = learning_rate(task)
    again = learning_rate(
        task, rates=sorted([result.evidence["rate"] * f for f in (0.999, 1, 1.001, 1.002)]), finer=0
    )
    best = min(filter(None, result.evidence["losses"]))
    assert again.evidence["losses"][1] <= best + 0.1 * (result.evidence["loss at the start"] - best)
