"""Write the tables of docs/coming-from-timm.md: what the arguments of timm.data.create_transform become.

    python tools/coming_from_timm.py            # writes the tables anew
    python tools/coming_from_timm.py --check    # exit code 1 if they are not what the importer does

Needs timm 1.0.31 (`make clients` has it). Each row gives `from_timm` some arguments more than the first row of its
table, and shows the steps that this adds and takes away. The transform that timm makes of the same arguments has to
give the same steps.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from library_tables import line, name_of, table, write_or_check
from timm.data import create_transform

import augreg
from augreg.steps.describe import flow

VERSION = "1.0.31"
PAGE = Path(__file__).parents[1] / "docs/coming-from-timm.md"

HALF = (0.5, 0.5, 0.5)
TRAINING: tuple[Mapping[str, Any], ...] = (
    {"input_size": (3, 192, 160)}, {"interpolation": "bicubic"}, {"interpolation": "random"}, {"scale": (0.5, 1.0)},
    {"ratio": (0.9, 1.1)}, {"train_crop_mode": "rkrc"}, {"train_crop_mode": "rkrr"}, {"hflip": 0.0}, {"vflip": 0.5},
    {"color_jitter": None}, {"color_jitter": (0.3, 0.3, 0.3, 0.1)}, {"color_jitter_prob": 0.8},
    {"auto_augment": "rand-m9-mstd0.5-inc1"}, {"auto_augment": "augmix-m3-w3"}, {"auto_augment": "3a"},
    {"auto_augment": "original", "force_color_jitter": True}, {"grayscale_prob": 0.2}, {"gaussian_blur_prob": 0.1},
    {"mean": HALF, "std": HALF}, {"re_prob": 0.25}, {"re_prob": 0.25, "re_mode": "pixel"},
    {"re_prob": 0.25, "re_count": 2}, {"re_prob": 0.25, "re_num_splits": 2},
    {"no_aug": True}, {"normalize": False}, {"use_prefetcher": True},
)  # fmt: skip
EVALUATION: tuple[Mapping[str, Any], ...] = (
    {"crop_pct": 0.95}, {"crop_mode": "squash", "input_size": (3, 192, 160)}, {"crop_mode": "border"},
    {"crop_border_pixels": 4}, {"interpolation": "bicubic"}, {"input_size": (1, 224, 224)},
)  # fmt: skip
FROM_ARGUMENTS_ALONE = ("auto_augment", "use_prefetcher", "input_size", "force_color_jitter")
"""Of these, the transform that timm makes does not know all: the policy is ops, and the loader normalizes."""


def row(base: Mapping[str, Any], more: Mapping[str, Any]) -> str:
    """The row of some arguments: the steps that they bring, the steps that they leave out, and the report."""
    before = augreg.from_timm(**base).spec["image"]
    spec, report = augreg.from_timm(**{**base, **more})
    if more.keys() <= inspect.signature(create_transform).parameters.keys() - set(FROM_ARGUMENTS_ALONE):
        theirs = augreg.from_timm(create_transform(**{**base, **more})).spec
        assert theirs == spec, (more, theirs, spec)
    after = spec["image"]
    lines = [line(step) for step in after if step not in before]
    lines += [f"`{key}: {flow(spec[key])}`" for key in ("channels", "output") if spec.get(key) not in (None, "torch")]
    names = {name_of(step) for step in after}
    gone = [f"without `{name_of(step)}`" for step in before if name_of(step) not in names]
    remarks = [text.partition(": ")[2].replace("|", "/") for text in report]
    said = ", ".join(f"`{key}={value!r}`" for key, value in more.items())
    return f"| {said} | {'; '.join([*lines, *gone]) or 'the same'} | {'; '.join(remarks)} |"


def first(base: Mapping[str, Any]) -> str:
    """The row of the defaults."""
    spec, report = augreg.from_timm(**base)
    assert not report and augreg.from_timm(create_transform(**base)).spec == spec
    said = ", ".join(f"`{key}={value!r}`" for key, value in base.items())
    return f"| {said} | {'; '.join(map(line, spec['image']))} | |"


def main() -> int:
    """Write the page, or check it."""
    if timm.__version__ != VERSION:
        print(f"needs timm {VERSION}, found {timm.__version__}", file=sys.stderr)
        return 2
    tables = {}
    for name, training, variants in (("training", True, TRAINING), ("evaluation", False, EVALUATION)):
        base = {"input_size": 224, "is_training": training}
        rows = [first(base), *(row(base, more) for more in variants)]
        tables[name] = table(("timm", "augreg", "report"), rows)
    return write_or_check(PAGE, tables)


if __name__ == "__main__":
    sys.exit(main())
