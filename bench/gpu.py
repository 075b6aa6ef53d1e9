"""Batches on a device, each image with its own draw: images per second beside torchvision and kornia, and equality.

    python bench/gpu.py                        # on the CPU, with small batches: under 3 minutes
    python bench/gpu.py --device cuda          # on a GPU: under 5 minutes
    python bench/gpu.py --rows crop rand       # some rows alone; `equal` is the check of results
    python bench/gpu.py --device cuda --save   # also write bench/results/<version>-gpu-<device>.json

The pipelines of a row take turns within each round: read the ratios. Each measurement calls a pipeline until its time
is up, and then waits for the device; on the CPU it is processor time on one thread. There `pipe.train.batch` runs
image by image, because that is faster; what is measured are the operations of a GPU. Where a library makes images one
by one, it gets 32 of them at most. `peak` is the memory that a batch takes on the device besides its input.

`draws` is the time to draw for a batch, per image. `operations` are those of torch that one batch of augreg runs,
without views: on a GPU each starts a kernel or a copy. `host` is the time until a call of augreg returns while the
device is busy with other work, per image; where it says `waits`, the call waits for the device.

`equal` compares batches with `pipe.train` of each image alone and `backend: pillow`, in every bit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from comparison import measure_in_turns, ratio
from gpu_rows.equality import SPECS, compared
from gpu_rows.peers import peers
from gpu_rows.rows import ALONE, ROWS, Row, Work, images_of, ours
from torch.utils._python_dispatch import TorchDispatchMode

from augreg import Pipeline
from augreg.columns.philox import addresses_of
from augreg.columns.records import Scenes
from augreg.devices.programs import Limits, trained
from augreg.ops import Scene

LIBRARIES = ("augreg", "augreg-native", "numpy", "pillow", "torch", "torchvision", "kornia")
_MIB = 1 << 20
_FARTHEST = 0.35  # of the mean of augreg's results, in standard deviations of ImageNet
_SLEEP = 400_000_000  # cycles of the device: some 200 ms of other work


class Clock:
    """How much of the time that a run may take is left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds

    @property
    def left(self) -> float:
        return self._end - time.perf_counter()


class Counted(TorchDispatchMode):
    """Counts the operations of torch that compute or copy; views do neither."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        is_view = any(each.alias_info and not each.alias_info.is_write for each in function._schema.arguments)
        self.count += not is_view and function._schema.name not in ("aten::_unsafe_view", "aten::lift_fresh")
        return result


def installed() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def cost(work: Work, device: str, seconds: float) -> float:
    """Seconds per image: of the clock on a GPU, of the processor on the CPU."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    wait(device)
    calls, started, held = 0, clock(), None
    while not calls or clock() - started < seconds:
        held = work.run()
        calls += 1
        if calls % 8 == 0:  # or calls would run far ahead of the device
            wait(device)
    wait(device)
    used = clock() - started
    del held
    return used / (calls * work.count)


