"""Brightness, contrast and saturation of different images are one op, where that is fewer passes over the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import Pipeline
from augreg.columns.philox import addresses_of
from augreg.columns.records import Columns, Scenes
from augreg.devices.fading import Fade
from augreg.devices.fusing import fused
from augreg.devices.programs import Limits, trained
from augreg.ops import Enhance, Lookup, Normalize, Scene

pytest.importorskip("torch")

COUNT = 96
JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}}


def _fused(steps: list[Any], scene: Scene) -> list[Columns]:
    pipe = Pipeline.from_spec(steps)
    scenes = Scenes(np.full(COUNT, 8), np.full(COUNT, 9), scene)
    limits = Limits(approximate=False, max_pixels=1 << 20)
    program = trained(pipe.steps, scenes, addresses_of(3, range(COUNT)), pipe.train.engine, limits)
    return fused(program.columns, scenes)


def test_a_jitter_is_one_op_at_each_of_its_three_turns() -> None:
    columns = _fused([JITTER, {"normalize": "imagenet"}], Scene(1, 1, 3))
    assert [type(column.op) for column in columns] == [Fade, Fade, Fade, Normalize]
    for column in columns[:3]:
        assert column.rows.tolist() == list(range(COUNT))
        op: Any = column.op
        kinds = list(zip(op.of_luma.tolist(), op.of_mean.tolist(), strict=True))
        assert set(kinds) == {(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)}
        assert ((op.factor >= 0.6) & (op.factor <= 1.4)).all()
    # at its three turns an image has one of each
    ops: list[Any] = [column.op for column in columns[:3]]
    assert (sum(op.of_luma for op in ops) == 1.0).all() and (sum(op.of_mean for op in ops) == 1.0).all()


def test_images_that_need_another_op_first_wait_for_it() -> None:
    """A hue between two blends of an image keeps them apart."""
    columns = _fused(
        [{"saturation": {"factor": [0.2, 0.9], "p": 0.5}}, "hue", {"brightness": [0.2, 0.9]}], Scene(1, 1, 3)
    )
    assert Fade not in {type(column.op) for column in columns}


@pytest.mark.parametrize(
    ("steps", "scene"),
    [
        ([{"color_jitter": {"brightness": 0.4, "contrast": 0.4}}], Scene(1, 1, 3)),
        ([JITTER], Scene(1, 1, 3, "float32")),
        ([JITTER], Scene(1, 1, 1)),
        ([JITTER], Scene(1, 1, 4, alpha=True)),
    ],
    ids=["tables alone", "floats", "gray", "alpha"],
)
def test_others_stay_as_they_are(steps: list[Any], scene: Scene) -> None:
    kinds = {type(column.op) for column in _fused(steps, scene)}
    assert kinds <= {Lookup, Enhance}
