"""What the report of from_albumentations says of a pipeline as a whole, where what differs is no single parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from augreg.importers.albumentations_reading import Node, leaves
from augreg.importers.translation import Parameters, Steps, Translation, Translator

__all__ = ["CLIPPING", "note_hidden_rows", "noting_clips", "remarks_on_boxes", "remarks_on_fills"]

CLIPPING: Final = ("Defocus", "Downscale", "GaussNoise", "GaussianBlur", "MedianBlur", "MotionBlur")
"""Transforms that clip images of floats to 0..1, also where Normalize has made other numbers of them."""

_BENDING = (
    "Affine", "ElasticTransform", "GridDistortion", "GridElasticDeform", "OpticalDistortion", "Perspective",
    "PiecewiseAffine", "Rotate", "SafeRotate", "ShiftScaleRotate", "ThinPlateSpline",
)  # fmt: skip
_CUTTING = (
    *_BENDING, "AtLeastOneBBoxRandomCrop", "CenterCrop", "Crop", "CropAndPad", "CropNonEmptyMaskIfExists",
    "RandomCrop", "RandomCropFromBorders", "RandomCropNearBBox", "RandomResizedCrop", "RandomSizedCrop",
)  # fmt: skip
_SCALING = (
    "Affine", "BBoxSafeRandomCrop", "CropAndPad", "LongestMaxSize", "Perspective", "RandomCropFromBorders",
    "RandomResizedCrop", "RandomScale", "RandomSizedBBoxSafeCrop", "RandomSizedCrop", "Resize", "SafeRotate",
    "ShiftScaleRotate", "SmallestMaxSize",
)  # fmt: skip
_SMALLEST = ("min_area", "min_width", "min_height")


def noting_clips(translator: Translator) -> Translator:
    """The translator of a transform that clips normalized images, with a remark on it."""

    def translated(params: Parameters, walk: Translation) -> Steps:
        if walk.normalized:
            params.note("after Normalize, albumentations clips the result to 0..1, and augreg does not")
        return translator(params, walk)

    return translated


def note_hidden_rows(params: Parameters, walk: Translation) -> None:
    """Say what becomes of boxes and keypoints that are painted over."""
    if walk.has_rows:
        params.note(
            "boxes and keypoints that are painted over stay as they are here; in albumentations they are dropped, "
            "and boxes cut to what is left of them; `targets: {holes: hide}` drops covered boxes"
        )


def remarks_on_boxes(node: Node, params: Mapping[str, Any]) -> Iterator[str]:
    """What differs for the boxes of a pipeline with these `bbox_params`."""
    names = [leaf.name for leaf in leaves(node)]
    if any(name in _BENDING for name in names):
        yield (
            "where a turned or bent box is cut by the border, the box is around what is left of the figure here, and "
            "in albumentations around all of it, cut afterwards"
        )
    if not params.get("check_each_transform", True):
        return
    if any(params.get(key) for key in _SMALLEST) and any(name in _SCALING for name in names) and len(names) > 1:
        given = ", ".join(key for key in _SMALLEST if params.get(key))
        yield f"{given}: small boxes are dropped once, at the end, and in albumentations after every transform"
    if params.get("min_visibility") and sum(name in _CUTTING for name in names) > 1:
        yield (
            "min_visibility is a share of the box that came in, and in albumentations of what was left of it before "
            "each transform"
        )


def remarks_on_fills(node: Node) -> Iterator[str]:
    """What differs where images of floats, from 0 to 1, show a fill."""
    steps = list(leaves(node))
    ends = [
        number for number, leaf in enumerate(steps)
        if leaf.name == "Normalize" and leaf.values.get("max_pixel_value", 255.0) == 1
    ]  # fmt: skip
    starts = [number + 1 for number, leaf in enumerate(steps) if leaf.name == "ToFloat"]
    if not ends and not starts:
        return
    for leaf in steps[min(starts, default=0) : min(ends, default=len(steps))]:
        for key in ("fill", "drop_value"):
            value = leaf.values.get(key)
            if value and not isinstance(value, str) and leaf.name not in ("Normalize", "ToFloat"):
                yield (
                    f"{leaf.name} has {key}={value}: fills are on the scale of bytes here, so that 255 is white in "
                    "images of floats too, and on that of the image in albumentations"
                )
