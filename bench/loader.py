"""Images per second of torch's DataLoader over a folder of JPEGs: augreg beside albumentations in the same run.

    python bench/loader.py                      # 2 workers, batches of 64
    python bench/loader.py --workers 4 --batch 128

Each row is a loader of its own whose workers persist. A pass over the folder is one measurement, and the rows take
turns, so that a busy machine slows all of them alike: believe the ratios. The files, the steps, the workers and what
comes out are alike. The peer's area filter is the nearest that it has to an antialiased resize.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network for news on import otherwise

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader

from augreg import Pipeline
from augreg.data import Augmented, EpochSampler, Folder, folder

PHOTOS = Path(__file__).parent.parent / "gallery" / "photos"
WIDTH, HEIGHT, QUALITY = 500, 375, 90
Pass = Callable[[int], int]  # loads one epoch, and says how many images that were


def write_photos(path: Path, count: int) -> None:
    """A folder of two classes with the gallery's photos, each time cut a little differently."""
    files = sorted(file for file in PHOTOS.glob("*") if file.suffix in (".jpg", ".jpeg", ".png", ".webp"))
    photos = [Image.open(file).convert("RGB") for file in files]
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
    """A dataset as its users write it: decoded by OpenCV, made a tensor."""

    def __init__(self, files: Folder, resize: int) -> None:
        import albumentations as A  # noqa: N812 - its own custom

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
    found = {"augreg opencv, antialiased": augreg_row(files, "opencv", True, options)}
    if importlib.util.find_spec("albumentations"):
        found["albumentations linear, not antialiased"] = peer_row(files, cv2.INTER_LINEAR, options)
        found["albumentations area, antialiased"] = peer_row(files, cv2.INTER_AREA, options)
    found["augreg opencv, torch's own collate"] = augreg_row(files, "opencv", False, options)
    found["augreg pillow, antialiased"] = augreg_row(files, "pillow", True, options)
    return found


def processor_time() -> float:
    """Seconds of processor time of this process and its workers so far; of this one alone where there is no /proc."""
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
    rates: dict[str, list[float]] = {name: [] for name in table}
    costs: dict[str, list[float]] = {name: [] for name in table}
    for epoch in range(1, rounds + 1):
        for name, work in table.items():
            start, spent = time.perf_counter(), processor_time()
            count = work(epoch)
            rates[name].append(count / (time.perf_counter() - start))
            costs[name].append((processor_time() - spent) / count)
    ours, our_costs = next(iter(rates.values())), next(iter(costs.values()))
    for name, found in rates.items():
        cost = statistics.median(costs[name])
        line = f"  {name:40} {statistics.median(found):6,.0f}  ({1e6 * cost:5,.0f} us of processor time)"
        if found is not ours:
            faster = statistics.median(ours[i] / found[i] for i in range(rounds))
            cheaper = statistics.median(costs[name][i] / our_costs[i] for i in range(rounds))
            line += f"  augreg opencv: {faster:.2f} times as fast, by processor time {cheaper:.2f}"
        print(line)


def settings() -> None:
    print(
        f"python {platform.python_version()}, torch {torch.__version__}, opencv {cv2.__version__}; 1 thread a worker"
    )
    decoder = f"simplejpeg {version('simplejpeg')}" if importlib.util.find_spec("simplejpeg") else "Pillow"
    print(f"augreg decodes by {decoder}, albumentations' rows by OpenCV; both whole images, from files in the cache")
    print("out: batches of float32 channels x height x width, as tensors in shared memory")
    allocator = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_")}
    print(f"allocator: {allocator or 'as it comes'}")
    if importlib.util.find_spec("albumentations"):
        print(f"albumentations {version('albumentations')}")
    else:
        print("albumentations is not installed, so augreg runs alone: pip install albumentations==2.0.8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=768, help="how many files a pass reads")
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
