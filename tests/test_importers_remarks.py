"""What the report of from_albumentations says where no parameter is lost, and a result differs all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_importers_gaps import StandIn, compose, node, registry

import augreg
from augreg import Pipeline

BOXES = {"format": "pascal_voc", "label_fields": ["labels"]}


def report(*transforms: dict[str, Any], **more: Any) -> str:
    return "\n".join(augreg.from_albumentations(compose(*transforms, **more)).report)


class ColorJitter:
    """As that of albumentations, whose functions are in the attribute that containers have their children in."""

    transforms = (lambda image: image, lambda image: image)

    def to_dict(self) -> dict[str, Any]:
        ranges = {key: [0.8, 1.2] for key in ("brightness", "contrast", "saturation")}
        return {"__version__": "2.0.8", "transform": node("ColorJitter", hue=[-0.1, 0.1], **ranges)}


def test_a_list_of_functions_is_no_list_of_children() -> None:
    found = augreg.from_albumentations(ColorJitter())
    assert found.report == () and list(found.spec["image"][0]) == ["color_jitter"]


def test_turned_boxes_at_the_border() -> None:
    turn, flip = node("Rotate", limit=[-20, 20]), node("HorizontalFlip")
    said = "transform bbox_params: where a turned or bent box is cut by the border"
    assert said in report(turn, bbox_params=BOXES) and said in report(
        node("OneOf", transforms=[turn]), bbox_params=BOXES
    )
    assert report(turn) == "" and report(flip, bbox_params=BOXES) == ""


def test_boxes_that_are_dropped_after_every_transform() -> None:
    resize, flip, crop = (
        node("Resize", height=9, width=9),
        node("HorizontalFlip"),
        node("RandomCrop", height=4, width=4),
    )
    small, visible = {**BOXES, "min_area": 30}, {**BOXES, "min_visibility": 0.3}
    said = "min_area: small boxes are dropped once, at the end"
    assert said in report(flip, resize, bbox_params=small)
    for transforms, params in (
        ((resize,), small), ((flip, crop), small), ((flip, resize), {**small, "check_each_transform": False}),
    ):  # fmt: skip
        assert said not in report(*transforms, bbox_params=params)
    said = "min_visibility is a share of the box that came in"
    assert said in report(crop, crop, bbox_params=visible) and said not in report(flip, crop, bbox_params=visible)


def test_what_is_painted_over() -> None:
    erasing = node("Erasing", scale=[0.1, 0.2], ratio=[0.5, 2])
    assert "boxes cut to what is left of them" in report(erasing, bbox_params=BOXES)
    assert "painted over" not in report(erasing)

    @augreg.transform("XYMasking", kind="erasing")
    class XYMasking(StandIn):
        """Stands for the step of the plugin."""

        num_masks_x: int = 1

    added = registry(XYMasking)
    stripes = node("XYMasking", num_masks_x=2)
    found = "\n".join(augreg.from_albumentations(compose(stripes, bbox_params=BOXES), registry=added).report)
    assert "boxes cut to what is left of them" in found
    new = "\n".join(augreg.from_albumentations(compose(stripes), registry=added).report)
    assert "painted over" not in new


def test_a_step_of_the_plugin_for_a_transform_of_version_1() -> None:
    @augreg.transform("Spatter", kind="erasing")
    class Spatter(StandIn):
        """Stands for the step of the plugin."""

        mean: float = 0.5

    added = registry(Spatter)
    for version, differs in (("1.3.1", True), ("2.0.8", False)):
        drops = {"__version__": version, "transform": compose(node("Spatter", mean=0.4))}
        found = "\n".join(augreg.from_albumentations(drops, registry=added).report)
        assert ("version 1 painted darker drops" in found) == differs


def test_what_albumentations_clips_after_normalize() -> None:
    normalize, blur = node("Normalize", mean=[0.5] * 3, std=[0.25] * 3), node("MedianBlur", blur_limit=[3, 3])
    assert "clips the result to 0..1" in report(normalize, blur)
    assert "clips" not in report(blur, normalize) and "clips" not in report(
        normalize, node("Blur", blur_limit=[3, 3])
    )


@pytest.mark.parametrize(
    "step", [node("CoarseDropout", fill="random"), node("PixelDropout", drop_value=None, dropout_prob=0.1)]
)
def test_random_colors_after_normalize(step: dict[str, Any]) -> None:
    normalize = node("Normalize", mean=[0.5] * 3, std=[0.25] * 3)
    assert "random colors are standard normal" in report(normalize, step)
    assert "random colors" not in report(step, normalize)


def test_fills_of_floats() -> None:
    turn, floats = node("Rotate", limit=[-20, 20], fill=0.5), node("ToFloat", max_value=255)
    normalize = node("Normalize", mean=[0.5] * 3, std=[0.25] * 3, max_pixel_value=1.0)
    said = "Rotate has fill=0.5: fills are on the scale of bytes here"
    assert (
        said in report(floats, turn) and said in report(turn, normalize) and said in report(floats, turn, normalize)
    )
    for transforms in ((turn,), (turn, floats), (normalize, turn), (floats, {**turn, "fill": 0}, normalize)):
        assert said not in report(*transforms)


def test_the_fill_of_a_perspective_is_for_all_channels() -> None:
    moved = node("Perspective", scale=[0.05, 0.1], fit_output=True, fill=100)
    assert "fill=100 is for all channels here, and for the first one" in report(moved)
    assert "all channels" not in report({**moved, "fill": 0}) + report({**moved, "fill": [9, 9, 9]})


def test_a_perspective_of_version_1_is_enlarged_once() -> None:
    moved = compose(node("Perspective", scale=[0.05, 0.1], fit_output=False))
    for version, twice in (("1.3.1", False), ("2.0.8", True)):
        (step,) = augreg.from_albumentations({"__version__": version, "transform": moved}).spec["image"]
        assert step["perspective_zoom"].get("twice", False) == twice


def test_an_auto_contrast_that_equalizes_is_lost() -> None:
    lost = report(node("AutoContrast", method="cdf"))
    assert "method='cdf', which equalizes, is not kept" in lost
    assert "is not kept" not in report(node("AutoContrast", method="pil"))


def test_a_container_that_is_left_out_changes_nothing() -> None:
    """A Normalize that does not come over does not normalize: the report says nothing of the layout of floats."""
    half = {
        "__class_fullname__": "Compose",
        "p": 0.5,
        "transforms": [node("Normalize", mean=[0.5] * 3, std=[0.5] * 3)],
    }
    found = augreg.from_albumentations(compose(half, node("RandomBrightnessContrast")))
    assert len(found.report) == 1 and "normalize must always be applied" in found.report[0]
    assert Pipeline.from_spec(found.spec).train(np.zeros((4, 4, 3), np.uint8), 0).dtype == np.uint8


def test_bicubic_has_another_kernel_in_opencv() -> None:
    """Twice as large, a step from 0 to 200 overshoots by 200 times 9 / 64 of the slope: 28 and 21."""
    resize = node("Resize", height=2, width=16, interpolation=2)
    said = "bicubic is a little sharper here, with a slope of -1"
    assert f"Resize: {said}" in report(resize)
    for other in (
        node("Affine", scale=[0.5, 0.5], interpolation=2),
        node("ElasticTransform", alpha=1, sigma=5, interpolation=2),
        node("Downscale", scale_range=[0.5, 0.5], interpolation_pair={"downscale": 0, "upscale": 2}),
    ):
        assert said in report(other)
    assert "bicubic" not in report({**resize, "interpolation": 1})
    image = np.repeat([[[0] * 3] * 4 + [[200] * 3] * 4], 2, axis=0).astype(np.uint8)
    spec = augreg.from_albumentations(compose(resize)).spec
    made = {
        backend: Pipeline.from_spec({**spec, "backend": backend}).test(image)[0, :, 0].max()
        for backend in ("pillow", "opencv")
    }
    assert made == {"pillow": 200 + 28, "opencv": 200 + 21}


def test_area_where_one_side_grows() -> None:
    said = "where one side grows and the other shrinks, INTER_AREA interpolates there"
    assert said in report(node("Resize", height=2, width=16, interpolation=3))
    assert report(node("SmallestMaxSize", max_size=2, interpolation=3)) == ""


def test_a_deviation_of_no_pixel_does_not_blur() -> None:
    blurred = augreg.from_albumentations(compose(node("Defocus", radius=[3, 5], alias_blur=[0.0, 0.1])))
    assert blurred.report == () and blurred.spec["image"][0]["defocus"]["edge"] == [0.01, 0.1]
    assert "left out" in report(node("Defocus", radius=[3, 5], alias_blur=[0.0, 0.0]))


@pytest.mark.parametrize(
    ("name", "instead"),
    [("Mosaic", "`mosaic`"), ("OverlayElements", "`copy_paste`"), ("ToRGB", "`channels: rgb`"),
     ("CropNonEmptyMaskIfExists", "`safe_crop`")],
)  # fmt: skip
def test_what_is_left_out_says_what_there_is_instead(name: str, instead: str) -> None:
    said = report(node(name))
    assert said.startswith(f"transforms[0] {name}: left out: ") and instead in said
