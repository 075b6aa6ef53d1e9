"""What warps show beyond the border of images and masks."""

from __future__ import annotations

import numpy as np
import pytest

from augreg import Pipeline

ROW = np.array([[10, 20, 30, 40]], np.uint8)
BEFORE = {
    "edge": [10, 10, 10, 10, 20, 30],
    "symmetric": [30, 20, 10, 10, 20, 30],
    "reflect": [40, 30, 20, 10, 20, 30],
    "wrap": [20, 30, 40, 10, 20, 30],
}


@pytest.mark.parametrize("mode", BEFORE)
def test_images_and_masks_go_on_beyond_the_border(mode: str) -> None:
    """Everything moves three pixels to the right."""
    step = {"translate_x": {"amount": [0.75, 0.75], "mode": mode}}
    found = Pipeline([step], channels="gray").train({"image": ROW[..., None], "mask": ROW}, index=0)
    assert found["mask"].tolist() == [BEFORE[mode][:4]]
    assert found["image"].ravel().tolist() == BEFORE[mode][:4]


def test_two_warps_with_a_border_stay_two() -> None:
    """Together they would show what the first one moved out, and not its border."""
    steps = [{"translate_x": {"amount": [amount, amount], "mode": "edge"}} for amount in (0.75, -0.75)]
    found = Pipeline(steps, channels="gray", approximate=True).train(ROW[..., None], index=0)
    assert found.ravel().tolist() == [10, 10, 10, 10]


def test_the_default_is_left_out_of_the_canonical_spec() -> None:
    assert "mode" not in Pipeline(["rotate"]).to_spec()["image"][0]["rotate"]
    assert Pipeline([{"rotate": {"mode": "wrap"}}]).to_spec()["image"][0]["rotate"]["mode"] == "wrap"
