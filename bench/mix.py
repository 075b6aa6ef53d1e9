"""A batch of 256 float images of 3x224x224, mixed: augreg on NumPy and torch, plain torch, and a copy of the bytes.

    python bench/mix.py              # the comparison, 1 thread
    python bench/mix.py --quick      # a smaller batch and few rounds, to see that it runs
    python bench/mix.py --threads 2

The rows take turns within a round, so that a busy machine slows all of them alike: believe the ratios. `fresh` makes
a new batch, as does the copy; `in place` writes over the one that came in. All rows but the copies mix labels too,
and draw; the plain ones draw one number and one box and roll the batch by one, and so do we.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from augreg import Pipeline

Work = Callable[[], Any]
CLASSES = 1000


def ours(step: str, images: Any, labels: Any, in_place: bool) -> Work:
    spec = {"image": ["normalize"], "batch": [{step: {"pairing": "roll"}}], "classes": CLASSES}
    pipe, number = Pipeline.from_spec(spec), itertools.count()

    def work() -> Any:
        found, soft = pipe.batch(images, labels, batch=next(number), out=images if in_place else None)
        return found, soft.dense()

    return work


def plain_mixup(images: torch.Tensor, labels: torch.Tensor, in_place: bool) -> Work:
    """A roll and a lerp, and the labels by one-hot."""
    beta = torch.distributions.Beta(1.0, 1.0)

    def work() -> Any:
        lam = float(beta.sample())
        rolled = images.roll(1, 0)
        found = images.lerp_(rolled, 1 - lam) if in_place else rolled.lerp_(images, lam)
        hot = torch.nn.functional.one_hot(labels, CLASSES).float()
        return found, hot.lerp(hot.roll(1, 0), 1 - lam)

    return work


def plain_cutmix(images: torch.Tensor, labels: torch.Tensor, in_place: bool) -> Work:
    """A clone, and a box of the rolled batch assigned to it; in place only the box is copied first."""
    beta = torch.distributions.Beta(1.0, 1.0)
    height, width = images.shape[-2:]

    def work() -> Any:
        side = (1 - float(beta.sample())) ** 0.5
        y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
        tall, wide = int(height * side), int(width * side)
        rows = slice(max(0, y - tall // 2), min(height, y + (tall + 1) // 2))
        columns = slice(max(0, x - wide // 2), min(width, x + (wide + 1) // 2))
        found = images if in_place else images.clone()
        found[:, :, rows, columns] = images[:, :, rows, columns].roll(1, 0)
        lam = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        hot = torch.nn.functional.one_hot(labels, CLASSES).float()
        return found, hot.lerp(hot.roll(1, 0), 1 - lam)

    return work


def rows(step: str, images: torch.Tensor) -> dict[str, Work]:
    """What is measured, by name. Each row that works in place has a batch of its own."""
    labels = torch.arange(len(images)) % CLASSES
    plain = plain_mixup if step == "mixup" else plain_cutmix
    target = torch.empty_like(images)
    found: dict[str, Work] = {}
    for in_place in (False, True):
        how, batch = ("in place", images.clone()) if in_place else ("fresh", images)
        array = batch.numpy().copy() if in_place else batch.numpy()
        found[f"augreg, NumPy, {how}"] = ours(step, array, labels.numpy(), in_place)
        found[f"augreg, torch, {how}"] = ours(step, batch, labels, in_place)
        found[f"plain torch, {how}"] = plain(batch.clone() if in_place else batch, labels, in_place)
    found["a copy of the bytes, fresh"] = images.clone
    found["a copy of the bytes, into memory in use"] = lambda: target.copy_(images)
    return found


def compare(step: str, images: torch.Tensor, rounds: int) -> None:
    table = rows(step, images)
    for work in table.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(rounds):
        for name, work in table.items():
            start = time.perf_counter()
            kept = work()
            seconds[name].append(time.perf_counter() - start)
            del kept
    print(f"\n{step}, {'x'.join(map(str, images.shape))} float32: median of {rounds} rounds")
    print(f"  {'':40} {'ms':>7} {'images/s':>9}  time over that of: plain torch    a copy")
    for name, found in seconds.items():
        how = "in place" if "in place" in name else "fresh"
        copy = "a copy of the bytes, " + ("into memory in use" if how == "in place" or "in use" in name else "fresh")
        over = [
            statistics.median(a / b for a, b in zip(found, seconds[other], strict=True))
            for other in (f"plain torch, {how}", copy)
        ]
        middle = statistics.median(found)
        print(f"  {name:40} {middle * 1e3:7.1f} {len(images) / middle:9,.0f}  {over[0]:31.2f} {over[1]:9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads; NumPy has one")
    parser.add_argument("--quick", action="store_true", help="32 images, 3 rounds")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}; ", end="")
    print(f"torch on {given.threads} thread(s), NumPy on 1")
    images = torch.rand(32 if given.quick else 256, 3, 224, 224)
    for step in ("mixup", "cutmix"):
        compare(step, images, 3 if given.quick else given.rounds)


if __name__ == "__main__":
    main()
