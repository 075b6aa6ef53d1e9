"""Processor time of random numbers and draws for many images at once, beside one image at a time.

    python bench/drawing.py
    python bench/drawing.py --images 1024 --rounds 15

`words` are nanoseconds per word, by NumPy and by the compiled package where it is installed. `draws` are microseconds
per image: `draw` for each image, and `draw_columns` for all. A number is the median over the rounds, in which all
take turns, on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from augreg import Pipeline
from augreg.backends import backend
from augreg.columns import philox
from augreg.columns.philox import addresses_of
from augreg.columns.records import Scenes
from augreg.execution.sampling import draw
from augreg.execution.sampling_columns import draw_columns
from augreg.ops import Scene
from augreg.rng import Address
from augreg.steps.step import Step

JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}}
CROP = [{"random_crop": {"size": 32, "padding": 4}}, "horizontal_flip"]
SPECS: dict[str, tuple[list[Any], tuple[int, int]]] = {
    "crop, flip, jitter, normalize": (
        [{"random_resized_crop": 224}, "horizontal_flip", JITTER, {"normalize": "imagenet"}], (375, 500),
    ),
    "random resized crop": ([{"random_resized_crop": 224}], (375, 500)),
    "horizontal flip": (["horizontal_flip"], (375, 500)),
    "color jitter": ([JITTER], (375, 500)),
    "pad-crop, flip, normalize, cutout": ([*CROP, {"normalize": "cifar10"}, {"cutout": {"size": 16}}], (32, 32)),
    "random erasing": (["random_erasing"], (224, 224)),
    "pad-crop, flip, AutoAugment": ([*CROP, {"auto_augment": "cifar10"}], (32, 32)),
    "RandAugment": (["rand_augment"], (224, 224)),
    "RandAugment of timm": ([{"timm_policy": "rand-m9-mstd0.5-inc1"}], (224, 224)),
    "TrivialAugment": (["trivial_augment_wide"], (224, 224)),
    "AugMix": (["aug_mix"], (224, 224)),
    "rotate, translate, resize": (["rotate", "translate_x", {"resize": {"shorter": 224}}], (375, 500)),
    "affine": (["affine"], (224, 224)),
    "perspective": ([{"perspective": {"p": 1.0}}], (224, 224)),
    "grid mask": (["grid_mask"], (224, 224)),
    "blur, gray, noise": ([{"gaussian_blur": {"p": 0.5}}, {"grayscale": {"p": 0.2}}, "gaussian_noise"], (224, 224)),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    count = options.images
    addresses = addresses_of(7, range(count))
    try:
        native = backend("native")
    except Exception as error:
        print(f"without the compiled package: {error}")
        native = None
    readers = {"NumPy": philox.words}
    cursors: dict[str, Any] = {"NumPy": None}
    if native is not None and native.words is not None:
        readers["native"], cursors["native"] = native.words, native.cursor

    print(f"{count} images\n\nwords of a step, ns per word")
    for first, asked, steps in ((0, 4, 1), (1, 4, 1), (0, 4, 6), (0, 64, 1)):
        calls = {name: partial(read, addresses, range(steps), first, asked) for name, read in readers.items()}
        times = in_turns(calls, options.rounds)
        shown = "  ".join(f"{name} {1e9 * used / (count * asked * steps):7.2f}" for name, used in times.items())
        print(f"  {steps} steps, words {first} to {first + asked - 1:2}: {shown}")

    print("\ndraws, microseconds per image")
    for title, (spec, size) in SPECS.items():
        steps = Pipeline(spec).steps
        scene = Scene(*size)
        scenes = Scenes(np.full(count, size[0]), np.full(count, size[1]), scene)
        each = [addresses.at(row) for row in range(count)]
        calls: dict[str, Callable[[], object]] = {}
        for name, read in readers.items():
            calls[f"draw, {name}"] = partial(draw_each, steps, scene, each, cursors[name])
            calls[f"draw_columns, {name}"] = partial(draw_columns, steps, scenes, addresses, read)
        times = in_turns(calls, options.rounds)
        shown = "  ".join(f"{name} {1e6 * used / count:6.2f}" for name, used in times.items())
        print(f"  {title:34} {shown}")


def draw_each(steps: Sequence[Step], scene: Scene, addresses: Sequence[Address], opened: Any) -> None:
    for address in addresses:
        draw(steps, scene, address, open_cursor=opened)


def in_turns(calls: dict[str, Callable[[], object]], rounds: int, least: float = 0.02) -> dict[str, float]:
    """Seconds of processor time per call: the median over the rounds."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            start, done = time.process_time(), 0
            while time.process_time() - start < least:
                call()
                done += 1
            found[name].append((time.process_time() - start) / done)
    return {name: statistics.median(times) for name, times in found.items()}


if __name__ == "__main__":
    main()
