"""How far fast test-time rules are from the expectation, on small networks and scikit-learn's digits.

    python docs/examples/expectation.py                          # docs/expectation.md has the tables
    python docs/examples/expectation.py --plot expectation.svg   # and the plot

Four networks are trained on 200 digits. For three with noise in the model, weight scaling (what evaluation computes)
and one pass of moments are compared with the mean over thousands of draws; one is trained with random crops, and its
prediction for the test image is compared with the mean over views. It runs in one thread.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from pathlib import Path

import numpy as np
import sklearn
import torch
from digits import Network, digits
from torch import nn

import augreg
from augreg.data import Augmented, EpochSampler
from augreg.training import Epochs

NORMALIZE = {"normalize": {"mean": 0.3, "std": 0.38}}
MEAN_DEVIATION = (2 / np.pi) ** 0.5  # the mean absolute error of a normal variable with standard error 1
CROPS = [{"random_crop": {"size": 8, "padding": 1}}, NORMALIZE]


def layers(*widths: int) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them."""
    modules: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(widths):
        modules += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


# the network, its noise and the number of draws that stand for the expectation
NETWORKS = {
    "one linear layer, dropout 0.5 on its input": (
        lambda: layers(64, 10),
        [{"dropout": {"at": "0", "p": 0.5}}],
    ),
    "five layers with ReLU, dropout 0.5 on each hidden layer": (
        lambda: layers(64, 64, 64, 64, 64, 10),
        [{"dropout": {"at": {"type": "ReLU"}, "p": 0.5}}],
    ),
    "three layers with ReLU, DropConnect 0.5": (
        lambda: layers(64, 64, 64, 10),
        [{"drop_connect": {"at": ["3", "5"], "p": 0.5}}],
    ),
}


def train(model: nn.Module, pipe: augreg.Pipeline, samples: list, seed: int, epochs: int) -> nn.Module:
    """The model after training, as the spec says."""
    torch.manual_seed(seed)
    attached, criterion = pipe.regularize(model), pipe.criterion()
    data = Augmented(samples, pipe.train)
    sampler = EpochSampler(data, seed=seed)
    loader = torch.utils.data.DataLoader(data, batch_size=25, sampler=sampler, collate_fn=pipe.collate)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in Epochs(epochs, sampler, attached, criterion):
        model.train()
        for images, labels in loader:
            loss = criterion(model(images), labels, model)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def row(name: str, logit: torch.Tensor, variation: torch.Tensor, mean: torch.Tensor, labels: torch.Tensor) -> str:
    """A line of a table: the distances to the expectation of logits and probabilities, and how good the rule is."""
    likelihood = nn.functional.nll_loss(mean.clamp_min(1e-12).log(), labels)
    accuracy = 100 * (mean.argmax(1) == labels).double().mean()
    return f"| {name} | {logit.mean():.3f} | {variation.mean():.3f} | {likelihood:.3f} | {accuracy:.1f} |"


