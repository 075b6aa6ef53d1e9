"""Grid against random, quasi-random and TPE: how often each finds the best 5 %, from real training runs.

    python docs/examples/search.py                 # the tables, as Markdown
    python docs/examples/search.py --plots docs    # and the plots, recipe-search.svg and recipe-nine-trials.svg

A small network learns a small data set in a few epochs. Of its five parameters one matters, the learning rate. Each
seed has its own points, and its own range of the rate: four decades that lie elsewhere for each seed, so that no grid
is good by luck. What the best 5 % of a range are is known from random trials, five sets with other initial weights.
All numbers come from runs that were trained. It needs optuna, and matplotlib for the plots.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import starmap
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import scipy.stats
import sklearn
import torch
from sklearn import datasets
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

import augreg
from augreg.recipe import Task, coarse_search, fine_search, fit
from augreg.recipe.search import Range, Study, TrainedTask, space_of, with_values
from augreg.recipe.search.importance import importance
from augreg.recipe.search.samplers import grid_counts
from augreg.recipe.search.space import Space
from augreg.recipe.search.trial import Trial

SEARCHES = ("grid", "grid of midpoints", "random", "quasi-random", "coarse, then fine", "tpe", "Optuna alone")
BEST = 0.05  # the part of the random trials that counts as the best
DECADES = 4.0
LOWEST = (-4.5, -2.5)  # ranges of the rate begin at 10 to the power of a number between these
ALL_RATES = 10 ** LOWEST[0], 10 ** (LOWEST[1] + DECADES)
LANDSCAPES = 5  # seeds of the training
DIVERGED = (0.0, -math.inf)
AGAIN = 3  # other seeds with which the best trial is trained once more, for its test accuracy
AXES = "learning_rate", "weight_decay"  # of the plot with nine trials
OTHERS = {
    "weight_decay": "log [1e-6, 1e-3]",
    "model[0].dropout.p": [0.0, 0.2],
    "model[1].activation_noise.std": [0.0, 0.2],
    "loss[0].label_smoothing.smoothing": [0.0, 0.1],
}
DATA = {"digits": (400, 600, 3), "more digits": (1000, 500, 3), "cancer": (250, 200, 5)}
"""How many samples are for training and for validation (the others are for the test), and the epochs."""


class Setting(NamedTuple):
    """What all searches share."""

    data: str
    trials: int
    epochs: int


class Row(NamedTuple):
    """A trial: its validation accuracy and minus its loss, so that the best is the greatest; and its parameters."""

    accuracy: float
    minus_loss: float
    parameters: dict[str, Any]

    @property
    def key(self) -> tuple[float, float]:
        return self.accuracy, self.minus_loss


@dataclass(frozen=True)
class Search:
    """The trials of a search, in order, and the test accuracy with the best parameters and other seeds."""

    rows: list[Row]
    test: float

    @property
    def best(self) -> Row:
        return max(self.rows, key=lambda row: row.key)


@cache
def samples(data: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs and the labels, shuffled and standardized."""
    load = datasets.load_breast_cancer if data == "cancer" else datasets.load_digits
    inputs, labels = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(inputs))
    known = inputs[order[: DATA[data][0]]]
    deviation = known.std(0) if data == "cancer" else known.std()
    scaled = (inputs[order] - known.mean(0 if data == "cancer" else None)) / deviation
    return torch.tensor(scaled, dtype=torch.float32), torch.tensor(labels[order])


def task(data: str, seed: int, test: bool = False) -> Task:
    """The task, with the test data in place of the validation data if wanted."""
    inputs, labels = samples(data)
    first, second, _ = DATA[data]
    known = TensorDataset(inputs[:first], labels[:first])
    chosen = slice(first + second, None) if test else slice(first, first + second)
    others = TensorDataset(inputs[chosen], labels[chosen])
    classes = int(labels.max()) + 1
    return Task(
        partial(network, inputs.shape[1], classes),
        train=loader(known, RandomSampler(known), 32),
        clean=loader(known, SequentialSampler(known), len(known)),
        validation=loader(others, SequentialSampler(others), len(others)),
        optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        spec={
            "model": [{"dropout": {"at": "1", "p": 0.1}}, {"activation_noise": {"at": "1", "std": 0.1}}],
            "loss": [{"label_smoothing": 0.05}],
            "classes": classes,
        },
        seed=seed,
    )


def network(inputs: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, classes))


def loader(data: TensorDataset, order: Any, size: int) -> DataLoader:
    """A loader that reads each batch by one indexing."""
    return DataLoader(data, batch_size=None, sampler=BatchSampler(order, size, drop_last=False))


def rates(seed: int) -> tuple[float, float]:
    """The range of the rate of a seed."""
    low = float(f"{10 ** random.Random(seed).uniform(*LOWEST):.3g}")
    return low, float(f"{low * 10**DECADES:.3g}")


def space(of: Task, low: float, high: float) -> Space:
    """The five ranges."""
    return space_of(of, {"learning_rate": f"log [{low}, {high}]", **OTHERS})


