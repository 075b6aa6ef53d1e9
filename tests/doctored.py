"""Healthy and faulty loaders for the tests of the doctor, importable by the workers that they start."""

from __future__ import annotations

import os
import random
import threading
from typing import Any

import numpy as np
import torch
from numpy.random import default_rng
from torch.utils.data import DataLoader, Dataset, IterableDataset

COUNT = 40
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def photos(count: int = COUNT, side: int = 12, seed: int = 5) -> np.ndarray:
    """Color images of uint8 from 0 to 255: gradients in random directions, more red than blue."""
    rng = np.random.Generator(np.random.Philox(seed))
    rows, columns = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    ramps = [rng.random() * rows + rng.random() * columns for _ in range(count)]
    grays = np.stack([255 * (ramp - ramp.min()) / np.ptp(ramp) for ramp in ramps])
    colors = np.stack([grays, 0.9 * grays, 0.75 * grays], axis=-1) + rng.normal(0, 3, (count, side, side, 3))
    colors[:, 0, 0], colors[:, -1, -1] = 0, 255
    return np.clip(colors, 0, 255).astype(np.uint8)


PHOTOS = photos()
HELD_OUT = photos(seed=6)


def normalized(image: np.ndarray) -> torch.Tensor:
    """Channels first, ImageNet's normalization."""
    return torch.from_numpy(np.ascontiguousarray(((np.float32(image) / 255 - MEAN) / STD).transpose(2, 0, 1)))


class Photos(Dataset):
    """Images and labels as they are, normalized; the subclasses draw. `held_out` gives others, for validation."""

    def __init__(self, count: int = COUNT, **settings: Any) -> None:
        self.count = count
        self.settings = settings

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        photos = HELD_OUT if self.settings.get("held_out") else PHOTOS
        return self.image(photos[index], index), self.label(index)

    def image(self, image: np.ndarray, index: int) -> Any:
        return normalized(image)

    def label(self, index: int) -> Any:
        return index % 4


def brightened(image: np.ndarray, factor: float) -> torch.Tensor:
    return normalized(image * factor)


class KeptGenerator(Photos):
    """Faulty: every worker gets a copy of the generator."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.rng = np.random.default_rng(0)

    def image(self, image: np.ndarray, index: int) -> Any:
        return brightened(image, self.rng.uniform(0.5, 1.0))


class LazyGenerator(KeptGenerator):
    """Healthy: each worker makes its own generator on first use."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.rng = None

    def image(self, image: np.ndarray, index: int) -> Any:
        if self.rng is None:
            self.rng = np.random.default_rng()
        return super().image(image, index)


class LazyFile(Photos):
    """Healthy: each process opens the file on first use, as a file that is open during a fork is shared."""

    opened_by: int | None = None

    def image(self, image: np.ndarray, index: int) -> Any:
        if self.opened_by is None:
            self.opened_by = os.getpid()
        if self.opened_by != os.getpid():
            raise OSError("the file was opened in another process")
        return brightened(image, 0.5 + 0.5 * torch.rand(()).item())


class LazyAndLocked(LazyGenerator):
    """Healthy, and nothing that can be deep-copied."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.lock = threading.Lock()


class KeptFlip(KeptGenerator):
    """Faulty in the same way, with one bit of randomness an image."""

    def image(self, image: np.ndarray, index: int) -> Any:
        return normalized(image[:, ::-1] if self.rng.random() < 0.5 else image)


class Torch(Photos):
    """Healthy: draws from torch's generator, which is seeded for every worker and epoch."""

    def image(self, image: np.ndarray, index: int) -> Any:
        return brightened(image, 0.5 + 0.5 * torch.rand(()).item())


class TorchFlip(Photos):
    """Healthy: one bit from torch's generator."""

    def image(self, image: np.ndarray, index: int) -> Any:
        return normalized(image[:, ::-1] if torch.rand(()).item() < 0.5 else image)


