"""By hand with OpenCV: the fewest calls that do the work of a row, with numbers that are drawn in advance.

This is what a library cannot be much faster than while it calls OpenCV.
"""

from __future__ import annotations

import random
from typing import Any

import cv2
import numpy as np

from peer_rows.rows import MEAN, SIZE, STD, Row, Work

_SCALE = [1 / (255 * value) for value in STD]
_MATRIX = np.array([[*(_SCALE[c] * (c == k) for k in range(3)), -MEAN[c] / STD[c]] for c in range(3)], np.float32)


def pipelines(name: str, row: Row, inputs: list[Any]) -> dict[str, Work]:
    """Rows B, D and E, with an area filter where the image shrinks."""
    if name not in ("B", "D", "E"):
        return {}
    draw = random.Random(0)

    def work(indices: range) -> Any:
        out = np.empty((len(indices), 3, SIZE, SIZE), np.float32)
        for place, index in enumerate(indices):
            image = inputs[index % len(inputs)]
            if row.encoded:
                image = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR_RGB)
            _one(image, draw, out[place])
        return out

    return {"by hand with OpenCV": work}


def _one(image: Any, draw: random.Random, out: Any) -> None:
    height, width = image.shape[:2]
    side = (draw.uniform(0.08, 1.0) * height * width) ** 0.5
    aspect = draw.uniform(0.75, 4 / 3) ** 0.5
    h, w = min(height, round(side / aspect)), min(width, round(side * aspect))
    top, left = draw.randint(0, height - h), draw.randint(0, width - w)
    filter = cv2.INTER_AREA if min(h, w) > SIZE else cv2.INTER_LINEAR
    image = cv2.resize(image[top : top + h, left : left + w], (SIZE, SIZE), interpolation=filter)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(draw.randint(0, 25))
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    image = cv2.addWeighted(image, draw.uniform(0.6, 1.4), gray, draw.uniform(-0.4, 0.4), 0)
    values = np.clip(np.arange(256) * draw.uniform(0.6, 1.4) + draw.uniform(-20, 20), 0, 255).astype(np.uint8)
    image = cv2.LUT(image, values)
    if draw.random() < 0.5:
        image = cv2.flip(image, 1)
    planes = cv2.transform(image.astype(np.float32), _MATRIX)
    for channel in range(3):
        cv2.extractChannel(planes, channel, out[channel])
