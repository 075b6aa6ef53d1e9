"""Plots and reports: what is in the SVG, and what a browser makes of a page."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from augreg.pages.report import Item, Section, Table, Tile, report

SVG = "{http://www.w3.org/2000/svg}"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf"
    "FcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def plots() -> list[Any]:
    pytest.importorskip("matplotlib")
    from augreg.pages.figures import Line, bars, lines, points, reliability

    n = [1.0, 2.0, 4.0, 8.0]
    band = Line("dropout <b>", n, [1.0, 0.7, 0.5, 0.35], [0.8, 0.6, 0.4, 0.3], [1.2, 0.8, 0.6, 0.4])
    guide = Line("1/sqrt(n)", n, [1.0, 0.71, 0.5, 0.354], guide=True)
    return [
        lines([band, guide], "first", "Error & n", "n", "error", log=True),
        lines([band, Line("two", n, [1.0, 2.0, 3.0, 4.0])], "second", "Two", "n", "y"),
        points(
            ["a", "a_very_long_name_of_a_module.at.the.end"], [1.0, 2.0], [0.5, 2.0], [1.5, 3.0], "p", "P", "off", 1.2
        ),
        points(["a"], [-1.0], [-2.0], [0.5], "signed", "S", "nats", 0.0, signed=True),
        bars(["a", "b"], [0.25, 0.75], "b", "B", "weight"),
        reliability([("fast rule", [0.2, 0.8], [0.3, 0.7])], "r", "R"),
    ]


def test_labels_of_a_row_of_points_have_room_between_them() -> None:
    pytest.importorskip("matplotlib")
    from augreg.pages.figures import points

    svg = points(["a"], [-0.06], [-0.145], [0.01], "n", "N", "nats", 0.0, signed=True).svg
    labels = re.findall(r"[−]?0\.\d\d(?=<)", svg)
    assert 2 < len(labels) <= 7, labels  # a label is as wide as an eighth of the axis


def test_plots_have_no_style_of_their_own(plots: list[Any]) -> None:
    """The security policy of a page would ignore it."""
    for plot in plots:
        root = ElementTree.fromstring(plot.svg)
        for element in root.iter():
            assert "style" not in element.attrib
            assert element.tag not in (f"{SVG}style", f"{SVG}script", f"{SVG}metadata")
            for key in ("fill", "stroke"):
                assert element.get(key, "none") in ("none", "#000000", "#ffffff")


def test_colors_are_classes_that_the_page_defines(plots: list[Any]) -> None:
    css = (Path(__file__).parent.parent / "augreg/pages/report.css").read_text()
    used = {name for plot in plots for each in re.findall(r'class="([^"]+)"', plot.svg) for name in each.split()}
    assert {"fill-ink", "fill-soft", "stroke-line", "stroke-accent", "fill-accent", "stroke-second"} <= used
    for name in used - {"plot"}:
        assert f".{name} {{" in css


def test_plots_have_words_for_screen_readers(plots: list[Any]) -> None:
    for plot, name in zip(plots, ("first", "second", "p", "signed", "b", "r"), strict=True):
        root = ElementTree.fromstring(plot.svg)
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == f"{name}-title {name}-description"
        title, description = root[0], root[1]
        assert (title.tag, title.get("id"), title.text) == (f"{SVG}title", f"{name}-title", plot.title)
        assert (description.tag, description.get("id")) == (f"{SVG}desc", f"{name}-description")
    assert ElementTree.fromstring(plots[2].svg)[1].text.startswith("off: a 1 (0.5 to 1.5); a_very_long")
    assert "0.20 right 0.30, 0.80 right 0.70" in ElementTree.fromstring(plots[5].svg)[1].text


def test_text_is_text(plots: list[Any]) -> None:
    texts = [element.text for element in ElementTree.fromstring(plots[0].svg).iter(f"{SVG}text")]
    assert {"n", "error", "1", "8", "dropout <b>", "1/sqrt(n)"} <= set(texts)
    assert all(element.get("font-size") for element in ElementTree.fromstring(plots[0].svg).iter(f"{SVG}text"))
    assert ">..of_a_module.at.the.end<" in plots[2].svg


def test_names_are_unique_in_a_page(plots: list[Any]) -> None:
    names = [name for plot in plots for name in re.findall(r'\bid="([^"]+)"', plot.svg)]
    assert len(names) == len(set(names))
    for plot in plots:
        for reference in re.findall(r'(?:href="|url\()#([^")]+)', plot.svg):
            assert reference in names


def test_the_points_are_where_the_numbers_are(plots: list[Any]) -> None:
    """Bars of 0.25 and 0.75: the second is three times as long."""
    root = ElementTree.fromstring(plots[4].svg)
    widths = []
    for path in root.iter(f"{SVG}path"):
        if "fill-accent" in path.get("class", ""):
            x = [float(number) for number in re.findall(r"[ML] ([\d.]+) ", path.get("d", ""))]
            widths.append(max(x) - min(x))
    assert len(widths) == 2 and widths[1] == pytest.approx(3 * widths[0], rel=1e-3)


def test_the_same_plot_is_the_same_text(plots: list[Any]) -> None:
    from augreg.pages.figures import bars

    assert bars(["a", "b"], [0.25, 0.75], "b", "B", "weight") == plots[4]


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from augreg.pages.figures import bars

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'augreg\[plots\]'"):
        bars(["a"], [1.0], "a", "A", "x")


def page(plots: list[Any]) -> str:
    tile = Tile(PIXEL, 40, 40, "one <pixel>", "view 0", "class 1")
    sections = [
        Section("Findings", "findings", ["A paragraph."], ["Dropout <script>alert(1)</script>", "two"]),
        Section("Verdicts", "verdicts", items=[Item("fail", "<i>" + "image[1].crop" * 9, "bad")]),
        Section("Rows", "rows", table=Table(["noise", "off %"], [["a" * 30, "1.00"] * 4] * 3), plots=plots),
        Section("Views", "views", tiles=[tile] * 3, details="a table", details_title="More"),
    ]
    return report("A report", "What it is about.", ["3 images"], sections, "augreg audit")


def test_everything_given_is_escaped(plots: list[Any]) -> None:
    html = page(plots)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html and "<script>" not in html
    assert 'alt="one &lt;pixel&gt;"' in html
    assert '<b class="word bad">fail</b> &lt;i&gt;image' in html
    assert html.count("<svg") == len(plots)


def test_a_browser_shows_the_page_in_light_and_dark_and_on_a_phone(
    browser: Any, plots: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page(plots), encoding="utf-8")
    colors = []
    for width, scheme in ((375, "light"), (1280, "dark")):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        tab = context.new_page()
        problems: list[str] = []
        tab.on("console", lambda message, seen=problems: seen.append(message.text))
        tab.on("request", lambda request, seen=problems: seen.append(request.url[:60]))
        tab.goto(path.as_uri())
        assert [each for each in problems if not each.startswith(("data:", path.as_uri()[:60]))] == []
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        found = tab.evaluate("""() => {
            const plots = [...document.querySelectorAll('svg.plot')];
            const outside = plots.flatMap(plot => [...plot.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect(), frame = plot.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1;
            }).map(text => text.textContent));
            const text = document.querySelector('svg .fill-soft');
            return {outside, color: getComputedStyle(text).fill,
                    page: getComputedStyle(document.body).backgroundColor};
        }""")
        assert found["outside"] == []
        colors.append((found["color"], found["page"]))
        context.close()
    assert colors == [("rgb(97, 103, 111)", "rgb(250, 249, 246)"), ("rgb(160, 166, 173)", "rgb(21, 23, 26)")]