class Globals(Photos):
    """Healthy, but not reproducible: draws from the global generators of Python and NumPy."""

    def image(self, image: np.ndarray, index: int) -> Any:
        return brightened(image, 1 - 0.3 * random.random() - 0.2 * np.random.rand())  # noqa: NPY002


class SeedsGlobals(Photos):
    """Faulty: seeds NumPy's global generator by the index."""

    def image(self, image: np.ndarray, index: int) -> Any:
        np.random.seed(index)  # noqa: NPY002
        return brightened(image, 1 - 0.5 * np.random.rand())  # noqa: NPY002


class SeededByIndex(Photos):
    """Faulty: the seed does not know the epoch."""

    def image(self, image: np.ndarray, index: int) -> Any:
        return brightened(image, default_rng([7, index]).uniform(0.5, 1.0))


class EpochAttribute(Photos):
    """Faulty with persistent workers: they never see the attribute change."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def image(self, image: np.ndarray, index: int) -> Any:
        return brightened(image, np.random.default_rng([self.epoch, index]).uniform(0.5, 1.0))


class HiddenEpoch(EpochAttribute):
    """Healthy without persistent workers, and nobody can ask for its epoch."""

    epoch = None
    last_epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.last_epoch = epoch

    def image(self, image: np.ndarray, index: int) -> Any:
        return brightened(image, np.random.default_rng([self.last_epoch, index]).uniform(0.5, 1.0))


class OnlyHere(Torch):
    """Cannot be used in workers."""

    def image(self, image: np.ndarray, index: int) -> Any:
        if torch.utils.data.get_worker_info() is not None:
            raise OSError("not in a worker")
        return super().image(image, index)


class Keyed(Photos):
    """Healthy: takes (epoch, index)."""

    def __getitem__(self, key: Any) -> Any:
        epoch, index = key
        rng = np.random.default_rng([epoch, index])
        return brightened(PHOTOS[index], rng.uniform(0.5, 1.0)), self.label(index)


class KeyedAndKept(KeptGenerator):
    """Faulty: takes (epoch, index) and draws from a generator of its own all the same."""

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key[1])


class KeySampler:
    """Yields (epoch, index); `moves` is False for one whose epoch never changes."""

    def __init__(self, count: int = COUNT, moves: bool = True) -> None:
        self.count, self.moves, self.epoch = count, moves, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch if self.moves else 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Any:
        return iter([(self.epoch, index) for index in range(self.count)])


class PixelValues(Photos):
    """Deterministic, with pixel values by the name in `settings`."""

    def image(self, image: np.ndarray, index: int) -> Any:
        once = normalized(image)
        mean, std = torch.from_numpy(MEAN)[:, None, None], torch.from_numpy(STD)[:, None, None]
        floats = torch.from_numpy(np.float32(image).transpose(2, 0, 1))
        kind = self.settings["kind"]
        if kind == "nan":
            return once / 0 if index in (3, 5) else once
        if kind == "constant":
            return torch.full_like(once, 0.5) if index % 2 else once
        makers: dict[str, Any] = {
            "once": lambda: once,
            "twice": lambda: (once - mean) / std,
            "twice by halves": lambda: ((floats / 255 - 0.5) / 0.5 - 0.5) / 0.5,
            "twice by its own": lambda: ((floats / 255 - OWN_MEAN) / OWN_STD - OWN_MEAN) / OWN_STD,
            "bytes": lambda: floats,
            "unit": lambda: floats / 255,
            "twice scaled": lambda: floats / 255 / 255,
            "scaled and normalized": lambda: (floats / 255 / 255 - mean) / std,
            "wrong scale": lambda: (floats - mean) / std,
            "uint8": lambda: torch.from_numpy(image.transpose(2, 0, 1).copy()),
            "uint8 last": lambda: torch.from_numpy(image.copy()),
            "last": lambda: once.permute(1, 2, 0),
            "bgr": lambda: once.flip(0) if self.settings.get("all") else (floats.flip(0) / 255 - mean) / std,
            "gray": lambda: once[:1],
            "large": lambda: once.repeat(1, 2, 2),
            "standardized": lambda: (floats - floats.mean()) / floats.std(),
            "high contrast": lambda: ((floats > 150).float() - mean) / std,
            "logarithms": lambda: 5 * floats / 255 - 8,
            "four channels": lambda: torch.cat([once, once[:1]]),
            "one channel empty": lambda: torch.cat([once[:2], torch.zeros_like(once[:1])]),
            "black": lambda: (0 * floats - mean) / std,
            "noisy": lambda: (
                floats / 255 + 0.25 * torch.randn(floats.shape, generator=torch.Generator().manual_seed(index))
            ),
            "zeros": lambda: 0 * floats,
            "erased": lambda: torch.cat(
                [floats[:, :-1] / 255, torch.full((3, 1, 12), -0.5) * (index % 4 == 0)], dim=1
            ),
            "foggy": lambda: 0.3 + 0.3 * floats / 255,
        }
        return makers[kind]()


OWN_MEAN = torch.from_numpy(PHOTOS.reshape(-1, 3).mean(axis=0, dtype=np.float64) / 255).float()[:, None, None]
OWN_STD = torch.from_numpy(PHOTOS.reshape(-1, 3).std(axis=0, dtype=np.float64) / 255).float()[:, None, None]


class Labels(Photos):
    """Labels by the name in `settings`."""

    classes = ("a cat", "a dog", "a cow", "a fox")

    def label(self, index: int) -> Any:
        return {
            "from one": index % 4 + 1,
            "negative": index % 4 - 1,
            "fractions": index / 7,
            "nan": float("nan") if index == 3 else 1.0,
            "changing": int(torch.randint(0, 4, ()).item()),
            "soft": torch.softmax(torch.rand(4), 0),
            "narrow": torch.softmax(torch.rand(3), 0),
            "ignored": -100 if index == 2 else index % 4,
            "column": torch.tensor([index % 4]),
            "attributes": torch.tensor([0, 1, 1, 0, 7]),
            "mask": torch.full((12, 12), 255),
        }[self.settings["kind"]]


class Regression(Torch):
    """Healthy: the target is a number that changes with the image."""

    def label(self, index: int) -> Any:
        return 0.5 + torch.rand(()).item() / 4


class Shifted(Photos):
    """Healthy: shifts images at random, of classes that have sides."""

    classes = ("turn left", "turn right", "straight on", "stop")

    def image(self, image: np.ndarray, index: int) -> Any:
        return normalized(np.roll(image, tuple(torch.randint(12, (2,)).tolist()), (0, 1)))


class Sides(TorchFlip):
    """Mirrors images, by code whose name does not say so, of classes that have sides."""

    classes = ("turn left", "turn right", "straight on", "stop")


class Stream(IterableDataset):
    """A stream; `divided` among the workers or, faulty, not; `drawn` with random brightness."""

    def __init__(self, divided: bool, drawn: bool = False) -> None:
        self.divided = divided
        self.drawn = drawn

    def __iter__(self) -> Any:
        info = torch.utils.data.get_worker_info()
        start, step = (info.id, info.num_workers) if info is not None and self.divided else (0, 1)
        for number in range(start, 400, step):
            image = PHOTOS[number % COUNT].astype(np.float32) * (1 - number / 800)
            yield normalized(image * (0.9 + 0.1 * torch.rand(()).item() if self.drawn else 1)), number % 4


class Endless(IterableDataset):
    """Healthy: a stream without an end, of images that are drawn at random in every worker."""

    def __iter__(self) -> Any:
        while True:
            number = int(torch.randint(COUNT, ()))
            yield normalized(PHOTOS[number]), number % 4


class Blank(IterableDataset):
    """Healthy: divided among the workers, but all images are the same."""

    def __iter__(self) -> Any:
        info = torch.utils.data.get_worker_info()
        for number in range(0 if info is None else info.id, 400, 2):
            yield normalized(PHOTOS[0]), number


class Halves(IterableDataset):
    """Healthy: each worker has its own half, and the labels of the halves come in the same order."""

    def __iter__(self) -> Any:
        info = torch.utils.data.get_worker_info()
        start = 0 if info is None else info.id * COUNT // 2
        for number in range(start, start + COUNT // 2):
            yield normalized(PHOTOS[number]), number % 4


class Raises(Photos):
    """Faulty: one file is missing."""

    def label(self, index: int) -> Any:
        if index == 17:
            raise FileNotFoundError("cats/17.jpg")
        return 0


class Repeated(Torch):
    """Healthy: the same image under every index."""

    def __getitem__(self, index: int) -> Any:
        return self.image(PHOTOS[0], index), 0


class WorkerSeeded(Photos):
    """Well with `seed_dataset` as worker_init_fn, which gives each worker a generator of its own."""

    rng = np.random.default_rng(0)

    def image(self, image: np.ndarray, index: int) -> Any:
        return brightened(image, self.rng.uniform(0.5, 1.0))


def seed_dataset(worker: int) -> None:
    info = torch.utils.data.get_worker_info()
    info.dataset.rng = np.random.default_rng(info.seed)


def seed_by_number(worker: int) -> None:
    """Faulty: the same seeds in every epoch."""
    torch.manual_seed(worker)


class Mixing:
    """Mixes batches by a generator of its own (faulty) or torch's, and mixes the labels too, or not (faulty)."""

    def __init__(self, kept: bool = False, labels: str = "mixed") -> None:
        self.rng = np.random.default_rng(0) if kept else None
        self.labels = labels

    def __call__(self, samples: Any) -> Any:
        images = torch.stack([sample[0] for sample in samples])
        weight = float(self.rng.beta(1, 1)) if self.rng is not None else float(torch.rand(()))
        images = weight * images + (1 - weight) * images.flip(0)
        labels = torch.tensor([sample[1] for sample in samples])
        if self.labels == "mixed":
            weights = torch.nn.functional.one_hot(labels, 4)
            return images, weight * weights + (1 - weight) * weights.flip(0)
        return {
            "both": (images, labels, labels.flip(0), weight),
            "hard": (images, labels),
            "unknown": {"image": images, "fine_label": labels},
            "none": images,
        }[self.labels]


