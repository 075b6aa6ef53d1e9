"""Pictures of the built-in regularizers in files, for pages that are made where torch is not installed.

`tools/ready_made.py` writes what `regularizers` draws: for each step a lossless WebP file with its pictures side by
side, and `pictures.json` with their texts and the version of torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from augreg.files import shipped
from augreg.gallery.regularizers import Picture, Pictures, regularizer_pictures, target_pictures
from augreg.registry.registry import Registry
from augreg.steps.describe import example

__all__ = ["FOLDER", "drawn", "has_pictures", "made_with", "read", "write"]

FOLDER = "gallery/ready-made"
_TEXTS = "pictures.json"


def has_pictures(cls: Any) -> bool:
    """Whether a step has pictures: a regularizer, or a loss step that changes targets."""
    return cls.__augreg__.kind == "regularizer" or (
        cls.__augreg__.kind == "loss" and callable(getattr(cls, "target", None))
    )


def drawn(name: str, cls: Any, registry: Registry) -> Pictures:
    """The pictures of a step, drawn now; needs torch. Raises SpecError if it cannot be attached to a tiny model."""
    if cls.__augreg__.kind == "loss":
        return target_pictures(cls, cls.__augreg__.preview)
    return regularizer_pictures(name, cls, cls.__augreg__.preview, example(cls), registry)


def read(name: str, cls: Any) -> Pictures | None:
    """The pictures of a built-in step from its file; None for a step of a plugin, which has no file."""
    texts = _texts()["steps"].get(name)
    if texts is None or not cls.__module__.startswith("augreg."):
        return None
    sheet = np.asarray(Image.open(shipped.folder(FOLDER) / f"{name}.webp").convert("RGB"))
    pixels = iter(np.split(sheet, texts["count"], axis=1))

    def picture(text: Mapping[str, str]) -> Picture:
        return Picture(next(pixels), text["subject"], text["heading"], text["caption"])

    strengths = tuple(map(picture, texts["strengths"]))
    test = None if texts["test"] is None else picture(texts["test"])
    return Pictures(texts["about"], strengths, test, tuple(map(picture, texts["draws"])))


def made_with() -> str:
    """The version of torch that drew the pictures in the files."""
    version: str = _texts()["torch"]
    return version


def write(folder: Path, torch_version: str, registry: Registry) -> None:
    """Draw the pictures of all built-in steps that have some, and write them to a folder; needs torch."""
    steps: dict[str, Any] = {}
    for name in sorted(name for name in registry if "/" not in name):  # the names of plugins have a namespace
        cls: Any = registry[name]
        if not has_pictures(cls):
            continue
        pictures = drawn(name, cls, registry)
        every = [*pictures.strengths, *([pictures.test] if pictures.test else []), *pictures.draws]
        sheet = np.concatenate([picture.pixels for picture in every], axis=1)
        Image.fromarray(sheet).save(folder / f"{name}.webp", lossless=True, quality=100, method=6)
        steps[name] = {
            "about": pictures.about,
            "count": len(every),
            "strengths": [_text(picture) for picture in pictures.strengths],
            "test": _text(pictures.test) if pictures.test else None,
            "draws": [_text(picture) for picture in pictures.draws],
        }
    texts = json.dumps({"torch": torch_version, "steps": steps}, indent=1)
    (folder / _TEXTS).write_text(f"{texts}\n", encoding="utf-8")


def _text(picture: Picture) -> Mapping[str, str]:
    return {"subject": picture.subject, "heading": picture.heading, "caption": picture.caption}


@cache
def _texts() -> Any:
    return json.loads((shipped.folder(FOLDER) / _TEXTS).read_text(encoding="utf-8"))
