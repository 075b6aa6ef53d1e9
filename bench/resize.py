"""Antialiased resizing at scales from 1 to 60: the OpenCV backend beside Pillow, by processor time and by PSNR.

    python bench/resize.py                                        # to 224x224, bilinear, RGB bytes
    python bench/resize.py --to 64 64 --interpolation bicubic --channels 1 --floats
    python bench/resize.py --tall 2                               # the height shrinks twice as much as the width

Both get an array and return one, so Pillow's time has the copies from and to an `Image`, and for floats one resize
for each channel. The rows of a scale take turns within a round. The images are the photos of the gallery, mirrored
side by side at their own sharpness, so that a large image has as many details for its size as a small one.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from comparison import measure_in_turns, photo_files
from PIL import Image

from augreg import ops
from augreg.backends import backend

SCALES = (1.1, 1.5, 2, 2.23, 2.6, 3, 3.7, 4, 5, 5.9, 6.1, 7, 7.9, 8, 9, 12, 15.9, 20, 30, 45, 60)
LONGEST = 14_000  # pixels of a side of an input
MODES = {1: "L", 3: "RGB", 4: "CMYK"}  # Pillow weighs the colors of RGBA by alpha, which augreg does not


@functools.cache
def mosaic() -> np.ndarray:
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in photo_files()]
    height = min(len(photo) for photo in photos)
    row = np.concatenate([photo[:height] for photo in photos], axis=1)
    half = np.concatenate([row, row[::-1]])
    return np.concatenate([half, half[:, ::-1]], axis=1)


def image(height: int, width: int, channels: int) -> np.ndarray:
    tile = mosaic()
    rows, columns = np.arange(height) % tile.shape[0], np.arange(width) % tile.shape[1]
    return np.ascontiguousarray(tile[rows[:, None], columns][..., [0, 1, 2, 1][:channels]])


def pillow(array: np.ndarray, size: tuple[int, int], resample: Image.Resampling) -> np.ndarray:
    if array.dtype == np.uint8:
        small = Image.frombuffer(MODES[array.shape[2]], array.shape[1::-1], array).resize(size, resample)
        return np.asarray(small).reshape(*size[::-1], -1)
    planes = [Image.fromarray(np.ascontiguousarray(array[..., channel])) for channel in range(array.shape[2])]
    return np.stack([np.asarray(plane.resize(size, resample)) for plane in planes], axis=2)


def seconds(work: Callable[[], object], least: float = 0.01) -> float:
    """Processor time of one call: the mean over calls that take this long together."""
    count, start = 0, time.thread_time()
    while (spent := time.thread_time() - start) < least or not count:
        work()
        count += 1
    return spent / count


def decibels(found: np.ndarray, wanted: np.ndarray) -> float:
    error = np.mean((found.astype(np.float64) - wanted) ** 2)
    return 99.0 if error == 0.0 else 10.0 * np.log10(255.0**2 / error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=int, nargs=2, default=(224, 224), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--interpolation", choices=("bilinear", "bicubic"), default="bilinear")
    parser.add_argument("--channels", type=int, choices=sorted(MODES), default=3)
    parser.add_argument("--floats", action="store_true", help="float32 images instead of bytes")
    parser.add_argument("--tall", type=float, default=1.0, help="scale of the height over that of the width")
    parser.add_argument("--scales", type=float, nargs="+", default=SCALES, metavar="SCALE")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    height, width = options.to
    op = ops.resize(height, width, options.interpolation)
    print(f"to {height}x{width}, {options.interpolation}, {options.channels} channels: us of processor time, median")
    print(f"{'scale':>6} {'from':>12} {'opencv':>9} {'Pillow':>9} {'ratio':>6} {'PSNR':>6}")
    for scale in options.scales:
        tall, wide = round(height * scale * options.tall), round(width * scale)
        if max(tall, wide) > LONGEST:
            continue
        array = image(tall, wide, options.channels)
        if options.floats:
            array = array.astype(np.float32)
        rows: dict[str, Callable[[], np.ndarray]] = {
            "opencv": functools.partial(backend("opencv").apply, op, array),
            "Pillow": functools.partial(
                pillow, array, (width, height), Image.Resampling[options.interpolation.upper()]
            ),
        }
        times = measure_in_turns(rows, options.rounds, lambda work, _: seconds(work))
        fast, slow = (1e6 * statistics.median(times[name]) for name in rows)
        near = decibels(rows["opencv"](), rows["Pillow"]())
        print(f"{scale:6g} {f'{tall}x{wide}':>12} {fast:9,.0f} {slow:9,.0f} {slow / fast:6.2f} {near:6.1f}")


if __name__ == "__main__":
    main()
