"""Boxes, their masks and their names where an image is cut: what the border leaves, and what goes along with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import Pipeline

HEIGHT, WIDTH = 160, 200
BOX = np.array([[22.0, 18, 150, 90]])
FLIP = {"horizontal_flip": {"p": 1}}
IMAGE = np.zeros((40, 60, 3), np.uint8)


def pipeline(*steps: Any, **targets: Any) -> Pipeline:
    return Pipeline.from_spec({"image": list(steps), "targets": {"boxes": "xyxy", **targets}})


@pytest.mark.parametrize(
    "steps",
    [
        [{"rotate": 30}, {"random_resized_crop": {"size": 64}}],
        [{"affine": {}}],
        [{"rotate": 45}, {"gaussian_blur": 0.1}, {"rotate": 45}],
        [{"perspective": {"p": 1}}, {"random_crop": {"size": 90}}, {"rotate": 45}],
    ],
    ids=str,
)
def test_a_box_is_around_the_pixels_that_are_left(steps: list[Any]) -> None:
    pipe = pipeline(*steps, min_visible=0, keypoints="drop")
    compared = cut = tips = 0
    rng = np.random.default_rng(5)
    for index in range(200):
        x0, y0 = rng.integers(0, (WIDTH - 12, HEIGHT - 12))
        x1, y1 = rng.integers((x0 + 12, y0 + 12), (WIDTH + 1, HEIGHT + 1))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[y0:y1, x0:x1] = 1
        sample = {"image": mask[..., None], "mask": mask, "boxes": np.array([[x0, y0, x1, y1]], float)}
        found = pipe.train(sample, index)
        ys, xs = np.nonzero(found["mask"])
        if not len(found["boxes"]) or not len(xs):
            assert len(xs) < 9 and all((one[2:] - one[:2]).min() < 2 for one in found["boxes"])  # next to nothing
            continue
        edges, (height, width) = found["boxes"][0], found["mask"].shape
        tight = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert ((tight - edges) * (1, 1, -1, -1) > -1.5).all(), index
        if np.abs(edges - tight).max() > 1.5:  # a tip too thin for a pixel shows in points
            grid = np.stack(np.meshgrid(np.linspace(x0, x1, 400), np.linspace(y0, y1, 400)), axis=-1).reshape(-1, 2)
            points = pipe.train({**sample, "keypoints": grid}, index)["keypoints"]
            tight = np.concatenate((points.min(axis=0), points.max(axis=0)))
            assert np.abs(edges - tight).max() < 1.5, index
            tips += 1
        compared += 1
        cut += bool((tight[:2] < 0.5).any() or tight[2] > width - 0.5 or tight[3] > height - 0.5)
    assert compared > 100 and cut > 20 and tips < compared / 10, (compared, cut, tips)


def test_the_visible_fraction_is_of_the_rotated_polygon() -> None:
    """A square in the corner, turned by 45 degrees: a fraction of the diamond remains."""
    sample = {"image": np.zeros((100, 100, 3), np.uint8), "boxes": [[0.0, 0, 20, 20]]}
    turn = {"rotate": {"degrees": [45, 45]}}
    # its outer corner ends up beyond the border, at 50 - 50 * sqrt(2), and the inner one 20 * sqrt(2) further in
    far = 50 - 50 * np.sqrt(2) + 20 * np.sqrt(2)
    fraction = far * far / 400  # the tip that is left is a right-angled triangle of height `far`
    for least, there in ((fraction - 0.001, 1), (fraction + 0.001, 0)):
        found = pipeline(turn, min_visible=least).train(sample, index=0)["boxes"]
        assert len(found) == there
    (x0, y0, x1, y1) = pipeline(turn, min_visible=0).train(sample, index=0)["boxes"][0]
    depth, along = sorted((x1 - x0, y1 - y0))
    assert np.allclose((depth, along), (far, 2 * far))


@pytest.mark.parametrize("bend", ["elastic", "grid_distortion", "optical_distortion"])
def test_a_bent_figure_is_cut_like_any_other(bend: str) -> None:
    pipe = pipeline({bend: {"p": 1}}, {"rotate": 30}, {"center_crop": 110}, min_visible=0)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    (x0, y0, x1, y1) = BOX[0].astype(int)
    mask[y0:y1, x0:x1] = 1
    for index in range(20):
        found = pipe.train({"image": mask[..., None], "mask": mask, "boxes": BOX}, index)
        ys, xs = np.nonzero(found["mask"])
        tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert np.abs(found["boxes"][0] - tight).max() < 2, index


def test_masks_of_one_for_each_box_are_dropped_with_it() -> None:
    torch = pytest.importorskip("torch")
    masks = [np.full((40, 60), k + 1, np.uint8) for k in range(2)]
    crop = {"center_crop": [20, 20]}
    sample = {
        "image": IMAGE, "boxes": [[0, 0, 10, 10], [25, 15, 35, 25]], "masks": masks, "masks2": tuple(masks),
        "mask_instances": np.stack(masks, axis=2), "mask_tensor": torch.from_numpy(np.stack(masks)),
        "mask": np.stack(masks, axis=2), "mask3": torch.from_numpy(np.stack(masks)), "mask_three": [*masks, masks[0]],
    }  # fmt: skip
    instances = ["masks", "masks2", "mask_instances", "mask_tensor"]
    found = pipeline(crop, instances=instances).train(sample, index=0)
    assert found["boxes"] == [[5, 5, 15, 15]]
    for key in ("masks", "masks2"):
        assert type(found[key]) is type(sample[key]) and [int(one.max()) for one in found[key]] == [2]
    assert found["mask_instances"].shape == (20, 20, 1) and (found["mask_instances"] == 2).all()
    assert found["mask_tensor"].shape == (1, 20, 20) and (found["mask_tensor"] == 2).all()
    # one mask of classes, and masks of something else, are no companions
    assert found["mask"].shape == (20, 20, 2) and found["mask3"].shape == (2, 20, 20)
    assert len(found["mask_three"]) == 3
    for output in ("torch", "numpy"):
        spec = {**pipeline(crop, instances=instances).to_spec(), "output": output}
        found = Pipeline.from_spec(spec).train(sample, index=0)
        shape = (1, 20, 20) if output == "torch" else (20, 20, 1)
        assert tuple(found["mask_instances"].shape) == shape and len(found["masks"]) == 1
    named = pipeline(crop, labels=["mask"], instances=["masks"]).train(sample, index=0)
    assert named["mask"].shape == (20, 20, 1) and len(named["masks"]) == 1
    single = {"image": IMAGE, "boxes": [[0, 0, 10, 10]], "mask": masks[0], "masks": [masks[0]]}
    found = pipeline(crop, instances=["masks"]).train(single, index=0)
    assert found["boxes"] == [] and found["mask"].shape == (20, 20) and found["masks"] == []


def test_a_mirror_exchanges_names_in_every_form() -> None:
    pipe = pipeline(FLIP, swap={"left": "right"}, labels=["labels", "label"])
    boxes = [[1, 2, 9, 9], [20, 2, 29, 9], [30, 1, 40, 9]]
    for labels, wanted in (
        (np.array(["left", "right", "nose"], object), ["right", "left", "nose"]),
        (np.array(["left", None, 3], object), ["right", None, 3]),
        (np.array(["left", "up", "nose"]), ["right", "up", "nose"]),
        (("left", "left", "nose"), ["right", "right", "nose"]),
    ):
        found = pipe.train({"image": IMAGE, "boxes": boxes, "labels": labels}, index=0)["labels"]
        assert type(found) is type(labels) and list(found) == wanted
        assert getattr(found, "dtype", np.dtype(object)).kind == getattr(labels, "dtype", np.dtype(object)).kind
    points = {"keypoints": [[1, 2]], "keypoint_names": ["nose"]}
    for others in ({}, points, {"boxes": boxes}, {"boxes": boxes, **points}):
        found = pipe.train({"image": IMAGE, "label": "left", **others}, index=0)
        assert found["label"] == "right" and set(found) == {"image", "label", *others}
        assert pipe.train({"image": IMAGE, "label": "up", **others}, index=0)["label"] == "up"
        still = pipeline({"pad": 2}, swap={"left": "right"}).train({"image": IMAGE, "label": "left", **others})
        assert still["label"] == "left"
    names = np.array(["left", "nose"], object)
    found = pipe.train({"image": IMAGE, "keypoints": [[1, 2], [3, 4]], "keypoint_names": names}, index=0)
    assert found["keypoint_names"].dtype == object and found["keypoint_names"].tolist() == ["right", "nose"]