def peak(work: Work, device: str) -> float | None:
    """MiB of the device that a batch takes, with its result and without its input."""
    if device != "cuda":
        return None
    wait(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = work.run()
    wait(device)
    del result
    return (torch.cuda.max_memory_allocated() - before) / _MIB


def checked(row: Row, works: dict[str, Work], device: str) -> tuple[dict[str, Work], dict[str, str]]:
    """The pipelines that do the work of the row, after a first call, and what is wrong with the others."""
    found: dict[str, Work] = {}
    wrong: dict[str, str] = {}
    middle = None
    for name, work in works.items():
        try:
            batches = [work.run() for _ in range(2)]
        except Exception as error:  # of a library that changed
            if name == "augreg":
                raise
            wrong[name] = f"{type(error).__name__}: {str(error)[-200:]}"
            continue
        batch, wanted = batches[-1], (work.count, 3, row.side, row.side)
        place = "cpu" if name == ALONE else device
        if tuple(batch.shape) != wanted or batch.dtype != torch.float32 or batch.device.type != place:
            wrong[name] = f"results are {batch.dtype} of {tuple(batch.shape)} on {batch.device}"
            continue
        mean = statistics.mean(float(each.mean()) for each in batches)
        middle = mean if middle is None else middle
        # one draw for a whole batch may make all of it dark
        if "one" not in name and abs(mean - middle) > _FARTHEST:
            wrong[name] = f"its mean is {mean:.2f}, and that of augreg {middle:.2f}"
            continue
        found[name] = work
    return found, wrong


def draws(row: Row) -> float:
    """Seconds of processor time per image to draw for a batch of the size for GPUs; tests have nothing to draw."""
    count = row.batch
    pipe = Pipeline.from_spec({"seed": 7, "image": row.steps})
    height, width = row.size
    scenes = Scenes(np.full(count, height), np.full(count, width), Scene(1, 1, 3))
    times = []
    for turn in range(7):
        start = time.process_time()
        addresses = addresses_of(7, range(turn * count, (turn + 1) * count), 0, 0)
        trained(pipe.spec.image, scenes, addresses, pipe.train.engine, Limits(False, 1 << 27))
        times.append(time.process_time() - start)
    return statistics.median(times) / count


def operations(work: Work) -> int:
    with Counted() as counted:
        work.run()
    return counted.count


def host(work: Work, device: str) -> tuple[float, bool] | None:
    """Seconds per image until a call returns while the device is busy, and whether it waited for the device."""
    if device != "cuda":
        return None
    times, waits = [], []
    for _ in range(5):
        wait(device)
        done = torch.cuda.Event()
        torch.cuda._sleep(_SLEEP)
        done.record()
        start = time.perf_counter()
        result = work.run()
        times.append(time.perf_counter() - start)
        waits.append(done.query())
        wait(device)
        del result
    return statistics.median(times) / work.count, sum(waits) > len(waits) // 2


def measured(name: str, options: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """A row of the table as plain data."""
    row, device = ROWS[name], options.device
    count = options.batch or (row.batch if device == "cuda" else row.small)
    images = images_of(row, count, device)
    own = ours(row, images, device)
    others, missing = peers(name, row, images, device)
    found, wrong = checked(row, own | others, device)
    rounds, results = 0, {label: [] for label in found}
    while rounds < options.rounds and (not rounds or clock.left > 0):
        for label, values in measure_in_turns(found, 1, lambda work, _: cost(work, device, options.seconds)).items():
            results[label] += values
        rounds += 1
    busy = host(own["augreg"], device)
    return {
        "what": row.what,
        "size": row.size,
        "batch": count,
        "left out": missing | wrong,
        "draws": None if row.is_test else draws(row),
        "operations": operations(own["augreg"]),
        "host": None if busy is None else {"seconds": busy[0], "waits": busy[1]},
        "pipelines": {
            label: {"seconds": values, "peak": None if label == ALONE else peak(found[label], device)}
            for label, values in results.items()
        },
    }


def lines_of(data: dict[str, Any]) -> list[str]:
    """A row for people: images per second, and how many times as fast augreg is."""
    height, width = data["size"]
    pipelines = data["pipelines"]
    own = pipelines["augreg"]["seconds"]
    rounds = len(own)
    lines = [f"{data['what']}: {data['batch']} images of {width}x{height}, median of {rounds} rounds"]
    for label, each in pipelines.items():
        rates = sorted(1 / value for value in each["seconds"])
        line = f"  {label:36} {statistics.median(rates):10,.0f}/s  ({rates[0]:,.0f} to {rates[-1]:,.0f})"
        if each["peak"] is not None:
            line += f"  peak {each['peak']:,.0f} MiB"
        if label != "augreg":
            line += f"  augreg is {ratio(each['seconds'], own):,.2f} times as fast"
        lines.append(line)
    line = f"  operations {data['operations']}"
    if data["draws"] is not None:
        line += f", draws {1e6 * data['draws']:.1f} us"
    if data["host"] is not None:
        waits = ", waits" if data["host"]["waits"] else ""
        line += f", host {1e6 * data['host']['seconds']:.1f} us{waits}"
    lines.append(line)
    return [*lines, *(f"  left out: {label}: {why}" for label, why in data["left out"].items())]


def equality(device: str, count: int, seconds: float) -> dict[str, Any]:
    """The specs with images that are not equal, printed, and how many there were of each."""
    print(f"equal    {len(SPECS)} specs at {count} addresses, beside `pipe.train` with backend pillow", flush=True)
    found: dict[str, Any] = {}
    for name, result in compared(device, count, seconds):
        if isinstance(result, str):
            found[name] = result
            print(f"  {name:40} {result}", flush=True)
            continue
        found[name] = result._asdict()
        if result.equal < result.images:
            print(f"  {name:40} {result.equal} of {result.images} equal, others within {result.worst:g}", flush=True)
    done = [each for each in found.values() if isinstance(each, dict)]
    print(
        f"  {sum(each['equal'] for each in done):,} of {sum(each['images'] for each in done):,} equal\n", flush=True
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*ROWS, "equal"]
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="5, on the CPU 3")
    parser.add_argument("--seconds", type=float, help="of each measurement: 0.25, on the CPU 0.1; at least one call")
    parser.add_argument("--batch", type=int, help="images of a batch; 256 (1024 of 32x32), on the CPU 16 (256)")
    parser.add_argument("--addresses", type=int, help="of the check of each spec: 256, on the CPU 32")
    parser.add_argument("--limit", type=float, help="seconds after which no round begins: 240, on the CPU 150")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads on the CPU")
    parser.add_argument("--save", action="store_true", help="write bench/results/<version>-gpu-<device>.json")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    if on_gpu and not torch.cuda.is_available():
        parser.error("torch finds no GPU here: --device cuda needs one")
    defaults = {"rounds": (3, 5), "seconds": (0.1, 0.25), "addresses": (32, 256), "limit": (150, 240)}
    for option, values in defaults.items():
        if getattr(options, option) is None:
            setattr(options, option, values[on_gpu])
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # of the peers
    clock = Clock(options.limit)
    machine = torch.cuda.get_device_name() if on_gpu else f"the CPU, {options.threads} thread(s) of torch"
    print(f"python {platform.python_version()}, {', '.join(f'{n} {v}' for n, v in installed().items())}")
    print(f"{machine}; backend of single images: {Pipeline.from_spec([]).backend}\n", flush=True)
    table: dict[str, Any] = {}
    if "equal" in options.rows:
        table["equal"] = equality(options.device, options.addresses, clock.left / 3)
    for name in options.rows:
        if name == "equal":
            continue
        if clock.left <= 0:
            print(f"{name}  left out: no time left (--limit {options.limit:g})\n")
            continue
        table[name] = measured(name, options, clock)
        print(f"{name:8} " + "\n".join(lines_of(table[name])) + "\n", flush=True)
    if options.save:
        path = Path(__file__).parent / "results" / f"{installed()['augreg']}-gpu-{options.device}.json"
        path.parent.mkdir(exist_ok=True)
        data = {
            "versions": installed(), "python": platform.python_version(), "device": machine,
            "threads": options.threads, "rows": table,
        }  # fmt: skip
        path.write_text(json.dumps(data, indent=1) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
