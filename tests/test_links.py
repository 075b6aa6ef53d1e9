"""Links: inside the gallery's page, between the documents, and to headings in them."""

from __future__ import annotations

import re
import urllib.parse
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_links import dead

import augreg
from augreg import gallery, ops
from augreg.data import sample_photo
from augreg.registry.discovery import Contributions
from augreg.registry.registry import PluginRecord, Registry

ROOT = Path(__file__).parents[1]
SKIPPED = {".git", "node_modules", "build", "dist"}
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not SKIPPED & set(path.relative_to(ROOT).parts) and not re.search(r"\.pytest|/\.venv", str(path))
)


@augreg.transform("<b>odd</b> name%20", kind="color", preview=({},))
class Odd:
    """A step with a name that must be escaped in links."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.point_function("invert")


class Page(HTMLParser):
    """The ids of a page, and what its links and labels refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.labels: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key == "id":
                self.ids[value or ""] += 1
            elif tag in ("a", "area") and key == "href":
                self.links.append(value or "")
            elif key in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
                self.labels += (value or "").split()


def broken(text: str) -> list[str]:
    """The links and labels of a page that lead nowhere, and the ids that occur twice."""
    page = Page(text)
    dead = [link for link in page.links if urllib.parse.unquote(link.removeprefix("#")) not in page.ids]
    dead += [f"aria: {label}" for label in page.labels if label not in page.ids]
    return [*dead, *(f"twice: {name}" for name, count in page.ids.items() if count > 1)]


def test_every_link_of_the_page_leads_somewhere_whatever_the_page_has() -> None:
    installed = Registry.installed()
    registry = Registry(Contributions({"invert": installed["invert"], "mixup": installed["mixup"]})).add(Odd)
    failed = Registry(
        Contributions({"invert": installed["invert"]}), (PluginRecord("rain", "augreg-rain", "1", error="gone"),)
    )
    mixing = {"image": [{"center_crop": 32}], "batch": ["mixup"], "loss": ["l2"]}
    own, photo = np.zeros((64, 64, 3), np.uint8), sample_photo()
    for spec, images, names in (
        (["invert"], [own], registry),
        (["invert"], [b"no image", own], registry),
        (["invert"], [photo, own], failed),
        (mixing, [own, own], registry),
        ([], [], failed),
    ):
        text = gallery.render(augreg.Pipeline.from_spec(spec), images, registry=names)
        assert len(Page(text).links) >= 5
        assert broken(text) == [], (spec, len(images))
        assert ('id="targets"' in text) == any(image is photo for image in images)


def test_a_broken_link_of_a_page_is_found() -> None:
    text = '<a href="#a%20b">x</a><p id="a b"><a href="#c">y</a><i id="d" aria-labelledby="e"></i><i id="d"></i>'
    assert broken(text) == ["#c", "aria: e", "twice: d"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_the_documents_leads_somewhere(path: Path) -> None:
    assert dead(path) == []


def test_broken_links_of_a_document_are_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# One `two`, three's\n\n## Same\n\n## Same\n\n```\n# code\n```\n")
    (tmp_path / "a.md").write_text(
        "# Top\n\n[x](b.md) [x](b.md#one-two-threes) [x](b.md#same-1) [x](#top) [x](https://x.y/z#q) [x][ok]\n\n"
        '[x](c.md) [x](b.md#code) [x](b.md#same-2) ![x](d.png "t") [x](#none) [x][gone]\n`[x](e.md)`\n\n'
        "    [x](f.md)\n\n```\n[x](g.md)\n```\n\n[ok]: b.md\n[bad]: h.md\n"
    )
    assert dead(tmp_path / "a.md") == ["c.md", "b.md#code", "b.md#same-2", "d.png", "#none", "h.md", "gone"]
    assert len(DOCUMENTS) > 30
