"""Cameras, stretched bands, moved nodes, elastic fields of other kinds, and maps of moved points, against OpenCV."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import ops, transforms
from augreg.backends import displacement
from augreg.ops import Remap, Scene
from augreg.rng import field

SIZE = 40, 60


def read(op: Remap, size: tuple[int, int] = SIZE) -> tuple[Any, Any]:
    """The rows and columns that are read, as OpenCV counts them: the first pixel's center is 0."""
    ys, xs = displacement.sources(op, *size)
    return ys - 0.5, xs - 0.5


def one(step: dict[str, Any], size: tuple[int, int] = SIZE, index: int = 0) -> Any:
    """The op that a step of this spec draws."""
    (op,) = augreg.Pipeline.from_spec({"image": [step]}).train.plan(size, index).ops
    return op


@pytest.mark.parametrize("k", [-0.9, 0.05, 1.5])
def test_a_camera_is_that_of_opencv(k: float) -> None:
    """As OpticalDistortion calls it: the focal lengths are the sides, and k is that of both the first two orders."""
    cv2 = pytest.importorskip("cv2")
    height, width = SIZE
    matrix = np.array([[width, 0, width / 2 + 3], [0, height, height / 2 - 2], [0, 0, 1]], np.float32)
    numbers = np.array([k, k, 0, 0, 0], np.float32)
    xs, ys = cv2.initUndistortRectifyMap(matrix, numbers, None, None, (width, height), cv2.CV_32FC1)
    found = read(ops.camera(Scene(*SIZE), k, "camera", (0.5 - 2, 0.5 + 3)))
    assert np.abs(found[0] - ys).max() < 1e-4 and np.abs(found[1] - xs).max() < 1e-4


def test_a_fisheye_has_its_center_at_half_the_size() -> None:
    """By hand: in 8x8 pixels, (0, 0) is at the distance 1 from (4, 4), so it reads 4 - 4 (1 + k)."""
    ys, xs = read(ops.camera(Scene(8, 8), 0.5, "fisheye", (0.5, 0.5)), (8, 8))
    assert (ys[0, 0], xs[0, 0]) == (-2.0, -2.0)
    assert (ys[4, 4], xs[4, 4]) == (4.0, 4.0)
    assert ys[4, 2] == 4.0 and xs[4, 2] == pytest.approx(4 - 2 * (1 + 0.5 * 4 / 32))


def test_the_shift_of_a_camera_is_a_whole_number_of_pixels() -> None:
    """With k = 0, so the image only moves: from -1.5 to 2.5 these are -1 to 2, each as often."""
    step = {"optical_distortion": {"k": 0, "model": "camera", "shift": [-1.5, 2.5]}}
    drawn = [one(step, index=index).numbers[1:] for index in range(200)]
    for axis in range(2):
        values, counts = np.unique([numbers[axis] for numbers in drawn], return_counts=True)
        assert values.tolist() == [-0.5, 0.5, 1.5, 2.5] and counts.min() > 30
    assert abs(np.corrcoef(np.array(drawn).T)[0, 1]) < 0.25
    with pytest.raises(augreg.SpecError, match="shift is for `model: camera`"):
        augreg.Pipeline.from_spec([{"optical_distortion": {"shift": 3}}])
    with pytest.raises(augreg.SpecError, match="k must be between -2 and 2"):
        augreg.Pipeline.from_spec([{"optical_distortion": {"k": 3, "model": "fisheye"}}])


