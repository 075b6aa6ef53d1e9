"""Count what becomes of public pipelines in the importers: which come over whole, and what the others lose.

    python tools/imported.py            # the counts, and which transforms and arguments are wanted most
    python tools/imported.py --each     # also the report of every pipeline

The pipelines are in tests/data/pipelines.yaml, and those of albumentations as dicts in tests/data/pipelines.json.
Torchvision's are counted where torchvision is installed; none of the other libraries is needed.
"""

from __future__ import annotations

import argparse
import enum
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import augreg

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
CATALOG = ROOT / "plugins" / "augreg-albumentations" / "augreg_albumentations" / "catalog.json"

PAINTING = ("CoarseDropout", "Erasing", "GridDropout")
"""Transforms whose steps of the plugin leave masks as they are."""


class Outcome(enum.Enum):
    """What became of a pipeline, from the best to the worst."""

    SAME = "nothing to report"
    REMARKS = "whole, with remarks"  # a difference is stated, and no argument is lost
    ARGUMENTS = "lost arguments"
    TRANSFORMS = "lost transforms"
    INVALID = "no valid spec"
    CRASHED = "crashed"


WHOLE = (Outcome.SAME, Outcome.REMARKS)


@dataclass
class Counts:
    """The outcomes of some pipelines, and by how many pipelines a transform or an argument is lost."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    whole_with_plugin: int = 0
    transforms: Counter[str] = field(default_factory=Counter)
    arguments: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """The number of pipelines."""
        return self.outcomes.total()

    @property
    def whole(self) -> int:
        """How many lose neither a transform nor an argument."""
        return sum(self.outcomes[outcome] for outcome in WHOLE)


class Line:
    """A line of a report: where it is about, the name of the transform, and how much it says that is lost."""

    def __init__(self, line: str) -> None:
        found = re.match(r"(\S+) (\w+): (.*)", line)
        self.place, self.name, text = found.groups() if found else ("", "", line)
        self.argument = re.split(r"[=\[{ ]", text, maxsplit=1)[0]
        if line.startswith("the spec is not valid"):
            self.loss = Outcome.INVALID
        elif "left out" in text:
            self.loss = Outcome.TRANSFORMS
        elif "albumentations/" in text:  # the step of the plugin, which loses nothing
            self.loss = Outcome.SAME
        elif "is not kept" in text or " became " in text:
            self.loss = Outcome.ARGUMENTS
        else:
            self.loss = Outcome.REMARKS


def count(
    pipelines: Iterable[Any],
    imported: Callable[[Any], Any],
    show: Callable[[str], object] = lambda line: None,
    has_plugin: Callable[[Any, Line], bool] = lambda pipeline, line: False,
) -> Counts:
    """Give each pipeline to `imported`, and count its outcome; `show` gets the report, line by line.

    `has_plugin` says whether a step of a plugin does what this pipeline loses in this line.
    """
    counts = Counts()
    for number, pipeline in enumerate(pipelines):
        try:
            report = imported(pipeline).report
        except Exception as error:
            counts.outcomes[Outcome.CRASHED] += 1
            show(f"{number}: crashed: {type(error).__name__}: {error}")
            continue
        lines = [Line(line) for line in report]
        lost = [line for line in lines if line.loss not in WHOLE]
        order = list(Outcome)
        outcome = max((line.loss for line in lines), key=order.index, default=Outcome.SAME)
        counts.outcomes[outcome] += 1
        counts.whole_with_plugin += all(has_plugin(pipeline, line) for line in lost)
        counts.transforms.update({line.name for line in lost if line.loss is Outcome.TRANSFORMS})
        counts.arguments.update({f"{line.name} {line.argument}" for line in lost if line.loss is Outcome.ARGUMENTS})
        show(f"{number}: {outcome.value}")
        for text in report:
            show(f"    {text}")
    return counts


def albumentations() -> list[Mapping[str, Any]]:
    """The dicts of the pipelines of albumentations."""
    dicts: list[Mapping[str, Any]] = json.loads((DATA / "pipelines.json").read_text(encoding="utf-8"))
    return dicts


def in_plugin(pipeline: Mapping[str, Any], line: Line) -> bool:
    """Whether the step `albumentations/Name` of the plugin takes the transform that this line is about, as it is."""
    entry = json.loads(CATALOG.read_text(encoding="utf-8")).get(line.name)
    if entry is None:
        return False
    node: Any = pipeline["transform"]
    for number in re.findall(r"\[(\d+)\]", line.place):
        node = node["transforms"][int(number)]
    known = {*entry["fields"], *entry["needs"], "p", "always_apply", "__class_fullname__"}
    paints_masks = line.name in PAINTING and node.get("fill_mask") is not None
    return set(node) <= known and not paints_masks


def torchvision() -> list[Any] | None:
    """The pipelines of torchvision as objects; None if it is not installed."""
    try:
        import torch
        from torchvision import transforms
        from torchvision.transforms import v2
    except ImportError:
        return None

    def built(entry: Any) -> Any:
        name, arguments = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        arguments = dict(arguments)
        if "transforms" in arguments:
            arguments["transforms"] = [built(child) for child in arguments["transforms"]]
        if "dtype" in arguments:
            arguments["dtype"] = getattr(torch, arguments["dtype"])
        return getattr(v2 if name.startswith("v2.") else transforms, name.removeprefix("v2."))(**arguments)

    return [[built(step) for step in steps] for steps in _written("torchvision")]


def timm() -> list[Mapping[str, Any]]:
    """The arguments of timm's create_transform, of each pipeline."""
    return _written("timm")


def _written(library: str) -> list[Any]:
    pipelines: list[Any] = yaml.safe_load((DATA / "pipelines.yaml").read_text(encoding="utf-8"))[library]
    return pipelines


def row(name: str, counts: Counts) -> str:
    """A row of the table."""
    cells = [name, counts.total, counts.whole, *(counts.outcomes[outcome] for outcome in Outcome)]
    return f"| {' | '.join(map(str, cells))} | {counts.whole_with_plugin} |"


def main(arguments: list[str] | None = None) -> int:
    """Print the table, and what is wanted most."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--each", action="store_true", help="print the report of every pipeline")
    show = print if parser.parse_args(arguments).each else lambda line: None

    dicts, written = albumentations(), _written("albumentations")
    table = []
    for library in (2, 1):
        chosen = [made for made, entry in zip(dicts, written, strict=True) if entry["library"] == library]
        counts = count(chosen, augreg.from_albumentations, show, in_plugin)
        table.append(row(f"albumentations {library}.x", counts))
    total = count(dicts, augreg.from_albumentations, has_plugin=in_plugin)
    table.append(row("albumentations", total))
    if (pipelines := torchvision()) is None:
        print("torchvision is not installed: its pipelines are not counted", file=sys.stderr)
    else:
        table.append(row("torchvision", count(pipelines, augreg.from_torchvision, show)))
    table.append(row("timm", count(timm(), lambda values: augreg.from_timm(**values), show)))

    headers = ["library", "pipelines", "whole", *(outcome.value for outcome in Outcome), "whole with the plugin"]
    print(f"| {' | '.join(headers)} |\n|{' --- |' * len(headers)}")
    print("\n".join(table))
    for title, wanted in (("Transforms", total.transforms), ("Arguments", total.arguments)):
        print(f"\n{title} of albumentations that are lost, and by how many pipelines:{'' if wanted else ' none'}")
        for name, number in wanted.most_common():
            print(f"{number:4}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
