"""A batch of 256 float images of 3x224x224, mixed: augreg, torchvision, timm, plain torch, and a copy of the bytes.

    python bench/mix.py                  # on the CPU, 1 thread: tensors and NumPy arrays
    python bench/mix.py --device cuda    # on a GPU: device time by events, and the time of the call itself
    python bench/mix.py --host           # the processor's part alone: draws, weights of labels, grids of patches
    python bench/mix.py --quick          # a smaller batch and few rounds, to see that it runs
    python bench/mix.py --steps mosaic --threads 2

The rows take turns within a round, so a busy machine slows all of them alike: trust the ratios. `fresh` creates a new
batch, like the copy; `in place` overwrites the input. All rows except the copies also draw and mix labels. The plain
rows draw one number and one box, and pair each image with its neighbor in the batch. torchvision and timm are
measured where they can be imported.

On a GPU, a call returns before the device is done. `host` is the time until it returns: while it is less than the
device time, the device never waits for it.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from comparison import measure_in_turns, ratio

from augreg import Pipeline
from augreg.batch.blends import Paste

Work = Callable[[], Any]
CLASSES = 1000
PEERS = ("plain torch", "torchvision", "timm")
STEPS: dict[str, dict[str, Any]] = {
    "mixup": {"mixup": {"pairing": "roll"}},
    "mixup, a number for each image": {"mixup": {"per": "element"}},
    "cutmix": {"cutmix": {"pairing": "roll"}},
    "cutmix, a box for each image": {"cutmix": {"per": "element"}},
    "cutmix, 4 boxes for each image": {"cutmix": {"per": "element", "boxes": 4}},
    "resizemix": {"resizemix": {}},
    "resizemix, a box for each image": {"resizemix": {"per": "element"}},
    "mosaic": {"mosaic": {}},
    "mosaic, one point for the batch": {"mosaic": {"per": "batch"}},
    "mosaic, of resized images": {"mosaic": {"fit": "resize"}},
}


class Seconds(NamedTuple):
    """What one call took: on the device, and until it returned."""

    device: float
    host: float


def ours(step: dict[str, Any], images: Any, labels: Any, in_place: bool) -> Work:
    spec = {"image": ["normalize"], "batch": [step], "classes": CLASSES}
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


def of_torchvision(step: str, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Work]:
    """Torchvision's MixUp or CutMix, which draw once for the batch."""
    try:
        from torchvision.transforms import v2
    except ImportError:
        return {}
    mix = {"mixup": v2.MixUp, "cutmix": v2.CutMix}[step](alpha=1.0, num_classes=CLASSES)
    return {"torchvision, fresh": lambda: mix(images, labels)}


def of_timm(name: str, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Work]:
    """The Mixup of timm, which works in place."""
    try:
        from timm.data import Mixup
    except ImportError:
        return {}
    step, _, each = name.partition(",")
    alphas = (1.0, 0.0) if step == "mixup" else (0.0, 1.0)
    mix = Mixup(*alphas, mode="elem" if each else "batch", label_smoothing=0.0, num_classes=CLASSES)
    batch = images.clone()
    return {"timm, in place": lambda: mix(batch, labels)}


def rows(name: str, images: torch.Tensor) -> dict[str, Work]:
    """The rows, by name. Each row that works in place has its own batch."""
    labels = torch.arange(len(images), device=images.device) % CLASSES
    plain = {"mixup": plain_mixup, "cutmix": plain_cutmix}.get(name)
    target = torch.empty_like(images)
    table: dict[str, Work] = {}
    for in_place in (False, True):
        how, batch = ("in place", images.clone()) if in_place else ("fresh", images)
        if images.device.type == "cpu":
            array = batch.numpy().copy() if in_place else batch.numpy()
            table[f"augreg, NumPy, {how}"] = ours(STEPS[name], array, labels.numpy(), in_place)
        table[f"augreg, torch, {how}"] = ours(STEPS[name], batch, labels, in_place)
        if plain is not None:
            table[f"plain torch, {how}"] = plain(batch.clone() if in_place else batch, labels, in_place)
    if plain is not None:
        table |= of_torchvision(name, images, labels)
    if name.startswith(("mixup", "cutmix")) and "boxes" not in name:
        table |= of_timm(name, images, labels)
    table["a copy of the bytes, fresh"] = images.clone
    table["a copy of the bytes, into memory in use"] = lambda: target.copy_(images)
    return table


