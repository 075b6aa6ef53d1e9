"""What the benchmarks share: rows that are measured in turns, the lines with their medians, and the environment."""

from __future__ import annotations

import importlib.util
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["has_albumentations", "measure_in_turns", "photo_files", "print_environment", "print_rates", "ratio"]

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise it looks for a newer version online when it is imported

Row = TypeVar("Row")
Result = TypeVar("Result")


def has_albumentations() -> bool:
    """Whether albumentations is installed."""
    return importlib.util.find_spec("albumentations") is not None


def photo_files() -> list[Path]:
    """The photos of the gallery."""
    folder = Path(__file__).parent.parent / "gallery" / "photos"
    return sorted(path for path in folder.glob("*") if path.suffix in (".jpg", ".jpeg", ".png", ".webp"))


def measure_in_turns(
    rows: Mapping[str, Row], rounds: int, measure: Callable[[Row, int], Result]
) -> dict[str, list[Result]]:
    """Measure every row once in each round, so that a busy machine slows all rows alike."""
    results: dict[str, list[Result]] = {name: [] for name in rows}
    for number in range(1, rounds + 1):
        for name, row in rows.items():
            results[name].append(measure(row, number))
    return results


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def print_rates(rates: Mapping[str, Sequence[float]], costs: Mapping[str, Sequence[float]] | None = None) -> None:
    """Print the median rate of each row, and how the first row compares.

    `rates` are images per second, `costs` seconds of processor time per image.
    """
    first = next(iter(rates))
    for name, values in rates.items():
        seconds = statistics.median(costs[name]) if costs else 1 / statistics.median(values)
        unit = "us of processor time" if costs else "us"
        line = f"  {name:40} {statistics.median(values):8,.0f}  ({1e6 * seconds:6,.0f} {unit})"
        if name != first:
            line += f"  {first.partition(',')[0]} is {ratio(rates[first], values):.2f} times as fast"
            if costs:
                line += f", by processor time {ratio(costs[name], costs[first]):.2f}"
        print(line)


def print_environment() -> None:
    """Print the allocator settings and the version of albumentations."""
    allocator: dict[str, Any] = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_")}
    print(f"allocator: {allocator or 'default settings'}")
    if has_albumentations():
        print(f"albumentations {version('albumentations')}")
    else:
        print("albumentations is not installed, so only augreg runs: pip install albumentations==2.0.8")
