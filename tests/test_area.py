"""`area`, the mean of what a pixel covers, and `lanczos4`, the two of OpenCV, in every backend and in batches."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest

from augreg import Pipeline, ops
from augreg.backends import backend as opened

RNG = np.random.default_rng(0)
INSTALLED = [
    name
    for name, module in (("pillow", "PIL"), ("opencv", "cv2"), ("native", "augreg_native"))
    if importlib.util.find_spec(module)
]
SIZES = [(12, 10, 4, 5), (30, 17, 7, 4), (7, 5, 21, 15), (5, 6, 8, 7), (9, 4, 3, 11), (1, 1, 3, 2), (40, 3, 1, 3)]


def enumerated(image: np.ndarray[Any, Any], rows: int, columns: int) -> np.ndarray[Any, Any]:
    """The means over a grid that is fine enough for the edges of all pixels."""
    height, width, channels = image.shape
    y, x = math.lcm(height, rows), math.lcm(width, columns)
    fine = image.astype(np.float64).repeat(y // height, axis=0).repeat(x // width, axis=1)
    return fine.reshape(rows, y // rows, columns, x // columns, channels).mean(axis=(1, 3))


@pytest.mark.parametrize("backend", INSTALLED)
def test_it_is_the_mean_of_the_area(backend: str) -> None:
    engine = opened(backend)
    for height, width, rows, columns in SIZES:
        image = RNG.integers(0, 256, (height, width, 3)).astype(np.uint8)
        expected = enumerated(image, rows, columns)
        op = ops.resize(rows, columns, "area")
        found = engine.apply(op, image)
        assert found.dtype == np.uint8 and found.shape == expected.shape
        # ties go up; OpenCV has weights of few bits where it enlarges bytes
        rounding = 0.5 + 1e-6 if backend != "opencv" else 0.51 if rows <= height and columns <= width else 1.0
        assert np.abs(found - expected).max() <= rounding
        whole = engine.apply(op, image.astype(np.float32) / 255)
        assert np.abs(whole - expected / 255).max() < 1e-5
    image = RNG.integers(0, 256, (4, 5, 5)).astype(np.uint8)  # more channels than OpenCV takes
    part = engine.apply(ops.Enlarge(3, 7, 5, 6, (17, 23), "area"), image)
    assert np.abs(part - enumerated(image, 17, 23)[3:8, 7:13]).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("name", ["area", "lanczos4"])
@pytest.mark.parametrize("backend", INSTALLED)
def test_it_is_opencvs(backend: str, name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    engine = opened(backend)
    flag = {"area": cv2.INTER_AREA, "lanczos4": cv2.INTER_LANCZOS4}[name]
    for height, width, rows, columns in [
        *SIZES[:4],
        (50, 70, 33, 21),
        (20, 20, 33, 47),
        (60, 50, 9, 7),
        (1, 2, 5, 3),
    ]:
        image = RNG.integers(0, 256, (height, width, 3)).astype(np.uint8)
        op = ops.resize(rows, columns, name)
        expected = cv2.resize(image, (columns, rows), interpolation=flag)
        assert np.abs(engine.apply(op, image).astype(int) - expected).max() <= 1
        floats = image.astype(np.float32) / 255
        expected = cv2.resize(floats, (columns, rows), interpolation=flag)
        assert np.abs(engine.apply(op, floats) - expected).max() < 2e-5
        whole = engine.apply(ops.resize(rows + 8, columns + 9, name), image)
        part = ops.Enlarge(3, 4, rows, columns, (rows + 8, columns + 9), name)
        if rows + 8 >= height and columns + 9 >= width and (backend == "pillow" or name == "lanczos4"):
            found = engine.apply(part, image).astype(int)
            assert np.abs(found - whole[3 : 3 + rows, 4 : 4 + columns]).max() <= 1


def test_batches_are_those_of_the_pillow_backend() -> None:
    torch = pytest.importorskip("torch")
    images = RNG.integers(0, 256, (6, 3, 31, 44)).astype(np.uint8)
    for steps in (
        [{"resize": {"size": [9, 11], "interpolation": "area"}}],
        [{"random_resized_crop": {"size": 12, "interpolation": "area"}}],
        [{"random_resized_crop": {"size": 12, "interpolation": "lanczos4"}}],
        [{"resize": {"size": [60, 57], "interpolation": "lanczos4"}}],
        [{"resize": {"size": [60, 57], "interpolation": "area"}}, "horizontal_flip"],
    ):
        pipe = Pipeline.from_spec({"image": steps, "backend": "pillow"})
        found = pipe.train.batch(torch.from_numpy(images), indices=range(6)).numpy()
        for index, image in enumerate(images):
            assert np.array_equal(found[index], pipe.train(image.transpose(1, 2, 0), index).transpose(2, 0, 1))


def test_in_a_pipeline() -> None:
    """Masks keep the nearest pixel; a JPEG is decoded at its size, since a part of it is not the same mean."""
    spec = {"image": [{"resize": {"size": [2, 2], "interpolation": "area"}}], "backend": "pillow"}
    image = np.zeros((4, 4, 1), np.uint8)
    image[0, 0], mask = 80, np.eye(4, dtype=np.int64)
    found = Pipeline.from_spec(spec).train({"image": image, "mask": mask}, index=0)
    assert found["image"][..., 0].tolist() == [[20, 0], [0, 0]]
    assert {*np.unique(found["mask"])} <= {0, 1}
