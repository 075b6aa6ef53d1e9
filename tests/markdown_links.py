"""The links of Markdown documents, and those that lead nowhere."""

from __future__ import annotations

import re
import urllib.parse
from collections import Counter
from pathlib import Path

__all__ = ["anchors", "dead", "links"]

FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}.*\n?)+")
CODE = re.compile(r"(`+).+?\1", re.DOTALL)
INLINE = re.compile(r"\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
DEFINED = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
REFERENCE = re.compile(r"\[[^\]]+\]\[([^\]]+)\]")
HTML = re.compile(r"(?:href|src)=\"([^\"]+)\"")


def prose(text: str) -> str:
    """The document without its code."""
    return CODE.sub("", INDENTED.sub("", FENCED.sub("", text)))


def links(text: str) -> list[str]:
    """The targets of the links and images of a document."""
    text = prose(text)
    return [*INLINE.findall(text), *DEFINED.findall(text), *HTML.findall(text)]


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a document, as GitHub makes them; a second equal one ends in -1."""
    seen: Counter[str] = Counter()
    found = set(re.findall(r"(?:id|name)=\"([^\"]+)\"", prose(text)))
    for heading in re.findall(r"^#{1,6} +(.*?)[ #]*$", FENCED.sub("", text), re.MULTILINE):
        label = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", label.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def dead(path: Path) -> list[str]:
    """The links of a document to a file that is not there, or to no heading of it."""
    found = []
    text = path.read_text(encoding="utf-8")
    for link in links(text):
        if re.match(r"[a-z][a-z0-9+.-]+:", link):
            continue
        file, _, anchor = urllib.parse.unquote(link).partition("#")
        there = path.parent / file if file else path
        if not there.exists() or (
            anchor and there.suffix == ".md" and anchor not in anchors(there.read_text("utf-8"))
        ):
            found.append(link)
    return found + [name for name in REFERENCE.findall(prose(text)) if f"[{name}]:" not in text]
