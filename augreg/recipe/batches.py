"""Batches of the data of a task: (inputs, targets), in an order that depends only on the seed and the epoch."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augreg.batch.keys import Key
from augreg.batch.samples import layout_for
from augreg.pipeline import Pipeline
from augreg.recipe.task import Task
from augreg.sides import Train
from augreg.training.epochs import hold
from augreg.training.rng_state import hashed_seed

__all__ = [
    "Batch",
    "Batches",
    "BatchesAgain",
    "generators_of",
    "joined",
    "parts_of",
    "size_of",
    "sliced",
    "targets_of",
    "training_batches",
    "validation_batches",
]

Batch = tuple[Any, Any]
"""The inputs of a batch, a tensor or a mapping of tensors, and its targets, a tensor or soft labels."""

_FEW = 512
_TARGETS = ("labels", "label", "target", "targets")


def training_batches(task: Task, *, clean: bool = False) -> Batches:
    """The training data of a task. With `clean` its images are not augmented and not mixed."""
    data = task.train
    if clean:
        data = _clean(task.train) if task.clean is None else task.clean
    pipe = None if task.clean is data and task.pipe is None else task.pipe
    return Batches(data, pipe, task.batch_size, augment=not clean, seed=task.seed)


def validation_batches(task: Task) -> Batches | None:
    """The validation data of a task in their order, as `pipe.test` gives them; None if there are none."""
    if task.validation is None:
        return None
    return Batches(task.validation, task.pipe, task.batch_size, augment=False, seed=task.seed)


def targets_of(task: Task) -> Any:
    """A few hundred training targets. Those of a dataset are read once."""
    if _is_pair(task.train) and (not isinstance(task.train[1], list) or isinstance(task.train[1][0], int | float)):
        return torch.as_tensor(task.train[1][:_FEW])
    dataset: Any = getattr(task.train, "dataset", task.train)
    with contextlib.suppress(TypeError):  # it cannot be a key
        if dataset in _SEEN:
            return _SEEN[dataset]
    found = _dense(training_batches(task, clean=True).few(_FEW)[1])
    with contextlib.suppress(TypeError):
        _SEEN[dataset] = found
    return found


_SEEN: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
"""Targets of datasets."""


class Batches:
    """The batches of a data set. `epoch(number)` yields those of an epoch.

    With `augment` the samples are shuffled and go through `pipe.train`, without through `pipe.test`, in their order.
    A DataLoader has its own order and its own images; torch's generator, which it draws from, is seeded before.
    """

    def __init__(self, data: Any, pipe: Pipeline | None, batch_size: int, *, augment: bool, seed: int) -> None:
        self.loader = data if _is_loader(data) else None
        self.pipe = None if self.loader is not None else pipe
        self.augment = augment
        self.seed = seed
        self.batch_size = batch_size
        self.data: Any = data
        if _is_pair(data):
            self.data = _Arrays(*data) if self.pipe is None else _Pairs(*data)
        if self.loader is None and not (hasattr(self.data, "__getitem__") and hasattr(self.data, "__len__")):
            raise TypeError(
                "expected a pair (inputs, targets), a dataset with a length, or a DataLoader, "
                f"got {type(data).__name__}"
            )
        if self.loader is None and not len(self.data):
            raise ValueError("there are no samples in the data")

    def __len__(self) -> int:
        """The number of batches."""
        return len(self.loader) if self.loader is not None else -(-len(self.data) // self.batch_size)

    def epoch(self, number: int = 0) -> Iterator[Batch]:
        """The batches of an epoch."""
        if self.loader is not None:
            yield from map(_split, self._pass(number))
            return
        order = self._order(number)
        for start in range(0, len(order), self.batch_size):
            yield self.samples(order[start : start + self.batch_size], number)

    def _pass(self, number: int) -> Iterator[Any]:
        """One pass of the loader, whose generators are seeded by the epoch, and whose parts hold it.

        `kept` restores them: after an exception, this iterator may live longer than the step that made it.
        """
        loader: Any = self.loader
        parts = [part for part in parts_of(loader) if callable(getattr(part, "set_epoch", None))]
        hold(parts, number)
        seed = hashed_seed(self.seed, number)
        for generator in (torch.default_generator, *generators_of(loader)):
            generator.manual_seed(seed)
        yield from loader

    def few(self, count: int) -> Batch:
        """So many samples, in a seeded random order, in one batch; all if there are fewer."""
        if self.loader is None:
            return self.samples(_permutation(len(self.data), self.seed)[:count], 0)
        collected: list[Batch] = []
        for batch in self._shuffled() or self.epoch(0):
            collected.append(batch)
            if sum(map(size_of, collected)) >= count:
                break
        if not collected:
            raise ValueError("the data has no batches")
        return sliced(joined(collected), 0, count)

    def _shuffled(self) -> Iterable[Batch] | None:
        """Batches of the dataset of a loader in a random order, if it can be read by index."""
        loader: Any = self.loader
        dataset: Any = getattr(loader, "dataset", None)
        collate: Any = getattr(loader, "collate_fn", None)
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__") or collate is None:
            return None
        if getattr(loader, "batch_sampler", None) is None:  # its sampler or its dataset makes batches
            return None
        if hasattr(dataset, "side"):  # an Augmented, which needs the keys of its own sampler
            return None
        order = _permutation(len(dataset), self.seed)
        size = self.batch_size
        return (_split(collate([dataset[i] for i in order[k : k + size]])) for k in range(0, len(order), size))

    def _order(self, epoch: int) -> list[int]:
        return _permutation(len(self.data), self.seed, epoch) if self.augment else list(range(len(self.data)))

    def samples(self, indices: Sequence[int], epoch: int) -> Batch:
        """The batch of samples with these indices."""
        if isinstance(self.data, _Arrays):
            return self.data.batch(indices)
        items = [self.data[index] for index in indices]
        if self.pipe is None:
            from torch.utils.data import default_collate

            return _split(default_collate(items))
        keys = [Key(epoch if self.augment else None, index) for index in indices]
        return _split(self.pipe.collate([_augmented(self.pipe, *each) for each in zip(items, keys, strict=True)]))


class BatchesAgain:
    """The first batches of data, over several epochs, as (epoch, batch): the same at every call.

    They are made once and kept if they need less than `most` bytes.
    """

    def __init__(self, batches: Batches, count: int, most: float = 1e9) -> None:
        self._batches = batches
        self._count = count
        self._most = most
        self._kept: list[tuple[int, Batch]] | None = None

    def __call__(self) -> Iterator[tuple[int, Batch]]:
        """The batches; each is a copy, which a training step may write to."""
        if self._kept is None:
            first = next(self._made())[1]
            if self._count * _bytes(first) > self._most:
                yield from self._made()
                return
            self._kept = list(self._made())
        for epoch, (inputs, targets) in self._kept:
            yield epoch, (_copy(inputs), _copy(targets))

    def _made(self) -> Iterator[tuple[int, Batch]]:
        done = 0
        for epoch in itertools.count():
            before = done
            for batch in self._batches.epoch(epoch):
                if done == self._count:
                    return
                done += 1
                yield epoch, batch
            if done == before:
                raise ValueError("there are no batches in the data")


class _Arrays:
    """Inputs and targets in tensors, which give a batch by indexing."""

    def __init__(self, inputs: Any, targets: Any) -> None:
        self.inputs, self.targets = torch.as_tensor(inputs), torch.as_tensor(targets)
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"there are {len(self.inputs)} inputs and {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]

    def batch(self, indices: Sequence[int]) -> Batch:
        """The samples with these indices."""
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return self.inputs[chosen], self.targets[chosen]


class _Pairs:
    """Images and targets as a dataset of pairs."""

    def __init__(self, inputs: Any, targets: Any) -> None:
        if len(inputs) != len(targets):
            raise ValueError(f"there are {len(inputs)} inputs and {len(targets)} targets")
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.inputs[index], self.targets[index]


def _augmented(pipe: Pipeline, item: Any, key: Key) -> Any:
    """The item with its image, which in a mapping is `image`, or `pixel_values` as for models of transformers."""
    other = isinstance(item, Mapping) and "image" not in item and "pixel_values" in item
    layout = layout_for(item, "pixel_values" if other else "image")
    side: Callable[[Any], Any] = pipe.test
    if key.epoch is not None:
        side = functools.partial(pipe.train, index=key.index, epoch=key.epoch)
    sample = layout.run(item, side)
    sample.key, sample.layout = key, layout
    return sample


def _is_loader(data: Any) -> bool:
    return hasattr(data, "__iter__") and not hasattr(data, "__getitem__") and not isinstance(data, Mapping)


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple | list) and len(data) == 2 and all(_is_column(part) for part in data)


def _is_column(part: Any) -> bool:
    return isinstance(part, Tensor | np.ndarray | list)


def _split(batch: Any) -> Batch:
    """The inputs and the targets of a batch of a loader."""
    if isinstance(batch, Mapping) or hasattr(batch, "keys"):
        batch = dict(batch)
        name = next((name for name in _TARGETS if name in batch), None)
        if name is None:
            raise ValueError(f"a batch has none of {', '.join(_TARGETS)}; its keys are: {', '.join(map(str, batch))}")
        targets = batch.pop(name)
        return (next(iter(batch.values())) if list(batch) == ["image"] else batch), targets
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    raise ValueError(f"expected batches of (inputs, targets) or mappings, got {type(batch).__name__}")


def _clean(data: Any) -> Any:
    """The data with `pipe.test` in place of `pipe.train`, if that can be seen; else the data itself."""
    dataset: Any = getattr(data, "dataset", None) if _is_loader(data) else data
    side = getattr(dataset, "side", None)
    if not isinstance(side, Train):
        return data
    quiet = copy.copy(dataset)
    pipe: Any = side._pipeline
    quiet.side = pipe.test
    if dataset is data:
        return quiet
    from torch.utils.data import DataLoader

    return DataLoader(quiet, data.batch_size or 32, collate_fn=pipe.replace(batch=[]).collate)


def parts_of(loader: Any) -> list[Any]:
    """A loader, its samplers and its dataset, and the samplers and datasets inside them."""
    found: dict[int, Any] = {}
    left = [loader]
    while left:
        part = left.pop()
        if part is not None and id(part) not in found:
            found[id(part)] = part
            left += [getattr(part, name, None) for name in ("dataset", "batch_sampler", "sampler", "_inner")]
    return list(found.values())


def generators_of(loader: Any) -> list[torch.Generator]:
    """The generators of torch that a loader, its samplers and its dataset have of their own."""
    found = [getattr(part, "generator", None) for part in parts_of(loader)]
    return list({id(each): each for each in found if isinstance(each, torch.Generator)}.values())


def _permutation(count: int, *seeds: int) -> list[int]:
    generator = torch.Generator().manual_seed(hashed_seed(*seeds))
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order


def size_of(batch: Batch) -> int:
    """The number of samples of a batch."""
    return len(batch[1])


def sliced(batch: Batch, start: int, stop: int) -> Batch:
    """Some samples of a batch."""
    inputs, targets = batch
    if isinstance(inputs, Mapping):
        return {name: value[start:stop] for name, value in inputs.items()}, _dense(targets)[start:stop]
    return inputs[start:stop], _dense(targets)[start:stop]


def joined(batches: Sequence[Batch]) -> Batch:
    """One batch of the samples of several."""
    inputs = [batch[0] for batch in batches]
    targets = torch.cat([torch.as_tensor(_dense(batch[1])) for batch in batches])
    if isinstance(inputs[0], Mapping):
        return {name: torch.cat([each[name] for each in inputs]) for name in inputs[0]}, targets
    return torch.cat([torch.as_tensor(each) for each in inputs]), targets


def _dense(targets: Any) -> Any:
    """Soft labels as probabilities, which can be sliced."""
    return targets.dense() if hasattr(targets, "dense") else targets


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copy(each) for name, each in value.items()}
    return value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)


def _bytes(batch: Batch) -> int:
    parts = [*(batch[0].values() if isinstance(batch[0], Mapping) else [batch[0]]), batch[1]]
    return sum(each.numel() * each.element_size() for each in parts if isinstance(each, Tensor))
