"""Images per second of `augreg apply` from tars to tars, beside a bare loop that does the same work and no more.

    python bench/shards.py                           # 100 tars of 1,000 tiny images, 2 processes
    python bench/shards.py --size 224 --tars 8 --images 200
    python bench/shards.py --shards 2000             # output shards that share input tars

The bare loop reads a tar with tarfile, calls the pipeline at the key of each image, encodes, and writes a tar: no
list, hash, record, lock or atomic file. It runs in as many processes, a tar each at a time. The two take turns. The
time is that of the whole command, with the start of its processes.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from augreg import Pipeline
from augreg.__main__ import main
from augreg.images.encoding import encode

SPEC = "image:\n  - random_crop: {size: %d, padding: 2}\n  - horizontal_flip\n  - brightness: 0.4\n"


def write_tars(folder: Path, tars: int, images: int, size: int) -> None:
    """Tars of random images, of which a hundred differ."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    files = []
    for _ in range(100):
        buffer = io.BytesIO()
        low = chance.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8)
        Image.fromarray(low).resize((size, size), Image.Resampling.BICUBIC).save(buffer, "PNG")
        files.append(buffer.getvalue())
    for number in range(tars):
        with tarfile.open(folder / f"in-{number:05d}.tar", "w") as tar:
            for image in range(images):
                add(tar, f"{number:05d}-{image:06d}.png", files[image % 100])
                add(tar, f"{number:05d}-{image:06d}.cls", b"%d" % (image % 10))


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def bare(arguments: tuple[str, Path, Path]) -> None:
    """The work on one tar."""
    spec, source, out = arguments
    pipe = Pipeline.from_spec(spec)
    with tarfile.open(source) as given, tarfile.open(out, "w") as made:
        for member in given:
            data = given.extractfile(member).read()  # type: ignore[union-attr]
            key, _, suffix = member.name.partition(".")
            add(made, f"{key}-0.{suffix}", encode(pipe.train(data, index=key), "png") if suffix == "png" else data)


def bare_loop(spec: Path, folder: Path, out: Path, processes: int) -> None:
    out.mkdir()
    tasks = [(str(spec), path, out / path.name) for path in sorted(folder.iterdir())]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        list(pool.map(bare, tasks))


def timed(work: Callable[[Path], object], out: Path) -> tuple[float, float]:
    """Seconds of wall time and of processor time. What it wrote is removed before the next turn."""
    start, used = time.perf_counter(), processor_time()
    work(out)
    seconds = time.perf_counter() - start, processor_time() - used
    shutil.rmtree(out)
    os.sync()
    return seconds


def processor_time() -> float:
    """Seconds of this process and of those that it waited for."""
    return sum(os.times()[:4])


def compare(options: argparse.Namespace) -> None:
    count = options.tars * options.images
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        place = Path(name)
        spec, folder = place / "spec.yaml", place / "in"
        spec.write_text(SPEC % (options.size * 3 // 4))
        write_tars(folder, options.tars, options.images, options.size)
        more = ["--quiet", "--processes", str(options.processes), "--shards", str(options.shards or options.tars)]
        rows: dict[str, Callable[[Path], object]] = {
            "bare loop": lambda out: bare_loop(spec, folder, out, options.processes),
            "augreg apply": lambda out: main(["apply", str(spec), str(folder), str(out), *more]),
        }
        seconds: dict[str, list[tuple[float, float]]] = {row: [] for row in rows}
        for _ in range(options.rounds):
            for row, work in rows.items():
                seconds[row].append(timed(work, place / "out"))
    for row, times in seconds.items():
        wall, used = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{row:14} {count / wall:9.0f} images/s {1e3 * used / count:9.3f} ms of a processor for an image")
    for number, what in enumerate(("time", "processor time")):
        ratios = [ours[number] / theirs[number] for theirs, ours in zip(*seconds.values(), strict=True)]
        rounds = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{what} of augreg apply over that of the bare loop: {statistics.median(ratios):.2f} ({rounds})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tars", type=int, default=100)
    parser.add_argument("--images", type=int, default=1000, help="images in a tar")
    parser.add_argument("--size", type=int, default=16, help="height and width of an image")
    parser.add_argument("--shards", type=int, help="output shards (as many as tars)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to work (the system's temporary folder)")
    compare(parser.parse_args())