def search(name: str, seed: int, setting: Setting) -> Search:
    """Run a search. Nothing is pruned or widened, so that all have the same budget."""
    data, trials, epochs = setting
    objective = TrainedTask(task(data, seed % LANDSCAPES), epochs)
    ranges = space(objective.task, *rates(seed))
    if name == "Optuna alone":
        rows = by_optuna(objective, ranges, seed, trials)
    elif name == "coarse, then fine":
        rows = in_two_steps(objective.task, ranges, seed, setting)
    else:
        inside = of_midpoints(ranges, trials) if "midpoints" in name else ranges
        rows = by_study(objective, inside, name.split()[0], seed, trials)
    best = max(rows, key=lambda row: row.key).parameters
    others = [with_values(task(data, 1000 + AGAIN * seed + k, test=True), best) for k in range(AGAIN)]
    return Search(rows, float(np.mean([fit(each, epochs).last("validation metric") for each in others])))


def by_study(objective: TrainedTask, ranges: Space, sampler: str, seed: int, trials: int) -> list[Row]:
    """The trials of a study."""
    study = Study(objective, ranges, trials, sampler=sampler, pruner="none", seed=seed).run()
    return [row(trial.value, trial.history.get("validation loss"), trial.parameters) for trial in study.trials]


def in_two_steps(of: Task, ranges: Space, seed: int, setting: Setting) -> list[Row]:
    """The steps 4 and 5 of the recipe with half of the trials each, both quasi-random and of the same epochs."""
    half = setting.trials // 2
    first = coarse_search(of, ranges, trials=half, epochs=setting.epochs, pruner="none", seed=seed, widen=0)
    rest = setting.trials - half
    second = fine_search(of, first, trials=rest, epochs=setting.epochs, pruner="none", seed=seed, widen=0)
    found = [*first.evidence["trials"], *second.evidence["trials"]]
    return [row(each["value"], [each["loss"]], each["parameters"]) for each in found]


def by_optuna(objective: TrainedTask, ranges: Space, seed: int, trials: int) -> list[Row]:
    """Trials by a study of Optuna with its default sampler: of this package only the training is used."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    rows = []
    for _ in range(trials):
        asked = study.ask()
        values = {path: asked.suggest_float(path, each.low, each.high, log=each.log) for path, each in ranges.items()}
        rows.append(trained(objective, values))
        diverged = rows[-1].key == DIVERGED
        study.tell(asked, *((None, optuna.trial.TrialState.FAIL) if diverged else (rows[-1].accuracy,)))
    return rows


def trained(objective: TrainedTask, values: dict[str, Any]) -> Row:
    """The row of a trial that is not one of a study of this package."""
    outcome = objective.run(values, None, lambda _: None)
    return row(outcome.value, outcome.history.get("validation loss"), values)


def row(value: float | None, losses: Sequence[float] | None, parameters: Any) -> Row:
    """A row; a trial that diverged is the worst."""
    key = DIVERGED if value is None or not losses else (value, -losses[-1])
    return Row(*key, dict(parameters))


def of_midpoints(ranges: Space, trials: int) -> Space:
    """Ranges whose grid has the midpoints of equal parts of the given ones, and so none of their ends."""
    found = {}
    for count, (path, each) in zip(grid_counts(ranges, trials), ranges.items(), strict=True):
        low, high = each.value(0.5 / count), each.value(1 - 0.5 / count)
        found[path] = Range(low, high, log=each.log) if count > 1 else each
    return found


def reference(landscape: int, count: int, setting: Setting) -> list[Row]:
    """Random trials over all ranges that a seed may have."""
    objective = TrainedTask(task(setting.data, landscape), setting.epochs)
    ranges = space(objective.task, *ALL_RATES)
    return by_study(objective, ranges, "random", 1000 + landscape, count)


def threshold(rows: Sequence[Row], low: float, high: float) -> tuple[float, float]:
    """What a trial has to reach to be one of the best 5 % with a rate in this range."""
    inside = sorted((row.key for row in rows if low <= row.parameters["learning_rate"] <= high), reverse=True)
    return inside[max(0, round(BEST * len(inside)) - 1)]


def when_found(rows: Sequence[Row], least: tuple[float, float]) -> int | None:
    """The number of the first trial that is one of the best, from 1; None if there is none."""
    return next((number for number, each in enumerate(rows, 1) if each.key >= least), None)


def mean_and_interval(values: Any) -> tuple[float, float]:
    """The mean and half the width of its 95 % interval, by Student's t."""
    count = len(values)
    half = scipy.stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count) if count > 1 else math.nan
    return float(np.mean(values)), float(half)


def two_parameters(seed: int, setting: Setting) -> tuple[TrainedTask, Space]:
    """The objective and the two ranges of the trials in the figure: one that matters, and weight decay."""
    objective = TrainedTask(task(setting.data, seed % LANDSCAPES), setting.epochs)
    ranges = space(objective.task, *rates(seed))
    return objective, {path: ranges[path] for path in AXES}


