"""Images per second of torch's DataLoader over a folder of JPEGs: augreg beside albumentations in the same run.

    python bench/loader.py                      # 2 workers, batches of 64
    python bench/loader.py --workers 4 --batch 128

Each row is a separate loader with persistent workers. One pass over the folder is one measurement. The rows take
turns, so a busy machine slows all of them alike: trust the ratios. All rows have the same files, steps, workers and
output. The area filter is the closest that albumentations has to an antialiased resize.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from comparison import has_albumentations, measure_in_turns, photo_files, print_environment, print_rates
from PIL import Image, ImageOps
from torch.utils.data import DataLoader

from augreg import Pipeline
from augreg.data import Augmented, EpochSampler, Folder, folder

WIDTH, HEIGHT, QUALITY = 500, 375, 90
Pass = Callable[[int], int]  # loads one epoch, and returns the number of images


def write_photos(path: Path, count: int) -> None:
    """Write a folder of two classes with the photos of the gallery, each copy with a different crop."""
    photos = [Image.open(file).convert("RGB") for file in photo_files()]
    for number in range(count):
        photo = photos[number % len(photos)]
        border = number // len(photos) % 16
        cut = photo.crop((border, border, photo.width - border, photo.height - border))
        file = path / ("even", "odd")[number % 2] / f"{number}.jpg"
        file.parent.mkdir(exist_ok=True)
        ImageOps.fit(cut, (WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(file, quality=QUALITY)


def one_thread(worker: int) -> None:
    cv2.setNumThreads(1)


def loader(data: Any, options: argparse.Namespace, **more: Any) -> DataLoader[Any]:
    return DataLoader(
        data, options.batch, num_workers=options.workers, persistent_workers=True, worker_init_fn=one_thread, **more
    )  # fmt: skip


def loaded(batches: DataLoader[Any]) -> int:
    count = 0
    for images, _ in batches:
        assert images.shape[1:] == (3, 224, 224) and images.dtype == torch.float32
        count += len(images)
    return count


def augreg_row(files: Folder, backend: str, collate: bool, options: argparse.Namespace) -> Pass:
    pipe = Pipeline.from_spec({**Pipeline.from_spec("imagenet").to_spec(), "backend": backend})
    data = Augmented(files, pipe.train)
    sampler = EpochSampler(data)
    batches = loader(data, options, sampler=sampler, collate_fn=pipe.collate if collate else None)

    def work(epoch: int) -> int:
        sampler.set_epoch(epoch)
        return loaded(batches)

    return work


class Peer:
    """A dataset as users of albumentations write it: decode with OpenCV, convert to a tensor."""

    def __init__(self, files: Folder, resize: int) -> None:
        import albumentations as A  # noqa: N812 - as its users write

        self.files = files
        self.compose = A.Compose(
            [
                A.RandomResizedCrop((224, 224), scale=(0.08, 1.0), ratio=(0.75, 4 / 3), interpolation=resize),
                A.HorizontalFlip(p=0.5),
                A.ColorJitter(
                    brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.6, 1.4), hue=(0.0, 0.0), p=1.0
                ),
                A.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.files[index]
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        done = self.compose(image=image)["image"]
        return torch.from_numpy(np.ascontiguousarray(done.transpose(2, 0, 1))), label


def peer_row(files: Folder, resize: int, options: argparse.Namespace) -> Pass:
    batches = loader(Peer(files, resize), options, shuffle=True)
    return lambda epoch: loaded(batches)


def rows(files: Folder, options: argparse.Namespace) -> dict[str, Pass]:
    best = "native" if importlib.util.find_spec("augreg_native") else "opencv"
    table = {f"augreg {best}, antialiased": augreg_row(files, best, True, options)}
    if has_albumentations():
        table["albumentations linear, not antialiased"] = peer_row(files, cv2.INTER_LINEAR, options)
        table["albumentations area, antialiased"] = peer_row(files, cv2.INTER_AREA, options)
    if best != "opencv":
        table["augreg opencv, antialiased"] = augreg_row(files, "opencv", True, options)
    table[f"augreg {best}, torch's own collate"] = augreg_row(files, best, False, options)
    table["augreg pillow, antialiased"] = augreg_row(files, "pillow", True, options)
    return table


def processor_time() -> float:
    """Seconds of processor time of this process and its workers so far; without /proc, of this process alone."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        status = Path(f"/proc/{child.pid}/stat")
        if status.exists():
            user, system = status.read_text().rpartition(")")[2].split()[11:13]
            total += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return total


def compare(table: dict[str, Pass], rounds: int) -> None:
    for work in table.values():
        work(0)  # starts the workers

    def measure(work: Pass, epoch: int) -> tuple[float, float]:
        """Images per second, and seconds of processor time per image."""
        start, spent = time.perf_counter(), processor_time()
        count = work(epoch)
        return count / (time.perf_counter() - start), (processor_time() - spent) / count

    results = measure_in_turns(table, rounds, measure)
    rates = {name: [rate for rate, _ in values] for name, values in results.items()}
    print_rates(rates, {name: [cost for _, cost in values] for name, values in results.items()})


def settings() -> None:
    print(
        f"python {platform.python_version()}, torch {torch.__version__}, opencv {cv2.__version__}; 1 thread a worker"
    )
    decoder = f"simplejpeg {version('simplejpeg')}" if importlib.util.find_spec("simplejpeg") else "Pillow"
    print(f"augreg decodes with {decoder}, the rows of albumentations with OpenCV; both decode cached files in full")
    print("out: batches of float32 channels x height x width, as tensors in shared memory")
    print_environment()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=768, help="number of files in a pass")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings()
    with tempfile.TemporaryDirectory() as scratch:
        write_photos(Path(scratch), options.images)
        files = folder(scratch)
        size = sum(path.stat().st_size for path, _ in files.samples) / len(files) / 1024
        print(f"\n{len(files)} JPEGs of {WIDTH}x{HEIGHT}, quality {QUALITY}, {size:.0f} KiB on average")
        print(f"{options.workers} workers, batches of {options.batch}: images per second, median of {options.rounds}")
        compare(rows(files, options), options.rounds)


if __name__ == "__main__":
    main()
