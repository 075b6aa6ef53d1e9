"""The reference in docs/: its pages are those of the classes, and its pictures show what the steps do."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from augreg.registry.discovery import Contributions
from augreg.registry.registry import Registry

ROOT = Path(__file__).parents[1]
REFERENCE = runpy.run_path(str(ROOT / "tools/reference.py"))
DOCS, PICTURES = REFERENCE["DOCS"], REFERENCE["PICTURES"]
CAPTIONS = json.loads((PICTURES / REFERENCE["CAPTIONS"]).read_text(encoding="utf-8"))
REGISTRY = Registry.installed()
NAMES = REFERENCE["names"](REGISTRY)


def test_the_pages_are_what_the_classes_say() -> None:
    """`make docs` writes them."""
    texts = REFERENCE["pages"](REGISTRY, CAPTIONS)
    found = {"transforms.md", *(f"transforms/{path.name}" for path in (DOCS / "transforms").glob("*.md"))}
    assert found == texts.keys()
    for name, text in texts.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"docs/{name} is stale; run `make docs`"


def test_every_step_has_a_section_and_an_entry_in_the_index() -> None:
    index = (DOCS / "transforms.md").read_text(encoding="utf-8")
    for name in NAMES:
        kind = REGISTRY[name].__augreg__.kind
        assert f"](transforms/{kind}.md#{name})" in index
        page = (DOCS / f"transforms/{kind}.md").read_text(encoding="utf-8")
        section = page.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]
        assert "Test-time rule: " in section
        assert (f"](pictures/{name}.webp)" in section) == (name in CAPTIONS)


def test_every_transform_has_a_picture_and_they_are_small() -> None:
    """`make pictures` draws them."""
    transforms = {name for name in NAMES if REGISTRY[name].__augreg__.sections[0] in ("image", "batch")}
    assert transforms - CAPTIONS.keys() == set(), "transforms without a picture; run `make pictures`"
    files = {path.stem: path for path in PICTURES.glob("*.webp")}
    assert files.keys() == CAPTIONS.keys() <= set(NAMES)
    assert sum(path.stat().st_size for path in files.values()) < 1_500_000
    for name, path in files.items():
        with Image.open(path) as picture:
            assert picture.width <= 160 * len(CAPTIONS[name]) + 18 and picture.height <= 160
    containers = {name for name in transforms if REGISTRY[name].__augreg__.container}
    assert all(CAPTIONS[name][0] == "original" for name in transforms - containers)


def small(picture: Image.Image) -> Any:
    """A quarter of the size, on white: without what the encoder adds, and without the gaps."""
    whole = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    return np.asarray(flat.resize((whole.width // 4, whole.height // 4), Image.Resampling.BOX), np.float64)


@pytest.mark.parametrize("name", ["invert", "rotate"])
def test_a_picture_is_what_the_step_does(name: str) -> None:
    """Also by hand: the pixels of a photo and of its inverted half sum to 255."""
    alone = Registry(Contributions({name: REGISTRY[name]}))
    ((drawn, (picture, captions)),) = REFERENCE["draw"](alone)
    assert (drawn, captions) == (name, CAPTIONS[name])
    with Image.open(PICTURES / f"{name}.webp") as file:
        assert file.size == picture.size
        kept = small(file)
    assert np.abs(kept - small(picture)).mean() < 3
    if name == "invert":
        before, after = kept[:, :39], kept[:, -39:]
        assert np.abs(255 - before - after).mean() < 12 < np.abs(before - after).mean()


def test_stale_pages_and_missing_pictures_are_noticed() -> None:
    """A page for a registry with one step more differs, and has no picture of it."""
    fewer: dict[str, Any] = {name: REGISTRY[name] for name in ("invert", "rotate")}
    texts = REFERENCE["pages"](Registry(Contributions(fewer)), {"invert": ["original", "`x: 1` (done)"]})
    assert texts.keys() == {"transforms.md", "transforms/color.md", "transforms/geometry.md"}
    assert (
        "![invert](pictures/invert.webp)\n\nFrom left to right: original; `x: 1` (done).\n"
        in (texts["transforms/color.md"])
    )
    assert "pictures/" not in texts["transforms/geometry.md"]
