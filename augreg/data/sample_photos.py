"""Four photos that come with augreg, to try things out on."""

from __future__ import annotations

from pathlib import Path

from augreg.files import shipped

__all__ = ["SAMPLE_PHOTOS", "sample_photo"]

SAMPLE_PHOTOS = ("chelsea", "coffee", "astronaut", "rocket")
"""The names of the photos."""


def sample_photo(name: str = "chelsea") -> Path:
    """The path of a photo that comes with augreg: a JPEG file, RGB, in the public domain or CC0.

    `chelsea` shows a cat (height x width 300x451), `coffee` a cup (320x480), `astronaut` a woman in front of a flag
    and a model of a space shuttle (480x480), `rocket` a rocket at night (320x480). Raises ValueError for other names.
    """
    if name not in SAMPLE_PHOTOS:
        raise ValueError(f"sample_photo: expected one of {', '.join(SAMPLE_PHOTOS)}, got {name!r}")
    return shipped.folder("gallery/photos") / f"{name}.jpg"
