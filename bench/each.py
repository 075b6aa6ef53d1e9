"""Every transform that albumentations has too, alone: processor time beside it, at 32x32 and at 224x224.

    python bench/each.py                      # all of them, with the fastest backend that is installed
    python bench/each.py --backend opencv --only Rotate

Each transform of albumentations is translated by `from_albumentations`, so both do the same. Both get one uint8 photo
and are called once for each image. The pairs take turns within each round; the ratio is the median of the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812 - as its users write
import cv2
import numpy as np
from comparison import measure_in_turns, photo_files, ratio
from PIL import Image, ImageOps

from augreg import Pipeline, from_albumentations
from augreg.importers.albumentations_steps import STEP_TRANSLATORS

SIZES = (32, 224)
ARGUMENTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "RandomCrop": lambda size: {"height": size * 3 // 4, "width": size * 3 // 4},
    "CenterCrop": lambda size: {"height": size * 3 // 4, "width": size * 3 // 4},
    "RandomResizedCrop": lambda size: {"size": (size, size)},
    "Resize": lambda size: {"height": size * 3 // 4, "width": size * 3 // 4},
    "SmallestMaxSize": lambda size: {"max_size": size * 3 // 4},
    "LongestMaxSize": lambda size: {"max_size": size * 3 // 4},
    "Pad": lambda size: {"padding": size // 8},
    "Affine": lambda size: {"rotate": (-20, 20), "shear": (-10, 10)},
}
Call = Callable[[int], Any]


def pairs(backend: str, size: int, only: list[str]) -> dict[str, dict[str, Call]]:
    """For each transform of albumentations, a call of ours and of theirs."""
    photo = Image.open(photo_files()[0]).convert("RGB")
    image = np.array(ImageOps.fit(photo, (size, size), Image.Resampling.BICUBIC))
    found: dict[str, dict[str, Call]] = {}
    for name in STEP_TRANSLATORS:
        if only and name not in only:
            continue
        arguments = ARGUMENTS.get(name, lambda _: {})(size)
        try:
            theirs = A.Compose([getattr(A, name)(**arguments, p=1.0)], seed=0)
            spec = from_albumentations(theirs).spec
            ours = Pipeline.from_spec({**spec, "backend": backend})
        except Exception as error:
            print(f"{name}: left out: {error}")
            continue
        found[name] = {
            "ours": lambda index, ours=ours: ours.train(image, index=index, epoch=0),
            "theirs": lambda _, theirs=theirs: theirs(image=image)["image"],
        }
    return found


def microseconds(call: Call, start: int, seconds: float = 0.05) -> float:
    spent, count = time.process_time(), 0
    while (now := time.process_time()) - spent < seconds:
        for _ in range(8):
            call(start + count)
            count += 1
    return 1e6 * (now - spent) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(0)
    warnings.simplefilter("ignore")  # of the peer
    for size in SIZES:
        print(f"\n{size}x{size}: microseconds of processor time, ours and theirs, and theirs over ours")
        rows = []
        for name, calls in pairs(options.backend, size, options.only).items():
            for call in calls.values():
                microseconds(call, 0)
            times = measure_in_turns(calls, options.rounds, lambda call, number: microseconds(call, 1000 * number))
            ours, theirs = times["ours"], times["theirs"]
            rows.append((ratio(theirs, ours), name, statistics.median(ours), statistics.median(theirs)))
        for times_as_fast, name, ours, theirs in sorted(rows):
            print(f"  {name:26} {ours:8,.0f} {theirs:8,.0f}  {times_as_fast:6.2f}")


if __name__ == "__main__":
    main()
