"""How large objects appear in the images that a pipeline makes: the magnification of its plans.

A plan's ops map the plane; the magnification is the length, in pixels of the output, of one pixel of the original
image: the square root of the determinant of the map's Jacobian, at the center of the output.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.execution.sampling import IMAGE, Entry, by_drawing, draw, expect
from augreg.ops import Op, Remap, Scene
from augreg.steps.step import Step
from augreg.views.low_discrepancy import ViewStreams

__all__ = ["composed", "magnification", "test_magnification", "training_magnifications"]


class _EvenDraws(msgspec.Struct, frozen=True):
    """What training draws in one epoch, with numbers from a low-discrepancy sequence."""

    streams: ViewStreams
    epoch: int

    def take(self, step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
        """The ops or steps of a step in training."""
        return by_drawing(self.streams, IMAGE, step, scene, entry, parent)


def training_magnifications(steps: Iterable[Step], scene: Scene, draws: int, seed: int = 0) -> NDArray[np.float64]:
    """The magnifications of so many draws of training, each with the same weight; schedules have their last values.

    Raises ImageError for a step whose effect on sizes is not known before it runs.
    """
    steps = tuple(steps)
    return np.array(
        [
            _of(draw(steps, scene, _EvenDraws(ViewStreams(seed, 0, number, 0, number), scene.epoch)), scene)
            for number in range(draws)
        ],
        np.float64,
    )


def test_magnification(steps: Iterable[Step], scene: Scene) -> tuple[float, tuple[int, int]]:
    """The magnification at test time, and the height and width of the test image. Raises ImageError."""
    drawn = expect(steps, scene)
    return _of(drawn, scene), drawn.scene.size


test_magnification.__test__ = False  # type: ignore[attr-defined] # not a test case, despite its name


def _of(drawn: Any, scene: Scene) -> float:
    if drawn.deferred:
        raise ImageError(f"{drawn.entries[-1].path}: the size that it leaves is not known before it runs")
    return magnification(drawn.ops, scene)


def magnification(ops: Sequence[Op], scene: Scene) -> float:
    """Pixels of the output for each pixel of the original, along a line, at the center of the output."""
    whole, after = composed(ops, scene)
    back = np.linalg.inv(whole)
    depth = float(back[2] @ (after.width / 2, after.height / 2, 1.0))
    return math.sqrt(abs(depth) ** 3 / abs(float(np.linalg.det(back))))


def composed(ops: Sequence[Op], scene: Scene) -> tuple[NDArray[np.float64], Scene]:
    """The 3 x 3 matrix of the map that the ops have together, and the scene after them. Raises ImageError.

    Points are (x, y, 1). A distortion counts as the identity, which it is on average.
    """
    whole = np.eye(3)
    for op in ops:
        forward = op.point_map(*scene.size)
        if forward is not None:
            whole = np.array(forward).reshape(3, 3) @ whole
        elif not isinstance(op, Remap):
            raise ImageError(f"{op}: it has no map of the plane, so the sizes of objects after it are not known")
        scene = op.after(scene)
    return whole, scene
