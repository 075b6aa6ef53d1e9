"""augreg beside every peer that is installed: processor time per image on one thread, in the same run.

    python bench/peers.py                       # all rows, pipelines with both allocators: some 20 minutes
    python bench/peers.py --rows B D --rounds 3
    python bench/peers.py --save                # also write bench/results/<version>.json

The pipelines take turns within each round, so a busy machine slows all alike: read the ratios. A pipeline whose
results are not those of the row is left out, and why is printed: another shape or dtype, or another mean. Whether its
resize is antialiased is measured, by an image of stripes; ratios are between pipelines of which both are, or neither.

Rows A to E are pipelines of one image at a time, measured here, and J and K those of images with boxes and masks.
Rows F to I have scripts of their own, which are run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import numpy as np
from comparison import measure_in_turns, ratio
from peer_rows.rows import DETECTION, ROWS, Row, Work, inputs_of, stripes_of

PEERS = {
    "ours": "augreg",
    "opencv_rows": "opencv-python-headless",
    "albumentations_rows": "albumentations",
    "torchvision_rows": "torchvision",
    "timm_rows": "timm",
    "dali_rows": "nvidia-dali-cuda120",
    "kornia_rows": "kornia",
}
ALSO = ("augreg-native", "numpy", "pillow", "simplejpeg", "torch")
SCRIPTS = {
    "F": ("batches mixed", ("mix.py", "--steps", "mix", "--rounds", "9")),
    "G": ("a DataLoader with 2 workers", ("loader.py",)),
    "H": ("every transform alone", ("each.py",)),
    "I": ("what precedes the pixels", ("planning.py",)),
}
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 26), "MALLOC_TRIM_THRESHOLD_": str(1 << 27)}
_FARTHEST = 0.25  # of the mean of a row, in standard deviations of ImageNet
_SMOOTH = 0.25  # of the contrast of the stripes is left at most by an antialiased resize


class Checked(NamedTuple):
    """A pipeline whose results are those of the row."""

    work: Work
    antialiased: bool | None  # None where nothing is resized


def installed() -> dict[str, str]:
    found = {}
    for name in (*PEERS.values(), *ALSO):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def one_thread() -> None:
    """No library may use a second thread; processor time would count it, but it would also help."""
    import cv2

    cv2.setNumThreads(0)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def pipelines_of(name: str, row: Row, inputs: list[Any]) -> tuple[dict[str, Work], dict[str, str]]:
    """The pipelines of all peers, by name, and why there are none of others."""
    found: dict[str, Work] = {}
    missing: dict[str, str] = {}
    for module, library in PEERS.items():
        if row.targets and module not in DETECTION:
            continue
        try:
            found |= importlib.import_module(f"peer_rows.{module}").pipelines(name, row, inputs)
        except ImportError as error:
            missing[library] = f"not installed ({error})"
        except Exception as error:  # of a version of it that is another than the one it was written for
            missing[library] = f"{type(error).__name__}: {str(error)[-200:]}"
    return found, missing


def checked(row: Row, works: dict[str, Work], stripes: dict[str, Work]) -> tuple[dict[str, Checked], dict[str, str]]:
    """The pipelines that do the work of the row, and what is wrong with the others."""
    found: dict[str, Checked] = {}
    wrong: dict[str, str] = {}
    means: dict[str, float] = {}
    for name, work in works.items():
        try:
            means[name] = mean_of(work, row)
        except Exception as error:  # of a library that changed
            wrong[name] = f"{type(error).__name__}: {error}"
    middle = statistics.median(means.values())
    for name, mean in means.items():
        if abs(mean - middle) > _FARTHEST:
            wrong[name] = f"its mean is {mean:.2f}, and that of the others {middle:.2f}"
            continue
        stripe = stripes.get(name.partition(", one policy")[0])
        found[name] = Checked(works[name], None if stripe is None else contrast_of(stripe, row) < _SMOOTH)
    return found, wrong


def mean_of(work: Work, row: Row) -> float:
    """The mean of some results. Raises ValueError if they are not float32, channels first, of the row's size."""
    total, images = 0.0, 0
    for start in range(0, 256, row.chunk):
        batch = work(range(start, start + row.chunk))
        for image in batch:
            array = np.asarray(image)
            if array.shape != (3, row.output, row.output) or array.dtype != np.float32:
                raise ValueError(f"results are {array.dtype} of {array.shape}")
            total, images = total + float(array.mean()), images + 1
    return total / images


def contrast_of(work: Work, row: Row) -> float:
    """How much of the contrast of the stripes is left, in images that were made smaller: the lowest of some."""
    found = []
    for image in work(range(row.chunk)):
        array = np.asarray(image).mean(0)
        found.append(float(array.std(1).mean()))
    return float(np.quantile(found, 0.1)) / 2.2  # stripes that are sampled have 2.2 standard deviations of ImageNet


