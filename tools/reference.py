"""Write the reference of transforms and regularizers in docs/, from the classes; `make docs` runs it.

    python tools/reference.py               # docs/transforms.md, and a page for each family in docs/transforms/
    python tools/reference.py --pictures    # first draw the pictures anew (`make pictures`); needs torch

The pictures and their captions are those of the gallery: a sample photo, or a batch of them, before and after a step.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from augreg.gallery.cards import KINDS, Card, groups
from augreg.gallery.photos import read, samples, shrunk
from augreg.gallery.tiles import Tile, tile
from augreg.registry.registry import Registry
from augreg.steps import describe

__all__ = ["CAPTIONS", "DOCS", "PICTURES", "Picture", "draw", "names", "pages"]

DOCS = Path(__file__).parents[1] / "docs"
INDEX = "transforms.md"
PICTURES = DOCS / "transforms/pictures"
CAPTIONS = "captions.json"
_ORIGINAL = "original"
_TILES = 4
_SIDE = 160
_GAP = 6
_QUALITY = 55

Picture = tuple[Image.Image, list[str]]
"""Tiles side by side, and the caption of each in Markdown."""


def names(registry: Registry) -> list[str]:
    """The built-in steps."""
    return [name for name in registry if "/" not in name]


def draw(registry: Registry) -> Iterator[tuple[str, Picture]]:
    """The name and the picture of each built-in step that the gallery has images of."""
    photos = read(samples())
    original = tile(shrunk(photos[0].array, _SIDE), photos[0].name, "", _ORIGINAL, _SIDE)
    for group in groups(registry, photos, "pillow"):
        for card in group.cards:
            tiles = _tiles(card, original)
            if "/" not in card.name and len(tiles) > 1:
                yield card.name, (_side_by_side(tiles), [_caption(shown) for shown in tiles])


def _tiles(card: Card, original: Tile) -> list[Tile]:
    """The original and what becomes of it, from weak to strong; of a container, draws on several photos."""
    if not card.strengths:
        return [shown for shown in card.draws if shown.image is not None]
    after = [shown for shown in card.strengths if shown.image is not None and shown.caption != _ORIGINAL]
    before = [original] if len(after) == len(card.strengths) else [card.strengths[0]]
    if card.section in ("model", "loss"):  # not of a photo; what comes before is among the strengths
        before = []
    most = _TILES - len(before)
    return before + (after if len(after) <= most else after[: most - 1] + after[-1:])  # the middle may change nothing


def _caption(shown: Tile) -> str:
    """The arguments as code, and what was done in words."""
    argument = shown.heading or (shown.caption if ": " in shown.caption else "")
    words = shown.caption if shown.caption != argument else ""
    return f"`{argument}`" + (f" ({words})" if words else "") if argument else words


def _side_by_side(tiles: list[Tile]) -> Image.Image:
    images = []
    for shown in tiles:
        assert shown.image is not None
        image = Image.open(io.BytesIO(base64.b64decode(shown.image.src.partition(",")[2]))).convert("RGB")
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        images.append(image)
    width = sum(image.width for image in images) + _GAP * (len(images) - 1)
    strip = Image.new("RGBA", (width, max(image.height for image in images)))  # transparent between the images
    left = 0
    for image in images:
        strip.paste(image, (left, 0))
        left += image.width + _GAP
    return strip


def pages(registry: Registry, captions: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The text of each page, by its path below docs/; `captions` are those of the pictures, by step."""
    steps: dict[str, dict[str, Any]] = {}
    for name in names(registry):
        steps.setdefault(registry[name].__augreg__.kind, {})[name] = registry[name]
    kinds = [kind for kind in KINDS if kind in steps]
    found = {INDEX: _index({kind: steps[kind] for kind in kinds})}
    for kind in kinds:
        about = describe.ABOUT.get(kind, f"For the `image` section: {KINDS[kind]}.")
        lines = [f"# {kind.capitalize()}", "", about]
        lines += ["[All steps](../transforms.md) explains what they have in common, and lists the other families."]
        for name, cls in steps[kind].items():
            text = describe.reference(name, cls)
            lines += ["", f"## `{name}`", "", *text[:2], *_shown(name, captions.get(name, ())), *text[2:]]
        found[f"transforms/{kind}.md"] = "\n".join(lines) + "\n"
    return found


def _shown(name: str, captions: Sequence[str]) -> list[str]:
    """The lines that show the picture of a step."""
    if not captions:
        return []
    return [f"![{name}](pictures/{name}.webp)", "", f"From left to right: {'; '.join(captions)}.", ""]


def _index(steps: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        "# Transforms and regularizers",
        "",
        "Every step that a spec can use, by family, with its arguments, its test-time rule and an example.",
        "`augreg show NAME` prints the same for one step, including steps of plugins.",
        "(`make docs` writes these pages from the code.)",
    ]
    lines += ["The [glossary](glossary.md) explains the terms.", "", describe.COMMON]
    for kind, members in steps.items():
        lines += [
            "",
            f"## {kind.capitalize()}",
            "",
            f"[{kind.capitalize()}](transforms/{kind}.md): {KINDS[kind]}.",
            "",
        ]
        lines += ["| step | what it does |", "| --- | --- |"]
        for name, cls in members.items():
            lines.append(f"| [`{name}`](transforms/{kind}.md#{name}) | {describe.summary(cls)} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pages, and before them the pictures if they are asked for; print what was written."""
    parser = argparse.ArgumentParser(description="Write the reference of transforms and regularizers in docs/.")
    parser.add_argument("--pictures", action="store_true", help="draw the pictures anew")
    registry = Registry.installed()
    if parser.parse_args(argv).pictures:
        _write_pictures(registry)
    captions = json.loads((PICTURES / CAPTIONS).read_text(encoding="utf-8"))
    texts = pages(registry, captions)
    for path in (DOCS / "transforms").glob("*.md"):
        if f"transforms/{path.name}" not in texts:
            path.unlink()
    for name, text in texts.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    print(f"{len(texts)} pages in {DOCS}")
    return 0


def _write_pictures(registry: Registry) -> None:
    drawn = dict(draw(registry))
    PICTURES.mkdir(parents=True, exist_ok=True)
    for path in PICTURES.glob("*.webp"):
        path.unlink()
    for name, (image, _) in drawn.items():
        image.save(PICTURES / f"{name}.webp", quality=_QUALITY, method=6)
    captions = {name: words for name, (_, words) in sorted(drawn.items())}
    text = json.dumps(captions, indent=1, ensure_ascii=False)
    (PICTURES / CAPTIONS).write_text(text + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in PICTURES.iterdir())
    print(f"{len(drawn)} pictures, {size / 1000:.0f} kB in {PICTURES}")


if __name__ == "__main__":
    sys.exit(main())
