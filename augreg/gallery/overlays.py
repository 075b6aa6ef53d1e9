"""Overlays: draw the masks, boxes and keypoints of a sample over its image, with one color for each name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from augreg.targets import rows
from augreg.targets.boxes import corners_in_pixels
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import flattened
from augreg.targets.kinds import kind_of
from augreg.targets.oriented import COLUMNS

__all__ = ["names_in", "overlaid"]

_COLORS = (
    (0, 200, 255), (255, 176, 0), (255, 60, 150), (120, 230, 60), (160, 110, 255), (255, 240, 60), (255, 110, 60),
)  # fmt: skip
_MASK_OPACITY = 0.15  # inside its outline, which is opaque
_SMALLEST = 300  # smaller images are enlarged by an integer factor, so that the lines are thin

_Color = tuple[int, int, int]


def names_in(sample: Mapping[Any, Any]) -> list[str]:
    """The distinct names of the boxes and keypoints of a sample; the position of a name decides its color."""
    points = sample.get("keypoints")
    lists = [sample.get("labels"), points if isinstance(points, Mapping) else sample.get("keypoint_names")]
    return list(dict.fromkeys(str(name) for names in lists if names is not None for name in names))


def overlaid(
    pixels: NDArray[np.uint8], sample: Mapping[Any, Any], targets: Targets, names: Sequence[str]
) -> NDArray[np.uint8]:
    """Draw the targets of a sample over its height x width x channels image; returns RGB."""
    height, width = pixels.shape[:2]
    scale = max(1, _SMALLEST // max(height, width))
    canvas = np.repeat(np.broadcast_to(pixels, (height, width, 3)), scale, axis=0).repeat(scale, axis=1)
    thick = max(2, round(max(canvas.shape) / 150))
    for mask in _masks(sample, targets):
        canvas = _with_mask(canvas, mask.repeat(scale, axis=0).repeat(scale, axis=1), thick)
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(10, round(max(image.size) / 24)))
    if "boxes" in sample:
        upright = targets.boxes not in COLUMNS
        corners = corners_in_pixels(sample["boxes"], targets, (height, width)) * scale
        labels = sample.get("labels")
        for number, box in enumerate(corners.tolist()):
            label = "" if labels is None else str(labels[number])
            color = _color(label, names)
            if upright:
                draw.rectangle((*box[0], *box[2]), outline=color, width=thick)
            else:
                around = [tuple(corner) for corner in (*box, *box[:2])]
                draw.line(around, fill=color, width=thick, joint="curve")
            if label:
                highest = min(box, key=lambda corner: corner[1])
                _tag(draw, (highest[0], highest[1]), label, color, font)
    for name, (x, y) in _points(sample):
        color, radius = _color(name, names), 2 * thick
        center = x * scale, y * scale
        circle = (center[0] - radius, center[1] - radius, center[0] + radius, center[1] + radius)
        draw.ellipse(circle, fill=color, outline=(0, 0, 0), width=max(1, thick // 2))
    return np.asarray(image)


def _color(name: str, names: Sequence[str]) -> _Color:
    return _COLORS[(names.index(name) if name in names else 0) % len(_COLORS)]


def _tag(draw: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, color: _Color, font: Any) -> None:
    """Draw a label on its color above the top left corner of a box, or inside the box if there is no room above."""
    x, y = corner
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    y = y - height - 3 if y > height + 3 else y
    draw.rectangle((x, y, x + width + 4, y + height + 3), fill=color)
    draw.text((x + 2, y), text, fill=(0, 0, 0), font=font)


def _masks(sample: Mapping[Any, Any], targets: Targets) -> list[NDArray[Any]]:
    """The masks of a sample, each height x width."""
    values = [value for key, value in sample.items() if kind_of(key, value, targets) == "mask"]
    masks = [mask for value in values for mask in (value if isinstance(value, list | tuple) else [value])]
    arrays = [np.asarray(mask) for mask in masks if isinstance(mask, np.ndarray | Image.Image)]
    return [plane for array in arrays for plane in ([array] if array.ndim == 2 else np.moveaxis(array, 2, 0))]


def _with_mask(pixels: NDArray[np.uint8], mask: NDArray[Any], thick: int) -> NDArray[np.uint8]:
    """Outline each label of a mask in its color, and tint what is inside; label 0 is transparent."""
    colors = np.array(_COLORS, np.float64)[(mask.astype(np.int64) - 1) % len(_COLORS)]
    opacity = np.where(_outline(mask, thick), 1.0, _MASK_OPACITY)[..., None]
    mixed = pixels * (1.0 - opacity) + colors * opacity
    return np.where((mask != 0)[..., None], np.rint(mixed), pixels).astype(np.uint8)


def _outline(mask: NDArray[Any], thick: int) -> NDArray[np.bool_]:
    """The pixels with another label at most `thick` pixels away, along a row or a column."""
    near = np.zeros(mask.shape, bool)
    for shift in range(1, thick + 1):
        rows, columns = mask[shift:] != mask[:-shift], mask[:, shift:] != mask[:, :-shift]
        near[shift:] |= rows
        near[:-shift] |= rows
        near[:, shift:] |= columns
        near[:, :-shift] |= columns
    return near


def _points(sample: Mapping[Any, Any]) -> list[tuple[str, tuple[float, float]]]:
    """The visible keypoints with their names."""
    keypoints = sample.get("keypoints")
    if keypoints is None or len(keypoints) == 0:
        return []
    if isinstance(keypoints, Mapping):
        names, points = [str(name) for name in keypoints], [list(map(float, xy)) for xy in keypoints.values()]
    else:
        flat, instances, _ = flattened(keypoints, "keypoints")
        points = rows.read(flat, "keypoints", "keypoints", (2, 3))[0].tolist()
        given = sample.get("keypoint_names")
        names = [""] * len(points) if given is None else [str(name) for name in given] * (instances or 1)
    return [(name, (p[0], p[1])) for name, p in zip(names, points, strict=True) if len(p) == 2 or p[2] > 0]
