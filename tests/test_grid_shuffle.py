"""Tiles that are exchanged, and masks, boxes, polygons and keypoints with them, pixel for pixel."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import ops
from augreg.backends import backend as engine_named, tiles
from augreg.ops import Scene
from augreg.targets.displacement import invert_displacement, source_of


def shuffled(given: Any, index: int, targets: Any = None, **arguments: Any) -> Any:
    spec = {"image": [{"grid_shuffle": arguments}], **({"targets": targets} if targets else {})}
    return augreg.Pipeline.from_spec(spec).train(given, index=index)


def numbered(height: int, width: int) -> Any:
    """An image whose pixels all differ."""
    return np.arange(height * width, dtype=np.uint8).reshape(height, width, 1).repeat(3, axis=2)


def test_even_cuts_give_the_tiles_by_hand() -> None:
    """Three rows of 10 pixels end at 3, 6 and 10, two columns of 7 at 3 and 7; the last row's are exchanged alone."""
    image = numbered(10, 7)
    rows, columns = ((0, 3), (3, 6), (6, 10)), ((0, 3), (3, 7))
    orders = set()
    for index in range(40):
        found = shuffled(image, index, grid=[3, 2], cuts="even")
        order = []
        for top, bottom in rows:
            for left, right in columns:
                tile = found[top:bottom, left:right]
                y, x = divmod(int(tile[0, 0, 0]), 7)
                assert (tile == image[y : y + bottom - top, x : x + right - left]).all()
                order.append((y, x))
        assert sorted(order) == [(0, 0), (0, 3), (3, 0), (3, 3), (6, 0), (6, 3)]
        orders.add(tuple(order))
    # tiles of 3x3 and of 3x4, two each; the others have sizes of their own
    assert len(orders) == 4


def test_every_order_is_as_likely() -> None:
    image = numbered(1, 3)
    counts = Counter(tuple(shuffled(image, index, grid=[1, 3])[0, :, 0].tolist()) for index in range(600))
    assert len(counts) == 6 and min(counts.values()) > 60  # 100 each, with a deviation of 9


def test_random_cuts_are_anywhere() -> None:
    """Seven pixels in three parts: one of three pixels, in each place as often."""
    found = Counter()
    for key in range(300):
        xs = tiles.tiles(ops.tiles(Scene(1, 7), 1, 3, key), 1, 7)
        widths = [tile.width for tile in xs]
        assert sorted(widths) == [2, 2, 3]
        found[widths.index(3)] += 1
    assert min(found[place] for place in range(3)) > 60


@pytest.mark.parametrize("backend", ["pillow", "opencv"])
def test_more_tiles_than_pixels(backend: str) -> None:
    image = numbered(4, 5)
    spec = {"backend": backend, "image": [{"grid_shuffle": {"grid": [256, 9]}}]}
    found = augreg.Pipeline.from_spec(spec).train(image, index=1)
    assert sorted(found[..., 0].ravel().tolist()) == list(range(20)) and (found != image).any()
    with pytest.raises(augreg.SpecError, match="grid must be at most 256"):
        augreg.Pipeline.from_spec([{"grid_shuffle": {"grid": 300}}])


def test_targets_follow_every_pixel() -> None:
    """A box is what a mask of it covers, drawn as pixels; points are at the pixels that they were on."""
    image = numbered(13, 17)
    ys, xs = np.mgrid[:13, :17]
    points = np.stack((xs + 0.5, ys + 0.25), axis=-1).reshape(-1, 2)
    boxes = np.array([[1, 2, 9, 12], [0, 0, 17, 13], [3, 3, 4, 5], [10, 1, 16, 4]], np.float64)
    polygons = [[[2.0, 1.0], [12.0, 1.0], [12.0, 9.0], [2.0, 9.0]], [[4.0, 4.0], [5.0, 4.0], [5.0, 5.0], [4.0, 5.0]]]
    cut = 0
    for index in range(30):
        mask = np.zeros((13, 17), np.uint8)
        for number, (x0, y0, x1, y1) in enumerate(boxes.astype(int)[[1, 0, 3, 2]]):
            mask[y0:y1, x0:x1] = number + 1
        sample = {"image": image, "mask": mask, "boxes": boxes, "keypoints": points, "polygons": polygons * 2}
        found = shuffled(sample, index, {"boxes": "xyxy", "polygons": ["polygons"]}, grid=[3, 4])
        x, y = np.floor(found["keypoints"]).astype(int).T
        assert (found["image"][y, x, 0] == image[..., 0].ravel()).all()
        assert (found["mask"][y, x] == mask.ravel()).all()
        for (x0, y0, x1, y1), box in zip(boxes.astype(int), found["boxes"], strict=True):
            covered = ((ys >= y0) & (ys < y1) & (xs >= x0) & (xs < x1)).ravel()
            inside = np.zeros((13, 17), bool)
            inside[y[covered], x[covered]] = True
            down, across = np.nonzero(inside)
            assert box.tolist() == [across.min(), down.min(), across.max() + 1, down.max() + 1]
        several, single = found["polygons"][2:]
        parts = [np.asarray(part) for part in several]
        assert sum(np.ptp(part[:, 0]) * np.ptp(part[:, 1]) for part in parts) == pytest.approx(80)
        assert np.ptp(np.asarray(single), axis=0).tolist() == [1, 1]
        cut += len(parts) > 1
    assert cut == 30


def test_oriented_boxes_and_holes_before_it() -> None:
    """A box in one tile stays as it is; of one that is painted over, half is left."""
    image = np.full((20, 20, 3), 200, np.uint8)
    corners = [[2.0, 4.0, 5.0, 1.0, 8.0, 4.0, 5.0, 7.0]]
    for index in range(8):
        found = shuffled({"image": image, "boxes": corners}, index, {"boxes": "xyxyxyxy"}, grid=2)["boxes"][0]
        moves = np.asarray(found).reshape(4, 2) - np.reshape(corners, (4, 2))
        assert np.allclose(moves, moves[0], atol=1e-9) and set(moves[0].round().tolist()) <= {0.0, 10.0}


def test_points_come_back() -> None:
    engine = engine_named("pillow")
    op = ops.tiles(Scene(13, 17), 3, 4, 5)
    points = np.random.default_rng(1).uniform(-3, 20, (200, 2))
    moved = invert_displacement(op, (13, 17), engine)(points)
    assert np.allclose(source_of(op, (13, 17), engine)(moved), points)
    outside = ((points < 0) | (points > (17, 13))).any(axis=1)
    assert (moved[outside] == points[outside]).all() and (moved[~outside] != points[~outside]).any()
    corner = invert_displacement(op, (13, 17), engine)(np.array([[17.0, 13.0]]))[0]
    assert corner[0] <= 17 and corner[1] <= 13


@pytest.mark.parametrize(("version", "cuts"), [("1.3.1", {"cuts": "even"}), ("2.0.8", {})])
def test_random_grid_shuffle_of_albumentations(version: str, cuts: Any) -> None:
    step = {"__class_fullname__": "RandomGridShuffle", "grid": [3, 5], "p": 0.5}
    found = augreg.from_albumentations({"__version__": version, "transform": step})
    assert found.spec["image"] == [{"grid_shuffle": {"grid": [3, 5], **cuts, "p": 0.5}}] and not found.report
    compose = {"__class_fullname__": "Compose", "transforms": [step], "bbox_params": {"format": "coco"}}
    report = augreg.from_albumentations({"__version__": version, "transform": compose}).report
    assert sum("makes one for each part" in line for line in report) == 1
