"""Numbers of classes that the spec names are exchanged in mirrored images: in masks, in labels, not in instances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import ImageError, Pipeline

torch = pytest.importorskip("torch")
SIDES = {"swap": {"left": "right"}, "classes": ["none", "left", "right", "nose"]}
FLIP = {"horizontal_flip": {"p": 1}}
IMAGE = np.zeros((2, 4, 3), np.uint8)
MASK = np.array([[0, 1, 2, 3], [1, 1, 255, 7]], np.uint8)
PARTNERS = np.array([0, 2, 1, 3])


def mirrored(*steps: Any, **entries: Any) -> dict[str, Any]:
    return Pipeline.from_spec({"image": list(steps) or [FLIP], "targets": SIDES}).train(
        {"image": IMAGE, **entries}, 0
    )


def by_hand(mask: np.ndarray) -> np.ndarray:
    """Numbers without a name stay: 7, and 255 for an ignored class."""
    found = mask[:, ::-1].copy()
    found[found < 4] = PARTNERS[found[found < 4]]
    return found


@pytest.mark.parametrize("dtype", ["uint8", "int64", "int16"])
def test_masks(dtype: str) -> None:
    mask = MASK.astype(dtype)
    found = mirrored(mask=mask, mask_two=torch.from_numpy(mask), masks=[mask, mask[..., None]])
    assert found["mask"].dtype == mask.dtype and np.array_equal(found["mask"], by_hand(mask))
    assert np.array_equal(found["mask_two"].numpy(), by_hand(mask))
    assert np.array_equal(found["masks"][1][..., 0], by_hand(mask))


def test_a_mask_is_as_before_after_a_half_turn_and_without_names() -> None:
    assert np.array_equal(mirrored(FLIP, {"vertical_flip": {"p": 1}}, mask=MASK)["mask"], MASK[::-1, ::-1])
    for targets in (
        {"swap": {"left": "right"}},
        {"classes": SIDES["classes"]},
        {**SIDES, "classes": ["none", "nose"]},
    ):
        found = Pipeline.from_spec({"image": [FLIP], "targets": targets}).train({"image": IMAGE, "mask": MASK}, 0)
        assert np.array_equal(found["mask"], MASK[:, ::-1])


def test_masks_of_bools_and_of_instances_have_no_numbers_of_classes() -> None:
    two = {"swap": {"left": "right"}, "classes": ["left", "right"]}
    pipe = Pipeline.from_spec({"image": [FLIP], "targets": two})
    assert np.array_equal(pipe.train({"image": IMAGE, "mask": MASK == 1}, 0)["mask"], (MASK == 1)[:, ::-1])
    spec = {"image": [FLIP], "targets": {**SIDES, "boxes": "xyxy", "instances": ["masks"]}}
    one = (MASK == 1).astype(np.uint8)
    entries = {"masks": [one], "boxes": [[0, 0, 2, 2]], "labels": [1], "mask_parts": MASK}
    found = Pipeline.from_spec(spec).train({"image": IMAGE, **entries}, 0)
    assert np.array_equal(found["masks"][0], one[:, ::-1]) and found["labels"] == [2]
    assert np.array_equal(found["mask_parts"], by_hand(MASK))
    alone = Pipeline.from_spec(spec).train({"image": IMAGE, "masks": [one]}, 0)
    assert np.array_equal(alone["masks"][0], one[:, ::-1])


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (1, 2), (3, 3), (9, 9), (-1, -1), (True, True), ([1, 2, 9], [2, 1, 9]), ((2,), (1,)), ("left", "right"),
        (["left", 2], ["right", 1]), (1.0, 1.0), ([0.0, 1.0], [0.0, 1.0]), (None, None), ([], []),
    ],
)  # fmt: skip
def test_labels(label: Any, expected: Any) -> None:
    found = mirrored(label=label)["label"]
    assert found == expected and type(found) is type(expected)


def test_labels_of_arrays_and_tensors() -> None:
    numbers = np.array([0, 1, 2, 3, 4], np.int32)
    found = mirrored(label=numbers)["label"]
    assert found.dtype == np.int32 and found.tolist() == [0, 2, 1, 3, 4]
    tensors = mirrored(label=torch.from_numpy(numbers))["label"]
    assert tensors.dtype == torch.int32 and tensors.tolist() == [0, 2, 1, 3, 4]
    assert mirrored(label=torch.tensor(1))["label"].item() == 2
    scalar = mirrored(label=np.int64(1))["label"]
    assert scalar == 2 and isinstance(scalar, np.integer)
    soft = np.array([0.1, 0.2, 0.3, 0.4])
    assert np.array_equal(mirrored(label=soft)["label"], soft)
    assert np.array_equal(mirrored(label=np.array([True, False]))["label"], [True, False])


def test_a_name_without_its_partner_is_refused() -> None:
    pipe = Pipeline.from_spec({"image": [FLIP], "targets": {**SIDES, "classes": ["none", "left"]}})
    with pytest.raises(ImageError, match=r"'right' is not among the names \['none', 'left'\]; name both"):
        pipe.train({"image": IMAGE, "mask": MASK}, 0)


def test_the_views_of_a_mask_agree_with_the_mask() -> None:
    """Training exchanges numbers in mirrored masks, and what comes back from a mirrored view is exchanged again."""
    pipe = Pipeline.from_spec({"image": ["d4"], "targets": SIDES})
    views = pipe.views({"image": IMAGE, "mask": MASK.astype(np.int64)}, 8)
    restored = views.restore_map([view.image["mask"] for view in views])
    assert len(restored) == 8 and all(np.array_equal(values, MASK) for values, _ in restored)
