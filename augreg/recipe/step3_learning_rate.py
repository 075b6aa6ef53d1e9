"""Step 3: which rate lowers the loss most within 100 iterations?

Each rate gets its own short run, from the same start and on the same batches. First by decades, then finer around the
best. A run with a rate that rises while it trains, as other finders do it, is one noisy curve in which the loss at
one rate depends on all rates before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from augreg.recipe.batches import BatchesAgain, training_batches
from augreg.recipe.charts import Chart
from augreg.recipe.rate_curve import BestRate, best_rate
from augreg.recipe.result import Cause, Result, Verdict
from augreg.recipe.state import kept, seed_everything
from augreg.recipe.task import Task
from augreg.recipe.training import start

__all__ = ["learning_rate"]

_DECADES = tuple(10.0**power for power in range(-6, 2))
_WIDEST = 1e-9, 1e4
_BEFORE = 8  # batches
_LAST = 4  # a fourth of the losses, the last ones, count
_LEARNS = 0.05  # of the loss at the start, which the best rate has to take away
_DIVERGED = 100.0  # times the loss at the start
_FAR = 10.0  # times the ends of the range


def learning_rate(
    task: Task,
    *,
    iterations: int = 100,
    rates: Sequence[float] = _DECADES,
    finer: int = 6,
    noise: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Train with each rate, and the task's own, for so many iterations; then with `finer` more around the best.

    The loss of a rate is the mean over the last quarter of its iterations. The best rate is in `evidence["rate"]`,
    with the range in which rates are about as good. If it lies at the border of the rates, decades are added there.
    With `noise`, augmentation and regularizers are on, as in training. `progress(done, total)` is called after each
    run. The task, generators and loaders are as before at the end.
    """
    with kept(task):
        before, own = _start_of(task, noise)
        sweep = _Sweep(task, iterations, noise, before, progress, len(rates) + 1 + finer)
        for rate in rates:
            sweep.add(rate)
        sweep.widen()
        if own > 0:
            sweep.add(own)
        for rate in _between(sweep, finer):
            sweep.add(rate)
        return _judged(sweep, own)


class _Sweep:
    """The losses of rates, by rate."""

    def __init__(
        self,
        task: Task,
        iterations: int,
        noise: bool,
        before: float,
        progress: Callable[[int, int], None] | None,
        runs: int,
    ) -> None:
        self.task = task
        self.iterations = iterations
        self.noise = noise
        self.before = before
        self.progress = progress
        self.runs = runs  # about: rates may be added
        self.losses: dict[float, float] = {}
        self.batches = BatchesAgain(training_batches(task, clean=not noise), iterations)

    def add(self, rate: float) -> None:
        """Train with a rate, unless that was done."""
        if rate in self.losses:
            return
        losses = self._run(rate)
        if len(losses) < self.iterations:
            self.losses[rate] = math.inf
        else:
            self.losses[rate] = float(np.mean(losses[-max(1, self.iterations // _LAST) :]))
        if self.progress is not None:
            self.progress(len(self.losses), max(self.runs, len(self.losses)))

    def _run(self, rate: float) -> list[float]:
        """The losses of a run; fewer than the iterations if it diverges."""
        losses: list[float] = []
        training = start(self.task.replace(learning_rate=rate), noise=self.noise)
        epoch = -1
        for number, batch in self.batches():
            if number != epoch:
                epoch = number
                seed_everything(self.task.seed, epoch)
                training.set_epoch(epoch)
            try:
                losses.append(training.update(batch))
            except ValueError:  # some losses and layers refuse what is not finite
                break
            if not losses[-1] < _DIVERGED * max(self.before, 1e-6):
                break
        return losses

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


def _start_of(task: Task, noise: bool) -> tuple[float, float]:
    """The loss before training, the mean over a few batches, and the task's own rate."""
    training = start(task, noise=noise)
    own = float(training.optimizer.param_groups[0]["lr"])
    with torch.no_grad():
        batches = itertools.islice(training_batches(task, clean=not noise).epoch(0), _BEFORE)
        losses = [float(training.batch_loss(training.moved(batch))) for batch in batches]
    return sum(losses) / len(losses), own


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
    useless = sweep.losses.get(own, 0.0) > (1 - _LEARNS) * sweep.before
    if own <= found.high * _FAR and not useless:  # a low rate may be right in a long run
        return "pass", summary, (), use
    because = f"the task has a rate of {own:.2g}, which is {factor:.2g} times too {much}"
    cause = Cause(f"rate too {much}", because, f"set the rate to {_rounded(found.rate)}")
    return "fail" if useless and much == "high" else "warning", f"{summary}; {because}", (cause,), use


def _rounded(rate: float) -> str:
    """A rate with one digit, of 1, 2, 3 and 5."""
    power = math.floor(math.log10(rate))
    digit = min((1, 2, 3, 5, 10), key=lambda each: abs(math.log10(each) - (math.log10(rate) - power)))
    return f"{digit * 10.0**power:.3g}"
