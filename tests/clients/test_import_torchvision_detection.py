"""from_torchvision: transforms for detection, beside the real torchvision, over 100 draws of images and boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

import augreg

Y, X = np.mgrid[0:60, 0:80].astype(np.float64)
PLANES = (3 * X + Y * Y / 15, 250 - 4 * Y + X * X / 50, 128 + 100 * np.sin(X / 7 + Y / 5))
PHOTO = Image.fromarray(np.clip(np.stack(PLANES, axis=2), 0, 255).astype(np.uint8))
BOXES = [[10.0, 20.0, 50.0, 44.0], [70.0, 5.0, 78.0, 9.0]]
DRAWS = 100


def theirs(pipeline: Any, count: int) -> list[tuple[Any, Any, Any]]:
    """Images, boxes and labels."""
    torch.manual_seed(4)
    found = []
    for _ in range(count):
        boxes = tv_tensors.BoundingBoxes(BOXES, format="XYXY", canvas_size=PHOTO.size[::-1])  # type: ignore[call-overload]
        done = pipeline({"image": PHOTO, "boxes": boxes, "labels": torch.tensor([3, 5])})
        found.append((np.asarray(done["image"]), done["boxes"].numpy(), done["labels"].tolist()))
    return found


def ours(spec: Any, count: int) -> list[tuple[Any, Any, Any]]:
    pipe = augreg.Pipeline.from_spec({"seed": 9, "targets": {"boxes": "xyxy"}, **spec})
    sample = {"image": PHOTO, "boxes": BOXES, "labels": [3, 5]}
    done = [pipe.train(sample, index=index) for index in range(count)]
    return [(np.asarray(one["image"]), np.asarray(one["boxes"]), one["labels"]) for one in done]


def agree(a: Any, b: Any) -> None:
    """Means within 4.5 standard errors of their difference, and half a percent of white."""
    for one, other in zip(np.array(a).T, np.array(b).T, strict=True):
        error = np.sqrt((one.var() + other.var()) / len(one))
        assert abs(one.mean() - other.mean()) <= 4.5 * error + 0.005


def test_photometric_distortions_have_the_statistics_of_theirs() -> None:
    """Means and deviations of the channels; the permutation makes each channel one of three."""
    pipeline = v2.Compose([v2.RandomPhotometricDistort(p=0.6)])
    imported = augreg.from_torchvision(pipeline)
    assert imported.report == ()
    want, made = theirs(pipeline, 4 * DRAWS), ours(imported.spec, 4 * DRAWS)

    def numbers(found: Any) -> Any:
        images = [image / 255 for image, _, _ in found]
        return [[*image.mean(axis=(0, 1)), *image.std(axis=(0, 1)), image.std()] for image in images]

    agree(numbers(want), numbers(made))


@pytest.mark.parametrize("p", [1.0, 0.4])
def test_zooming_out_has_the_sizes_and_places_of_theirs(p: float) -> None:
    pipeline = v2.Compose([v2.RandomZoomOut(fill=(9, 8, 7), side_range=(1.0, 3.0), p=p)])  # type: ignore[arg-type]
    imported = augreg.from_torchvision(pipeline)
    assert imported.report == ()
    want, made = theirs(pipeline, DRAWS), ours(imported.spec, DRAWS)

    def numbers(found: Any) -> Any:
        sides = [image.shape[:2] for image, _, _ in found]
        return [
            [height / 60, width / 80, boxes[0, 0] / width, boxes[0, 1] / height, image.mean() / 255]
            for (height, width), (image, boxes, _) in zip(sides, found, strict=True)
        ]

    agree(numbers(want), numbers(made))
    for image, boxes, _ in made:  # the whole photo is where its boxes are
        left, top = (boxes[0, :2] - BOXES[0][:2]).astype(int)
        assert np.array_equal(image[top : top + 60, left : left + 80], np.asarray(PHOTO))
        outside = np.ones(image.shape[:2], bool)
        outside[top : top + 60, left : left + 80] = False
        assert (image[outside] == (9, 8, 7)).all()


def test_sanitized_boxes_are_those_of_theirs() -> None:
    """The crop of 40 columns cuts the first box to 30 x 24, and the resize halves it; the second leaves."""
    for side, area, left in ((1.0, 1.0, 1), (12.0, 1.0, 1), (12.1, 1.0, 0), (1.0, 180.0, 1), (1.0, 181.0, 0)):
        pipeline = v2.Compose(
            [v2.CenterCrop((60, 40)), v2.Resize((30, 20)), v2.ClampBoundingBoxes(),
             v2.SanitizeBoundingBoxes(min_size=side, min_area=area)]
        )  # fmt: skip
        imported = augreg.from_torchvision(pipeline)
        assert imported.report == ()
        ((_, boxes, labels),), ((_, found, kept),) = theirs(pipeline, 1), ours(imported.spec, 1)
        assert len(boxes) == left and labels == kept
        assert np.allclose(boxes.reshape(-1, 4), found.reshape(-1, 4), atol=1e-4)


def test_shortest_sizes_are_drawn_as_theirs() -> None:
    pipeline = v2.Compose([v2.RandomShortestSize(min_size=[30, 40, 55], max_size=70)])
    imported = augreg.from_torchvision(pipeline)
    assert len(imported.report) == 1 and "at test time the shorter side is 55" in imported.report[0]
    want, made = ({image.shape for image, _, _ in each} for each in (theirs(pipeline, 60), ours(imported.spec, 60)))
    assert want == made and len(want) == 3
    pipe = augreg.Pipeline.from_spec(imported.spec)
    assert np.asarray(pipe.test(PHOTO)).shape == max(want)


def test_the_reference_recipe_of_ssd() -> None:
    pipeline = v2.Compose(
        [
            v2.RandomPhotometricDistort(), v2.RandomZoomOut(fill=[123.0, 117.0, 104.0]),  # type: ignore[list-item]
            v2.RandomIoUCrop(), v2.RandomHorizontalFlip(0.5), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
            v2.ConvertBoundingBoxFormat(tv_tensors.BoundingBoxFormat.XYXY), v2.SanitizeBoundingBoxes(),
            v2.ToPureTensor(),
        ]
    )  # fmt: skip
    imported = augreg.from_torchvision(pipeline)
    assert not [line for line in imported.report if "left out" in line]
    assert imported.spec["targets"] == {
        "boxes": "xyxy", "min_visible": 0.0, "min_width": 1.0, "min_height": 1.0, "min_area": 1.0,
        "centers": "drop",
    }  # fmt: skip
    done = augreg.Pipeline.from_spec(imported.spec).train({"image": PHOTO, "boxes": BOXES, "labels": [3, 5]}, 0)
    assert done["image"].dtype == torch.float32 and done["image"].max() <= 1.0


@pytest.mark.parametrize("arguments", [{}, {"min_scale": 0.4, "max_scale": 0.9, "sampler_options": [0.0, 0.4, 2.0]}])
def test_crops_by_overlap_have_the_statistics_of_theirs(arguments: Any) -> None:
    """The share of crops, their sizes and places, and the boxes whose centers are inside."""
    pipeline = v2.Compose([v2.RandomIoUCrop(**arguments), v2.SanitizeBoundingBoxes()])
    imported = augreg.from_torchvision(pipeline)
    assert imported.report == () and imported.spec["targets"]["centers"] == "drop"
    want, made = theirs(pipeline, 6 * DRAWS), ours(imported.spec, 6 * DRAWS)

    def numbers(found: Any) -> Any:
        rows = []
        for image, boxes, labels in found:
            height, width = image.shape[:2]
            whole = (height, width) == (60, 80)
            edges = boxes[:, :4].sum(axis=0) / 80 if len(boxes) else np.zeros(4)
            means = image[0, 0] / 255  # says where the crop is
            rows.append([whole, height / 60, width / 80, *means, 3 in labels, 5 in labels, *edges])
        return rows

    agree(numbers(want), numbers(made))


def test_random_sizes_are_drawn_as_theirs() -> None:
    """60 x 80 fits into 50 rows of 40 columns at half its size, times 0.5 to 2; 40 is never drawn of 30 to 40."""
    for pipeline in (v2.ScaleJitter((40, 50), scale_range=(0.5, 2.0)), v2.RandomResize(30, 40)):
        imported = augreg.from_torchvision(v2.Compose([pipeline]))
        assert imported.report == ()
        want, made = theirs(pipeline, 4 * DRAWS), ours(imported.spec, 4 * DRAWS)

        def numbers(found: Any) -> Any:
            return [
                [image.shape[0] / 60, image.shape[1] / 80, *boxes[0] / 80, image.mean() / 255]
                for image, boxes, _ in found
            ]

        agree(numbers(want), numbers(made))
    heights = {image.shape[0] for image, _, _ in made}
    assert heights == {*range(30, 40)} == {image.shape[0] for image, _, _ in want}


def test_dtypes_of_images_and_masks() -> None:
    """A mapping of dtypes says what images become; floats that become bytes again are bytes."""
    floats, whole = v2.ToDtype(torch.float32, scale=True), v2.ToDtype(torch.uint8, scale=True)
    named = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
    masks = {tv_tensors.Mask: torch.int64, "others": None}
    for steps, said in (
        ([floats, whole], ""), ([whole, floats], ""), ([v2.ToDtype(torch.float32), v2.ToDtype(torch.uint8)], ""),
        ([v2.ToDtype(named, scale=True)], "masks keep their dtype, and become torch.int64"),
        ([v2.ToDtype(masks)], "masks keep their dtype"),
        ([floats, v2.ToDtype(torch.uint8)], "images are not kept as bytes"),
    ):  # fmt: skip
        pipeline = v2.Compose([v2.ToImage(), *steps])
        imported = augreg.from_torchvision(pipeline)
        assert len(imported.report) == bool(said) and said in "".join(imported.report)
        want, made = pipeline(PHOTO), augreg.Pipeline.from_spec(imported.spec).test(PHOTO)
        if "bytes" not in said:
            assert made.dtype == want.dtype and torch.allclose(made.float(), want.float(), atol=1e-6)
