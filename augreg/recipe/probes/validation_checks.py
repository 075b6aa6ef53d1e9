"""Does validation measure what it should? Its images, whether they are drawn, and whether the model draws."""

from __future__ import annotations

import hashlib
import operator
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from augreg.nn.modes import modes_kept
from augreg.recipe.batches import Batch, Batches, size_of, training_batches, validation_batches
from augreg.recipe.noise_off import drawing_modules
from augreg.recipe.result import Cause
from augreg.recipe.state import seed_everything
from augreg.recipe.task import Task
from augreg.recipe.training import Training, start

__all__ = ["validation_causes"]

_SAME = 0.95  # of the validation images, when they are read again
_IN_ORDER = 0.05  # of them are at the same place, if the order is not random
_OVERLAP = 0.02  # of the validation images, beyond what repetitions within the training images explain
_MOVED = 1.0  # standard deviations between the mean inputs of both sides
_SCALED = 2.0  # ratio of their standard deviations


def validation_causes(task: Task, *, most: int = 5000) -> list[Cause]:
    """What is wrong with the validation of a task; at most so many images of each side are read."""
    validation = validation_batches(task)
    if validation is None:
        return []
    causes = [
        *_noise_in_evaluation(task, validation),
        *_augmented(validation, most),
        *_inside_training(training_batches(task, clean=True), validation, most),
        *_other_inputs(training_batches(task, clean=True), validation),
    ]
    return [cause for cause in causes if cause is not None]


def _noise_in_evaluation(task: Task, validation: Batches) -> Iterator[Cause]:
    """Run the model twice in evaluation, with generators at other places, on the same images."""
    training = start(task)
    model = training.model
    batch = training.moved(next(iter(validation.epoch(0))))
    with modes_kept(model), torch.no_grad():
        model.eval()
        if not _differs(training, batch):
            return
        drawing = drawing_modules(model, lambda: training.outputs(batch[0]))
        names = ", ".join(f"{name} ({type(module).__name__})" for name, module in drawing.items())
        active = ", ".join(name or "the model" for name, each in model.named_modules() if each.training)
        because = "two evaluations of the same images differ"
        because += f"; what draws is in {names}" if names else ""
        because += f"; in training mode after eval() are: {active}" if active else ""
        yield Cause(
            "noise in evaluation",
            because,
            "call model.eval() before evaluating, and give functions such as F.dropout training=self.training",
        )


def _differs(training: Training, batch: Batch) -> bool:
    outputs = []
    for number in (1, 2):
        seed_everything(number)
        outputs.append(training.outputs(batch[0]).float())
    scale = float(outputs[0].abs().max()) + 1e-12
    return float((outputs[0] - outputs[1]).abs().max()) > 1e-4 * scale


def _augmented(validation: Batches, most: int) -> Iterator[Cause]:
    """Read the images twice, with generators at other places."""
    seed_everything(1)
    first = list(_digests(validation, 0, most))
    seed_everything(2)
    second = list(_digests(validation, 1, most))
    count = len(second)
    again = sum(map(operator.eq, first, second))
    expected = _SAME * count
    if again < _IN_ORDER * count:  # the loader shuffles, and what was read may be other images of many
        again = (Counter(first) & Counter(second)).total()
        expected *= min(1.0, count / _size(validation, count))
    if again < expected:
        yield Cause(
            "augmentation in validation",
            f"{count - again} of {count} validation images differ when they are read again",
            "give validation the transforms of testing: `pipe.test`",
        )


def _size(batches: Batches, least: int) -> int:
    """How many samples the data has, if it says so."""
    dataset: Any = getattr(batches.loader, "dataset", batches.data)
    return max(least, len(dataset)) if hasattr(dataset, "__len__") else least


def _inside_training(training: Batches, validation: Batches, most: int) -> Iterator[Cause]:
    seen = list(_digests(training, 0, most))
    known = set(seen)
    looked_at = list(_digests(validation, 0, most))
    inside = sum(each in known for each in looked_at)
    repeated = 1 - len(known) / len(seen)
    if inside >= 2 and inside / len(looked_at) > _OVERLAP + 3 * repeated:
        yield Cause(
            "validation in training",
            f"{inside} of {len(looked_at)} validation images are among the training images, bit for bit",
            "split the data by image (or by person, or place) before anything else, and remove copies",
        )


def _other_inputs(training: Batches, validation: Batches) -> Iterator[Cause]:
    """Compare mean and standard deviation of the inputs of both sides."""
    sides = [_numbers(batches.few(256)[0]) for batches in (training, validation)]
    if any(side is None or side.numel() < 2 for side in sides):
        return
    (mean, std), (other_mean, other_std) = ((float(s.mean()), float(s.std())) for s in sides if s is not None)
    ratio = max(std, other_std) / max(min(std, other_std), 1e-12)
    moved = abs(mean - other_mean) / max(std, 1e-12)
    if ratio > _SCALED or moved > _MOVED:
        yield Cause(
            "other inputs in validation",
            f"training inputs have mean {mean:.3g} and standard deviation {std:.3g}, validation inputs "
            f"{other_mean:.3g} and {other_std:.3g}",
            "normalize both in the same way",
        )


def _numbers(inputs: Any) -> Tensor | None:
    if isinstance(inputs, Mapping):
        inputs = next((each for each in inputs.values() if isinstance(each, Tensor)), None)
    return inputs.float() if isinstance(inputs, Tensor) and inputs.is_floating_point() else None


def _digests(batches: Batches, epoch: int, most: int) -> Iterator[bytes]:
    """A hash of each input."""
    count = 0
    for batch in batches.epoch(epoch):
        columns = list(batch[0].values()) if isinstance(batch[0], Mapping) else [batch[0]]
        arrays = [torch.as_tensor(each).detach().cpu().contiguous().numpy() for each in columns]
        for row in range(size_of(batch)):
            yield hashlib.blake2b(b"".join(each[row].tobytes() for each in arrays), digest_size=12).digest()
            count += 1
            if count >= most:
                return
