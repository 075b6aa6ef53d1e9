"""What the tests of loaders send to worker processes, which find classes by name: data sets, a transform, a check."""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import json
import pickle
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

import augreg
from augreg import Pipeline, Registry, ops
from augreg.data import Augmented, Batch, EpochSampler

SIZE = 40
IMAGE: list[Any] = [
    {"random_crop": {"size": 8, "padding": 2}},
    "horizontal_flip",
    {"brightness": 0.5},
    {"normalize": {"mean": [0.3], "std": [0.4]}},
]
MIXING: list[Any] = [{"one_of": [{"mixup": {"alpha": 1.0}}, {"cutmix": {"alpha": 1.0}}]}]
SPEC: dict[str, Any] = {"seed": 5, "classes": 10, "image": IMAGE, "batch": MIXING}


@functools.cache
def digits() -> tuple[np.ndarray, list[int]]:
    """The digits that scikit-learn ships, as bytes, and their labels. To import it would take a second."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None and spec.origin is not None
    with gzip.open(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz") as file:
        rows = np.loadtxt(file, delimiter=",")
    return (rows[:, :64].reshape(-1, 8, 8, 1) * 15.9).astype(np.uint8), rows[:, 64].astype(int).tolist()


class Digits:
    """A map-style data set of (image of 8 x 8 x 1 bytes, label)."""

    def __init__(self, count: int = SIZE) -> None:
        images, labels = digits()
        self.images, self.labels = images[:count], labels[:count]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], self.labels[index]


class Rows(Digits):
    """The same as mappings, with a mask and an id."""

    def __getitem__(self, index: int) -> dict[str, Any]:  # type: ignore[override]
        image, label = super().__getitem__(index)
        return {"image": image, "mask": image[..., 0], "label": label, "name": f"digit/{index}"}


@augreg.transform("careless", kind="color", preview=({},))
class Careless:
    """Change the brightness by a generator of its own, of which every worker has a copy."""

    by: float = 0.5
    own: ClassVar[np.random.Generator] = np.random.default_rng(0)

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.point_function("brightness", float(self.own.uniform(1.0 - self.by, 1.0 + self.by)))


def careless() -> Pipeline:
    """A pipeline whose images are not a function of their key."""
    image = [{"careless": {}} if isinstance(step, dict) and "brightness" in step else step for step in IMAGE]
    return Pipeline.from_spec({**SPEC, "image": image}, Registry.installed().add(Careless))


def digest(array: Any) -> str:
    """The hash of the numbers of an array or tensor, with their shape and dtype."""
    array = np.ascontiguousarray(array.numpy() if hasattr(array, "numpy") else array)
    return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()[:32]


class Traced:
    """Collates, and returns the key and the hash of each sample before mixing."""

    def __init__(self, pipe: Pipeline) -> None:
        self.collate = pipe.collate

    def __call__(self, samples: Batch) -> Any:
        seen = [(tuple(key[:2]), digest(sample[0])) for key, sample in zip(samples.keys, samples, strict=True)]
        return seen, self.collate(samples)


class Way(NamedTuple):
    """One way to load the same samples."""

    workers: int = 0
    start: str = "fork"
    batch: int = 7
    persistent: bool = False
    ranks: int = 1
    resumed: bool = False


class Seen(NamedTuple):
    """A batch as it arrived: its keys in order, the hash of each sample, and that of the mixed batch."""

    keys: tuple[tuple[int, int], ...]
    samples: tuple[str, ...]
    mixed: str


def loaded(pipe: Pipeline, way: Way, epochs: range) -> Iterator[Seen]:
    """All batches of these epochs, rank after rank."""
    for rank in range(way.ranks):
        yield from _loaded_by_a_rank(pipe, way, epochs, rank)


def loader(pipe: Pipeline, way: Way, rank: int = 0, count: int = SIZE) -> tuple[Any, EpochSampler]:
    """A StatefulDataLoader over the digits, and its sampler."""
    from torch.utils.data import DistributedSampler
    from torchdata.stateful_dataloader import StatefulDataLoader

    data = Augmented(Digits(count), pipe.train)
    ranked = DistributedSampler(data, way.ranks, rank, seed=3) if way.ranks > 1 else data  # type: ignore[arg-type]
    sampler = EpochSampler(ranked, seed=3) if way.ranks == 1 else EpochSampler(ranked)
    options = {"multiprocessing_context": way.start, "persistent_workers": way.persistent} if way.workers else {}
    found = StatefulDataLoader(
        data, way.batch, sampler=sampler, num_workers=way.workers, collate_fn=Traced(pipe), **options
    )  # fmt: skip
    return found, sampler


def _loaded_by_a_rank(pipe: Pipeline, way: Way, epochs: range, rank: int) -> Iterator[Seen]:
    batches, sampler = loader(pipe, way, rank)
    for epoch in epochs:
        sampler.set_epoch(epoch)
        if way.resumed and epoch == epochs[:2][-1]:  # leave it in mid-epoch, and go on with a new loader
            done = max(1, len(batches) // 2)
            yield from map(seen, islice(batches, done))
            state = pickle.dumps(batches.state_dict())
            batches, sampler = loader(pipe, way, rank)
            batches.load_state_dict(pickle.loads(state))
            sampler.set_epoch(epoch)
        yield from map(seen, batches)


def seen(arrived: Any) -> Seen:
    """What arrived, by hashes."""
    samples, (images, labels) = arrived
    return Seen(tuple(key for key, _ in samples), tuple(hash for _, hash in samples), of_batch(images, labels))


def of_batch(images: Any, labels: Any) -> str:
    """The hash of a mixed batch and its labels."""
    return digest(images) + digest(labels.dense())


# A training run that can be killed: python loading.py FOLDER [STEP TO STOP AT]

TRAINING: dict[str, Any] = {
    **SPEC,
    "image": [
        {"random_crop": {"size": 8, "padding": 1}},
        {"brightness": 0.3},
        {"normalize": {"mean": [0.3], "std": [0.4]}},
    ],
    "batch": [
        {
            "one_of": {
                "steps": [{"mixup": {"alpha": 0.4}}, {"cutmix": {"alpha": 1.0}}],
                "p": {"linear": [0.3, 0.9], "over": [0, 3]},
            }
        }
    ],
}
COUNT, EPOCHS, EVERY = 640, 3, 4


def train(folder: Path, stop_at: int | None = None) -> None:
    """Train a small network on the digits, from the last checkpoint in the folder if there is one.

    With `stop_at` it writes a file `waiting` at this step and waits, so that it can be killed there.
    """
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip
    # gradient descent with momentum by hand: any optimizer of torch imports its compiler, which takes a second
    speeds = [torch.zeros_like(weights) for weights in model.parameters()]
    pipe = Pipeline.from_spec(TRAINING)
    batches, sampler = loader(pipe, Way(workers=2, batch=32), count=COUNT)
    first = step = 0
    kept = folder / "checkpoint.pt"
    if kept.exists():
        state = torch.load(kept, weights_only=False)
        first, step = state["epoch"], state["step"]
        model.load_state_dict(state["model"])
        speeds = state["speeds"]
        batches.load_state_dict(state["loader"])
    with (folder / "batches.jsonl").open("a") as log:
        for epoch in range(first, EPOCHS):
            sampler.set_epoch(epoch)
            for samples, (images, labels) in batches:
                if step == stop_at:
                    (folder / "waiting").touch()
                    time.sleep(600)
                print(json.dumps([step, [key for key, _ in samples], of_batch(images, labels)]), file=log, flush=True)
                loss = nn.functional.cross_entropy(model(images), labels.dense())
                with torch.no_grad():
                    parameters = list(model.parameters())
                    gradients = torch.autograd.grad(loss, parameters)
                    for weights, speed, gradient in zip(parameters, speeds, gradients, strict=True):
                        weights -= 0.1 * speed.mul_(0.9).add_(gradient)
                step += 1
                if step % EVERY == 0:
                    state = {"epoch": epoch, "step": step, "loader": batches.state_dict()}
                    state.update(model=model.state_dict(), speeds=speeds)
                    torch.save(state, kept.with_suffix(".new"))
                    kept.with_suffix(".new").replace(kept)
    images, labels = (part[COUNT : COUNT + 300] for part in digits())
    test = torch.stack([torch.from_numpy(pipe.test(image)) for image in images])
    with torch.no_grad():
        right = model(test).argmax(1).numpy() == labels
    torch.save({"model": model.state_dict(), "accuracy": float(right.mean())}, folder / "end.pt")


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
