"""copy_paste: instances of a partner are pasted with their masks. By hand, and against a loop over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import ImageError, Pipeline
from augreg.batch.shapes import Copy

HEIGHT, WIDTH = 12, 16


def pipeline(*steps: Any, **targets: Any) -> Pipeline:
    return Pipeline.from_spec({"targets": {"boxes": "xyxy", "instances": ["masks"], **targets}, "batch": list(steps)})


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def two_images(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> dict[str, Any]:
    """Two images with an object each, of the values 100 and 200, on black."""
    masks = [rectangle(*box), rectangle(*other)]
    images = np.stack([mask[..., None].repeat(3, 2) * value for mask, value in zip(masks, (100, 200), strict=True)])
    return {
        "image": images.astype(np.uint8),
        "boxes": [[list(box)], [list(other)]],
        "masks": [mask[..., None] for mask in masks],
        "labels": [["one"], ["two"]],
    }


def test_an_instance_covers_another() -> None:
    """The object at columns 2 to 10 loses half of itself to one at columns 6 to 14 of the same rows."""
    batch = two_images((2, 3, 10, 9), (6, 3, 14, 9))
    found = pipeline({"copy_paste": {"fraction": 1, "pairing": "flip"}}).batch(batch, batch=0)
    assert found["labels"] == [["one", "two"], ["two", "one"]]
    assert found["boxes"] == [[[2, 3, 6, 9], [6, 3, 14, 9]], [[10, 3, 14, 9], [2, 3, 10, 9]]]
    assert found["image"][0, 5, :, 0].tolist() == [0] * 2 + [100] * 4 + [200] * 8 + [0] * 2
    assert found["image"][1, 5, :, 0].tolist() == [0] * 2 + [100] * 8 + [200] * 4 + [0] * 2
    for i in (0, 1):
        for k, name in enumerate(found["labels"][i]):
            shown = found["image"][i, ..., 0] == {"one": 100, "two": 200}[name]
            assert np.array_equal(found["masks"][i][..., k] > 0, shown)
    assert found["object_weights"] == [[1, 1], [1, 1]]


@pytest.mark.parametrize(("least", "left"), [(0.49, 2), (0.51, 1)])
def test_what_is_covered_is_dropped_below_min_visible(least: float, left: int) -> None:
    batch = two_images((2, 3, 10, 9), (6, 3, 14, 9))
    found = pipeline({"copy_paste": {"fraction": 1, "pairing": "flip"}}, min_visible=least).batch(batch, batch=0)
    assert [len(found[key][0]) for key in ("boxes", "labels", "object_weights")] == [left] * 3
    assert found["masks"][0].shape == (HEIGHT, WIDTH, left)


def test_a_box_that_is_not_covered_keeps_its_numbers() -> None:
    batch = two_images((2, 3, 6, 9), (8, 3, 14, 9))
    batch["boxes"] = [[[1.75, 3.0, 6.25, 9.5]], [[7.5, 2.5, 14.0, 9.25]]]
    found = pipeline({"copy_paste": {"fraction": 1, "pairing": "flip"}}).batch(batch, batch=0)
    assert found["boxes"] == [
        [[1.75, 3, 6.25, 9.5], [7.5, 2.5, 14, 9.25]],
        [[7.5, 2.5, 14, 9.25], [1.75, 3, 6.25, 9.5]],
    ]


def test_labels_of_images_are_weighted_by_the_pixels() -> None:
    batch = {**two_images((2, 3, 10, 9), (6, 3, 14, 9)), "label": np.array([0, 1])}
    found = pipeline({"copy_paste": {"fraction": 1, "pairing": "flip"}}).batch(batch, batch=0)
    assert np.allclose(found["label"].dense(2), [[0.75, 0.25], [0.25, 0.75]])  # 48 of 192 pixels


def test_each_instance_is_pasted_with_the_probability_of_the_fraction() -> None:
    """Of 6 instances the number that is pasted has the binomial distribution: mean 1.8, variance 1.26."""
    count = 40
    masks = np.zeros((count, HEIGHT, WIDTH, 6), np.uint8)
    for k in range(6):
        masks[:, 2 * k, :, k] = 1
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, HEIGHT, WIDTH, 3))
    step = {"copy_paste": {"fraction": 0.3, "pairing": "roll"}}
    pipe = Pipeline.from_spec({"targets": {"instances": ["masks"]}, "batch": [step]})
    drawn = []
    for number in range(25):
        found = pipe.batch({"image": images, "masks": masks}, batch=number)
        drawn += [int((image[::2, 0, 0] != i).sum()) for i, image in enumerate(found["image"])]
        assert all(one.shape[2] == 6 for one in found["masks"])  # those that are covered are gone
    assert abs(np.mean(drawn) - 1.8) < 4 * np.sqrt(1.26 / 1000) and abs(np.var(drawn) - 1.26) < 0.25


def reference(blends: Any, batch: dict[str, Any], least: float) -> list[tuple[np.ndarray, list[Any]]]:
    """For each image its pixels and its objects: (label, box, mask, pixels at first). Loops over objects."""
    state = []
    for image, boxes, masks, labels in zip(
        *(batch[key] for key in ("image", "boxes", "masks", "labels")), strict=True
    ):
        planes = [masks[..., k] > 0 for k in range(masks.shape[2])]
        state.append((image, list(zip(labels, boxes, planes, [int(p.sum()) for p in planes], strict=True))))
    for blend in blends:
        assert isinstance(blend, Copy)
        before, state = state, []
        for i, (image, objects) in enumerate(before):
            partner = blend.partners[i]
            picked = []
            if partner != i:
                others = [one for one in before[partner][1] if one[2].any() and one[2].sum() / one[3] >= least - 1e-9]
                picked = [one for one, flag in zip(others, blend.chosen(i, len(others)), strict=True) if flag]
            over = np.any([np.zeros((HEIGHT, WIDTH), bool), *(one[2] for one in picked)], axis=0)
            image = np.where(over[..., None], before[partner][0], image)
            state.append((image, [(a, b, mask & ~over, n) for a, b, mask, n in objects] + picked))
    return state


def check(number: int) -> None:
    rng = np.random.default_rng((number, 7))
    count = int(rng.integers(1, 6))
    least = float(rng.choice([0.0, 0.2, 0.6]))
    images = rng.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    boxes: list[Any] = []
    masks, labels = [], []
    for i in range(count):
        low = rng.integers(0, (WIDTH - 1, HEIGHT - 1), (rng.integers(0, 5), 2))
        high = np.minimum(low + rng.integers(1, 9, low.shape), (WIDTH, HEIGHT))
        boxes.append(np.concatenate((low, high), axis=1).astype(float))
        planes = [rectangle(*map(int, box)) * (rng.random((HEIGHT, WIDTH)) < 0.8) for box in boxes[-1]]
        masks.append(np.stack([np.zeros((HEIGHT, WIDTH), np.uint8), *planes], 2)[..., 1:].astype(np.uint8))
        labels.append([100 * i + k for k in range(len(low))])
    batch = {"image": images, "boxes": boxes, "masks": masks, "labels": labels}
    steps = []
    for _ in range(rng.integers(1, 3)):
        pairing = str(rng.choice(["roll", "flip", "permutation"]))
        steps.append({"copy_paste": {"fraction": float(rng.choice([0.3, 0.7, 1.0])), "pairing": pairing}})
    pipe = pipeline(*steps, min_visible=least)
    found = pipe.batch(batch, batch=number)
    blends = pipe.batch.plan(count, (HEIGHT, WIDTH), batch=number).blends
    for i, (image, objects) in enumerate(reference(blends, batch, least)):
        assert np.array_equal(found["image"][i], image)
        parts = [one[2].sum() / one[3] if one[3] else 1.0 for one in objects]  # an empty mask drops nothing
        kept, sure = (
            [one for one, part in zip(objects, parts, strict=True) if part >= max(least + slack, 1e-9)]
            for slack in (-0.0101, 0.0101)
        )
        names = list(found["labels"][i])
        left = iter(kept)
        for k, name in enumerate(names):
            one = next(one for one in left if one[0] == name)
            assert np.array_equal(found["masks"][i][..., k] > 0, one[2])
            box = one[1]
            if one[3] and one[2].sum() < one[3]:
                ys, xs = np.nonzero(one[2])
                box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert np.array_equal(found["boxes"][i][k], box)
        assert {one[0] for one in sure} <= set(names) and len(names) >= len(sure)


def test_scenes() -> None:
    for number in range(60):
        check(number)


@pytest.mark.soak
def test_many_scenes() -> None:
    for number in range(60, 2000):
        check(number)


def test_tensors_of_detection_models() -> None:
    """A list of images and a list of targets, as torchvision's detection models take them, come back as such."""
    torch = pytest.importorskip("torch")
    batch = two_images((2, 3, 10, 9), (6, 3, 14, 9))
    images = [torch.from_numpy(image.transpose(2, 0, 1).copy()) / 255 for image in batch["image"]]
    targets = [
        {
            "boxes": torch.tensor(boxes, dtype=torch.float32),
            "labels": torch.tensor([i + 1]),
            "masks": torch.from_numpy(masks.transpose(2, 0, 1).copy()),
            "image_id": torch.tensor([i]),
        }
        for i, (boxes, masks) in enumerate(zip(batch["boxes"], batch["masks"], strict=True))
    ]
    pipe = pipeline({"copy_paste": {"fraction": 1, "pairing": "flip"}})
    mixed, found = pipe.batch(images, targets, batch=0)
    arrays = pipe.batch(batch, batch=0)
    assert isinstance(mixed, list) and isinstance(found, list)
    for i in (0, 1):
        assert torch.equal(mixed[i], torch.from_numpy(arrays["image"][i].transpose(2, 0, 1).copy()) / 255)
        assert found[i]["boxes"].dtype == torch.float32 and found[i]["boxes"].tolist() == arrays["boxes"][i]
        assert found[i]["labels"].tolist() == [i + 1, 2 - i] and found[i]["labels"].dtype == torch.int64
        assert np.array_equal(found[i]["masks"].numpy().transpose(1, 2, 0), arrays["masks"][i])
        assert found[i]["image_id"] is targets[i]["image_id"]
        assert found[i]["object_weights"].tolist() == [1, 1]
    assert targets[0]["boxes"].shape == (1, 4)  # the input stays


