"""The nearest pixel at the corner instead of the center, as OpenCV's INTER_NEAREST takes it, in images and masks."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from augreg import Pipeline, ops
from augreg.backends import backend as opened

cv2 = pytest.importorskip("cv2")
RNG = np.random.default_rng(0)
INSTALLED = ["pillow", "opencv", *(["native"] if importlib.util.find_spec("augreg_native") else [])]


@pytest.mark.parametrize("backend", INSTALLED)
def test_it_is_opencvs_nearest_pixel(backend: str) -> None:
    engine = opened(backend)
    for size in [*RNG.integers(1, 90, (40, 4)).tolist(), [7, 5, 49, 15], [100, 3, 77, 300], [1, 1, 5, 4]]:
        height, width, rows, columns = size
        image = RNG.integers(0, 256, (height, width, 3)).astype(np.uint8)
        expected = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_NEAREST)
        op = ops.resize(rows, columns, "nearest_floor")
        assert np.array_equal(engine.apply(op, image), expected), size
        whole = engine.apply(op, image.astype(np.float32) / 255)
        assert np.array_equal(whole, expected.astype(np.float32) / 255)
    image = RNG.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    part = ops.Enlarge(3, 7, 5, 6, (17, 23), "nearest_floor")
    whole = cv2.resize(image, (23, 17), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(engine.apply(part, image), whole[3:8, 7:13])


def test_by_hand() -> None:
    """Of 0 1 2 3 4, three pixels at scale 5/3: corners at 0, 1.67, 3.33 and centers at 0.83, 2.5, 4.17."""
    row = np.arange(5, dtype=np.uint8)[None, :, None]
    sample = {"image": row, "mask": row[..., 0].astype(int), "depth": row[..., 0] / 2}
    for nearest, places in (("floor", [0, 1, 3]), ("center", [0, 2, 4])):
        interpolation = "nearest_floor" if nearest == "floor" else "nearest"
        spec: dict[str, Any] = {
            "image": [{"resize": {"size": [1, 3], "interpolation": interpolation}}],
            "targets": {"nearest": nearest, "maps": {"depth": {}}},
        }
        for backend in INSTALLED:
            found = Pipeline.from_spec({**spec, "backend": backend}).train(sample, index=0)
            assert found["image"].ravel().tolist() == places
            assert found["mask"].ravel().tolist() == places
            assert found["depth"].ravel().tolist() == [place / 2 for place in places]


def test_masks_are_resized_at_corners_under_other_images_too() -> None:
    """A crop of a large one, of which only the part is made, and a warp, which always reads at centers."""
    mask = RNG.integers(0, 9, (20, 30))
    image = np.zeros((20, 30, 3), np.uint8)
    steps: list[Any] = [{"resize": {"size": [70, 91]}}, {"center_crop": 30}]
    for most in (5000, 1_000_000):  # with 5000, only the part is made
        spec = {"image": steps, "max_pixels": most, "targets": {"nearest": "floor"}}
        found = Pipeline.from_spec(spec).test({"image": image, "mask": mask})["mask"]
        whole = cv2.resize(mask.astype(np.uint8), (91, 70), interpolation=cv2.INTER_NEAREST)
        assert np.array_equal(found, whole[20:50, 30:60])
    turned = Pipeline.from_spec({"image": [{"rotate": {"degrees": [20, 20]}}], "targets": {"nearest": "floor"}})
    plain = turned.replace(targets={})
    sample = {"image": image, "mask": mask}
    assert np.array_equal(turned.train(sample, index=0)["mask"], plain.train(sample, index=0)["mask"])


def test_the_default_is_not_written() -> None:
    given = {"image": ["horizontal_flip"], "targets": {"mask_fill": 3}}
    pipe = Pipeline.from_spec({**given, "targets": {"mask_fill": 3, "nearest": "center"}})
    assert "nearest" not in pipe.to_spec()["targets"]
    assert pipe.fingerprint == Pipeline.from_spec(given).fingerprint
    floor = Pipeline.from_spec({**given, "targets": {"mask_fill": 3, "nearest": "floor"}})
    assert floor.to_spec()["targets"]["nearest"] == "floor" and floor.fingerprint != pipe.fingerprint
