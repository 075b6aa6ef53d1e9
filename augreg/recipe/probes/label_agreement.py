"""Do the labels belong to the images? Tested by neighbors among the inputs, and by the model on samples held out.

A model can memorize a few samples whatever their labels are, so that overfitting does not show labels that are
shuffled against their images. If labels say nothing about the inputs, neighbors have no more in common than chance,
and a model is no better than chance on samples that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from augreg.recipe.batches import Batch, size_of, sliced, training_batches
from augreg.recipe.losses import Problem, dense_targets
from augreg.recipe.result import Cause
from augreg.recipe.task import Task
from augreg.recipe.training import Training, start

__all__ = ["agreement_of_neighbors", "label_causes", "labels_change", "learns_held_out"]

_NEIGHBORS = 5
_PERMUTATIONS = 50
_ENOUGH = 200  # samples, to say that labels are shuffled
_NEIGHBORS_AGREE = 4.0  # standard deviations beyond chance
_LEARNS = 3.0
_COLUMNS = 64


def label_causes(task: Task, samples: int, evidence: dict[str, Any]) -> list[Cause]:
    """Whether labels are shuffled, by so many samples; what was measured is added to the evidence."""
    remedy = "look at images beside their labels; shuffle both with the same order"
    if labels_change(task):
        return [Cause("labels shuffled", "the same samples have other labels when they are read again", remedy)]
    batch = training_batches(task, clean=True).few(samples)
    training = start(task, noise=False)
    training.model.eval()
    with torch.no_grad():
        outputs = training.outputs(training.moved(sliced(batch, 0, 2))[0])
    agreement = agreement_of_neighbors(batch, _rows(outputs, size_of(batch)), training.problem(outputs))
    if agreement is None:
        return []
    evidence["agreement of labels of neighbors"] = agreement
    if agreement >= _NEIGHBORS_AGREE or size_of(batch) < _ENOUGH:
        return []
    try:
        held_out = learns_held_out(task, batch)
    except RuntimeError:  # it cannot be trained at all, which another cause says
        return []
    evidence["accuracy on samples held out, beyond chance"] = held_out
    if held_out >= _LEARNS:
        return []
    because = (  # hard labels can look the same to few samples and a short run, so this is no more than a warning
        f"labels of similar images agree no more than chance ({agreement:.1f} standard deviations), and a model that "
        f"was trained on three quarters of {size_of(batch)} samples predicts the others no better than by chance"
    )
    return [Cause("labels shuffled", because, remedy)]


def _rows(outputs: Any, count: int) -> Any:
    """Outputs of this shape for so many samples, of which only the shape counts."""
    return outputs[:1].expand(count, *outputs.shape[1:])


def labels_change(task: Task, samples: int = 64) -> bool:
    """Whether the same samples have other labels when they are read again."""
    first, second = (training_batches(task, clean=True).few(samples)[1] for _ in range(2))
    first, second = (torch.as_tensor(_plain(each)) for each in (first, second))
    return first.shape != second.shape or not torch.equal(first, second)


def agreement_of_neighbors(batch: Batch, outputs: Tensor, problem: Problem) -> float | None:
    """How far the labels of nearest neighbors agree beyond chance, in standard deviations of shuffled labels.

    None where inputs are not numbers, or there are too few.
    """
    inputs = _numbers(batch[0])
    if inputs is None or size_of(batch) < 50:
        return None
    targets = _columns(dense_targets(batch[1], outputs), problem)
    if not float(targets.std()) > 0:
        return None
    distances = torch.cdist(inputs, inputs)
    distances.fill_diagonal_(float("inf"))
    neighbors = distances.topk(_NEIGHBORS, largest=False).indices
    generator = torch.Generator().manual_seed(0)
    shuffled = [
        _agreement(targets[torch.randperm(len(targets), generator=generator)], neighbors, problem)
        for _ in range(_PERMUTATIONS)
    ]
    chance = torch.tensor(shuffled)
    return (_agreement(targets, neighbors, problem) - float(chance.mean())) / max(float(chance.std()), 1e-9)


def learns_held_out(task: Task, batch: Batch, iterations: int = 200) -> float:
    """How far a model is better than chance on a quarter of the samples after training on the others.

    In standard deviations of what shuffled labels would give.
    """
    training = start(task, noise=False)
    batch = training.moved(batch)
    cut = size_of(batch) * 3 // 4
    known, held_out = sliced(batch, 0, cut), sliced(batch, cut, size_of(batch))
    size = task.batch_size
    for iteration in range(iterations):
        begin = iteration * size % max(1, cut - size + 1)
        training.update(sliced(known, begin, min(begin + size, cut)))
    with torch.no_grad():
        training.model.eval()
        return _beyond_chance(training, held_out)


def _beyond_chance(training: Training, batch: Batch) -> float:
    outputs = training.outputs(batch[0])
    targets = dense_targets(batch[1], outputs)

    def value(targets: Tensor) -> Tensor:
        if training.problem(outputs) == "other":
            return -training.loss(outputs, targets).cpu()
        return training.score(outputs, targets).mean().cpu()

    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(targets), generator=generator) for _ in range(_PERMUTATIONS)]
    chance = torch.stack([value(targets[order]) for order in orders])
    return float((value(targets) - chance.mean()) / chance.std().clamp(min=1e-9))


def _agreement(targets: Tensor, neighbors: Tensor, problem: Problem) -> float:
    if problem in ("classes", "binary"):
        return float((targets[neighbors] == targets[:, None]).double().mean())
    return -float((targets - targets[neighbors].mean(1)).square().mean())


def _columns(targets: Tensor, problem: Problem) -> Tensor:
    """Some of the numbers of each sample, standardized in a regression: of maps, every so-and-so-many pixel."""
    if problem == "classes" and targets.is_floating_point():
        targets = targets.argmax(1)
    targets = targets.double().reshape(len(targets), -1).cpu()
    targets = targets[:, :: -(-targets.shape[1] // _COLUMNS)]
    if problem in ("classes", "binary"):
        return targets
    return (targets - targets.mean(0)) / targets.std(0).clamp(min=1e-12)


def _numbers(inputs: Any) -> Tensor | None:
    """The inputs as rows of standardized numbers."""
    if isinstance(inputs, Mapping):
        inputs = next(
            (each for each in inputs.values() if isinstance(each, Tensor) and each.is_floating_point()), None
        )
    if not isinstance(inputs, Tensor) or not (inputs.is_floating_point() or inputs.dtype == torch.uint8):
        return None
    rows = inputs.detach().cpu().float().flatten(1)
    return (rows - rows.mean(0)) / rows.std(0).clamp(min=1e-6 + 0.01 * float(rows.std()))


def _plain(targets: Any) -> Any:
    return targets.dense() if hasattr(targets, "dense") else targets
