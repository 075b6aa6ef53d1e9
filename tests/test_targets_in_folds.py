"""Points under displacement fields, also where these fold: a point is where the image reads it, or is outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import Pipeline
from augreg.backends import backend
from augreg.backends.displacement import sources
from augreg.ops import Filter, Remap
from augreg.targets import displacement
from augreg.targets.folds import shown_at
from augreg.targets.propagate import forward_of

ENGINE = backend("pillow")
SIZE = (120, 150)


def read_at(op: Remap, places: np.ndarray) -> np.ndarray:
    """What the image shows at these places: the field between pixel centers, by SciPy."""
    map_coordinates = pytest.importorskip("scipy.ndimage").map_coordinates
    rows, columns = sources(op, *SIZE, ENGINE.kernels[Filter])
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    at = (places[:, 1] - 0.5, places[:, 0] - 0.5)
    shifts = [map_coordinates(one, at, order=1, mode="nearest") for one in (columns - xs, rows - ys)]
    return places + np.stack(shifts, axis=1)


@pytest.mark.parametrize(
    ("field", "numbers"),
    [("elastic", (a, s)) for a, s in ((50.0, 5.0), (200.0, 5.0), (300.0, 5.0), (900.0, 4.0), (2000.0, 3.0))]
    + [("grid", (5, 5, 0.5)), ("lens", (-0.45,)), ("lens", (0.9,))],
    ids=str,
)
def test_every_point_is_where_the_image_reads_it(field: Any, numbers: Any) -> None:
    for key in range(4):
        op = Remap(field, numbers, key)
        points = np.random.default_rng(key).uniform((-20, -20), (SIZE[1] + 20, SIZE[0] + 20), (150, 2))
        found = forward_of(op, SIZE, ENGINE)(points)
        assert np.isfinite(found).all()
        assert np.abs(read_at(op, found) - points).max() < 1e-3


def test_a_fold_shows_a_point_three_times_and_the_nearest_is_taken() -> None:
    """Worked out by hand: columns 0 to 9 read 0, 1, 2, 5, 4, 3, 6, 7, 8, 9; so 4.25 is read at three places.

    Half pixels aside: at 2.75 between columns 2 and 3 (2 and 5), at 3.75 between 3 and 4 (5 and 4), and at 5 + 5 / 12
    between 5 and 6 (3 and 6).
    """
    reads = np.array([0, 1, 2, 5, 4, 3, 6, 7, 8, 9.0])
    shifts = np.zeros((4, 10, 2))
    shifts[..., 0] = reads - np.arange(10)
    for given, wanted in ((4.25, 3.75), (3.1, 2 + 1.1 / 3), (4.9, 5 + 1.9 / 3), (7.5, 7.5), (-3, -3), (12, 12)):
        (found,) = shown_at(shifts, np.array([[given + 0.5, 1.75]]))
        assert np.allclose(found, (wanted + 0.5, 1.75)), given


def test_a_point_that_no_pixel_shows_is_not_visible() -> None:
    """A field that reads 40 pixels further right nowhere shows the left 40 columns."""
    shifts = np.zeros((30, 100, 2))
    shifts[..., 0] = 40.0
    points = np.array([[10.0, 5], [39.0, 29], [41, 2], [99, 20]])
    assert np.allclose(shown_at(shifts, points), points - (40, 0))
    pipe = Pipeline.from_spec({"image": [{"elastic": {"alpha": [300, 300], "p": 1}}]})
    image = np.zeros((*SIZE, 1), np.uint8)
    rng = np.random.default_rng(3)
    points = np.column_stack((rng.uniform(0, (SIZE[1], SIZE[0]), (200, 2)), np.full(200, 2)))
    places, seen = np.split(pipe.train({"image": image, "keypoints": points}, 3)["keypoints"], [2], axis=1)
    (op,) = pipe.train.plan(SIZE, 3, channels=1).ops
    assert isinstance(op, Remap)
    assert np.abs(read_at(op, places) - points[:, :2])[seen[:, 0] > 0].max() < 1e-3
    inside = ((places >= 0) & (places <= SIZE[::-1])).all(axis=1)
    assert np.array_equal(seen[:, 0] > 0, inside) and 0 < (~inside).sum() < 100


def test_a_point_does_not_depend_on_the_others() -> None:
    forward = forward_of(Remap("elastic", (300.0, 5.0), 1), SIZE, ENGINE)
    points = np.random.default_rng(0).uniform(0, (SIZE[1], SIZE[0]), (100, 2))
    every = forward(points)
    assert np.allclose(np.concatenate([forward(one[None]) for one in points]), every, atol=1e-9)


def test_points_that_have_arrived_cost_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes by the thousand: the field is read a few times for each point of an edge, not sixty."""
    read: list[int] = []
    between = displacement._between
    monkeypatch.setattr(
        displacement, "_between", lambda shifts, places: (read.append(len(places)), between(shifts, places))[1]
    )
    low = np.random.default_rng(0).uniform(0, 80, (2000, 2))
    pipe = Pipeline.from_spec({"image": [{"elastic": {"alpha": [100, 100]}}], "targets": {"boxes": "xyxy"}})
    pipe.train({"image": np.zeros((*SIZE, 1), np.uint8), "boxes": np.hstack((low, low + 30))}, 0)
    assert sum(read) < 8 * read[0]