def cost(work: Work, row: Row, seconds: float, start: int) -> tuple[float, float]:
    """Seconds of processor time and of the clock per image; a batch is kept while the next is made."""
    count, held = 0, None
    spent, began = time.process_time(), time.perf_counter()
    while time.process_time() - spent < seconds:
        held = work(range(start + count, start + count + row.chunk))
        count += row.chunk
    del held
    return (time.process_time() - spent) / count, (time.perf_counter() - began) / count


def measured(name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """The row of the table as plain data."""
    row = ROWS[name]
    works, missing = pipelines_of(name, row, inputs_of(row))
    # a policy raises what contrast is left, and row C has the resize of row B
    stripes, _ = pipelines_of("B" if name == "C" else name, row, stripes_of(row)) if row.resizes else ({}, {})
    one_thread()
    found, wrong = checked(row, works, stripes)
    for each in found.values():
        cost(each.work, row, min(0.2, seconds), 0)
    results = measure_in_turns(found, rounds, lambda each, number: cost(each.work, row, seconds, number * 4096))
    return {
        "what": row.what,
        "left out": missing | wrong,
        "pipelines": {
            label: {
                "antialiased": found[label].antialiased,
                "processor": [round(1e6 * each[0], 1) for each in values],
                "clock": [round(1e6 * each[1], 1) for each in values],
            }
            for label, values in results.items()
        },
    }


def lines_of(data: dict[str, Any]) -> list[str]:
    """A row for people: microseconds per image, and how our pipelines compare with the fastest peer alike."""
    pipelines = data["pipelines"]
    lines = [data["what"]]
    for label, each in sorted(pipelines.items(), key=lambda item: statistics.median(item[1]["processor"])):
        values = each["processor"]
        kind = {True: "antialiased", False: "not antialiased", None: ""}[each["antialiased"]]
        middle, low, high = statistics.median(values), min(values), max(values)
        line = f"  {label:28} {middle:9,.0f} us  ({low:,.0f} to {high:,.0f})  {kind:16}"
        if label.startswith("augreg"):
            peers = {
                other: found
                for other, found in pipelines.items()
                if not other.startswith(("augreg", "by hand")) and "one policy" not in other
                and found["antialiased"] == each["antialiased"]
            }  # fmt: skip
            if peers:
                best = min(peers, key=lambda other: statistics.median(peers[other]["processor"]))
                line += f" {ratio(peers[best]['processor'], values):.2f} x {best}"
            if by_hand := pipelines.get("by hand with OpenCV"):
                line += f", {ratio(by_hand['processor'], values):.2f} x by hand"
        lines.append(line.rstrip())
    lines += [f"  left out: {label}: {why}" for label, why in data["left out"].items()]
    return lines


def here(options: argparse.Namespace) -> dict[str, Any]:
    """The table of this process, printed row by row."""
    warnings.simplefilter("ignore")  # of the peers
    table = {}
    for name in options.rows:
        table[name] = measured(name, options.rounds, options.seconds)
        print(f"{name}  " + "\n".join(lines_of(table[name])) + "\n", flush=True)
    return table


def of_script(name: str) -> list[str]:
    """The lines that the script of a row prints, which are printed as they come."""
    what, arguments = SCRIPTS[name]
    print(f"== {name}  {what}: bench/{' '.join(arguments)}\n", flush=True)
    command = [sys.executable, str(Path(__file__).parent / arguments[0]), *arguments[1:]]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    print()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*ROWS, *SCRIPTS]
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="of processor time, for each pipeline in each round"
    )
    parser.add_argument("--allocator", choices=("default", "tuned", "both"), default="both")
    parser.add_argument("--save", action="store_true", help="write bench/results/<version>.json")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.json:
        out, sys.stdout = sys.stdout, sys.stderr
        json.dump(here(options), out)
        return
    print(f"python {platform.python_version()}, {', '.join(f'{n} {v}' for n, v in installed().items())}")
    print(f"{_processor()}; microseconds of processor time per image, one thread\n")
    tables: dict[str, Any] = {}
    rows = [name for name in options.rows if name in ROWS]
    for name in ("default", "tuned") if options.allocator == "both" else (options.allocator,):
        if not rows:
            break
        print(f"== {name} allocator: {TUNED if name == 'tuned' else 'no settings'}\n", flush=True)
        settings = ("--rounds", str(options.rounds), "--seconds", str(options.seconds))
        environment = {**os.environ, **(TUNED if name == "tuned" else {})}
        done = subprocess.run(
            [sys.executable, __file__, "--rows", *rows, *settings, "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        tables[name] = json.loads(done.stdout)
    scripts = {name: of_script(name) for name in options.rows if name in SCRIPTS}
    if options.save:
        path = Path(__file__).parent / "results" / f"{installed()['augreg']}.json"
        path.parent.mkdir(exist_ok=True)
        data = {
            "versions": installed(),
            "processor": _processor(),
            "python": platform.python_version(),
            "rows": tables,
            "scripts": scripts,
        }
        path.write_text(json.dumps(data, indent=1) + "\n")
        print(f"wrote {path}")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


if __name__ == "__main__":
    main()
