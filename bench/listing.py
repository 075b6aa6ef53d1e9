"""The time and the memory to list millions of images, and to give a shard its part of the list.

    python bench/listing.py                              # 1, 2, 5 and 10 million names, each in a process of its own
    python bench/listing.py --kinds list --millions 1
    python bench/listing.py --kinds files --millions 0.2 --place /dev/shm    # files that are really there

The kinds: `flat`, all images in one folder; `folders`, 1,000 class folders; `masks`, half of the files are masks
beside the images; `twins`, each image is there with two suffixes; `list`, a text file of paths; `csv`, with a label.
Folders are pretended: os.scandir is replaced, and names files in no order, as file systems do. `files` makes files in
a folder of --place, and removes them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from augreg.sharding.inputs import open_input

KINDS = ("flat", "folders", "masks", "twins", "list", "csv")
_STEP = 7_368_787  # a prime: multiples of it visit all numbers, in an order far from sorted
_FOLDERS = 1_000


class Entry:
    """An entry of a folder that is not there."""

    __slots__ = ("folder", "name")

    def __init__(self, name: str, folder: bool = False) -> None:
        self.name, self.folder = name, folder

    def is_dir(self) -> bool:
        return self.folder


def names(kind: str, count: int) -> Iterator[str]:
    """Names of files, in no order."""
    for number in range(count):
        number = number * _STEP % count
        if kind == "masks":
            yield f"IMG_{number // 2:08}{'_mask.png' if number % 2 else '.jpg'}"
        elif kind == "twins":
            yield f"IMG_{number // 2:08}{'.png' if number % 2 else '.jpg'}"
        else:
            yield f"IMG_{number:08}.jpg"


@contextlib.contextmanager
def pretended(kind: str, count: int) -> Iterator[None]:
    """Replace os.scandir by one that has the names."""
    there = os.scandir

    def scandir(place: str) -> contextlib.AbstractContextManager[Iterator[Entry]]:
        if kind != "folders":
            return contextlib.nullcontext(Entry(name) for name in names(kind, count))
        if place.endswith("root"):
            return contextlib.nullcontext(Entry(f"class-{number:04}", True) for number in range(_FOLDERS))
        return contextlib.nullcontext(Entry(name) for name in names(kind, count // _FOLDERS))

    os.scandir = scandir  # type: ignore[assignment]
    try:
        yield
    finally:
        os.scandir = there


def measure(kind: str, count: int, place: str) -> None:
    """List so many names, and print a row of the table."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        location = Path(folder, "root")
        if kind in ("list", "csv"):
            location = Path(folder, f"a.{'txt' if kind == 'list' else 'csv'}")
            with location.open("w") as file:
                if kind == "csv":
                    file.write("image,label\n")
                for number in range(count):
                    file.write(f"images/{number % 997:04}/IMG_{number:08}.jpg{',7' * (kind == 'csv')}\n")
        else:
            location.mkdir()
            if kind == "files":
                for name in names(kind, count):
                    os.close(os.open(location / name, os.O_CREAT | os.O_WRONLY))
        pretends = pretended(kind, count) if location.is_dir() and kind != "files" else contextlib.nullcontext()
        before = _memory()
        with pretends:
            start, processor = time.perf_counter(), time.process_time()
            found = open_input(str(location))
            seconds, processor = time.perf_counter() - start, time.process_time() - processor
        start = time.perf_counter()
        shards = found.default_shards
        size = len(pickle.dumps(found.piece(shards // 2, shards)))
        milliseconds = 1000 * (time.perf_counter() - start)
        kept = len(pickle.dumps(found))
        print(
            f"| {kind} | {count:,} | {found.count:,} | {seconds:.1f} | {processor:.1f} | {_memory():.0f} "
            f"| {_memory() - before:.0f} | {kept / 2**20:.0f} | {size / 1024:.1f} | {milliseconds:.2f} |",
            flush=True,
        )
        if kind == "files":
            shutil.rmtree(location)


def _memory() -> float:
    """The most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure every kind and count in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=(*KINDS, "files"))
    parser.add_argument("--millions", nargs="+", type=float, default=(1, 2, 5, 10))
    parser.add_argument("--place", default=tempfile.gettempdir(), help="where files are made")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        measure(arguments.kinds[0], int(arguments.millions[0] * 1e6), arguments.place)
        return
    print("| kind | names | images | seconds | processor s | most MiB | for the list | kept MiB | piece KiB | ms |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for kind in arguments.kinds:
        for millions in arguments.millions:
            command = [sys.executable, __file__, "--here", "--kinds", kind, "--millions", str(millions)]
            subprocess.run([*command, "--place", arguments.place], check=True)


if __name__ == "__main__":
    main()
