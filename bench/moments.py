"""How near one pass of moments comes to the exact expectation, and what it costs.

    python bench/moments.py exact             # 20 networks whose masks are all enumerated, and 20 fresh ones
    python bench/moments.py speed             # one pass over the time of a plain forward
    python bench/moments.py speed --device cuda

`exact` prints the mean absolute error of a logit and the total variation of the class probabilities to the exact
mean. `speed` needs no other libraries; the rows take turns, and the ratios are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from augreg.expectation.moments import propagate
from augreg.expectation.noise.find_noise import find_noise

MASKS = ((np.arange(256)[:, None] >> np.arange(8)) & 1) * 2.0


def network(seed: int) -> tuple[nn.Module, Tensor, np.ndarray, np.ndarray]:
    """A model, its input, and the exact mean of its logits and of its probabilities."""
    draw = np.random.default_rng(seed).standard_normal
    first, second = 0.48 * draw((8, 8)), 0.48 * draw((5, 8))
    first_bias, second_bias, x = 0.1 * draw(8), 0.1 * draw(5), draw(8)
    hidden = np.maximum((MASKS * x) @ first.T + first_bias, 0)
    logits = (hidden[:, None] * MASKS).reshape(-1, 8) @ second.T + second_bias
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5)).double()
    for parameter, value in zip(model.parameters(), (first, first_bias, second, second_bias), strict=True):
        parameter.data = torch.tensor(value)
    return model.eval(), torch.tensor(x)[None], logits.mean(0), softmax(logits).mean(0)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of the last dimension."""
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(-1, keepdims=True))


SETTINGS = {
    "variances": (False, False),
    "variances and cumulants": (False, True),
    "covariance": (True, False),
    "covariance and cumulants": (True, True),
}


def errors(seeds: range) -> dict[str, np.ndarray]:
    """The errors of the logits and the probabilities of each way, over networks."""
    totals: dict[str, list[tuple[float, float]]] = {}
    for seed in seeds:
        model, x, mean, probabilities = network(seed)
        noise = find_noise(model, x)

        def note(name: str, logits: np.ndarray, classes: np.ndarray, mean=mean, exact=probabilities) -> None:
            found = float(np.abs(logits - mean).mean()), float(np.abs(classes - exact).sum() / 2)
            totals.setdefault(name, []).append(found)

        with torch.no_grad():
            scaling = model(x)[0].numpy()
        note("weight scaling", scaling, softmax(scaling))
        for name, (covariance, cumulants) in SETTINGS.items():
            found = propagate(model, x, covariance=covariance, fourth_cumulant=cumulants, noise=noise)
            note(name, found.mean[0].numpy(), found.probabilities().mean[0].numpy())
        model.train()
        for count in (10, 50, 1000):
            with torch.no_grad():
                draws = model(x.expand(count, 8)).numpy()
            note(f"Monte Carlo, {count} passes", draws.mean(0), softmax(draws).mean(0))
    return {name: np.mean(rows, 0) for name, rows in totals.items()}


SEEN, FRESH = range(20), range(77000, 77020)
"""Seeds of networks that were looked at while the rules were chosen, and of 20 that were tried once, at the end."""


def exact() -> None:
    """The table of errors."""
    torch.manual_seed(0)
    seen, fresh = errors(SEEN), errors(FRESH)
    print("| | logit | probabilities | logit, fresh networks | probabilities |\n|---|---|---|---|---|")
    for name, row in seen.items():
        print(f"| {name} | {row[0]:.3f} | {row[1]:.3f} | {fresh[name][0]:.3f} | {fresh[name][1]:.3f} |")


def perceptron() -> tuple[nn.Module, Tensor]:
    """784-256-256-10 with dropout 0.5, batch 64."""
    layers = [nn.Dropout(0.2), nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 256), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(256, 10)), torch.randn(64, 784)


def convolutional() -> tuple[nn.Module, Tensor]:
    """Three convolutions with dropout of channels and elements, 32 x 32, batch 16."""
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Dropout2d(0.1)]
    head = [nn.Flatten(), nn.Dropout(0.5), nn.Linear(1024, 10)]
    return nn.Sequential(*layers, *head), torch.randn(16, 3, 32, 32)


def speed(device: str, rounds: int) -> None:
    """The time of one pass over that of a plain forward, with the noise already found and with finding it."""
    for make in (perceptron, convolutional):
        model, x = make()
        model, x = model.eval().to(device), x.to(device)
        noise = find_noise(model, x[:1])
        ways: dict[str, Callable[[], object]] = {
            "plain": torch.no_grad()(lambda model=model, x=x: model(x)),
            "variances": lambda m=model, x=x, n=noise: propagate(
                m, x, noise=n, covariance=False, fourth_cumulant=False
            ),
            "and cumulants": lambda m=model, x=x, n=noise: propagate(m, x, noise=n, covariance=False),
            "and covariance": lambda m=model, x=x, n=noise: propagate(m, x, noise=n),
            "and finding the noise": lambda m=model, x=x: propagate(m, x),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                begin = time.perf_counter()
                way()
                if device != "cpu":
                    torch.cuda.synchronize()
                times[name].append(time.perf_counter() - begin)
        plain = statistics.median(times["plain"])
        shown = ", ".join(f"{name} {statistics.median(each) / plain:.1f}" for name, each in times.items())
        print(f"{make.__name__}: plain {plain * 1000:.2f} ms; over it: {shown}")


def main() -> None:
    """Run what was chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("exact", "speed"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.part == "exact":
        exact()
    else:
        speed(given.device, given.rounds)


if __name__ == "__main__":
    main()
