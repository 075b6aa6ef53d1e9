"""Plans that are made for an image or a sample: they see its boxes, and do again what was planned."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import augreg
from augreg import ops

IMAGE = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
SAMPLE = {"image": IMAGE, "boxes": [[10.0, 5.0, 30.0, 25.0], [40.0, 30.0, 70.0, 50.0]], "id": "x"}


def whole(array: Any) -> Any:
    return array


@augreg.transform("unknown_size", kind="geometry")
class UnknownSize:
    """A function that leaves an unknown size."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(whole)


def crops(*before: Any) -> augreg.Pipeline:
    return augreg.Pipeline([*before, {"safe_crop": {"size": 32}}], targets={"boxes": "xyxy"}, seed=3)


def equal(one: Any, other: Any) -> bool:
    return bool((one["image"] == other["image"]).all() and np.array_equal(one["boxes"], other["boxes"]))


@pytest.mark.parametrize("before", [(), ("horizontal_flip",), (UnknownSize(),)], ids=["alone", "flip", "deferred"])
def test_a_plan_of_a_sample_does_what_train_does(before: tuple[Any, ...]) -> None:
    pipe = crops(*before)
    moved = 0
    for index in range(8):
        plan = pipe.train.plan(SAMPLE, index=index)
        expected = pipe.train(SAMPLE, index=index)
        assert len(expected["boxes"]) == 2  # the promise of safe_crop
        assert equal(plan.run(SAMPLE), expected)
        assert equal(pickle.loads(pickle.dumps(plan)).run(SAMPLE), expected)
        assert (plan.run(IMAGE) == expected["image"]).all()  # as it was, and the image has no boxes of its own
        moved += not (pipe.train(IMAGE, index=index) == expected["image"]).all()
    assert moved  # the boxes matter


def test_the_crop_of_a_plan_contains_the_boxes() -> None:
    for index in range(20):
        crop = crops().train.plan(SAMPLE, index=index).entries[0].ops[0]
        assert crop.left <= 10 and crop.top <= 5
        assert crop.left + crop.width >= 70 and crop.top + crop.height >= 50


def test_a_plan_says_that_it_saw_boxes() -> None:
    plan = crops().train.plan(SAMPLE, index=0)
    assert str(plan).startswith("train, seed 3, epoch 0, index 0: 60x80 rgb uint8 with 2 boxes, backend")
    assert "box" not in str(crops().train.plan((60, 80), index=0))


@pytest.mark.parametrize(
    "image",
    [IMAGE, Image.fromarray(IMAGE), torch.from_numpy(IMAGE).permute(2, 0, 1), {"image": IMAGE}],
    ids=["array", "PIL", "tensor", "sample"],
)
def test_a_plan_of_an_image_is_that_of_its_size(image: Any) -> None:
    pipe = augreg.Pipeline(["rotate", "normalize"], seed=3)
    assert pipe.train.plan(image, index=4) == pipe.train.plan((60, 80), index=4)
    assert pipe.test.plan(image) == pipe.test.plan((60, 80))
    floats = IMAGE[..., :1].astype(np.float32) / 255
    assert pipe.train.plan(floats, index=4) == pipe.train.plan((60, 80), index=4, channels=1, dtype="float32")


@pytest.mark.parametrize(
    "wrong",
    [(), (3,), (3, 0), (3.0, 4.0), ("a", "b"), [IMAGE, IMAGE], (IMAGE, 3), 224, None, {"mask": IMAGE}, IMAGE[None]],
)
def test_what_has_no_size_is_refused_in_one_line(wrong: Any) -> None:
    for plan in (crops().train.plan, crops().test.plan):
        with pytest.raises(ValueError) as caught:
            plan(wrong)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 250