def total_variation(probabilities: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The distance of two distributions over the classes, for each image."""
    return (probabilities - others).abs().sum(1) / 2


def table(title: str, rows: list[str]) -> None:
    """Print a table of Markdown."""
    print(f"\n| {title} | logits | probabilities | negative log-likelihood | accuracy, % |\n|---|---|---|---|---|")
    print("\n".join(rows), flush=True)


def rules(model: nn.Module, images: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The logits and the probabilities by each rule."""
    with torch.no_grad():
        logits = model(images)
    found = {"weight scaling": (logits, logits.softmax(1))}
    one_pass = augreg.expect(model, by="moments", space="logit")(images)
    found["moments, one pass"] = (one_pass.mean, one_pass.probabilities)
    for count in (10, 100):
        drawn = augreg.expect(model, samples=count, space="logit", seed=1)(images)
        found[f"Monte Carlo, {count} passes"] = (drawn.mean, drawn.probabilities)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--images", type=int, default=500, help="the number of test images")
    parser.add_argument("--draws", type=int, default=4096, help="the draws that stand for the expectation")
    parser.add_argument("--plot", type=Path, help="where to write the plot, an .svg file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    known, _, test = digits(200)
    test = test[: given.images]
    labels = torch.tensor([label for _, label in test])
    curves = {}
    for name, (make, noise) in NETWORKS.items():
        torch.manual_seed(0)
        pipe = augreg.Pipeline([NORMALIZE], model=noise)
        model = train(make(), pipe, known, 0, given.epochs)
        images = torch.from_numpy(np.stack([pipe.test(image) for image, _ in test]))
        mean = augreg.expect(model, samples=given.draws, space="logit")(images)
        found = rules(model, images)
        rows = [
            row(rule, (logits - mean.mean).abs(), total_variation(by_rule, mean.probabilities), by_rule, labels)
            for rule, (logits, by_rule) in found.items()
        ]
        errors = [MEAN_DEVIATION * error for error in (mean.standard_error, mean.probability_error.sum(1) / 2)]
        rows.append(row(f"mean of {given.draws} draws: its own error", *errors, mean.probabilities, labels))
        table(name, rows)
        if given.plot:
            off = {rule: total_variation(by_rule, mean.probabilities).mean() for rule, (_, by_rule) in found.items()}
            curves[name] = convergence(model, images, mean.probabilities), off
    views(known, test, labels, given.epochs)
    took = time.perf_counter() - start
    print(f"\naugreg {augreg.__version__}, torch {torch.__version__}, ", end="")
    print(f"scikit-learn {sklearn.__version__}, Python {platform.python_version()}; {took:.0f} s")
    if given.plot:
        plot(curves, given.plot)


def convergence(model: nn.Module, images: torch.Tensor, mean: torch.Tensor) -> dict[int, float]:
    """The distance of the probabilities to their expectation by the number of draws."""
    found = {}
    for count in (4, 8, 16, 32, 64, 128, 256):
        drawn = augreg.expect(model, samples=count, seed=2)(images).mean
        found[count] = total_variation(drawn, mean).mean().item()
    return found


def plot(curves: dict, path: Path) -> None:
    """Distance to the expectation against the number of passes, on logarithmic axes; a panel for each network."""
    from augreg.pages.canvas import COLORS, SIZE, headed, panels, save

    figure, grid = panels(len(curves), 1, 7.0, shared=True)
    for axes, (name, (drawn, off)) in zip(grid[:, 0], curves.items(), strict=True):
        counts = list(drawn)
        expected = [drawn[counts[0]] * (counts[0] / count) ** 0.5 for count in counts]
        axes.loglog(counts, expected, ":", color=COLORS["ink"], label="1/√n")
        axes.loglog(counts, list(drawn.values()), "o-", color=COLORS["accent"], markersize=4, label="Monte Carlo")
        for rule, color, line in (("weight scaling", "second", "--"), ("moments, one pass", "third", "-.")):
            axes.axhline(off[rule], color=COLORS[color], linestyle=line, label=rule)
        axes.minorticks_off()
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_yticks([0.01, 0.1], ["0.01", "0.1"])
        headed(axes, name, "", "distance")
    headed(axes, name, "forward passes", "distance")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=SIZE,
        labelcolor=COLORS["ink"],
    )  # fmt: skip
    save(
        figure, path, "Distance of the class probabilities to the expectation",
        "Monte Carlo comes nearer with more passes; the rules of one pass are lines.",
    )  # fmt: skip


def views(known: list, test: list, labels: torch.Tensor, epochs: int) -> None:
    """The test image alone beside the mean over views, for a network trained with random crops."""
    pipe = augreg.Pipeline(CROPS)
    torch.manual_seed(0)
    model = train(Network(), pipe, known, 0, epochs)
    images = [image for image, _ in test]
    alone = model(torch.from_numpy(np.stack([pipe.test(image) for image in images]))).softmax(1).detach()
    print("\n| views | negative log-likelihood | minus that of the test image | accuracy, % |\n|---|---|---|---|")
    losses = nn.functional.nll_loss(alone.log(), labels, reduction="none")
    print(f"| the test image | {losses.mean():.4f} | | {100 * (alone.argmax(1) == labels).double().mean():.1f} |")
    for count in (5, 9):
        mean = augreg.expect(model, pipe, over="image", samples=count)(images).mean
        change = nn.functional.nll_loss(mean.log(), labels, reduction="none") - losses
        error = change.std() / len(change) ** 0.5
        accuracy = 100 * (mean.argmax(1) == labels).double().mean()
        print(
            f"| {count} views | {(losses + change).mean():.4f} | {change.mean():.4f} ± {error:.4f} | {accuracy:.1f} |"
        )


if __name__ == "__main__":
    main()