BANDS = {  # 7 pixels, three bands of 2 and one left over; each reads half as much again
    ("free", False): [0.75, 2.25, 3.75, 5.25, 6.75, 8.25, 9.75],
    ("fit", False): [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
    ("rest", False): [0.75, 2.25, 3.75, 5.25, 6.75, 8.25, 8.0],  # back from 9 to 7
    ("free", True): [0.5, 3.5, 3.5, 6.5, 6.5, 9.5, 9.5],
    ("fit", True): [0.5, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5],
    ("rest", True): [0.5, 3.5, 3.5, 6.5, 6.5, 9.5, 9.5],
}  # fmt: skip


@pytest.mark.parametrize(("end", "overlap"), BANDS)
def test_bands_read_what_their_factors_say(end: Any, overlap: bool) -> None:
    """By hand; with overlap they are NumPy's linspace, whose ends both count, as in GridDistortion."""
    op = ops.bands(Scene(7, 14), 3, (0.5, 0.5), end, 1, overlap)
    ys, xs = displacement.sources(op, 7, 14)
    assert ys[:, 5].tolist() == pytest.approx(BANDS[end, overlap])
    assert (ys == ys[:, :1]).all() and (xs == xs[:1]).all()
    assert xs[0, 0] < xs[0, 3] < xs[0, -2]


def test_bands_have_factors_of_their_own() -> None:
    """A band of 100 pixels reads from 70 to 130; over 60 images each band is about as wide as the others."""
    scene = Scene(300, 200)
    widths = []
    for key in range(60):
        ys, xs = displacement.sources(ops.bands(scene, 2, (-0.3, 0.3), "free", key), 300, 200)
        widths.append([(part[-1] - part[0]) / 99 for part in (xs[0, :100], xs[0, 100:])])
        widths[-1] += [(part[-1] - part[0]) / 149 for part in (ys[:150, 0], ys[150:, 0])]
    found = np.array(widths)
    assert found.min() > 0.699 and found.max() < 1.301
    assert np.abs(found.mean(0) - 1.0).max() < 0.1 and np.abs(np.corrcoef(found.T) - np.eye(4)).max() < 0.5
    assert found.std(0).min() > 0.12  # 0.6 / sqrt(12) = 0.17


def test_as_many_bands_as_pixels_and_more() -> None:
    for count in (5, 6, 200):
        for overlap in (False, True):
            ys, xs = read(ops.bands(Scene(5, 1), count, (-1.0, 1.0), "fit", 3, overlap), (5, 1))
            assert np.isfinite(ys).all() and np.isfinite(xs).all() and ys.min() >= -0.5 and ys.max() <= 5.0


def test_nodes_show_the_places_to_which_they_move() -> None:
    """Nodes of 4 rows in 30 pixels are at 0, 10, 20 and 30; between triangles the map is the mean of two nodes."""
    moves = field("normal", 5, (2, 4, 3))
    ys, xs = read(ops.nodes(Scene(30, 40), 4, 3, 0.05, 5), (30, 40))
    places = np.empty((2, 4, 3))
    for row in range(4):
        for column in range(3):
            places[0, row, column] = min(max(10 * row + moves[0, row, column] * 0.05 * 30, 0), 29)
            places[1, row, column] = min(max(20 * column + moves[1, row, column] * 0.05 * 40, 0), 39)
    for axis, found in enumerate((ys, xs)):
        assert found[::10, ::20] == pytest.approx(places[axis, :3, :2], abs=1e-4)
        assert found[15, 10] == pytest.approx((places[axis, 1, 1] + places[axis, 2, 0]) / 2, abs=1e-4)
        upper = [places[axis, 1, 0], places[axis, 1, 1], places[axis, 2, 0]]
        assert found[12, 4] == pytest.approx(np.dot([0.6, 0.2, 0.2], upper), abs=1e-4)
        lower = [places[axis, 2, 1], places[axis, 2, 0], places[axis, 1, 1]]
        assert found[18, 16] == pytest.approx(np.dot([0.6, 0.2, 0.2], lower), abs=1e-4)


@pytest.mark.parametrize(("unit", "sides"), [("sides", (9, 7)), ("shorter", (7, 7)), ("pixels", (1, 1))])
def test_nodes_by_distance(unit: Any, sides: tuple[int, int]) -> None:
    """By enumeration: the mean of the nodes' places, weighted by inverse squares, as in PiecewiseAffine of 2.0.8."""
    scale = 1.5 / sides[0]
    found = read(ops.nodes(Scene(9, 7), 3, 2, scale, 4, unit, "distance"), (9, 7))
    moves = field("normal", 4, (2, 3, 2)).astype(float)
    for y, x in np.ndindex(9, 7):
        total, sums = 0.0, [0.0, 0.0]
        for row, column in np.ndindex(3, 2):
            node = 4.0 * row, 6.0 * column
            weight = 1.0 / ((y - node[0]) ** 2 + (x - node[1]) ** 2 + 1e-8)
            total += weight
            for axis, end in enumerate((8, 6)):
                place = node[axis] + moves[axis, row, column] * scale * sides[axis]
                sums[axis] += weight * min(max(place, 0), end)
        assert [each[y, x] for each in found] == pytest.approx([part / total for part in sums], abs=1e-4)


@pytest.mark.parametrize(
    ("window", "same", "noise"),
    [(0, False, "normal"), (0, True, "uniform"), (17, False, "uniform"), (9, True, "normal")],
)
def test_elastic_fields_are_those_of_albumentations(window: int, same: bool, noise: Any) -> None:
    """OpenCV smooths the noise of both axes as one image, x above y, and repeats its edges."""
    cv2 = pytest.importorskip("cv2")
    height, width = SIZE
    values = field(noise, 8, (height if same else 2 * height, width))
    values = values / np.abs(values).max() if noise == "normal" else 2 * values - 1
    smooth = 30 * cv2.GaussianBlur(values, (window, window), 4.0, borderType=cv2.BORDER_REPLICATE)
    ys, xs = read(ops.waves(Scene(*SIZE), 30.0, 4.0, 8, window, same, noise=noise, edges="repeat"))
    shift_y, shift_x = ys - np.arange(height)[:, None], xs - np.arange(width)
    assert np.abs(shift_x - smooth[:height]).max() < 1e-2
    assert np.abs(shift_y - smooth[-height:]).max() < 1e-2
    assert shift_x.std() > 0.1


def test_an_elastic_field_may_be_mirrored_and_have_a_window() -> None:
    cv2 = pytest.importorskip("cv2")
    values = 2 * field("uniform", 8, (*SIZE, 2)) - 1
    smooth = 30 * cv2.GaussianBlur(values, (5, 5), 4.0, borderType=cv2.BORDER_REFLECT)
    ys, xs = read(ops.waves(Scene(*SIZE), 30.0, 4.0, 8, 5))
    assert np.abs(ys - np.arange(40)[:, None] - smooth[..., 0]).max() < 1e-3
    assert np.abs(xs - np.arange(60) - smooth[..., 1]).max() < 1e-3
    for window in (1, 4):
        with pytest.raises(augreg.SpecError, match="window must be 0 or an odd number from 3 on"):
            augreg.Pipeline.from_spec([{"elastic": {"window": window}}])


@pytest.mark.parametrize("degrees", [30.0, -77.0, 90.0, 145.0])
def test_safe_rotate_shows_the_whole_image(degrees: float) -> None:
    """The corners touch all four sides; a point goes counter-clockwise about the center, then along each axis."""
    height, width = SIZE
    a, b, c, d, e, f, *_, scale = one({"safe_rotate": [degrees, degrees]}).point_map(height, width)
    assert scale == pytest.approx(1.0)
    moved = np.array([(a * x + b * y + c, d * x + e * y + f) for x in (0, width) for y in (0, height)])
    assert moved.min(0) == pytest.approx([0, 0], abs=1e-9) and moved.max(0) == pytest.approx([width, height])
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = 7 * cos + 5 * sin, -7 * sin + 5 * cos  # of the point (7, 5) from the center
    sides = width * abs(cos) + height * abs(sin), height * abs(cos) + width * abs(sin)
    x, y = width / 2 + 7, height / 2 + 5
    where = a * x + b * y + c - width / 2, d * x + e * y + f - height / 2
    assert where == pytest.approx((turned[0] * width / sides[0], turned[1] * height / sides[1]))


@pytest.mark.parametrize("degrees", [30.0, -77.0])
@pytest.mark.parametrize(("sides", "center"), [("floor", (29.5, 19.5)), ("ceil", (30.0, 20.0))])
def test_safe_rotate_is_that_of_albumentations(sides: str, center: tuple[float, float], degrees: float) -> None:
    """OpenCV counts from the center of the first pixel; 2.0.8 rotates about the middle, 1.3.1 about half the size."""
    cv2 = pytest.importorskip("cv2")
    height, width = SIZE
    matrix = cv2.getRotationMatrix2D(center, degrees, 1.0)
    cos, sin = np.abs(matrix[0, :2])
    wide, high = getattr(math, sides)(width * cos + height * sin), getattr(math, sides)(height * cos + width * sin)
    matrix[:, 2] += np.array([wide / 2, high / 2]) - center
    matrix *= np.array([[width / wide], [height / high]])
    found = np.reshape(one({"safe_rotate": {"degrees": [degrees, degrees], "sides": sides}}).point_map(*SIZE), (3, 3))
    for x, y in ((0, 0), (59, 0), (3, 39)):
        assert (found @ (x + 0.5, y + 0.5, 1))[:2] - 0.5 == pytest.approx(matrix @ (x, y, 1))


@pytest.mark.parametrize("swapped", [False, True])
def test_three_points_move_by_up_to_the_distance(swapped: bool) -> None:
    """In 60x120 pixels, the square around the center, (60, 30) or swapped (30, 60), reaches 20 pixels each way."""
    x, y = (30, 60) if swapped else (60, 30)
    points = np.array([(x + 20, y + 20), (x + 20, y - 20), (x - 20, y - 20)])
    moves = []
    for index in range(200):
        op = one({"affine_points": {"distance": 12, "swapped": swapped}}, (60, 120), index)
        matrix = np.reshape(op.point_map(60, 120), (3, 3))
        there = np.c_[points, np.ones(3)] @ (matrix / matrix[2, 2]).T
        moves.append((there[:, :2] - points).ravel())
    found = np.array(moves)
    assert 11.5 < np.abs(found).max() < 12 + 1e-6
    assert np.abs(found.mean(0)).max() < 2.5 and abs(found.std() - 12 / math.sqrt(3)) < 0.5
    assert np.abs(np.corrcoef(found.T) - np.eye(6)).max() < 0.3


@pytest.mark.parametrize("backend", ["pillow", "opencv"])
def test_bicubic_displacements(backend: str) -> None:
    """Half a pixel on, the weights for a slope of -1 are -1, 5, 5 and -1 eighths; beyond the edge is the fill."""
    row = np.array([10, 20, 50, 90, 60, 30], np.uint8)
    spec = {"backend": backend, "image": [{"optical_distortion": {"k": 0, "model": "camera"}}]}
    spec["image"][0]["optical_distortion"] |= {"interpolation": "bicubic", "fill": 7}
    found = augreg.Pipeline.from_spec(spec).train(np.tile(row[None, :, None], (6, 1, 3)), index=0)
    # (-10 + 5 10 + 5 20 - 50) / 8 = 11.25, 31.25, 77.5, 83.75, (-90 + 5 60 + 5 30 - 30) / 8 = 41.25, and the fill
    assert found[2, :, 0].tolist() == [11, 31, 78, 84, 41, 7]
    assert found[2, :, 2].tolist() == found[2, :, 0].tolist()


def test_what_albumentations_2_becomes() -> None:
    beyond = {"border_mode": 4, "fill": 0.0, "fill_mask": 0.0, "interpolation": 2, "p": 0.3, "mask_interpolation": 0}
    rest = {"interpolation": "bicubic", "mode": "reflect", "p": 0.3}
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("OpticalDistortion", {"distort_limit": [-0.05, 0.2], "mode": "camera"},
         {"optical_distortion": {"k": [-0.05, 0.2], "model": "camera"}}),
        ("OpticalDistortion", {"distort_limit": [-0.5, 0.5], "mode": "fisheye"},
         {"optical_distortion": {"k": [-0.5, 0.5], "model": "fisheye"}}),
        ("GridDistortion", {"distort_limit": [-0.3, 0.1], "num_steps": 6, "normalized": True},
         {"grid_stretch": {"bands": 6, "limit": [-0.3, 0.1], "end": "fit", "overlap": True}}),
        ("GridDistortion", {"distort_limit": [-1.0, 1.0], "num_steps": 6, "normalized": False},
         {"grid_stretch": {"bands": 6, "limit": [-1.0, 1.0], "end": "free", "overlap": True}}),
        ("PiecewiseAffine", {"scale": [0.03, 0.06], "nb_rows": [4, 4], "nb_cols": [3, 5], "absolute_scale": False},
         {"piecewise_affine": {"rows": [4, 4], "columns": [3, 5], "scale": [0.01, 0.02], "unit": "shorter",
                               "between": "distance"}}),
        ("ElasticTransform", {"alpha": 9.0, "sigma": 5.0, "approximate": True, "same_dxdy": True},
         {"elastic": {"alpha": [9.0, 9.0], "sigma": 5.0, "noise": "normal", "edges": "repeat", "window": 17,
                      "same": True}}),
        ("SafeRotate", {"limit": [-30.0, 20.0], "rotate_method": "ellipse", "rotate": [-30.0, 20.0]},
         {"safe_rotate": {"degrees": [-30.0, 20.0], "sides": "floor"}}),
    ]  # fmt: skip
    for name, arguments, step in cases:
        data = {"__class_fullname__": name, "keypoint_remapping_method": "mask", **beyond, **arguments}
        found = augreg.from_albumentations({"__version__": "2.0.8", "transform": data})
        ((key, given),) = step.items()
        said = [line for line in found.report if "bicubic is a little sharper" not in line]
        assert (found.spec["image"], said) == ([{key: {**given, **rest}}], [])


