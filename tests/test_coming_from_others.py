"""docs/coming-from-torchvision.md and docs/coming-from-timm.md, without these libraries: tests/clients has them."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

import augreg
from augreg import Pipeline
from augreg.importers.torchvision import TRANSLATORS

ROOT = Path(__file__).parents[1]
PAGES = {name: (ROOT / f"docs/coming-from-{name}.md").read_text(encoding="utf-8") for name in ("torchvision", "timm")}
LINE = runpy.run_path(str(ROOT / "tools/library_tables.py"))["line"]


def rows(text: str) -> list[list[str]]:
    """The cells of the first table in a text, without its head."""
    lines = [line for line in text.partition("\n| ")[2].partition("\n\n")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "---" not in line]


def table(page: str, name: str) -> list[list[str]]:
    return rows(PAGES[page].partition(f"<!-- table: {name} -->")[2].partition("<!-- end -->")[0] + "\n")


def made(name: str, /, **attributes: Any) -> Any:
    """An object of a class of this name, with these attributes, in place of one of torchvision."""
    found = type(name, (), {})()
    vars(found).update(attributes)
    return found


def test_a_transform_of_torchvision_has_steps_where_the_importer_knows_it() -> None:
    found = {row[0]: row[1] for part in ("transforms", "containers") for row in table("torchvision", part)}
    assert len(found) == 62  # the public transforms of torchvision 0.29
    others = {"ImageClassification", "ObjectDetection", "OpticalFlow", "SemanticSegmentation", "Sequential"}
    assert TRANSLATORS.keys() - others - {"adjust_gamma"} <= found.keys()
    without = {name for name, here in found.items() if here.startswith("nothing:") or "views" in here}
    assert not without & TRANSLATORS.keys() and {"TenCrop", "LinearTransformation"} <= without
    assert found["RandomHorizontalFlip"] == "`horizontal_flip`"
    assert found["RandomZoomOut"] == "`zoom_out`" and found["ToImage"] == "`output: torch`"


CALLS = {
    "Resize(256)": made("Resize", size=[256], interpolation="bilinear", max_size=None, antialias=True),
    "RandomHorizontalFlip()": made("RandomHorizontalFlip", p=0.5),
    "RandomAffine((0, 15), (0.1, 0.2), (0.9, 1.1), 10)": made(
        "RandomAffine", degrees=[0, 15], translate=(0.1, 0.2), scale=(0.9, 1.1), shear=[-10, 10], fill=0, center=None,
        interpolation="nearest",
    ),
    "Pad((1, 2, 3, 4), padding_mode='reflect')": made("Pad", padding=[1, 2, 3, 4], fill=0, padding_mode="reflect"),
    "RandomPosterize(4)": made("RandomPosterize", bits=4, p=0.5),
}  # fmt: skip
BY_HAND = {
    "Resize(256)": {"resize": {"shorter": 256}},
    "RandomHorizontalFlip()": "horizontal_flip",
    # clockwise there; horizontal first there
    "RandomAffine((0, 15), (0.1, 0.2), (0.9, 1.1), 10)": {
        "affine": {"degrees": [-15, 0], "translate": [0.2, 0.1], "scale": [0.9, 1.1], "shear_x": 10, "shear_y": 0,
                   "interpolation": "nearest"},
    },
    # left, top, right, bottom there; top, bottom, left, right here
    "Pad((1, 2, 3, 4), padding_mode='reflect')": {"pad": {"padding": [2, 4, 1, 3], "mode": "reflect"}},
    "RandomPosterize(4)": {"posterize": {"bits": [4, 4], "p": 0.5}},
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_torchvision_is_the_step_beside_it(call: str) -> None:
    """By the importer, and by hand."""
    (shown,) = [row[1] for row in table("torchvision", "calls") if row[0] == f"`{call}`"]
    (step,) = augreg.from_torchvision([CALLS[call]]).spec["image"]
    assert shown == LINE(step)
    assert Pipeline.from_spec([yaml.safe_load(shown.strip("`"))]) == Pipeline.from_spec([BY_HAND[call]])


def test_every_call_is_shown_with_steps_that_are_specs() -> None:
    shown = table("torchvision", "calls")
    assert len(shown) >= 20
    for _, steps in shown:
        Pipeline.from_spec([yaml.safe_load(step) for step in re.findall("`([^`]+)`", steps)])


@pytest.mark.parametrize(("part", "training"), [("training", True), ("evaluation", False)])
def test_arguments_of_timm_bring_the_steps_beside_them(part: str, training: bool) -> None:
    """`from_timm` needs no timm for arguments; that timm's own transforms give the same is tested beside it."""
    shown = table("timm", part)
    assert len(shown) >= 7
    base = {"input_size": 224, "is_training": training}
    before = list(map(LINE, augreg.from_timm(**base).spec["image"]))
    assert shown[0][1] == "; ".join(before)
    for arguments, steps, _ in shown[1:]:
        given = dict(re.match(r"(\w+)=(.+)", text).groups() for text in re.findall("`([^`]+)`", arguments))  # type: ignore[union-attr]
        spec = augreg.from_timm(**{**base, **{key: ast.literal_eval(value) for key, value in given.items()}}).spec
        new = [line for line in map(LINE, spec["image"]) if line not in before]
        gone = re.findall("without `(.+?)`", steps)
        assert "; ".join(new) in steps and (new or gone or "the same" in steps or "channels" in steps), arguments
        names = {next(iter(step)) for step in spec["image"]}
        assert not names & set(gone)


def test_what_the_recipe_of_timm_becomes_is_valid() -> None:
    recipe = rows(PAGES["timm"].partition("## A recipe\n")[2])
    assert len(recipe) == 14
    specs = [yaml.safe_load(code) for row in recipe for code in re.findall("`([^`]+)`", row[1]) if ": [" in code]
    sections = [spec for spec in specs if spec.keys() <= {"image", "batch", "model", "loss"}]
    assert len(sections) >= 6
    for spec in sections:
        Pipeline.from_spec(spec)
