"""Images for tests: generated ones, the same in every run, and the photos of the gallery."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).parent.parent / "gallery" / "photos"
MADE = ("smooth", "noise", "low contrast", "constant", "gradient")


def made(name: str, height: int, width: int, channels: int = 3, dtype: str = "uint8") -> np.ndarray:
    """An image of this name and size; as floats, its values also lie between those of bytes."""
    y, x = np.mgrid[:height, :width] + 0.5
    phase = np.arange(channels) * 1.7
    rng = np.random.default_rng([height, width, channels])
    match name:
        case "smooth":
            waves = np.sin(x[..., None] / 5.0 + phase) + np.cos(y[..., None] / 7.0 - phase)
            values = 127.5 + 60.0 * waves
        case "noise":
            values = rng.integers(0, 256, (height, width, channels)).astype(float)
        case "low contrast":
            values = 110.0 + rng.integers(0, 9, (height, width, channels))
        case "constant":
            values = np.full((height, width, channels), 77.0) + 31.0 * np.arange(channels) % 170
        case "gradient":
            values = 255.0 * (x[..., None] / width + np.cos(phase) ** 2 * y[..., None] / height) / 2.0
        case _:
            raise ValueError(f"there is no image named {name!r}")
    values = np.clip(values, 0.0, 255.0)
    return values.astype(np.uint8) if dtype == "uint8" else (values / 255.0).astype(np.float32)


@functools.cache
def photos() -> dict[str, np.ndarray]:
    """The gallery's photos by name, as byte RGB arrays that cannot be written to."""
    paths = sorted(path for kind in ("webp", "jpg", "png") for path in PHOTOS.glob(f"*.{kind}"))
    if not paths:
        raise FileNotFoundError(f"there is no photo in {PHOTOS}")
    found = {path.stem: np.array(Image.open(path).convert("RGB")) for path in paths}
    for photo in found.values():
        photo.flags.writeable = False
    return found


@functools.cache
def mosaic(height: int, width: int) -> np.ndarray:
    """The photos side by side, mirrored until they fill the size: a large image that is as sharp as a small one."""
    lowest = min(len(photo) for photo in photos().values())
    row = np.concatenate([photo[:lowest] for photo in photos().values()], axis=1)
    missing = max(0, height - row.shape[0]), max(0, width - row.shape[1])
    whole = np.pad(row, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")[:height, :width]
    whole.flags.writeable = False
    return whole


def precise_warps() -> bool:
    """Whether OpenCV's bilinear warps read at exact positions: from version 5 on."""
    import cv2

    return int(cv2.__version__.partition(".")[0]) >= 5
