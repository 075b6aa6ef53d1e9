"""Masks, boxes and keypoints: transforms that bend the image, and transforms that depend on boxes."""

import numpy as np
import pytest
from augreg_albumentations import inverse_displacement

import augreg

HEIGHT, WIDTH = 97, 131
MARKS = np.array([[x, y] for y in (20.5, 48.5, 76.5) for x in (25.5, 65.5, 105.5)])


def pipeline(name, **arguments):
    """Of one step, always applied."""
    step = {f"albumentations/{name}": {**arguments, "p": 1}}
    return augreg.Pipeline.from_spec({"targets": {"boxes": "xyxy", "min_visible": 0.0}, "image": [step]})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ElasticTransform", {"alpha": 40, "sigma": 6}),
        ("ElasticTransform", {"alpha": 40, "sigma": 6, "border_mode": 4, "fill_mask": 7}),
        ("GridDistortion", {}),
        ("OpticalDistortion", {}),
        ("ThinPlateSpline", {}),
    ],
)
def test_keypoints_stay_on_what_they_mark(name, arguments):
    """Within three quarters of a pixel of the middle of a painted mark, where all of it shows in one place."""
    pipe, seen = pipeline(name, **arguments), 0
    for index in range(3):
        for number, (x, y) in enumerate(MARKS):
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
            found = pipe.train({"image": image, "keypoints": MARKS.copy()}, index=index)
            light = found["image"][..., 0].astype(float)
            rows, columns = np.nonzero(light)
            inside = len(rows) > 9 and rows.min() and columns.min() and rows.max() < HEIGHT - 1
            if not inside or columns.max() == WIDTH - 1 or np.ptp(rows) > 14 or np.ptp(columns) > 14:
                continue
            seen += 1
            weights = light[rows, columns] / light.sum()
            middle = (weights * columns).sum() + 0.5, (weights * rows).sum() + 0.5
            assert np.hypot(*(found["keypoints"][number] - middle)) < 0.75
    assert seen >= 10


@pytest.mark.parametrize(
    ("name", "arguments", "scale"),
    [
        ("Resize", {"height": 194, "width": 262}, 2), ("RandomScale", {"scale_limit": [1, 1]}, 2),
        ("LongestMaxSize", {"max_size": 393}, 3), ("SmallestMaxSize", {"max_size_hw": [None, 262]}, 2),
        ("RandomSizedCrop", {"min_max_height": [97, 97], "size": [194, 262], "w2h_ratio": 131 / 97}, 2),
    ],
)  # fmt: skip
def test_boxes_and_keypoints_of_a_resized_image(name, arguments, scale):
    """The border of the first pixels stays at 0: everything is multiplied."""
    sample = {"image": np.zeros((HEIGHT, WIDTH, 3), np.uint8), "boxes": [[0.0, 10.0, 30.0, 40.0]], "keypoints": MARKS}
    found = pipeline(name, **arguments).train(sample, index=0)
    assert np.allclose(found["boxes"], [[0, 10 * scale, 30 * scale, 40 * scale]], atol=0.01)
    assert np.allclose(found["keypoints"], MARKS * scale, atol=0.01)


def test_a_box_that_a_bend_pushes_over_the_border_is_cut_there():
    """What no pixel shows lies outside, on the side where it went."""
    pipe, seen = pipeline("GridDistortion", distort_limit=0.9, normalized=False), 0
    for index in range(12):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[2:30, 90:130] = 1
        sample = {"image": np.zeros((HEIGHT, WIDTH, 3), np.uint8), "mask": mask, "boxes": [[90.0, 2.0, 130.0, 30.0]]}
        found = pipe.train(sample, index=index)
        rows, columns = np.nonzero(found["mask"])
        if len(rows) == 0 or columns.max() < WIDTH - 1:
            continue
        seen += 1
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.array(found["boxes"][0]) - around).max() < 1.5
    assert seen >= 2


def test_all_points_are_looked_up_at_once(monkeypatch):
    """Twenty boxes are thousands of points on their edges, and the image is gone through once."""
    trees, real = [], inverse_displacement.cKDTree
    monkeypatch.setattr(inverse_displacement, "cKDTree", lambda data: trees.append(len(data)) or real(data))
    corners = np.random.default_rng(0).uniform(0, 100, (20, 2))
    boxes = np.concatenate([corners, corners + 20], axis=1)
    found = pipeline("GridDistortion").train({"image": np.zeros((224, 224, 3), np.uint8), "boxes": boxes}, index=1)
    assert len(found["boxes"]) == 20
    assert len(trees) == 1


def test_inverting_a_displacement_is_exact_under_a_linear_map():
    """Between pixels, beyond the border, and where only some pixels of a large image are looked at."""
    for size in ((60, 80), (900, 1100)):
        y, x = np.mgrid[: size[0], : size[1]] + 0.5
        field = np.stack([0.8 * x + 3, 0.8 * y - 5, np.ones(size)], axis=2)
        points = np.array([[20.25, 10.7], [33.3, 30.0], [4.0, 5.0]])
        wanted = np.stack([(points[:, 0] - 3) / 0.8, (points[:, 1] + 5) / 0.8], axis=1)
        assert np.allclose(inverse_displacement.move_points(field, points), wanted, atol=0.02)
        beyond = inverse_displacement.move_points(field, np.array([[-20.0, 10.0]]))
        assert beyond[0, 0] < -15
    assert (inverse_displacement.move_points(np.zeros((4, 4, 3)), points) == -1.0).all()


def test_boxes_are_for_those_that_look_at_them():
    """Morphological fails where albumentations has boxes to follow; they follow the pixels here."""
    sample = {"image": np.zeros((HEIGHT, WIDTH, 3), np.uint8), "boxes": np.array([[20.0, 20.0, 30.0, 30.0]])}
    found = pipeline("Morphological", scale=[2, 3]).train(sample, index=0)
    assert np.array_equal(found["boxes"], sample["boxes"])


def test_a_crop_near_a_sliver_has_pixels():
    """A box is rounded outward; its key may have another name."""
    sample = {"image": np.zeros((60, 80, 3), np.uint8), "boxes": np.array([[10.0, 10.0, 10.2, 20.0]])}
    for key in ("cropping_bbox", "near"):
        found = pipeline("RandomCropNearBBox", max_part_shift=0.3, cropping_bbox_key=key).train(sample, index=0)
        assert found["image"].shape[0] >= 5
        assert found["image"].shape[1] >= 1
        assert len(found["boxes"]) == 1
