"""Transforms of third parties: all targets follow what their ops and functions say, in images and in clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import ImageError, Pipeline, ops, transform
from augreg.registry.registry import Registry

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)


def doubled(array: Any) -> Any:
    return np.repeat(array, 2, axis=1)


def points_doubled(points: Any, size: tuple[int, int]) -> Any:
    return points * (2, 1)


@transform("twice", kind="geometry")
class Twice:
    """Repeat every column."""

    def sample(self, rng: Any, scene: Any) -> Any:
        size = scene.height, 2 * scene.width
        return ops.call(doubled, {}, size, geometry=True, mask=doubled, keypoints=points_doubled)


@transform("stamp", kind="erasing")
class Stamp:
    """Paint the left half, with noise."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.noise_box(scene, 0, 0, scene.height, scene.width // 2, rng.bits())


def cropped_to_content(array: Any) -> Any:
    return array[: int(array[0, 0, 0])]


@transform("to_content", kind="geometry")
class ToContent:
    """Crop as the first pixel says."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(cropped_to_content, {}, geometry=True, mask=cropped_to_content, keypoints=points_kept)


def points_kept(points: Any, size: tuple[int, int]) -> Any:
    return points


def pipeline(cls: type, **targets: Any) -> Pipeline:
    name = cls.__augreg__.name  # type: ignore[attr-defined]
    return Pipeline.from_spec({"image": [name], "targets": targets}, Registry.installed().add(cls))


def test_figures_maps_and_class_numbers_follow_a_function() -> None:
    entries = {
        "boxes": [[2, 1, 4, 1, 4, 3, 2, 3]], "labels": [1], "outlines": [[1, 1, 3, 1, 3, 4]],
        "values": np.arange(80, dtype=np.float32).reshape(8, 10), "mask": np.full((8, 10), 300),
    }  # fmt: skip
    targets = {"boxes": "xyxyxyxy", "polygons": ["outlines"], "maps": {"values": {}}, "swap": [[1, 2]]}
    found = pipeline(Twice, **targets).train({"image": IMAGE, **entries}, 0)
    assert found["boxes"] == [[4, 1, 8, 1, 8, 3, 4, 3]] and found["outlines"] == [[2, 1, 6, 1, 6, 4]]
    assert np.array_equal(found["values"], np.repeat(entries["values"], 2, axis=1)) and found["labels"] == [1]
    five = pipeline(Twice, boxes="cxcywhr", angle="degrees").train({"image": IMAGE, "boxes": [[5, 4, 2, 4, 0]]}, 0)
    assert np.allclose(five["boxes"], [[10, 4, 4, 4, 0]])
    clip = pipeline(Twice, clip=True, **targets).train(
        {"image": np.stack([IMAGE] * 2), **{key: [value] * 2 for key, value in entries.items()}}, 0
    )
    assert clip["boxes"] == [found["boxes"]] * 2 and np.array_equal(clip["image"][1], doubled(IMAGE))


def test_what_is_painted_hides_boxes_and_its_noise_differs_from_frame_to_frame() -> None:
    boxes = [[0, 0, 5, 8], [4, 0, 8, 8], [5, 0, 10, 8]]  # hidden; a quarter of it; not hidden
    hide = {"boxes": "xyxy", "holes": "hide", "min_visible": 0.5}
    assert pipeline(Stamp, **hide).train({"image": IMAGE, "boxes": boxes}, 0)["boxes"] == boxes[1:]
    frames = pipeline(Stamp, clip=True, **hide).train({"image": [IMAGE] * 2, "boxes": [boxes, boxes[:1]]}, 0)
    assert frames["boxes"] == [boxes[1:], []]
    one, other = frames["image"]
    assert (one[:, :5] != other[:, :5]).mean() > 0.9 and np.array_equal(one[:, 5:], IMAGE[:, 5:])


def test_images_that_come_apart_are_refused() -> None:
    tall, low = np.full((8, 10, 3), 6, np.uint8), np.full((8, 10, 3), 4, np.uint8)
    sample = {"image": [tall, low], "boxes": [[[0, 0, 5, 5]]] * 2}
    with pytest.raises(ImageError, match="leaves images that share a draw with the sizes 4x10 and 6x10"):
        pipeline(ToContent, clip=True, boxes="xyxy").train(sample, 0)
    found = pipeline(ToContent, clip=True, boxes="xyxy").train({**sample, "image": [tall, tall]}, 0)
    assert [frame.shape for frame in found["image"]] == [(6, 10, 3)] * 2
