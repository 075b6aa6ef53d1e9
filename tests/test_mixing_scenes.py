"""Property tests: what becomes of objects in mixed batches, against figures that are drawn as points."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from augreg import Pipeline
from tests.figures import corners_by_hand, grid, inside
from tests.mixing_figures import Layer, forward, layers, lines, point_in_polygon

HEIGHT, WIDTH, PARTS = 20, 28, 4
STEPS: list[Any] = [
    {"mixup": {"pairing": "roll"}},
    {"mixup": {"per": "element"}},
    {"cutmix": {"per": "element"}},
    {"cutmix": {"boxes": 3, "pairing": "roll"}},
    {"cutmix": {"pairing": "flip"}},
    {"resizemix": {"per": "element", "pairing": "roll"}},
    "mosaic",
    {"mosaic": {"fit": "resize", "pairing": "permutation"}},
]
FIGURES = ("upright", "oriented", "corners", "polygons", "masks", "points")


class Scene(NamedTuple):
    """A batch with figures, and the blends that were drawn for it."""

    pipe: Pipeline
    batch: dict[str, Any]
    figures: list[list[np.ndarray]]
    blends: Any
    least: float


def scene(number: int, kind: str) -> Scene:
    """A random batch of 1 to 5 images, with 0 to 4 figures each, which are quadrangles, n x 4 x 2."""
    rng = np.random.default_rng((number, FIGURES.index(kind)))
    count = int(rng.integers(1, 6))
    steps = [STEPS[k] for k in rng.integers(0, len(STEPS), rng.choice([1, 1, 2, 3]))]
    least = float(rng.choice([0.0, 0.1, 0.5, 0.9]))
    targets: dict[str, Any] = {"min_visible": least}
    targets |= {
        "upright": {"boxes": str(rng.choice(["xyxy", "xywh", "cxcywh"])), "normalized": bool(rng.integers(2))},
        "oriented": {"boxes": "cxcywhr", "angle": "degrees"},
        "corners": {"boxes": "xyxyxyxy"},
        "polygons": {"polygons": ["outlines"]},
        "masks": {"instances": ["masks"]},
        "points": {"boxes": "xyxy"},
    }[kind]
    figures = [[_figure(rng, kind) for _ in range(rng.integers(0, 5))] for _ in range(count)]
    labels = [[100 * i + k for k in range(len(each))] for i, each in enumerate(figures)]
    batch: dict[str, Any] = {"image": np.zeros((count, HEIGHT, WIDTH, 3), np.uint8), "labels": labels}
    batch |= _written(figures, kind, targets)
    pipe = Pipeline.from_spec({"targets": targets, "batch": steps})
    blends = pipe.batch.plan(count, (HEIGHT, WIDTH), batch=number).blends
    return Scene(pipe, batch, figures, blends, least)


def _figure(rng: np.random.Generator, kind: str) -> np.ndarray:
    """The corners of a figure within the image, multiples of a quarter of a pixel if its sides are upright."""
    ends = np.array((WIDTH, HEIGHT))
    if kind in ("oriented", "corners", "polygons"):
        while True:
            turn = np.deg2rad(rng.uniform(20, 70) + 90 * rng.integers(4))
            corners = corners_by_hand(rng.uniform(0, 1, 2) * ends, rng.uniform(2, 14, 2), turn)
            if (corners >= 0).all() and (corners <= ends).all():
                return corners
    step = 1 if kind == "masks" else PARTS
    low = rng.integers(0, (ends - 1) * step)
    high = np.minimum(low + rng.integers(1, 14 * step, 2), ends * step)
    (x0, y0), (x1, y1) = low / step, high / step
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def _written(figures: list[list[np.ndarray]], kind: str, targets: dict[str, Any]) -> dict[str, Any]:
    """The figures under the keys of a batch."""
    each = [np.array(one).reshape(-1, 4, 2) for one in figures]
    if kind == "polygons":
        return {"outlines": [[[corners.ravel().tolist()] for corners in one] for one in each]}
    if kind == "masks":
        return {"masks": [np.stack([np.zeros((HEIGHT, WIDTH), np.uint8), *map(_drawn, one)], 2)[..., 1:]
                          for one in each]}  # fmt: skip
    if kind == "corners":
        return {"boxes": each}
    if kind == "oriented":
        return {"boxes": [np.array(list(map(_numbers, one))).reshape(-1, 5) for one in each]}
    edges = [one[:, [0, 2]].reshape(-1, 4) for one in each]
    if kind == "points":
        points = [np.concatenate((_within(one), np.full((len(one), 4, 1), 2.0)), axis=2) for one in each]
        return {"boxes": edges, "keypoints": [one if len(one) else np.zeros((0, 4, 3)) for one in points]}
    form = targets["boxes"]
    sizes = [one[:, 2:] - one[:, :2] for one in edges]
    if form == "xywh":
        edges = [np.concatenate((one[:, :2], size), 1) for one, size in zip(edges, sizes, strict=True)]
    elif form == "cxcywh":
        edges = [np.concatenate((one[:, :2] + size / 2, size), 1) for one, size in zip(edges, sizes, strict=True)]
    scale = (WIDTH, HEIGHT) * 2 if targets["normalized"] else 1.0
    return {"boxes": [one / scale for one in edges]}


def _numbers(corners: np.ndarray) -> list[float]:
    """The five numbers of a rectangle, with its angle in degrees."""
    first, second = corners[1] - corners[0], corners[3] - corners[0]
    return [*corners.mean(axis=0), np.hypot(*first), np.hypot(*second), np.degrees(np.arctan2(first[1], first[0]))]


def _within(corners: np.ndarray) -> np.ndarray:
    """Points of figures that lie on no line of a mixed image."""
    middle = corners.mean(axis=-2, keepdims=True)
    return middle + 0.8311 * (corners - middle) + 0.00137


def _drawn(corners: np.ndarray) -> np.ndarray:
    (x0, y0), (x1, y1) = corners[[0, 2]].astype(int)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


class Seen(NamedTuple):
    """What a layer of a mixed image shows of a figure."""

    label: int
    layer: Layer
    corners: np.ndarray
    """Where its corners are."""
    hits: np.ndarray
    """The points that show it, n x 2."""
    reach: np.ndarray
    """Points of what is seen of it, the outermost among them, n x 2."""
    fraction: float


def seen(case: Scene, image: int, kind: str) -> list[Seen]:
    """The figures that a mixed image shows anything of, layer by layer."""
    xs, ys = (np.arange(end + 1.0) for end in (WIDTH, HEIGHT))
    if kind == "polygons":
        xs, ys = (np.arange(end * PARTS + 1) / PARTS for end in (WIDTH, HEIGHT))
    elif kind != "masks":
        upright = case.figures if kind in ("upright", "points") else [[]] * len(case.figures)
        xs, ys = lines(case.blends, image, upright, (HEIGHT, WIDTH))
    points = _middles(xs, ys)
    area = np.outer(np.diff(ys), np.diff(xs)).ravel()
    found = []
    for layer in layers(case.blends, image, points, snap=kind == "masks"):
        cells = np.zeros(len(points), bool)
        cells[layer.index] = True
        for k, corners in enumerate(case.figures[layer.source]):
            chosen = layer.index[inside(layer.points, corners)]
            moved = forward(layer, corners)
            if kind in ("oriented", "corners"):
                reach, seen_area = _reach(moved, cells.reshape(len(ys) - 1, -1), xs, ys)
            else:
                column, row = chosen % (len(xs) - 1), chosen // (len(xs) - 1)
                low, high = np.stack((xs[column], ys[row]), 1), np.stack((xs[column + 1], ys[row + 1]), 1)
                reach, seen_area = np.concatenate((low, high)), float(area[chosen].sum())
            whole = _area(moved)
            found.append(Seen(100 * layer.source + k, layer, moved, points[chosen], reach, seen_area / whole))
    return found


def _middles(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """A point between each two lines that follow each other, row by row."""
    middle_x, middle_y = ((one[1:] + one[:-1]) / 2 for one in (xs, ys))
    return np.stack([one.ravel() for one in np.meshgrid(middle_x, middle_y)], 1)


def _area(corners: np.ndarray) -> float:
    x, y = corners.T
    return float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)


def _reach(corners: np.ndarray, cells: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, float]:
    """The corners of what a quadrangle covers of the cells that are True between lines, and its area.

    They are corners of the quadrangle, corners of cells, and where their edges cross, cell by cell.
    """
    rows, columns = np.nonzero(cells)
    low, high = np.stack((xs[columns], ys[rows]), 1), np.stack((xs[columns + 1], ys[rows + 1]), 1)
    near = ((corners.max(axis=0) > low) & (corners.min(axis=0) < high)).all(axis=1)
    low, high = low[near], high[near]
    if not len(low):
        return np.zeros((0, 2)), 0.0
    of_cell = np.stack((low, np.stack((high[:, 0], low[:, 1]), 1), high, np.stack((low[:, 0], high[:, 1]), 1)), 1)
    points = [np.broadcast_to(corners, of_cell.shape), of_cell]
    good = [
        ((corners >= low[:, None]) & (corners <= high[:, None])).all(axis=2),
        inside(of_cell.reshape(-1, 2), corners).reshape(-1, 4),
    ]
    along = np.roll(corners, -1, axis=0) - corners
    for axis in (0, 1):
        for border in (low[:, axis], high[:, axis]):
            step = (border[:, None] - corners[:, axis]) / along[:, axis]  # no figure here has upright sides
            crossing = corners + step[..., None] * along
            other = crossing[..., 1 - axis]
            points.append(crossing)
            good.append(
                (step >= 0) & (step <= 1) & (other >= low[:, None, 1 - axis]) & (other <= high[:, None, 1 - axis])
            )
    candidates, there = np.concatenate(points, axis=1), np.concatenate(good, axis=1)
    count = np.maximum(there.sum(axis=1), 1)
    middle = np.where(there[..., None], candidates, 0.0).sum(axis=1) / count[:, None]
    off = np.where(there[..., None], candidates - middle[:, None], 0.0)  # what is not there adds no area
    order = np.argsort(np.where(there, np.arctan2(off[..., 1], off[..., 0]), np.inf), axis=1)
    ring = np.take_along_axis(off, order[..., None], axis=1)
    last = np.take_along_axis(ring, (count - 1)[:, None, None], axis=1)
    ring = np.where((np.arange(ring.shape[1]) < count[:, None])[..., None], ring, last)
    x, y = ring[..., 0], ring[..., 1]
    areas = np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1)) / 2
    areas[there.sum(axis=1) < 3] = 0.0
    return candidates[areas > 1e-9][there[areas > 1e-9]], float(areas.sum())


def check(case: Scene, kind: str, number: int) -> None:
    """What is found is what is seen; only what is near to `min_visible` may be there or not."""
    found = case.pipe.batch(case.batch, batch=number)
    for image in range(len(case.figures)):
        expected = seen(case, image, kind)
        for place, label in enumerate(found["labels"][image]):
            weight = found["object_weights"][image][place]
            alike = [
                one for one in expected if one.label == label and np.isclose(weight, one.layer.weight, rtol=1e-5)
            ]
            alike = [one for one in alike if one.fraction + _slack(one, kind) >= case.least]
            one = next((one for one in alike if _matches(found, kind, image, place, one, case)), None)
            assert one is not None, f"{label} of {image} is not seen, or not enough of it"
            expected = [other for other in expected if other is not one]
        for one in expected:
            assert not _must_be_there(one, kind, case), f"{one.label} of {image} is not there: {one.corners}"


def _must_be_there(one: Seen, kind: str, case: Scene) -> bool:
    if not len(one.reach) or np.ptp(one.reach, axis=0).min() < 0.01:
        return False  # nothing, or a sliver
    return len(one.reach) > 0 and one.fraction > case.least + _slack(one, kind)


def _slack(one: Seen, kind: str) -> float:
    """By how much the fraction may be off: boxes have a tolerance of a thousandth of a pixel for each side."""
    if kind in ("polygons", "masks"):  # figures of points; those of masks are exact where they are not scaled
        if kind == "masks" and not one.layer.scaled:
            return 1e-6
        sides = np.hypot(*(np.roll(one.corners, -1, axis=0) - one.corners).T)
        return float(1.5 * sides.sum() / (1 if kind == "masks" else PARTS) / _area(one.corners))
    return 0.0101


def _matches(found: dict[str, Any], kind: str, image: int, place: int, one: Seen, case: Scene) -> bool:
    """Whether an object of the result is where its figure is seen."""
    if not len(one.reach) and kind != "polygons":
        return False
    if kind == "masks":
        shown = np.zeros((HEIGHT, WIDTH), bool)
        x, y = one.hits.astype(int).T
        shown[y, x] = True
        return np.array_equal(found["masks"][image][..., place] > 0, shown)
    if kind == "polygons":
        points = grid((HEIGHT, WIDTH), PARTS)
        polygons = [np.reshape(polygon, (-1, 2)) for polygon in found["outlines"][image][place]]
        covered = np.any([point_in_polygon(points, polygon) for polygon in polygons], axis=0)
        shown = np.zeros((HEIGHT * PARTS, WIDTH * PARTS), bool)
        x, y = (one.hits * PARTS).astype(int).T
        shown[y, x] = True
        off = covered.reshape(shown.shape) != shown
        if not shown.any():  # a sliver between the points
            return not covered.any()
        # points next to a border may lie on either side of it where what is seen was scaled
        return int(off.sum()) <= (0 if not one.layer.hops else 0.1 * shown.sum() + 12)
    box = np.array(found["boxes"][image][place])
    if kind in ("upright", "points"):
        options = case.pipe.options.targets
        box = box * ((WIDTH, HEIGHT) * 2 if options.normalized else 1.0)
        if options.boxes == "cxcywh":
            box = np.concatenate((box[:2] - box[2:] / 2, box[:2] + box[2:] / 2))
        elif options.boxes == "xywh":
            box = np.concatenate((box[:2], box[:2] + box[2:]))
        around = np.concatenate((one.reach.min(axis=0), one.reach.max(axis=0)))
        return bool(np.abs(box - around).max() <= 2e-3) and (
            kind == "upright" or _points(found, image, place, one, case)
        )
    corners = box
    if kind == "oriented":
        corners = corners_by_hand(box[:2], box[2:4], np.deg2rad(box[4]))
    along = np.roll(corners, -1, axis=0) - corners
    way = np.sign(along[0, 0] * along[1, 1] - along[0, 1] * along[1, 0])
    normals = way * np.stack((along[:, 1], -along[:, 0]), 1) / np.hypot(*along.T)[:, None]
    gaps = np.array(
        [(normal @ corner - one.reach @ normal).min() for normal, corner in zip(normals, corners, strict=True)]
    )
    scaled = kind == "corners" and not np.allclose(along.sum(axis=0), along[0] + along[2], atol=1e-6)
    return bool((np.abs(gaps) <= (np.inf if scaled else 5e-3)).all())


def _points(found: dict[str, Any], image: int, place: int, one: Seen, case: Scene) -> bool:
    """Whether the points of an object are where its corners are, and have a visibility where they are seen."""
    points, source = found["keypoints"][image][place], one.label // 100
    at = forward(one.layer, _within(case.figures[source][one.label % 100]))
    assert np.abs(points[:, :2] - at).max() < 1e-6
    within = (at >= 0).all(axis=1) & (at < (WIDTH, HEIGHT)).all(axis=1)
    shown = np.zeros(4, bool)
    others = _middles(*lines(case.blends, image, case.figures, (HEIGHT, WIDTH)))  # layers depend on all points
    for layer in layers(case.blends, image, np.concatenate((others, at[within]))):
        if layer.source == source and layer.place == one.layer.place and layer.weight == one.layer.weight:
            shown[np.flatnonzero(within)[layer.index[layer.index >= len(others)] - len(others)]] = True
    assert np.array_equal(points[:, 2] > 0, shown), (points, shown)
    return True


@pytest.mark.parametrize("kind", FIGURES)
def test_objects_are_where_their_figures_are_seen(kind: str) -> None:
    for number in range(25):
        check(scene(number, kind), kind, number)


@pytest.mark.soak
@pytest.mark.parametrize("kind", FIGURES)
def test_objects_are_where_their_figures_are_seen_in_many_scenes(kind: str) -> None:
    for number in range(25, 1800):
        check(scene(number, kind), kind, number)