def test_pixels_of_float_tensors_have_a_gradient() -> None:
    torch = pytest.importorskip("torch")
    batch = two_images((2, 3, 10, 9), (6, 3, 14, 9))
    images = torch.rand(2, 3, HEIGHT, WIDTH, requires_grad=True)
    masks = [torch.from_numpy(one.transpose(2, 0, 1).copy()) for one in batch["masks"]]
    pipe = Pipeline.from_spec(
        {"targets": {"instances": ["masks"]}, "batch": [{"copy_paste": {"fraction": 1, "pairing": "flip"}}]}
    )
    mixed = pipe.batch({"image": images, "masks": masks}, batch=0)["image"]
    mixed[0].sum().backward()
    assert images.grad is not None and images.grad[1].sum() == 3 * 48 and images.grad[0].sum() == 3 * (192 - 48)
    out = images.detach().clone()
    pipe.batch({"image": out, "masks": masks}, batch=0, out={"image": out})
    assert torch.equal(out, mixed.detach())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": None}, r"this batch has none: give one mask for each object, and say `targets: \{instances"),
        ({"masks": [np.zeros((3, 4, 1), np.uint8)] * 2}, r"masks\[0\]: the masks of instances are n x 12 x 16"),
        ({"masks": [np.zeros((12, 16, 2), np.uint8)] * 2}, r"masks\[0\]: 2 entries, and boxes\[0\] has 1"),
        ({"masks": [np.zeros((12, 16, 1), np.float32)] * 2}, r"masks\[0\]: masks of instances are integers or bools"),
        ({"outlines": [[[0, 0, 4, 0, 4, 4]]] * 2}, "outlines: polygons cannot follow where instances are pasted"),
        ({"parts": [[[0, 0, 1, 1]]] * 2}, "parts: boxes without masks cannot follow"),
    ],
)
def test_what_cannot_be_copied_is_refused(change: dict[str, Any], message: str) -> None:
    pipe = pipeline("copy_paste", polygons=["outlines"], keys={"parts": "boxes"})
    batch = {**two_images((2, 3, 10, 9), (6, 3, 14, 9)), **change}
    with pytest.raises(ImageError, match=message):
        pipe.batch(batch, batch=0)


def test_the_plan_says_which_partner_but_no_weights() -> None:
    pipe = pipeline({"copy_paste": {"pairing": "roll"}})
    plan = pipe.batch.plan(3, (HEIGHT, WIDTH), batch=0)
    assert "image 1: with instances of 0" in str(plan) and "each with probability 0.5" in str(plan)
    with pytest.raises(ValueError, match="depends on their masks, which a plan has not"):
        plan.source_weights()
    batch = two_images((2, 3, 10, 9), (6, 3, 14, 9))
    assert pipe.batch.test(batch) is batch


def test_a_point_that_is_covered_is_not_visible() -> None:
    batch = two_images((2, 3, 10, 9), (6, 3, 14, 9))
    batch["keypoints"] = [[[[3, 4, 2], [8, 5, 2]]], [[[7, 4, 2], [13, 5, 2]]]]
    found = pipeline({"copy_paste": {"fraction": 1, "pairing": "flip"}}).batch(batch, batch=0)["keypoints"]
    assert found[0] == [[[3, 4, 2], [8, 5, 0]], [[7, 4, 2], [13, 5, 2]]]
    assert found[1] == [[[7, 4, 0], [13, 5, 2]], [[3, 4, 2], [8, 5, 2]]]
