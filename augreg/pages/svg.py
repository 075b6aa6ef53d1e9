"""A matplotlib figure as SVG: with the colors of the pages, text as text, and words for screen readers.

A page whose security policy allows its own style only ignores `style=` attributes and `<style>` elements in an SVG.
So properties become attributes, and colors become classes that the style of the page defines, in light and dark. An
SVG that is a file of its own has that style inside: `to_file`.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLORS", "DARK", "new_figure", "styled", "to_file", "to_svg"]

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"

COLORS = {
    "card": "#ffffff",
    "ink": "#22262b",
    "soft": "#61676f",
    "line": "#e6e2da",
    "accent": "#0b6e5f",
    "second": "#b4541a",
    "third": "#3c5fb0",
    "fourth": "#8a3d8f",
}
"""The colors that plots use, by the name that the style of a page has for them, as they are in light."""
DARK = {
    "card": "#1c1f23",
    "ink": "#e8e6e1",
    "soft": "#a0a6ad",
    "line": "#2e3338",
    "accent": "#63cdb9",
    "second": "#f0a35e",
    "third": "#93b1f5",
    "fourth": "#dd9be2",
}
"""The same colors in dark."""
_NAMES = {value: name for name, value in COLORS.items()}
_KEPT = frozenset(
    {"fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity",
     "fill-opacity", "stroke-opacity", "text-anchor", "stroke-dashoffset", "stroke-miterlimit"}
)  # fmt: skip
_SIZE = re.compile(r"font(?:-size)?: (?:\S+ )*?([\d.]+)px")
_WORDS = {"title": "title", "desc": "description"}
_LONG = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_PNG = "data:image/png;base64,"
_QUALITY = 80
_REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")

WIDTH, HEIGHT = 5.0, 3.3
"""The size of a plot in inches; its text is about as large on a narrow phone as in print."""


def new_figure(height: float = HEIGHT) -> tuple[Figure, Any]:
    """A figure with one pair of axes, without a window. Raises ImportError if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install 'augreg[plots]'. Text and JSON need none"
        ) from error
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_visible(False)
    styled(axes)
    return figure, axes


def styled(axes: Any, size: float = 10) -> None:
    """Give axes the look of the pages: no frame, a light grid, and labels of this size in points."""
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(COLORS["soft"])
    axes.tick_params(which="both", colors=COLORS["soft"], labelsize=size)
    axes.grid(color=COLORS["line"], linewidth=0.8)
    axes.set_axisbelow(True)


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an SVG element. `name` is unique in the page; title and description are for screen readers."""
    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(file.getvalue())
    _without(root, {f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"})
    for element in root.iter():
        _plain(element)
    _rename(root, name)
    for attribute in ("width", "height"):
        root.attrib.pop(attribute, None)
    root.attrib.update({"class": "plot", "role": "img", "aria-labelledby": f"{name}-title {name}-description"})
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{_WORDS[tag]}"})
        element.text = text
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def to_file(svg: str, scale: float = 1.5) -> str:
    """What `to_svg` made as a file of its own: with its style in light and dark, and `scale` pixels for each point.

    Coordinates are rounded to hundredths of a point, and images are stored as WebP, so that the file is small.
    """
    root = ElementTree.fromstring(svg)
    width, height = (float(number) * scale for number in root.attrib["viewBox"].split()[2:])
    root.attrib.update({"width": f"{width:.0f}", "height": f"{height:.0f}"})
    for element in root.iter():
        for key in element.attrib.keys() & {"d", "x", "y", "width", "height", "points"}:
            element.set(key, _LONG.sub(lambda number: f"{float(number[0]):.2f}", element.attrib[key]))
        source = element.get(f"{{{_XLINK}}}href", "")
        if source.startswith(_PNG):
            element.set(f"{{{_XLINK}}}href", _as_webp(source))
    style = ElementTree.Element(f"{{{_SVG}}}style")
    style.text = _style()
    root.insert(2, style)  # after the title and the description
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _style() -> str:
    """The classes of `to_svg` as a page defines them."""

    def rules(colors: Mapping[str, str]) -> str:
        return "".join(f".fill-{name}{{fill:{at}}}.stroke-{name}{{stroke:{at}}}" for name, at in colors.items())

    text = "text{font-family:system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}"
    return f"{text}{rules(COLORS)}@media (prefers-color-scheme:dark){{{rules(DARK)}}}"


def _as_webp(source: str) -> str:
    from PIL import Image

    file = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(source.removeprefix(_PNG)))) as image:
        image.convert("RGB").save(file, "WEBP", quality=_QUALITY, method=6)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _without(element: ElementTree.Element, tags: set[str]) -> None:
    for child in list(element):
        if child.tag in tags:
            element.remove(child)
        else:
            _without(child, tags)


def _plain(element: ElementTree.Element) -> None:
    """Move the properties of `style` to attributes and classes."""
    style = element.attrib.pop("style", "")
    size = _SIZE.search(style)
    if size:
        element.set("font-size", size.group(1))
    for part in style.split(";"):
        key, _, value = (piece.strip() for piece in part.partition(":"))
        if key in _KEPT:
            element.set(key, value)
    classes = []
    for key in ("fill", "stroke"):
        name = _NAMES.get(element.get(key, ""))
        if name:
            del element.attrib[key]
            classes.append(f"{key}-{name}")
    if element.tag == f"{{{_SVG}}}text" and not any(each.startswith("fill-") for each in classes):
        classes.append("fill-soft")
    if classes:
        element.set("class", " ".join(classes))


def _rename(root: ElementTree.Element, name: str) -> None:
    """Give what is referred to a name that no other figure of the page has, and no other element any."""
    used = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            found = _REFERENCE.search(value)
            if found:
                target = found.group(1) or found.group(2)
                used.add(target)
                element.set(key, value.replace(f"#{target}", f"#{name}-{target}"))
    for element in root.iter():
        if "id" in element.attrib:
            own = element.attrib.pop("id")
            if own in used:
                element.set("id", f"{name}-{own}")
