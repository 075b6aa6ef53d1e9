"""Microseconds of processor time for what precedes the pixels of an image, and milliseconds for the first pipeline.

    python bench/planning.py               # draws, merging, plans, whole images
    python bench/planning.py --rounds 15
    python bench/planning.py --fresh       # only the first pipeline of a fresh interpreter

`draw` draws the ops, `merge` rewrites them into fewer passes, `start` is all that `pipe.train(image)` does before it
touches a pixel, `plan` is `pipe.train.plan(size, index)`, and `train` makes the image. All rows are warm, take turns
in each round, and run on one thread; a number is the median over the rounds. Compare two versions in turns as well.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from comparison import measure_in_turns

from augreg import Pipeline
from augreg.execution.merging import merge
from augreg.execution.sampling import draw
from augreg.ops import Scene
from augreg.rng import address_of

IMAGES = 512  # different indices, so that no row repeats one draw
CIFAR10 = [{"random_crop": {"size": 32, "padding": 4}}, "horizontal_flip"]
CIFAR10_END = [{"normalize": "cifar10"}, {"cutout": {"size": 16}}]
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
SPECS: dict[str, tuple[Any, tuple[int, int]]] = {
    "imagenet": ("imagenet", (375, 500)),
    "imagenet, hue": ([{"random_resized_crop": 224}, "horizontal_flip", {"color_jitter": JITTER}], (375, 500)),
    "imagenet, AutoAugment": (
        [
            {"random_resized_crop": 224},
            "horizontal_flip",
            "auto_augment",
            {"normalize": "imagenet"},
            "random_erasing",
        ],
        (375, 500),
    ),
    "imagenet at 224": ("imagenet", (224, 224)),
    "cifar10": ("cifar10", (32, 32)),
    "cifar10, AutoAugment": ([*CIFAR10, {"auto_augment": "cifar10"}, *CIFAR10_END], (32, 32)),
    "cifar10, RandAugment": ([*CIFAR10, "rand_augment", *CIFAR10_END], (32, 32)),
}
FRESH = """
import time
import numpy
start = time.process_time()
import augreg
imported = time.process_time()
augreg.Pipeline.from_spec({spec!r})
print(1e3 * (imported - start), 1e3 * (time.process_time() - imported))
"""


def stages(spec: Any, size: tuple[int, int]) -> dict[str, Callable[[int], Any]]:
    """What is measured of a spec, each a function of the number of the image."""
    pipe, scene = Pipeline.from_spec(spec), Scene(*size)
    addresses = [address_of(0, index) for index in range(IMAGES)]
    drawn = [draw(pipe.steps, scene, address).ops for address in addresses]
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    image = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    train = pipe.train
    return {
        "draw": lambda index: draw(pipe.steps, scene, addresses[index], open_cursor=train.engine.cursor),
        "merge": lambda index: merge(drawn[index], scene),
        "start": lambda index: train._start(scene, train._address(index, 0, 0)),
        "plan": lambda index: train.plan(size, index),
        "train": lambda index: train(image, index),
    }


def microseconds(work: Callable[[int], Any], calls: int) -> float:
    start = time.thread_time()
    for number in range(calls):
        work(number % IMAGES)
    return 1e6 * (time.thread_time() - start) / calls


def warm(rounds: int) -> None:
    rows = {(name, stage): work for name, given in SPECS.items() for stage, work in stages(*given).items()}
    for work in rows.values():
        microseconds(work, 64)
    took = measure_in_turns(rows, rounds, lambda work, _: microseconds(work, IMAGES))
    names = ("draw", "merge", "start", "plan", "train")
    print(f"{'us':24}" + "".join(f"{name:>8}" for name in names))
    for name in SPECS:
        print(f"{name:24}" + "".join(f"{statistics.median(took[name, stage]):8.1f}" for stage in names))


def fresh(rounds: int) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    print("\nms of processor time in a fresh interpreter, NumPy imported before, fastest run")
    for spec in ("imagenet", ["horizontal_flip"], {"image": ["horizontal_flip"], "batch": ["mixup"]}):
        runs = []
        for _ in range(rounds + 1):  # the first one may write bytecode
            code = FRESH.format(spec=spec)
            done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
            runs.append(tuple(map(float, done.stdout.split())))
        imported, made = map(min, zip(*runs[1:], strict=True))
        print(f"  import augreg {imported:5.1f}   from_spec({str(spec)[:40]}) {made:6.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--fresh", action="store_true", help="only the first pipeline of a fresh interpreter")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"python {platform.python_version()}, numpy {np.__version__}, opencv {cv2.__version__}; 1 thread")
    if not options.fresh:
        warm(options.rounds)
    fresh(options.rounds)


if __name__ == "__main__":
    main()