def measure(work: Work, device: str) -> Seconds:
    """The time of one call. Its result is kept until the clock has stopped."""
    if device == "cpu":
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        del result
        return Seconds(seconds, seconds)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    torch.cuda._sleep(20_000_000)  # some 10 ms: the device is busy, as in training
    first.record()
    start = time.perf_counter()
    result = work()
    host = time.perf_counter() - start
    last.record()
    torch.cuda.synchronize()
    del result
    return Seconds(first.elapsed_time(last) / 1e3, host)


def _peer(names: Iterable[str], peer: str, how: str) -> str:
    """The row of a peer, if there is one that works like this, in place or not, or else the one that there is."""
    found = [name for name in names if name.startswith(peer)]
    return next((name for name in found if how in name), found[0] if found else "")


def compare(name: str, images: torch.Tensor, rounds: int) -> None:
    table = rows(name, images)
    for work in table.values():
        work()
    device = images.device.type
    results = measure_in_turns(table, rounds, lambda work, _: measure(work, device))
    seconds = {row: [value.device for value in values] for row, values in results.items()}
    print(f"\n{name}, {'x'.join(map(str, images.shape))} float32: median of {rounds} rounds")
    print(f"  {'':40} {'ms':>7} {'host':>6} {'images/s':>9}  time over that of: {'  '.join(PEERS)}   a copy")
    for row, values in seconds.items():
        how = "in place" if "in place" in row else "fresh"
        copy = "a copy of the bytes, " + ("into memory in use" if how == "in place" or "in use" in row else "fresh")
        peers = [_peer(seconds, peer, how) for peer in PEERS]
        over = [f"{ratio(values, seconds[other]):.2f}" if other else "-" for other in (*peers, copy)]
        median = statistics.median(values)
        host = statistics.median(value.host for value in results[row])
        columns = "".join(f"{text:>{width}}" for text, width in zip(over, (31, 13, 6, 9), strict=True))
        print(f"  {row:40} {median * 1e3:7.2f} {host * 1e3:6.2f} {len(images) / median:9,.0f}{columns}")


def host(name: str, count: int, rounds: int) -> None:
    """The processor's time for all that is computed before the first call of the device, by its own clock."""
    pipe = Pipeline.from_spec({"batch": [STEPS[name]]})
    times = []
    for number in range(rounds + 3):
        start = time.process_time()
        mixture = pipe.batch.plan(count, (224, 224), batch=number)
        mixture.sources_and_weights()
        for blend in mixture.blends:
            if isinstance(blend, Paste) and not blend.layers.scales:
                blend.layers.cells  # noqa: B018
        times.append(time.process_time() - start)
    print(f"  {name:40} {statistics.median(times[3:]) * 1e3:7.2f} {min(times[3:]) * 1e3:7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", default="", help="only the steps whose name contains this")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads; NumPy has one")
    parser.add_argument("--host", action="store_true", help="no images: the processor's part of mixing 256")
    parser.add_argument("--quick", action="store_true", help="32 images, 3 rounds")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU here: --device cuda needs one")
    torch.set_num_threads(options.threads)
    print(f"python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}; ", end="")
    if options.device == "cuda":
        print(torch.cuda.get_device_name())
    else:
        print(f"torch on {options.threads} thread(s), NumPy on 1")
    if options.host:
        print(f"\n  {'milliseconds of the processor, 256 images':40} {'median':>7} {'least':>7}")
        for name in STEPS:
            if options.steps in name:
                host(name, 256, 10 * options.rounds)
        return
    images = torch.rand(32 if options.quick else 256, 3, 224, 224, device=options.device)
    for name in STEPS:
        if options.steps in name:
            compare(name, images, 3 if options.quick else options.rounds)


if __name__ == "__main__":
    main()
