"""Random scenes whose numbers a mirror exchanges, beside what their pixels show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import Pipeline

SIDE = 48
FLIPS = ["d4", {"horizontal_flip": {"p": 0.5}}, "transpose", {"rot90": {"p": 0.5}}, {"random_crop": {"size": 44}}]


def scene(rng: np.random.Generator, ids: list[int]) -> dict[str, Any]:
    """Objects of 3x3 pixels, each in a color of its own, with their classes and the points in their middles.

    Three further pixels show whether the image is mirrored: those to the right of and below a first one.
    """
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    cells = rng.permutation(64)[: len(ids)]
    mask = np.full((SIDE, SIDE), 250, np.int64)
    boxes, points = [], []
    for number, (cell, name) in enumerate(zip(cells.tolist(), ids, strict=True)):
        x, y = 5 + cell % 8 * 5, 5 + cell // 8 * 5
        image[y : y + 3, x : x + 3, 0] = number + 1
        mask[y : y + 3, x : x + 3] = name
        boxes.append([x, y, x + 3, y + 3])
        points.append([x + 1.5, y + 1.5])
    tags = [float(number + 1) for number in range(len(ids))]  # no numbers of classes, so they stay
    image[23, 23, 1], image[23, 24, 1], image[24, 23, 1] = 1, 2, 3
    return {
        "image": image, "mask": mask, "boxes": boxes, "labels": list(ids), "keypoints": points,
        "keypoint_names": list(ids), "objects": tags, "points": tags,
    }  # fmt: skip


def is_mirrored(image: np.ndarray) -> bool:
    """Whether the mark that was to the right lies counterclockwise of the one that was below."""
    first, right, below = (np.argwhere(image[..., 1] == mark)[0] for mark in (1, 2, 3))
    (y1, x1), (y2, x2) = right - first, below - first
    return bool(x1 * y2 - y1 * x2 < 0)


def check(count: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    mirrored = 0
    for number in range(count):
        if number % 50 == 0:
            numbers = rng.permutation(40).tolist()
            pairs = [[numbers[2 * k], numbers[2 * k + 1]] for k in range(int(rng.integers(1, 6)))]
            other = {one: two for pair in pairs for one, two in (pair, pair[::-1])}
            targets = {"boxes": "xyxy", "labels": ["labels", "objects"], "swap": pairs, "keypoint_labels": ["points"]}
            steps = [FLIPS[k] for k in rng.permutation(4)[: int(rng.integers(1, 5))].tolist()] + FLIPS[4:]
            pipe = Pipeline.from_spec({"image": steps, "targets": targets, "seed": seed})
        ids = rng.choice(numbers[:14], int(rng.integers(1, 9))).tolist()
        found = pipe.train(scene(rng, ids), number)
        swaps = is_mirrored(found["image"])
        mirrored += swaps
        shown = {k: other.get(name, name) if swaps else name for k, name in enumerate(ids, 1)}
        seen = found["image"][..., 0]
        expected = np.array([250, *shown.values()])[seen]
        assert np.array_equal(found["mask"], expected)
        for box, label, own in zip(found["boxes"], found["labels"], found["objects"], strict=True):
            x1, y1, x2, y2 = map(int, box)
            assert (seen[y1:y2, x1:x2] == own).all() and label == shown[int(own)]
        assert sorted(found["objects"]) == sorted(set(seen[seen > 0].tolist()))
        for (x, y), name, own in zip(found["keypoints"], found["keypoint_names"], found["points"], strict=True):
            inside = 0 <= x < seen.shape[1] and 0 <= y < seen.shape[0]
            assert not inside or (seen[int(y), int(x)] == own and name == shown[int(own)])
    return mirrored


def test_numbers_are_exchanged_where_the_pixels_are_mirrored() -> None:
    assert 60 < check(300, 0) < 240


@pytest.mark.soak
def test_ten_thousand_scenes() -> None:
    assert 3000 < check(10_000, 1) < 7000