def nine(name: str, seed: int, setting: Setting) -> list[Row]:
    """Nine trials, by a grid or random."""
    return by_study(*two_parameters(seed, setting), name, seed, 9)


def sections(seed: int, setting: Setting) -> dict[str, list[Row]]:
    """Trials along the rate, in the middle of weight decay; and along weight decay, at the best of these rates."""
    objective, ranges = two_parameters(seed, setting)
    found: dict[str, list[Row]] = {}
    others = {path: each.value(0.5) for path, each in ranges.items()}
    for axis, count in zip(AXES, (33, 9), strict=True):
        values = [{**others, axis: ranges[axis].value(unit)} for unit in np.linspace(0, 1, count).tolist()]
        found[axis] = [trained(objective, each) for each in values]
        others = max(found[axis], key=lambda row: row.key).parameters
    return found


def table(found: dict[tuple[str, int], Search], references: Sequence[Sequence[Row]]) -> list[str]:
    """The table of all searches, with their best validation accuracies."""
    seeds = sorted({seed for _, seed in found})
    least = [threshold(references[seed % LANDSCAPES], *rates(seed)) for seed in seeds]
    best = {name: np.array([100 * found[name, seed].best.accuracy for seed in seeds]) for name in SEARCHES}
    head = "search", "found", "trials", "best", "test", "against grid", "against midpoints", "minus Optuna alone"
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name in SEARCHES:
        mine = [found[name, seed] for seed in seeds]
        among = [sum(row.key >= at for row in each.rows) for each, at in zip(mine, least, strict=True)]
        mean, half = mean_and_interval(best[name] - best["Optuna alone"])
        cells = [
            name,
            f"{sum(map(bool, among))} of {len(seeds)}",
            f"{np.mean(among):.1f}",
            f"{best[name].mean():.2f}",
            f"{100 * np.mean([each.test for each in mine]):.2f}",
            *("" if name == other else wins(best[name], best[other]) for other in SEARCHES[:2]),
            "" if name == "Optuna alone" else f"{mean:+.2f} ± {half:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def wins(ours: Any, others: Any) -> str:
    """How often the first is greater, equal and less."""
    return " / ".join(str(int(np.sum(np.sign(ours - others) == sign))) for sign in (1, 0, -1))


def what_matters(rows: Sequence[Row], data: str) -> str:
    """What each parameter explains of the ranks of random trials."""
    trials = [
        Trial(number, each.parameters, "complete", each.accuracy, history={"validation loss": [-each.minus_loss]})
        for number, each in enumerate(rows)
    ]
    found = importance(space(task(data, 0), *ALL_RATES), trials, maximize=True)
    return ", ".join(f"{path} {value:.2f}" for path, value in found.items())


def in_processes(jobs: int, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The results of calls, in their order."""
    if jobs == 1:
        return list(starmap(function, calls))
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        return list(pool.map(function, *zip(*calls, strict=True)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=DATA, default="digits")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--epochs", type=int, help="3, and 5 for cancer")
    parser.add_argument("--reference", type=int, default=400, help="random trials for each of the five trainings")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--plots", type=Path, help="the folder for the plots")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    start = time.perf_counter()
    setting = Setting(given.data, given.trials, given.epochs or DATA[given.data][2])
    results = partial(in_processes, given.jobs)
    references = results(reference, [(number, given.reference, setting) for number in range(LANDSCAPES)])
    pairs = [(name, seed) for seed in range(given.seeds) for name in SEARCHES]
    found = dict(zip(pairs, results(search, [(*pair, setting) for pair in pairs]), strict=True))
    print("\n".join(table(found, references)))
    print(f"\nimportance: {what_matters([row for rows in references for row in rows], given.data)}")
    pairs = [(name, seed) for seed in range(given.seeds) for name in ("grid", "random")]
    nines = dict(zip(pairs, results(nine, [(*pair, setting) for pair in pairs]), strict=True))
    best = {pair: max(row.accuracy for row in rows) for pair, rows in nines.items()}
    grid, drawn = (np.array([best[name, seed] for seed in range(given.seeds)]) for name in ("grid", "random"))
    print(
        f"\nnine random trials against a grid of nine: {wins(drawn, grid)}, {100 * np.mean(drawn - grid):+.1f} points"
    )
    if given.plots:
        from search_plots import draw_found, draw_nine

        draw_found(found, references, given.plots / "recipe-search.svg")
        typical = int(np.argsort(drawn - grid, kind="stable")[given.seeds // 2])  # the median
        shown = {name: nines[name, typical] for name in ("grid", "random")}
        draw_nine(shown, sections(typical, setting), given.plots / "recipe-nine-trials.svg")
    took = time.perf_counter() - start
    print(f"\naugreg {augreg.__version__}, torch {torch.__version__}, optuna {optuna.__version__}, ", end="")
    print(f"scikit-learn {sklearn.__version__}, Python {platform.python_version()}; {took:.0f} s")


if __name__ == "__main__":
    main()
