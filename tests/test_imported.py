"""Public pipelines in the importers: how many come over whole, as tools/imported.py counts them."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import augreg
from augreg.importers.translation import Imported

ROOT = Path(__file__).parents[1]
TOOL = runpy.run_path(str(ROOT / "tools/imported.py"))
Outcome, Line, count = TOOL["Outcome"], TOOL["Line"], TOOL["count"]
WRITTEN = yaml.safe_load((ROOT / "tests/data/pipelines.yaml").read_text(encoding="utf-8"))


def chosen(library: int) -> list[Mapping[str, Any]]:
    """The dicts of the pipelines that are written for this major version of albumentations."""
    pairs = zip(TOOL["albumentations"](), WRITTEN["albumentations"], strict=True)
    return [made for made, entry in pairs if entry["library"] == library]


def test_albumentations_counts() -> None:
    """Raise these floors with what the importer learns; nothing may fall below them."""
    counts = count(chosen(2), augreg.from_albumentations, has_plugin=TOOL["in_plugin"])
    assert counts.total == 59
    assert counts.outcomes[Outcome.CRASHED] == 0
    assert counts.outcomes[Outcome.INVALID] == 0
    assert counts.outcomes[Outcome.SAME] >= 25
    assert counts.whole >= 56
    assert counts.whole_with_plugin >= 58


def test_albumentations_1_counts() -> None:
    """Their arguments have other names, and some transforms did something else."""
    counts = count(chosen(1), augreg.from_albumentations)
    assert counts.total == 27
    assert counts.outcomes[Outcome.CRASHED] == counts.outcomes[Outcome.INVALID] == 0
    assert counts.outcomes[Outcome.SAME] >= 9
    assert counts.whole >= 26


def test_timm_counts() -> None:
    counts = count(TOOL["timm"](), lambda values: augreg.from_timm(**values))
    assert counts.outcomes == {Outcome.SAME: 6}


REPORTS = {
    "same": (),
    "remark": ("transforms[0] CLAHE: it equalizes the luma here, and the lightness of LAB in albumentations",),
    "argument": (
        "transforms[0] Rotate: crop_border=True is not kept: the image keeps its size",
        "transforms[0] Rotate: interpolation=3 became bilinear",
    ),
    "transform": (
        "transforms[0] Rotate: crop_border=True is not kept: the image keeps its size",
        "transforms[1] GlassBlur: left out: augreg has no equivalent transform",
        "transforms[2] GlassBlur: left out: augreg has no equivalent transform",
    ),
    "invalid": ("the spec is not valid: image[0].crop: too large",),
    "whole": ("random_crop: `test: off` was added", "the result is channels x height x width"),
    "plugin": ("transforms[1] GlassBlur: albumentations/GlassBlur of the plugin",),
}


def from_reports(name: str) -> Imported:
    return Imported({}, REPORTS[name])


def test_how_it_counts() -> None:
    """By hand: a pipeline counts once, by the worst that it loses; names count once for each pipeline."""
    shown: list[str] = []
    counts = count(
        [*REPORTS, "transform", "unknown"], from_reports, shown.append, lambda name, line: line.name == "Rotate"
    )
    assert counts.outcomes == {
        Outcome.SAME: 2, Outcome.REMARKS: 2, Outcome.ARGUMENTS: 1, Outcome.TRANSFORMS: 2, Outcome.INVALID: 1,
        Outcome.CRASHED: 1,
    }  # fmt: skip
    assert (counts.total, counts.whole, counts.whole_with_plugin) == (9, 4, 5)
    assert counts.transforms == {"GlassBlur": 2}
    assert counts.arguments == {"Rotate crop_border": 3, "Rotate interpolation": 1}
    assert shown[-1] == "8: crashed: KeyError: 'unknown'"
    assert shown[:2] == ["0: nothing to report", "1: whole, with remarks"]


@pytest.mark.parametrize(
    ("node", "place", "takes"),
    [
        ({"__class_fullname__": "GlassBlur", "sigma": 0.1, "p": 1.0}, "transforms[0]", True),
        ({"__class_fullname__": "GlassBlur", "sigma_lower": 0.1}, "transforms[0]", False),
        ({"__class_fullname__": "OneOf", "transforms": [{"__class_fullname__": "GlassBlur"}]},
         "transforms[0].transforms[0]", True),
    ],
)  # fmt: skip
def test_what_the_plugin_takes(node: Mapping[str, Any], place: str, takes: bool) -> None:
    pipeline = {"transform": {"__class_fullname__": "Compose", "transforms": [node]}}
    assert TOOL["in_plugin"](pipeline, Line(f"{place} GlassBlur: left out: no")) is takes
    assert not TOOL["in_plugin"](pipeline, Line("transform bbox_params: min_area=1 is not kept: no"))


def names_written(steps: list[Any]) -> Iterator[str]:
    for step in steps:
        name, arguments = (step, {}) if isinstance(step, str) else next(iter(step.items()))
        yield name
        inside = arguments.get("transforms", [arguments[key] for key in ("first", "second") if key in arguments])
        yield from names_written(inside)


def names_made(steps: list[Any]) -> Iterator[str]:
    for step in steps:
        yield step["__class_fullname__"].rpartition(".")[2]
        yield from names_made(step.get("transforms", []))


def test_the_dicts_are_those_of_the_pipelines() -> None:
    """tests/pipelines_golden.py has been run since the last change of tests/data/pipelines.yaml."""
    made = json.loads((ROOT / "tests/data/pipelines.json").read_text(encoding="utf-8"))
    assert len(made) == len(WRITTEN["albumentations"]) >= 60
    for one, entry in zip(made, WRITTEN["albumentations"], strict=True):
        assert one["__version__"] == {1: "1.3.1", 2: "2.0.8"}[entry["library"]]
        assert [*names_made(one["transform"]["transforms"])] == [*names_written(entry["steps"])]
        for key, name in (("boxes", "bbox_params"), ("points", "keypoint_params")):
            assert (one["transform"][name] or {}).get("format") == entry.get(key, {}).get("format")


def test_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert TOOL["main"](["--each"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows][:3] == ["| library", "| ---", "| albumentations 2.x"]
    assert len({row.count("|") for row in rows}) == 1
    assert "0: nothing to report" in lines
    wanted = lines.index("Arguments of albumentations that are lost, and by how many pipelines:")
    assert re.fullmatch(r" +\d+  [A-Z]\w+ \w+", lines[wanted + 1])
