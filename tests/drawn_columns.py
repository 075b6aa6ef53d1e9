"""Checks that images drawn at once have the ops of images drawn one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from augreg.columns.philox import Addresses, ReadWords, words
from augreg.columns.records import Scenes, by_image
from augreg.execution.sampling import draw
from augreg.execution.sampling_columns import draw_columns
from augreg.ops import Op, Scene
from augreg.ops.scene import Boxes
from augreg.steps.step import Step


def scenes_of(heights: Any, widths: Any, **common: Any) -> Scenes:
    return Scenes(np.array(heights), np.array(widths), Scene(0, 0, **common))


def compare(steps: Sequence[Step], scenes: Scenes, addresses: Addresses, read: ReadWords = words) -> list[list[Op]]:
    """Check that images drawn at once have the ops of images drawn one by one, with their texts; return them."""
    drawn = draw_columns(steps, scenes, addresses, read)
    found = by_image(drawn.columns, len(scenes))
    for row in range(len(scenes)):
        one = draw(steps, scenes.at(row), addresses.at(row))
        assert repr(found[row]) == repr(one.ops), row
        assert drawn.scenes.at(row) == one.scene
    return found


def boxes_of(sizes: Any, seed: int) -> list[Boxes]:
    """From no box to three in each image of these heights and widths, some of which touch its edge."""
    rng = np.random.default_rng(seed)
    found: list[Boxes] = []
    for height, width in sizes.T.tolist():
        x = np.sort(rng.uniform(-0.2, 1.2, (int(rng.integers(4)), 2)).clip(0, 1)) * width
        y = np.sort(rng.uniform(0, 1, x.shape)) * height
        corners = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
        found.append(tuple(map(tuple, corners[x[:, 0] < x[:, 1]].tolist())))
    return found
