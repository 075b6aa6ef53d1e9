"""Translators of torchvision's transforms for detection: what changes the colors, the canvas and the boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.torchvision_steps import antialiasing, color_of, resize_interpolation
from augreg.importers.translation import Parameters, Steps, Translation, Translator, UnsupportedError, pair

__all__ = ["DETECTION_TRANSLATORS"]

_FORMATS = {"XYXY": "xyxy", "XYWH": "xywh", "CXCYWH": "cxcywh"}


def _targets(walk: Translation, **options: Any) -> None:
    """Set options of the section `targets`. Boxes are xyxy unless the pipeline says otherwise, as in its models."""
    known = walk.options.get("targets", {"boxes": "xyxy", "min_visible": 0.0})
    walk.options["targets"] = {**known, **options}


def _sanitize(params: Parameters, walk: Translation) -> Steps:
    """Boxes are checked once, at the end; where a crop leaves nothing of a box, it is dropped by any spec."""
    side, area = params.take("min_size", 1.0), params.take("min_area", 1.0)
    _targets(walk, min_width=side, min_height=side, min_area=area)
    params.ignore("labels_getter")
    if "labels_getter" in params and params.values["labels_getter"] != "default":
        params.note("labels_getter is not kept: `targets: {labels: [..]}` names the keys with an entry per box")
    return []


def _clamp(params: Parameters, walk: Translation) -> Steps:
    """Boxes are always clipped to the image."""
    params.only("clamping_mode", "auto", "soft", "hard", None)
    _targets(walk)
    return []


def _format(params: Parameters, walk: Translation) -> Steps:
    value = str(getattr(params.values.get("format"), "name", params.values.get("format"))).upper()
    params.ignore("format")
    if value not in _FORMATS:
        raise UnsupportedError(f"format={value}: boxes are xyxy, xywh or cxcywh")
    params.note(f"boxes keep the format that they come in, which has to be {_FORMATS[value]}")
    _targets(walk, boxes=_FORMATS[value])
    return []


def _photometric(params: Parameters, walk: Translation) -> Steps:
    """Each distortion by itself with p; the contrast before or after saturation and hue, each as often."""
    p = params.take("p", 0.5)

    def jitter(name: str) -> dict[str, Any]:
        return {"color_jitter": {name: pair(params.take(name)), "p": p}}

    contrast, colors = jitter("contrast"), [jitter("saturation"), jitter("hue")]
    orders = {"one_of": {"steps": [[contrast, *colors], [*colors, contrast]]}}
    return [jitter("brightness"), orders, {"channel_shuffle": {"p": p}}]


def _zoom_out(params: Parameters, walk: Translation) -> Steps:
    value = params.take("fill", 0)
    if not isinstance(value, int | float | list):
        raise UnsupportedError(f"fill={value!r}: a spec has one fill, for images")
    fill = color_of(value, walk)
    arguments = {"scale": pair(params.take("side_range", [1.0, 4.0])), **({"fill": fill} if any(fill) else {})}
    return [{"zoom_out": {**arguments, "p": params.take("p", 0.5), "test": "off"}}]


def _shortest(params: Parameters, walk: Translation) -> Steps:
    """One of several sizes of the shorter side; at test time the largest."""
    sizes, longer = params.take("min_size"), params.take("max_size")
    options = {"interpolation": resize_interpolation(params, params.take("interpolation", "bilinear"))}
    options |= antialiasing(params, walk)
    if longer is None:
        steps: Steps = [{"resize": {"shorter": size, **options}} for size in sizes]
    else:
        steps = [{"resize_within": {"shorter": min(size, longer), "longer": longer, **options}} for size in sizes]
    if len(steps) == 1:
        return steps
    params.note(f"at test time the shorter side is {max(sizes)}, the largest")
    return [{"one_of": {"steps": steps, "test": [steps[sizes.index(max(sizes))]]}}]


def _iou_crop(params: Parameters, walk: Translation) -> Steps:
    """Boxes whose centers are outside become zeros there, which SanitizeBoundingBoxes drops."""
    scale = [params.take("min_scale", 0.3), params.take("max_scale", 1.0)]
    ratio = [params.take("min_aspect_ratio", 0.5), params.take("max_aspect_ratio", 2.0)]
    overlaps = params.take("options", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
    _targets(walk, centers="drop")
    arguments = {"overlaps": overlaps, "scale": scale, "ratio": ratio, "tries": params.take("trials", 40)}
    return [{"iou_crop": arguments}]


def _scale_jitter(params: Parameters, walk: Translation) -> Steps:
    width, height = params.take("target_size")  # theirs divides the first by the width
    options = {"interpolation": resize_interpolation(params, params.take("interpolation", "bilinear"))}
    options |= antialiasing(params, walk)
    return [{"random_scale": {"scale": pair(params.take("scale_range")), "fit": [height, width], **options}}]


def _random_resize(params: Parameters, walk: Translation) -> Steps:
    low, high = params.take("min_size"), params.take("max_size")
    options = {"interpolation": resize_interpolation(params, params.take("interpolation", "bilinear"))}
    options |= antialiasing(params, walk)
    return [{"random_shorter": {"shorter": [low, max(low, high - 1)], **options}}]  # randint never gives the last


DETECTION_TRANSLATORS: Mapping[str, Translator] = {
    "SanitizeBoundingBoxes": _sanitize, "ClampBoundingBoxes": _clamp, "ConvertBoundingBoxFormat": _format,
    "RandomPhotometricDistort": _photometric, "RandomZoomOut": _zoom_out, "RandomShortestSize": _shortest,
    "RandomIoUCrop": _iou_crop, "ScaleJitter": _scale_jitter, "RandomResize": _random_resize,
}  # fmt: skip
"""The translators by class name."""
