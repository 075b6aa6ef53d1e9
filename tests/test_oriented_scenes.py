"""Oriented boxes in random scenes, against figures that are drawn as pixels by where each point comes from.

The suite runs 200 scenes, and `make soak` 10,000.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figures import corners_by_hand, forward, grid, inside, origin, sizes

from augreg import Pipeline
from augreg.execution.plan import Plan
from augreg.ops import Remap, Warp

PART = 200
STILL = ("d4", {"random_crop": {"size": [30, 34]}}, {"pad": {"padding": [3, 5, 0, 2]}}, {"rotate": {"degrees": 180}})
SHAPES: tuple[Any, ...] = (
    *STILL,
    {"affine": {"degrees": 60, "scale": [0.6, 1.5], "shear_x": 25, "shear_y": 15}},
    {"perspective": {"distortion": 0.35, "p": 1}},
    {"resize": {"size": [47, 66]}},
    {"optical_distortion": {"k": [-0.25, 0.25], "p": 1}},
)
"""Geometry of every kind; what is in STILL keeps lengths and angles."""


def scene(number: int) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """Steps, an image, and boxes: center, sides, and an angle in radians, some of them over the border."""
    rng = np.random.default_rng([17, number])
    kinds = STILL if number % 3 == 0 else SHAPES
    steps = [kinds[k] for k in rng.integers(0, len(kinds), rng.integers(1, 4))]
    height, width = rng.integers(40, 80, 2)
    count = rng.integers(1, 4)
    boxes = np.stack(
        (
            rng.uniform(-3, width + 3, count), rng.uniform(-3, height + 3, count), rng.uniform(5, 45, count),
            rng.uniform(5, 25, count), rng.uniform(-1.5 * np.pi, 1.5 * np.pi, count),
        ),
        axis=1,
    )  # fmt: skip
    return steps, np.zeros((height, width, 1), np.uint8), boxes


def planned(steps: list[Any], image: np.ndarray, given: np.ndarray, number: int, **targets: Any) -> tuple[Plan, Any]:
    targets = {"boxes": "cxcywhr", "angle": "radians", "min_visible": 0, **targets}
    plan = Pipeline.from_spec({"image": steps, "targets": targets}).train.plan(image, number)
    return plan, plan.run({"image": image, "boxes": given, "labels": np.arange(len(given))})


def reached(plan: Plan, figure: np.ndarray, box: np.ndarray, depth: float) -> list[bool]:
    """Whether the figure shows next to each side of a box, as far within it as `depth`, anywhere along the side."""
    found = []
    for start, end in zip(box, np.roll(box, -1, axis=0), strict=True):
        inward = box.mean(axis=0) - (start + end) / 2
        across = (end - start) / np.hypot(*(end - start))
        inward -= across * (inward @ across)
        inward *= depth / np.hypot(*inward)
        at = start + inward + (end - start) * np.linspace(0, 1, 1500)[:, None]
        source, seen = origin(plan, at)
        found.append(bool((seen & inside(source, figure)).any()))
    return found


def check(number: int) -> dict[str, int]:
    """One scene; what was in it."""
    steps, image, boxes = scene(number)
    plan, five = planned(steps, image, boxes, number)
    figures = [corners_by_hand(box[:2], box[2:4], box[4]) for box in boxes]
    eight = planned(steps, image, np.reshape(figures, (-1, 8)), number, boxes="xyxyxyxy", angle=None)[1]
    points = grid(sizes(plan)[-1], 2)
    source, seen = origin(plan, points)
    bent = any(isinstance(op, Remap) for op in plan.ops)
    rigid = all(step in STILL for step in steps)
    seen_counts = {"whole": 0, "cut": 0, "gone": 0, "rigid": 0}
    by_label = [dict(zip(one["labels"].tolist(), one["boxes"], strict=True)) for one in (five, eight)]
    for label, figure in enumerate(figures):
        at = f"scene {number}, box {label}"
        drawn = points[seen & inside(source, figure)]
        if label not in by_label[0]:
            assert len(drawn) <= 4, at  # nothing, or a sliver
            seen_counts["gone"] += 1
            continue
        cx, cy, width, height, angle = by_label[0][label]
        around = corners_by_hand(np.array([cx, cy]), np.array([width, height]), angle)
        assert -np.pi / 2 <= angle < np.pi / 2, at
        # everything that is drawn is in the box, and all four sides of the box are next to it; of a bent edge, points
        # two pixels apart are followed
        assert inside(drawn, around, 0.25 if bent else 0.003).all(), at
        if min(width, height) > 2:
            assert all(reached(plan, figure, around, 0.3)), at
        corners, whole = forward(plan, figure)
        if rigid:
            turned = corners[1] - corners[0]
            off = (np.arctan2(turned[1], turned[0]) - angle) % np.pi
            assert min(off, np.pi - off) < 1e-3, at
        if not whole.all() or (bent and not _clear(plan, figure)):
            seen_counts["cut"] += 1
            continue
        seen_counts["whole"] += 1
        found = by_label[1][label].reshape(4, 2)
        assert np.abs(found - corners).max() < 0.01, at
        if rigid:
            seen_counts["rigid"] += 1
            assert np.allclose([cx, cy], corners.mean(axis=0), atol=0.005)
            assert np.allclose([width, height], boxes[label, 2:4], atol=0.005)
            assert np.hypot(*(around[:, None] - corners).transpose(2, 0, 1)).min(axis=1).max() < 0.01, at
    return seen_counts


def _clear(plan: Plan, figure: np.ndarray) -> bool:
    """Whether the whole outline of a figure stays within the image; its corners alone may, where edges bend."""
    part = np.linspace(0, 1, 200)[:, None]
    outline = np.concatenate([a + (b - a) * part for a, b in zip(figure, np.roll(figure, -1, axis=0), strict=True)])
    return bool(forward(plan, outline)[1].all())


@pytest.mark.parametrize("part", [0, *(pytest.param(k, marks=pytest.mark.soak) for k in range(1, 50))])
def test_random_scenes(part: int) -> None:
    total = {"whole": 0, "cut": 0, "gone": 0, "rigid": 0}
    for number in range(part * PART, (part + 1) * PART):
        for kind, count in check(number).items():
            total[kind] += count
    assert min(total.values()) > PART / 20, total


def test_the_scenes_have_every_kind_of_geometry() -> None:
    kinds = {type(op) for number in range(60) for op in planned(*scene(number), number)[0].ops}
    assert {Warp, Remap} < kinds and len(kinds) >= 5
