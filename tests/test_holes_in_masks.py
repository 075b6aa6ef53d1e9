"""`targets: {mask_holes: ..}`: what masks show where erasing paints over the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import augreg
from augreg import ImageError, Pipeline

IMAGE = np.full((40, 60, 3), 200, np.uint8)
HOLES: dict[str, Any] = {"holes": {"count": [3, 3], "height": 0.3, "width": 0.2, "p": 1.0}}


@pytest.mark.parametrize("kind", ["u1", "i2", "i8", "bool"])
def test_masks_show_it_where_the_image_is_black(kind: str) -> None:
    given = np.ones((40, 60), kind)
    spec = {"targets": {"mask_holes": 0}, "image": [HOLES, "horizontal_flip"]}
    for index in range(8):
        found = Pipeline.from_spec(spec).train({"image": IMAGE, "mask": given}, index)
        assert (found["image"] == 0).any() and found["mask"].dtype == given.dtype
        assert np.array_equal(found["mask"], (found["image"][..., 0] > 0).astype(kind))
    assert (given == 1).all()


def test_without_it_masks_stay_and_another_number_is_shown() -> None:
    masks = {"image": IMAGE, "masks": [np.full((40, 60), 7, np.uint8), np.full((40, 60, 2), 9, np.uint8)]}
    for targets, shown in (({}, {7}), ({"mask_holes": 255}, {7, 255})):
        found = Pipeline.from_spec({"targets": targets, "image": [HOLES]}).train(masks, 0)
        assert set(np.unique(found["masks"][0])) == shown
        assert np.array_equal(found["masks"][1] == 255, np.dstack([found["masks"][0] == 255] * 2))


def test_the_border_cuts_a_hole() -> None:
    """The square lies around a random pixel; near the border it is cut, as the image is."""
    pipe = Pipeline.from_spec({"targets": {"mask_holes": 0}, "image": [{"cutout": {"size": 30, "p": 1}}]})
    for index in range(12):
        found = pipe.train({"image": IMAGE, "mask": np.ones((40, 60), np.uint8)}, index)
        assert np.array_equal(found["mask"] == 0, found["image"][..., 0] == 0)


def test_an_instance_that_is_erased_is_dropped() -> None:
    targets = {"boxes": "xyxy", "instances": ["masks"], "mask_holes": 0}
    pipe = Pipeline.from_spec({"targets": targets, "image": [{"holes": {"height": 1.0, "width": 1.0, "p": 1.0}}]})
    sample = {"image": IMAGE, "masks": [np.eye(40, 60, dtype=np.uint8)], "boxes": [[0, 0, 40, 40]], "labels": ["a"]}
    found = pipe.train(sample, 0)
    assert (found["boxes"], found["labels"], found["masks"]) == ([], [], [])


def test_a_number_that_no_mask_has() -> None:
    pipe = Pipeline.from_spec({"targets": {"mask_holes": 300}, "image": [HOLES]})
    with pytest.raises(ImageError, match="the spec's mask_holes is 300, and a mask of uint8 has 0 to 255"):
        pipe.train({"image": IMAGE, "mask": np.ones((40, 60), np.uint8)}, 0)


def test_fill_mask_of_albumentations() -> None:
    def imported(*fills: Any) -> tuple[Any, bool]:
        steps = [{"__class_fullname__": "CoarseDropout", "fill_mask": fill, "p": 0.5} for fill in fills]
        found = augreg.from_albumentations({"__class_fullname__": "Compose", "p": 1.0, "transforms": steps})
        return found.spec.get("targets", {}).get("mask_holes"), any("fill_mask" in line for line in found.report)

    assert imported(0) == (0, False) and imported(5.0, 5) == (5, False) and imported(None, None) == (None, False)
    assert imported(0, 1) == imported(0, None) == imported([1, 2]) == (None, True)
