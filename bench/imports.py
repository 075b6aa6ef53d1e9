"""Seconds that a fresh interpreter takes to start, to import augreg, and to run short commands.

    python bench/imports.py [--runs 7]

Each row is the fastest of several runs, and its difference from an interpreter that does nothing. The subprocesses
may write bytecode (PYTHONDONTWRITEBYTECODE is unset for them): otherwise every run would compile augreg again.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

ROWS = {
    "python -c pass": ("-c", "pass"),
    "import augreg": ("-c", "import augreg"),
    "augreg --help": ("-m", "augreg", "--help"),
    "augreg list": ("-m", "augreg", "list"),
    "augreg show rotate": ("-m", "augreg", "show", "rotate"),
    "import numpy": ("-c", "import numpy"),
    'Pipeline.from_spec("imagenet")': ("-c", "import augreg; augreg.Pipeline.from_spec('imagenet')"),
}


def seconds(arguments: tuple[str, ...], environment: dict[str, str]) -> float | None:
    """The duration of a run; None if it failed."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True)
    return time.perf_counter() - start if done.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    print(f"python {platform.python_version()}, numpy {version('numpy')}; seconds, the fastest of {runs} runs")

    results: dict[str, list[float]] = {}
    failed = {name for name, arguments in ROWS.items() if seconds(arguments, environment) is None}  # also warms up
    for _ in range(runs):  # in turns, so that a busy moment does not hit one row only
        for name, arguments in ROWS.items():
            took = None if name in failed else seconds(arguments, environment)
            if took is not None:
                results.setdefault(name, []).append(took)

    nothing = min(results["python -c pass"])
    for name in ROWS:
        if name not in results:
            print(f"  {name:32} failed")
            continue
        best = min(results[name])
        print(f"  {name:32} {best:.3f}  (+{best - nothing:.3f})")


if __name__ == "__main__":
    main()
