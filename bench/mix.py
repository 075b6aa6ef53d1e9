"""A batch of 256 float images of 3x224x224, mixed: augreg on NumPy and torch, plain torch, and a copy of the bytes.

    python bench/mix.py              # the comparison, 1 thread
    python bench/mix.py --quick      # a smaller batch and few rounds, to see that it runs
    python bench/mix.py --threads 2

The rows take turns within a round, so a busy machine slows all of them alike: trust the ratios. `fresh` creates a new
batch, like the copy; `in place` overwrites the input. All rows except the copies also draw and mix labels. The plain
rows and augreg both draw one number and one box, and pair each image with its neighbor in the batch.
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
from comparison import measure_in_turns, ratio

from augreg import Pipeline

Work = Callable[[], Any]
CLASSES = 1000


def ours(step: str, images: Any, labels: Any, in_place: bool) -> Work:
    spec = {"image": ["normalize"], "batch": [{step: {"pairing": "roll"}}], "classes": CLASSES}
    pipe, number = Pipeline.from_spec(spec), itertools.count()

    def work() -> Any:
        mixed, soft = pipe.batch(images, labels, batch=next(number), out=images if in_place else None)
        return mixed, soft.dense()

    return work


def plain_mixup(images: torch.Tensor, labels: torch.Tensor, in_place: bool) -> Work:
    """A roll and a lerp, with one-hot labels."""
    beta = torch.distributions.Beta(1.0, 1.0)

    def work() -> Any:
        lam = float(beta.sample())
        rolled = images.roll(1, 0)
        mixed = images.lerp_(rolled, 1 - lam) if in_place else rolled.lerp_(images, lam)
        hot = torch.nn.functional.one_hot(labels, CLASSES).float()
        return mixed, hot.lerp(hot.roll(1, 0), 1 - lam)

    return work


def plain_cutmix(images: torch.Tensor, labels: torch.Tensor, in_place: bool) -> Work:
    """A clone, with a box of the rolled batch assigned to it; in place, only the box is copied first."""
    beta = torch.distributions.Beta(1.0, 1.0)
    height, width = images.shape[-2:]

    def work() -> Any:
        side = (1 - float(beta.sample())) ** 0.5
        y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
        tall, wide = int(height * side), int(width * side)
        rows = slice(max(0, y - tall // 2), min(height, y + (tall + 1) // 2))
        columns = slice(max(0, x - wide // 2), min(width, x + (wide + 1) // 2))
        mixed = images if in_place else images.clone()
        mixed[:, :, rows, columns] = images[:, :, rows, columns].roll(1, 0)
        lam = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        hot = torch.nn.functional.one_hot(labels, CLASSES).float()
        return mixed, hot.lerp(hot.roll(1, 0), 1 - lam)

    return work


def rows(step: str, images: torch.Tensor) -> dict[str, Work]:
    """The rows, by name. Each row that works in place has its own batch."""
    labels = torch.arange(len(images)) % CLASSES
    plain = plain_mixup if step == "mixup" else plain_cutmix
    target = torch.empty_like(images)
    table: dict[str, Work] = {}
    for in_place in (False, True):
        how, batch = ("in place", images.clone()) if in_place else ("fresh", images)
        array = batch.numpy().copy() if in_place else batch.numpy()
        table[f"augreg, NumPy, {how}"] = ours(step, array, labels.numpy(), in_place)
        table[f"augreg, torch, {how}"] = ours(step, batch, labels, in_place)
        table[f"plain torch, {how}"] = plain(batch.clone() if in_place else batch, labels, in_place)
    table["a copy of the bytes, fresh"] = images.clone
    table["a copy of the bytes, into memory in use"] = lambda: target.copy_(images)
    return table


def compare(step: str, images: torch.Tensor, rounds: int) -> None:
    table = rows(step, images)
    for work in table.values():
        work()

    def measure(work: Work, _: int) -> float:
        start = time.perf_counter()
        result = work()  # kept until the clock has stopped
        seconds = time.perf_counter() - start
        del result
        return seconds

    seconds = measure_in_turns(table, rounds, measure)
    print(f"\n{step}, {'x'.join(map(str, images.shape))} float32: median of {rounds} rounds")
    print(f"  {'':40} {'ms':>7} {'images/s':>9}  time over that of: plain torch    a copy")
    for name, values in seconds.items():
        how = "in place" if "in place" in name else "fresh"
        copy = "a copy of the bytes, " + ("into memory in use" if how == "in place" or "in use" in name else "fresh")
        over = [ratio(values, seconds[other]) for other in (f"plain torch, {how}", copy)]
        median = statistics.median(values)
        print(f"  {name:40} {median * 1e3:7.1f} {len(images) / median:9,.0f}  {over[0]:31.2f} {over[1]:9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads; NumPy has one")
    parser.add_argument("--quick", action="store_true", help="32 images, 3 rounds")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}; ", end="")
    print(f"torch on {options.threads} thread(s), NumPy on 1")
    images = torch.rand(32 if options.quick else 256, 3, 224, 224)
    for step in ("mixup", "cutmix"):
        compare(step, images, 3 if options.quick else options.rounds)


if __name__ == "__main__":
    main()
