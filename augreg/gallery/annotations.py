"""Boxes, keypoints and outlines of two of the sample photos, annotated by hand, in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["ANNOTATED", "annotated"]

# Boxes are x1, y1, x2, y2. Left and right are the subject's own. Outlines are polygons for the mask.
ANNOTATED: Mapping[str, Mapping[str, Any]] = {
    "astronaut.jpg": {
        "boxes": {"head": (143, 14, 284, 179), "shuttle": (332, 0, 432, 272), "helmet": (261, 321, 476, 480)},
        "keypoints": {"right_eye": (190, 95), "left_eye": (232, 96), "mouth": (211, 136)},
        "outlines": [
            [
                (160, 326), (175, 330), (188, 341), (195, 356), (194, 371), (186, 386), (174, 394), (159, 397),
                (144, 393), (132, 382), (126, 368), (127, 352), (135, 338), (147, 329),
            ],
        ],
    },
    "chelsea.jpg": {
        "boxes": {"right eye": (134, 84, 206, 149), "left eye": (297, 108, 345, 165), "nose": (229, 224, 293, 268)},
        "keypoints": {"right_eye": (172, 114), "left_eye": (315, 133), "mouth": (258, 264)},
        "outlines": [
            [
                (137, 98), (146, 88), (160, 85), (180, 87), (196, 95), (203, 108), (205, 124), (202, 138), (190, 144),
                (172, 145), (156, 139), (146, 128), (139, 114),
            ],
            [
                (300, 127), (307, 116), (320, 110), (334, 110), (341, 119), (343, 131), (338, 148), (328, 160),
                (316, 162), (305, 157), (299, 144),
            ],
        ],
    },
}  # fmt: skip


def annotated(name: str, image: Any, height: int, width: int) -> dict[str, Any]:
    """The sample of a photo: its image, boxes, labels, keypoints and mask."""
    annotation = ANNOTATED[name]
    mask = Image.new("L", (width, height))
    for number, outline in enumerate(annotation["outlines"], 1):
        ImageDraw.Draw(mask).polygon(outline, fill=number)
    return {
        "image": image,
        "boxes": [list(box) for box in annotation["boxes"].values()],
        "labels": list(annotation["boxes"]),
        "keypoints": dict(annotation["keypoints"]),
        "mask": np.array(mask),
    }
