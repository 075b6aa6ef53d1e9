"""Images per second, one at a time on one thread: two presets of augreg, beside albumentations in the same run.

    python bench/single.py                 # the comparison
    python bench/single.py --hold 64       # keep the last 64 results alive, as a loader does while it fills a batch
    python bench/single.py --profile       # where augreg's own time goes
    python bench/single.py --large         # imagenet from large photos, 1500x2000

The rows take turns within a round, so a busy machine slows all of them alike: trust the ratios. bench/README.md
says what is the same in all rows and what is not.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import platform
import pstats
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from comparison import has_albumentations, measure_in_turns, photo_files, print_environment, print_rates
from PIL import Image, ImageOps

from augreg import Pipeline

PRESETS = {"imagenet": (375, 500), "cifar10": (32, 32)}  # (height, width) of the input images
LARGE = {"imagenet": (1500, 2000)}
MEANS = {"imagenet": (0.485, 0.456, 0.406), "cifar10": (0.4914, 0.4822, 0.4465)}
STDS = {"imagenet": (0.229, 0.224, 0.225), "cifar10": (0.2470, 0.2435, 0.2616)}
Work = Callable[[int], Any]  # makes the image of this index


def images(height: int, width: int) -> list[np.ndarray]:
    """The photos of the gallery at this size; a synthetic image if there are none."""
    photos = [Image.open(path).convert("RGB") for path in photo_files()] or [synthetic()]
    return [np.array(ImageOps.fit(photo, (width, height), Image.Resampling.BICUBIC)) for photo in photos]


def synthetic() -> Image.Image:
    """Coarse colored clouds with some grain, so that pixel values and edges resemble those of a photo."""
    rng = np.random.default_rng(0)
    clouds = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
    grainy = np.asarray(clouds) + rng.normal(0, 6, (375, 500, 3))
    return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))


def augreg_row(preset: str, backend: str, inputs: list[np.ndarray]) -> Work:
    pipeline = Pipeline.from_spec(preset)
    pipeline = Pipeline.from_spec({**pipeline.to_spec(), "backend": backend})
    return lambda index: pipeline.train(inputs[index % len(inputs)], index=index)


def peer_row(preset: str, resize: int, inputs: list[np.ndarray]) -> Work:
    """The same steps with albumentations; `resize` is its interpolation; only the area filter antialiases."""
    import albumentations as A  # noqa: N812 - as its users write

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


def rows(preset: str, size: tuple[int, int]) -> dict[str, Work]:
    inputs = images(*size)
    antialiased = ", antialiased resize" if preset == "imagenet" else ""
    table = {f"augreg opencv{antialiased}": augreg_row(preset, "opencv", inputs)}
    if has_albumentations():
        if preset == "imagenet":
            table["albumentations linear, not antialiased"] = peer_row(preset, cv2.INTER_LINEAR, inputs)
            table["albumentations area, antialiased"] = peer_row(preset, cv2.INTER_AREA, inputs)
        else:
            table["albumentations"] = peer_row(preset, cv2.INTER_LINEAR, inputs)
    table[f"augreg pillow{antialiased}"] = augreg_row(preset, "pillow", inputs)
    return table


def rate(work: Work, seconds: float, hold: int) -> float:
    """Images per second over this time; a result is kept until there are `hold` newer ones."""
    held: deque[Any] = deque(maxlen=hold)
    start = now = time.perf_counter()
    for count in itertools.count(1):
        held.append(work(count))
        now = time.perf_counter()
        if now - start >= seconds:
            return count / (now - start)
    raise AssertionError


def compare(preset: str, size: tuple[int, int], rounds: int, seconds: float, hold: int) -> None:
    table = rows(preset, size)
    for work in table.values():
        rate(work, min(seconds, 0.2), hold)  # warm up: imports, tables, memory
    rates = measure_in_turns(table, rounds, lambda work, _: rate(work, seconds, hold))
    height, width = size
    print(f"\n{preset}, from {height}x{width} uint8: images per second, median of {rounds} rounds of {seconds:g} s")
    print_rates(rates)


def profile(preset: str, size: tuple[int, int], calls: int) -> None:
    work = augreg_row(preset, "opencv", images(*size))
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
    print("in: arrays, no decoding; out: float32 channels x height x width, contiguous")
    print(f"the last {hold} results are kept alive")
    if not photo_files():
        print("no photos in gallery/photos: using a synthetic image")
    print_environment()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.4, help="duration of each row in each round")
    parser.add_argument("--hold", type=int, default=1, help="number of results to keep alive")
    parser.add_argument("--profile", action="store_true", help="profile augreg instead")
    parser.add_argument("--large", action="store_true", help="large photos instead, for imagenet")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    settings(options.hold)
    for preset, size in (LARGE if options.large else PRESETS).items():
        if options.profile:
            profile(preset, size, 500 if preset == "imagenet" else 5000)
        else:
            compare(preset, size, options.rounds, options.seconds, options.hold)


if __name__ == "__main__":
    main()
