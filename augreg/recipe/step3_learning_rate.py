"""Step 3: which rate lowers the loss most within 100 iterations?

Each rate gets its own short run, from the same start and on the same batches. First by decades, then finer around the
best. A run with a rate that rises while it trains, as other finders do it, is one noisy curve in which the loss at
one rate depends on all rates before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from augreg.recipe.fitting import fit
from augreg.recipe.rate_curve import BestRate, best_rate
from augreg.recipe.result import Cause, Chart, Result, Verdict
from augreg.recipe.state import kept
from augreg.recipe.task import Task
from augreg.recipe.training import start

__all__ = ["learning_rate"]

_DECADES = tuple(10.0**power for power in range(-6, 2))
_WIDEST = 1e-9, 1e4
_LAST = 4  # a fourth of the losses, the last ones, count
_LEARNS = 0.05  # of the loss at the start, which the best rate has to take away
_FAR = 10.0  # times the ends of the range


def learning_rate(
    task: Task, *, iterations: int = 100, rates: Sequence[float] = _DECADES, finer: int = 6, noise: bool = True
) -> Result:
    """Train with each rate for so many iterations, then with `finer` more rates around the best.

    The loss of a rate is the mean over the last quarter of its iterations. The best rate is in `evidence["rate"]`,
    with the range in which rates are about as good. If it lies at the border of the rates, decades are added there.
    With `noise`, augmentation and regularizers are on, as in training. The task, generators and loaders are as before
    at the end.
    """
    with kept(task):
        before, own = _start_of(task)
        sweep = _Sweep(task, iterations, noise, before)
        for rate in rates:
            sweep.add(rate)
        sweep.widen()
        for rate in _between(sweep, finer):
            sweep.add(rate)
        return _judged(sweep, own)


class _Sweep:
    """The losses of rates, by rate."""

    def __init__(self, task: Task, iterations: int, noise: bool, before: float) -> None:
        self.task = task
        self.iterations = iterations
        self.noise = noise
        self.before = before
        self.losses: dict[float, float] = {}

    def add(self, rate: float) -> None:
        """Train with a rate, unless that was done."""
        if rate in self.losses:
            return
        losses = self._run(rate)
        if len(losses) < self.iterations or not all(map(math.isfinite, losses)):
            self.losses[rate] = math.inf
        else:
            self.losses[rate] = float(np.mean(losses[-max(1, self.iterations // _LAST) :]))

    def _run(self, rate: float) -> list[float]:
        try:
            return fit(self.task.replace(learning_rate=rate), iterations=self.iterations, noise=self.noise).losses
        except ValueError:  # some losses and layers refuse what is not finite
            return []

    def widen(self) -> None:
        """Add decades while the best rate is at the border."""
        while True:
            low, high = min(self.losses), max(self.losses)
            best = min(self.losses, key=lambda rate: (self.losses[rate], rate))
            if not self.falls or (best == low and low <= _WIDEST[0]) or (best == high and high >= _WIDEST[1]):
                return
            if best not in (low, high):
                return
            self.add(low / 10 if best == low else high * 10)

    @property
    def falls(self) -> bool:
        """Whether the loss falls at any rate."""
        return min(self.losses.values()) < self.before * (1 - _LEARNS)

    def best(self) -> BestRate:
        """The best rate of all."""
        return best_rate(list(self.losses), list(self.losses.values()), self.before)


def _start_of(task: Task) -> tuple[float, float]:
    """The loss before training, and the task's own rate."""
    training = start(task)
    run = fit(task.replace(learning_rate=0.0), iterations=8)
    losses = [loss for loss in run.losses if math.isfinite(loss)]
    return float(np.mean(losses)) if losses else math.nan, float(training.optimizer.param_groups[0]["lr"])


def _between(sweep: _Sweep, count: int) -> list[float]:
    """So many rates within a decade of the best of the sweep, which are evenly spaced by their logs."""
    if not sweep.falls or count < 1:
        return []
    middle = math.log10(sweep.best().rate)
    return [float(10.0**each) for each in np.linspace(middle - 0.75, middle + 0.75, count)]


def _judged(sweep: _Sweep, own: float) -> Result:
    rates = sorted(sweep.losses)
    losses = [sweep.losses[rate] for rate in rates]
    found = sweep.best()
    evidence: dict[str, Any] = {
        "rate": found.rate,
        "range": [found.low, found.high],
        "loss at the start": sweep.before,
        "loss at this rate": found.fitted,
        "noise": found.noise,
        "rate of the task": own,
        "iterations": sweep.iterations,
        "runs": len(rates),
        "rates": rates,
        "losses": [loss if math.isfinite(loss) else None for loss in losses],
    }
    chart = Chart(
        tuple(rates),
        {"loss": tuple(loss if math.isfinite(loss) and loss < 3 * sweep.before else None for loss in losses)},
        "learning rate",
        f"loss after {sweep.iterations} iterations",
        log_x=True,
        shaded=(found.low, found.high) if sweep.falls else None,
        marked=found.rate if sweep.falls else None,
    )
    verdict, summary, causes, action = _verdict(sweep, found, own)
    return Result("learning rate", verdict, summary, evidence, causes, action, (chart,))


def _verdict(sweep: _Sweep, found: BestRate, own: float) -> tuple[Verdict, str, tuple[Cause, ...], str]:
    if not math.isfinite(sweep.before) or not sweep.falls:
        summary = f"at no rate does the loss fall by 5 % in {sweep.iterations} iterations"
        return "fail", summary, (), "go back: overfit a few samples, and look at what it finds"
    use = f"use a rate of about {_rounded(found.rate)}: go on with a search from {found.low:.2g} to {found.high:.2g}"
    summary = f"the loss falls most at {found.rate:.2g}; rates from {found.low:.2g} to {found.high:.2g} are as good"
    much, factor = ("high", own / found.rate) if own > found.rate else ("low", found.rate / max(own, 1e-30))
    if found.low / _FAR <= own <= found.high * _FAR and not _worse(sweep, own):
        return "pass", summary, (), use
    because = f"the task has a rate of {own:.2g}, which is {factor:.2g} times too {much}"
    cause = Cause(f"rate too {much}", because, f"set the rate to {_rounded(found.rate)}")
    useless = _useless(sweep, own)
    return "fail" if useless else "warning", f"{summary}; {because}", (cause,), use


def _worse(sweep: _Sweep, own: float) -> bool:
    """Whether the loss at the task's own rate, by its neighbors in the sweep, is hardly below that at the start."""
    return _level(sweep, own) > 0.9 * sweep.before


def _useless(sweep: _Sweep, own: float) -> bool:
    return _level(sweep, own) > (1 - _LEARNS) * sweep.before


def _level(sweep: _Sweep, own: float) -> float:
    """The loss at a rate, from the curve."""
    rates = sorted(sweep.losses)
    losses = np.minimum([sweep.losses[rate] for rate in rates], 1.2 * sweep.before)
    return float(np.interp(math.log10(max(own, 1e-30)), np.log10(rates), losses))


def _rounded(rate: float) -> str:
    """A rate with one digit, of 1, 2, 3 and 5."""
    power = math.floor(math.log10(rate))
    digit = min((1, 2, 3, 5, 10), key=lambda each: abs(math.log10(each) - (math.log10(rate) - power)))
    return f"{digit * 10.0**power:.3g}"
