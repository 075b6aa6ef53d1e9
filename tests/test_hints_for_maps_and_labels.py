"""What the errors say of maps of values under an unknown key, and of labels of different lengths."""

from __future__ import annotations

from typing import Any

import images
import numpy as np
import pytest
import yaml

from augreg import Pipeline, SoftLabels
from augreg.errors import ImageError

IMAGE = images.made("noise", 6, 9)
MAP = np.zeros((6, 9), np.float32)


@pytest.mark.parametrize(
    ("key", "options"),
    [("depth", {}), ("disparity", {}), ("heatmap", {}), ("heatmaps", {}), ("left_depth", {}), ("depth_gt", {}),
     ("Depth2", {}), ("depth_maps", {}), ("disp", {}), ("flow", {"vectors": True}),
     ("optical_flow", {"vectors": True})],
)  # fmt: skip
def test_maps_of_values_are_hinted_at_alone_and_the_hint_works(key: str, options: Any) -> None:
    value = np.stack([MAP, MAP], -1) if options else MAP
    with pytest.raises(ImageError) as caught:
        Pipeline.from_spec([{"horizontal_flip": {"p": 1}}]).test({"image": IMAGE, key: value})
    message = str(caught.value)
    assert "mask_" not in message and "image_" not in message and "keys" not in message
    (hint,) = message.split("`")[1::2]
    assert yaml.safe_load(hint) == {"targets": {"maps": {key: options}}}
    pipe = Pipeline.from_spec({"image": [{"horizontal_flip": {"p": 1}}], **yaml.safe_load(hint)})
    value[0, 0] = 5.0
    moved = pipe.test({"image": IMAGE, key: value})[key]
    assert np.array_equal(moved[0, -1], [-5.0, 5.0] if options else 5.0)


@pytest.mark.parametrize("key", ["depth_mask", "valid_disparity", "segmentation", "overflow", "alpha"])
def test_other_keys_keep_the_whole_choice(key: str) -> None:
    with pytest.raises(ImageError, match=f"name it 'mask_{key}' or 'image_{key}', or say what it is in the spec"):
        Pipeline.from_spec(["invert"]).train({"image": IMAGE, key: MAP})


@pytest.mark.parametrize("array", [list, np.array], ids=["lists", "arrays"])
@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([[1, 0], [1, 0, 0], [0, 1, 0]], None, "labels have 2 and 3 numbers: give one class id, or 3 numbers, per"),
        ([[1, 0], [1, 0, 0], [0, 1, 0]], 5, "labels have 2 and 3 numbers: give one class id, or 5 numbers, per"),
        ([[0.5], [], [0.1, 0.9]], 2, "labels have 0, 1 and 2 numbers: give one class id, or 2 numbers, per"),
        ([2, [1, 0, 0], 1], 3, "labels have a class id and 3 numbers: give one class id, or 3 numbers, per"),
    ],
)
def test_labels_of_several_lengths(labels: Any, classes: int | None, message: str, array: Any) -> None:
    labels = [array(label) if isinstance(label, list) else label for label in labels]
    pipe = Pipeline.from_spec({"batch": ["mixup"], **({"classes": classes} if classes else {})})
    photos = np.zeros((3, 4, 4, 3), np.float32)
    with pytest.raises(ValueError, match=message):
        pipe.batch(photos, labels, keys=range(3))
    with pytest.raises(ValueError, match=message):
        SoftLabels(labels, classes=classes)


def test_labels_of_several_lengths_in_a_loader() -> None:
    torch = pytest.importorskip("torch")
    from augreg.data import Augmented

    pipe = Pipeline.from_spec({"batch": ["mixup"]})
    for row in (list, torch.tensor):
        samples = [(IMAGE, row(label)) for label in ([1, 0], [1, 0, 0], [0, 1, 0])]
        loader = torch.utils.data.DataLoader(
            Augmented(samples, pipe.train, epoch=0), batch_size=3, collate_fn=pipe.collate
        )
        with pytest.raises(
            ValueError, match="labels have 2 and 3 numbers: give one class id, or 3 numbers, per image"
        ):
            next(iter(loader))