def stacked(samples: Any) -> Any:
    """A collate_fn that mixes nothing, and draws."""
    images = torch.stack([sample[0] for sample in samples])
    return images * (1 - 0.1 * torch.rand(())), torch.tensor([sample[1] for sample in samples])


def jittered(samples: Any) -> Any:
    """A collate_fn that mixes nothing, and draws from a generator that nobody can seed."""
    images = torch.stack([sample[0] for sample in samples])
    return images * np.random.default_rng().uniform(0.5, 1.0), torch.tensor([sample[1] for sample in samples])


def padded(samples: Any) -> Any:
    """A collate_fn that mixes nothing, and pads images to the size of the largest one."""
    images = [sample[0][:, : 6 + 2 * (sample[1] % 4)] for sample in samples]
    rows = max(image.shape[1] for image in images)
    images = [torch.nn.functional.pad(image, (0, 0, 0, rows - image.shape[1])) for image in images]
    return torch.stack(images), torch.tensor([sample[1] for sample in samples])


def load(dataset: Any, workers: int = 0, **options: Any) -> DataLoader:
    """A loader that shuffles, if no sampler says otherwise."""
    if not isinstance(dataset, IterableDataset):
        options.setdefault("shuffle", "sampler" not in options)
    return DataLoader(dataset, batch_size=8, num_workers=workers, **options)


def pair() -> Any:
    """For the command: a healthy pair."""
    return load(Torch()), load(Photos(held_out=True), shuffle=False)


def faulty() -> Any:
    """For the command: a faulty loader."""
    print("what the user's code prints")
    return {"train": load(KeptGenerator(), 2), "classes": ["a", "b", "c", "d"]}


def broken() -> Any:
    raise RuntimeError("no data here")


def number() -> int:
    return 3
