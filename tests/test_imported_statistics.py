"""Imported pipelines have the statistics of those of albumentations, as tools/compare_imported.py compares them."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import augreg

pytest.importorskip("albumentations")

FLIPS = 2  # the number of a pipeline of three flips
LARGER_THAN_THE_PHOTO = 43  # the number of one that crops more than there is


@pytest.fixture(scope="module")
def tool() -> Iterator[Any]:
    folder = str(Path(__file__).parents[1] / "tools")
    sys.path.insert(0, folder)
    yield importlib.import_module("compare_imported")
    sys.path.remove(folder)


def pipelines() -> list[Mapping[str, Any]]:
    return importlib.import_module("imported").albumentations()


@pytest.mark.filterwarnings("ignore::UserWarning:albumentations")
def test_a_few_flips_are_the_same_and_wrong_probabilities_are_not(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flips = pipelines()[FLIPS]
    assert tool.differences(flips, 60) == []
    wrong: Any = copy.deepcopy(flips)
    for step in wrong["transform"]["transforms"]:
        step["p"] = 0.0
    correct = tool.ours
    monkeypatch.setattr(tool, "ours", lambda pipeline: correct(wrong))
    assert any(line.startswith("image") for line in tool.differences(flips, 60))


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::UserWarning:albumentations")
def test_pipelines_that_come_over_whole_have_the_same_statistics(tool: Any) -> None:
    imported = importlib.import_module("imported")
    wrong = {}
    for number, pipeline in enumerate(pipelines()):
        if number == LARGER_THAN_THE_PHOTO or pipeline["__version__"] != "2.0.8":
            continue
        if imported.count([pipeline], augreg.from_albumentations).whole:
            wrong[number] = tool.differences(pipeline, 100)
    assert len(wrong) >= 50
    assert {number for number, lines in wrong.items() if lines} == set()


def rotated(mode: int) -> dict[str, Any]:
    step = {"__class_fullname__": "Rotate", "limit": [30, 30], "border_mode": mode, "p": 1.0}
    values = {"format": "pascal_voc", "label_fields": ["labels"]}
    return {"__class_fullname__": "Compose", "p": 1.0, "bbox_params": values, "transforms": [step]}


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 4])
def test_boxes_in_a_mirrored_border_are_said(mode: int) -> None:
    """albumentations adds a box there, which its own result shows."""
    albumentations = importlib.import_module("albumentations")
    compose = albumentations.Compose(
        [albumentations.Rotate((30, 30), border_mode=mode, p=1.0)],
        bbox_params=albumentations.BboxParams("pascal_voc", label_fields=["labels"]),
    )
    found = compose(image=np.zeros((100, 200, 3), np.uint8), bboxes=[[60, 30, 100, 60]], labels=[1])
    report = augreg.from_albumentations(rotated(mode)).report
    assert any("adds the mirrored boxes" in line for line in report) == (len(found["bboxes"]) > 1)
    without = {**rotated(mode), "bbox_params": None}
    assert not augreg.from_albumentations(without).report