def test_what_albumentations_1_becomes() -> None:
    """What each version did, by its source: 1.3.1, and the last versions before something changed."""
    beyond = {"border_mode": 4, "interpolation": 1, "mask_value": None, "value": None, "always_apply": False, "p": 1}
    rest = {"interpolation": "bilinear", "mode": "reflect"}

    def became(name: str, version: str, **arguments: Any) -> Any:
        data = {"__class_fullname__": name, **beyond, **arguments}
        found = augreg.from_albumentations({"__version__": version, "transform": data})
        return found.spec["image"][0], found.report

    shifted = {"distort_limit": [-0.05, 0.05], "shift_limit": [-0.5, 0.5]}
    camera = {"k": [-0.05, 0.05], "model": "camera", **rest, "p": 1}
    assert became("OpticalDistortion", "1.3.1", **shifted) == ({"optical_distortion": camera}, ())
    shifted["shift_limit"] = [-4, 4]
    assert became("OpticalDistortion", "1.3.1", **shifted)[0]["optical_distortion"]["shift"] == [-4, 4]
    for version, end in (("1.3.1", "rest"), ("1.4.17", "rest"), ("1.4.18", "free")):
        steps = {"num_steps": 5, "distort_limit": [-0.3, 0.3]}
        step, report = became("GridDistortion", version, normalized=False, **steps)
        assert (step["grid_stretch"]["end"], report) == (end, ())
        assert became("GridDistortion", version, normalized=True, **steps)[0]["grid_stretch"]["end"] == "fit"
    nodes = {"scale": [0.03, 0.05], "nb_rows": [4, 4], "nb_cols": [4, 4], "absolute_scale": False}
    del beyond["value"], beyond["mask_value"]
    step, report = became("PiecewiseAffine", "1.3.1", cval=0, mode="reflect", keypoints_threshold=0.01, **nodes)
    assert step["piecewise_affine"]["unit"] == "sides" and "between" not in step["piecewise_affine"]
    assert step["piecewise_affine"]["scale"] == [0.03, 0.05] and "rounded" in report[0] and len(report) == 1
    assert became("PiecewiseAffine", "1.4.19", **nodes)[0]["piecewise_affine"]["between"] == "distance"
    waves = {"alpha": 3.0, "sigma": 50.0, "approximate": False, "same_dxdy": False}
    step, report = became("ElasticTransform", "1.3.1", alpha_affine=50, **waves)
    first, second = step["sequential"]["steps"]
    assert first == {"affine_points": {"distance": 50.0, "swapped": True, **rest}}
    assert second == {"elastic": {"alpha": [3.0, 3.0], "sigma": 50.0, "noise": "uniform", **rest}}
    assert step["sequential"]["p"] == 1 and report == ()
    assert [*became("ElasticTransform", "1.3.1", alpha_affine=0, **waves)[0]] == ["elastic"]
    elastic = became("ElasticTransform", "2.0.2", noise_distribution="gaussian", **waves)[0]["elastic"]
    assert elastic["noise"] == "uniform" and elastic["alpha"] == pytest.approx([math.sqrt(27)] * 2)
    assert "edges" not in elastic
    turned = {"degrees": [-9, 30], "sides": "ceil", **rest, "p": 1}
    assert became("SafeRotate", "1.3.1", limit=[-9, 30]) == ({"safe_rotate": turned}, ())


def test_boxes_of_albumentations_1_that_a_border_repeats() -> None:
    step = {"__class_fullname__": "GridDistortion", "border_mode": 4, "distort_limit": [-0.3, 0.3], "p": 1.0}
    compose = {"__class_fullname__": "Compose", "transforms": [step], "bbox_params": {"format": "coco"}}
    for version, said in (("1.3.1", 1), ("2.0.8", 0)):
        report = augreg.from_albumentations({"__version__": version, "transform": compose}).report
        assert sum("shows a part of a box again" in line for line in report) == said


def test_three_points_on_a_line_move_nothing() -> None:
    """In 60x60 pixels the points (50, 50), (50, 10) and (10, 10) would all go to (30, 30)."""

    class Drawn:
        numbers = iter([-20.0, -20.0, -20.0, 20.0, 20.0, 20.0])

        def uniform(self, low: float, high: float) -> float:
            return next(self.numbers)

    op: Any = transforms.AffinePoints(distance=20.0).sample(Drawn(), Scene(60, 60))  # type: ignore[arg-type]
    assert op.matrix[:6] == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
