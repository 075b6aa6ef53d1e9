"""What notebooks show of pipelines, plans, mixtures and reports."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

import augreg
from augreg import Pipeline, notebook
from augreg.doctor.findings import Finding, Report
from augreg.importers.translation import Imported

HOSTILE = "<script>alert('x')</script> & \"<img src=x onerror=y>\" </td></table>"


class Page(HTMLParser):
    """The text of a page, the texts of its cells, and its tags; every tag that is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.cells, self.tags, self.open = "", [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] != "style":
            self.text += data + "\n"
        if self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def shown(thing: Any) -> Page:
    html = thing._repr_html_()
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= {
        "style",
        "div",
        "strong",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "pre",
    }
    assert all(set(attributes) <= {"class"} for _, attributes in page.tags)
    assert not re.search(r"https?:|url\(|@import|<script|#[0-9a-f]{3}", html)
    assert set(re.findall(r"(?:color|background):(\w+)", html)) == {"transparent", "inherit"}  # of a dark page too
    style = html.partition("<style>")[2].partition("</style>")[0]
    selectors = [each for rule in style.split("}") if rule for each in rule.partition("{")[0].split(",")]
    assert selectors and all(each.startswith("div.augreg") for each in selectors)
    return page


PIPE = Pipeline.from_spec(
    {
        "seed": 3,
        "image": [
            {"rotate": {"degrees": 10, "p": {"linear": [0, 1], "over": [0, 9]}}},
            {"one_of": ["invert", {"shear_x": 0.2}]},
            {"gaussian_blur": {"uid": HOSTILE.replace("/", "|"), "test": "off"}},
            {"normalize": "imagenet"},
        ],
        "batch": [{"mixup": 0.3}],
        "model": [{"dropout": {"p": 0.25, "at": HOSTILE}}],
        "loss": ["label_smoothing"],
    }
)


def test_a_pipeline_is_a_table_of_its_steps() -> None:
    page = shown(PIPE)
    assert page.cells[:3] == ["section", "step", "arguments"]
    rows = [page.cells[k : k + 3] for k in range(3, len(page.cells), 3)]
    assert [row[1] for row in rows] == [
        *("rotate", "one_of", "  invert", "  shear_x", "gaussian_blur", "normalize"),
        *("mixup", "dropout", "label_smoothing"),
    ]
    assert [row[0] for row in rows if row[0]] == ["image", "batch", "model", "loss"]
    assert rows[0][2] == "degrees: [-10.0, 10.0], p: {linear: [0.0, 1.0], over: [0.0, 9.0]}"
    assert rows[2][2] == ""  # nothing but defaults
    assert rows[4][2].startswith("test: off, uid: <script>")
    assert "p: 0.25" in rows[7][2] and "<img src=x onerror=y>" in rows[7][2]
    assert "seed: 3" in page.text and PIPE.fingerprint[:12] in page.text
    assert len(Pipeline.from_spec("imagenet")._repr_html_()) < 3000


def test_a_default_that_is_given_is_no_argument() -> None:
    spelled_out = Pipeline.from_spec(Pipeline(["rotate", "horizontal_flip"]).to_spec())
    assert shown(spelled_out).cells[3:] == ["image", "rotate", "", "", "horizontal_flip", ""]


def test_a_plan_is_a_table_of_what_was_drawn() -> None:
    plan = PIPE.train.plan((30, 40), index=HOSTILE, epoch=9)
    page = shown(plan)
    assert [cell.strip() for cell in page.cells[2::2]][:2] == ["rotate", "one_of"]
    assert f"index {HOSTILE!r}" in page.text.replace("\n", "")
    lines = str(plan).splitlines()
    assert lines[0] in page.text and lines[-1].strip() in page.text
    for line in lines[1:-1]:
        assert line.split()[0] in page.text
    shown(PIPE.test.plan((30, 40)))


def test_a_mixture_and_an_imported_spec_are_their_text() -> None:
    mixture = PIPE.batch.plan(4, (3, 4), batch=0)
    page = shown(mixture)
    for line in str(mixture).splitlines():
        assert line.strip() in page.text
    imported = Imported({"image": ["invert"]}, (HOSTILE,))
    assert f"# {HOSTILE}" in shown(imported).text and "image: [invert]" in shown(imported).text


def test_the_report_of_the_doctor_is_a_table() -> None:
    finding = Finding("workers-repeat", "fault", "train", HOSTILE, "all draw the same", "seed each worker", (1, 2))
    page = shown(Report((finding,), ("labels",), ("masks: none",)))
    assert page.cells[6:] == ["fault", "train", "workers-repeat", HOSTILE, "all draw the same", "seed each worker"]
    assert "checked: labels" in page.text and "not checked: masks: none" in page.text
    assert shown(Report()).text.strip() == "nothing found" and not shown(Report()).cells


def test_reports_of_models_are_tables() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    )
    from augreg import inspect

    with augreg.regularize(model, [{"dropout": {"p": 0.5, "at": "3"}}]) as attached:
        report = attached.report()
        cells = shown(report).cells
        assert cells[:3] == ["module", "type", "rule"] and cells[len(report[0].__dict__) :][:3] == [
            "3",
            "Linear",
            "dropout",
        ]
    fields = shown(inspect.receptive_field(model, 8))
    assert fields.cells[:12] == [
        *("layer", "type", "output", "field", "stride", "start"),
        *("0", "Conv2d", "4x6x6", "3", "1", "1"),
    ]
    activations = shown(inspect.activations(model, torch.zeros(1, 3, 8, 8)))
    assert activations.cells[10:12] == ["0", "Conv2d"]
    unknown = shown(inspect.receptive_field(torch.nn.Sequential(torch.nn.Unfold(3)), 8))
    assert "windows that overlap" in unknown.text


def test_everything_is_escaped() -> None:
    page = Page(notebook.table(HOSTILE, [HOSTILE], [[HOSTILE]], [HOSTILE]))
    assert page.cells == [HOSTILE, HOSTILE] and page.text.count("<script>") == 4
