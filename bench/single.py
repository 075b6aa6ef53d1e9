"""Images per second, one at a time on one thread: two presets of augreg, beside albumentations in the same run.

    python bench/single.py                 # the comparison
    python bench/single.py --hold 64       # keep the last 64 results alive, as a loader that fills a batch does
    python bench/single.py --profile       # where augreg's own time goes

The rows take turns within a round, so that a busy machine slows all of them alike: believe the ratios. What
is alike and what is not: bench/README.md.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib.util
import itertools
import os
import platform
import pstats
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network for news on import otherwise

import cv2
import numpy as np
from PIL import Image, ImageOps

from augreg import Pipeline

PHOTOS = Path(__file__).parent.parent / "gallery" / "photos"
PRESETS = {"imagenet": (375, 500), "cifar10": (32, 32)}  # the (height, width) of the images that each is fed
MEANS = {"imagenet": (0.485, 0.456, 0.406), "cifar10": (0.4914, 0.4822, 0.4465)}
STDS = {"imagenet": (0.229, 0.224, 0.225), "cifar10": (0.2470, 0.2435, 0.2616)}
Work = Callable[[int], Any]  # makes the image of this index


def images(height: int, width: int) -> list[np.ndarray]:
    """The gallery's photos at this size; a made-up image where there are none."""
    files = sorted(path for path in PHOTOS.glob("*") if path.suffix in (".jpg", ".jpeg", ".png", ".webp"))
    photos = [Image.open(path).convert("RGB") for path in files] or [made_up()]
    return [np.array(ImageOps.fit(photo, (width, height), Image.Resampling.BICUBIC)) for photo in photos]


def made_up() -> Image.Image:
    """Coarse colored clouds with some grain, so that levels and edges are not far from a photo's."""
    rng = np.random.default_rng(0)
    clouds = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
    grainy = np.asarray(clouds) + rng.normal(0, 6, (375, 500, 3))
    return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))


def augreg_row(preset: str, backend: str, inputs: list[np.ndarray]) -> Work:
    pipeline = Pipeline.from_spec(preset)
    pipeline = Pipeline.from_spec({**pipeline.to_spec(), "backend": backend})
    return lambda index: pipeline.train(inputs[index % len(inputs)], index=index)


def peer_row(preset: str, resize: int, inputs: list[np.ndarray]) -> Work:
    """The same steps with albumentations; `resize` is how it scales: it does not filter unless told to."""
    import albumentations as A  # noqa: N812 - its own custom

    end = A.Normalize(mean=MEANS[preset], std=STDS[preset])
    if preset == "imagenet":
        steps = [
            A.RandomResizedCrop((224, 224), scale=(0.08, 1.0), ratio=(0.75, 4 / 3), interpolation=resize),
            A.HorizontalFlip(p=0.5),
            A.ColorJitter(brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.6, 1.4), hue=(0.0, 0.0), p=1.0),
            end,
        ]
    else:
        hole = {"hole_height_range": (16, 16), "hole_width_range": (16, 16), "fill": 0}
        steps = [
            A.Pad(padding=4),
            A.RandomCrop(32, 32),
            A.HorizontalFlip(p=0.5),
            end,
            A.CoarseDropout(num_holes_range=(1, 1), **hole, p=1.0),
        ]
    compose = A.Compose(steps, seed=0)

    def work(index: int) -> np.ndarray:
        done = compose(image=inputs[index % len(inputs)])["image"]
        return np.ascontiguousarray(done.transpose(2, 0, 1))

    return work


def rows(preset: str) -> dict[str, Work]:
    inputs = images(*PRESETS[preset])
    antialiased = ", antialiased resize" if preset == "imagenet" else ""
    found = {f"augreg opencv{antialiased}": augreg_row(preset, "opencv", inputs)}
    if importlib.util.find_spec("albumentations"):
        if preset == "imagenet":
            found["albumentations linear, not antialiased"] = peer_row(preset, cv2.INTER_LINEAR, inputs)
            found["albumentations area, antialiased"] = peer_row(preset, cv2.INTER_AREA, inputs)
        else:
            found["albumentations"] = peer_row(preset, cv2.INTER_LINEAR, inputs)
    found[f"augreg pillow{antialiased}"] = augreg_row(preset, "pillow", inputs)
    return found


def rate(work: Work, seconds: float, hold: int) -> float:
    """Images per second over this time; results live until `hold` newer ones are there."""
    held: deque[Any] = deque(maxlen=hold)
    start = now = time.perf_counter()
    for count in itertools.count(1):
        held.append(work(count))
        now = time.perf_counter()
        if now - start >= seconds:
            return count / (now - start)
    raise AssertionError


def compare(preset: str, rounds: int, seconds: float, hold: int) -> None:
    table = rows(preset)
    for work in table.values():
        rate(work, min(seconds, 0.2), hold)  # warm up: imports, tables, memory
    rates: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(rounds):
        for name, work in table.items():
            rates[name].append(rate(work, seconds, hold))
    ours = next(iter(rates.values()))
    height, width = PRESETS[preset]
    print(f"\n{preset}, from {height}x{width} uint8: images per second, median of {rounds} rounds of {seconds:g} s")
    for name, found in rates.items():
        ratio = statistics.median(ours[i] / found[i] for i in range(rounds))
        middle = statistics.median(found)
        beside = "" if found is ours else f"augreg opencv is {ratio:.2f} times as fast"
        print(f"  {name:40} {middle:8,.0f}  ({1e6 / middle:6,.0f} us)  {beside}".rstrip())


def profile(preset: str, calls: int) -> None:
    work = augreg_row(preset, "opencv", images(*PRESETS[preset]))
    work(0)
    profiler = cProfile.Profile()
    profiler.enable()
    for index in range(calls):
        work(index)
    profiler.disable()
    print(f"\n{preset}: {calls} calls, the functions by the time spent in themselves (profiling slows Python code)")
    pstats.Stats(profiler, stream=sys.stdout).strip_dirs().sort_stats("tottime").print_stats(18)


def settings(hold: int) -> None:
    print(f"python {platform.python_version()}, numpy {np.__version__}, opencv {cv2.__version__}; 1 thread")
    print("in: arrays, no decode; out: float32 channels x height x width, contiguous")
    print(f"the last {hold} results are kept alive")
    if not any(PHOTOS.glob("*.jpg")):
        print("no photos in gallery/photos: a made-up image stands for them")
    allocator = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_")}
    print(f"allocator: {allocator or 'as it comes'}")
    if importlib.util.find_spec("albumentations"):
        from importlib.metadata import version

        print(f"albumentations {version('albumentations')}")
    else:
        print("albumentations is not installed, so augreg runs alone: pip install albumentations==2.0.8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.4, help="how long each row runs in each round")
    parser.add_argument("--hold", type=int, default=1, help="how many results to keep alive")
    parser.add_argument("--profile", action="store_true", help="profile augreg instead")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    settings(given.hold)
    for preset in PRESETS:
        if given.profile:
            profile(preset, 500 if preset == "imagenet" else 5000)
        else:
            compare(preset, given.rounds, given.seconds, given.hold)


if __name__ == "__main__":
    main()
