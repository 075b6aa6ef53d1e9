"""`augreg audit`, and the page of an audit."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from augreg.__main__ import main  # noqa: E402
from augreg.expectation.auditing.checks import size_words  # noqa: E402
from augreg.expectation.image_size.test_sizes import SizeReport  # noqa: E402

MODULE = """
import numpy as np
import torch
from torch import nn
import augreg

rng = np.random.default_rng(0)
images = [rng.integers(0, 256, (4, 4, 1), dtype=np.uint8) for _ in range(40)]
labels = [int(image[:, 3].mean() > 127) for image in images]
pipe = augreg.Pipeline.from_spec({
    "image": ["horizontal_flip", {"normalize": {"mean": 0.5, "std": 0.25}}], "output": "torch",
})

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 2))
        with torch.no_grad():
            self[3].weight.zero_()
            self[3].weight[1, ::4] = 2.0

def whole():
    print("a line of the user")
    return Net(), images, labels, pipe

def mapping():
    return {"model": Net(), "images": images, "labels": labels, "pipe": pipe, "batch_size": 16}

def same():
    return nn.Linear(4, 2), torch.randn(3, 4)

def wrong():
    return {"model": Net(), "image": images}

def short():
    return {"model": Net()}

def one():
    return Net()

def failing():
    raise RuntimeError("no data")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    (folder / "audited_model.py").write_text(MODULE)
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command in the folder of the module: its exit code, and what it prints."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(["audit", *arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_the_report_the_page_and_the_exit_code(run, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = run("audited_model:whole", "--samples", "8", "--out", "audit.html")
    assert code == 1
    assert "horizontal_flip#0" in out and "Dropout at 2" in out and max(map(len, out.splitlines())) <= 100
    assert "a line of the user" in err and "a line of the user" not in out
    assert "wrote audit.html" in err
    html = (folder / "audit.html").read_text(encoding="utf-8")
    titles = re.findall(r"<figcaption>([^<]+)</figcaption><svg", html)
    assert titles[0] == "How far each fast rule is off, with 95 % intervals"
    assert "Error of the mean of n samples" in titles and any(each.startswith("Reliability") for each in titles)
    assert html.count("<img") == 2 and "view 1, weight" in html
    assert "default-src 'none'" in html and "style=" not in html and "<script" not in html


def test_json_and_a_mapping(run) -> None:
    code, out, _ = run("audited_model:mapping", "--json", "--samples", "4", "--time-limit", "1e-9", "--quiet")
    found = json.loads(out)
    assert code in (0, 1)
    assert (found["images"], found["samples"], found["labeled"]) == (8, 4, True)
    assert found["rows"][0]["name"] == "Dropout at 2"


def test_nothing_to_change_is_0(run) -> None:
    assert run("audited_model:same")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["audited_model"], "expected MODULE:FUNCTION"),
        (["audited_model:missing"], "has no function 'missing'"),
        (["no_such_module:x"], "cannot be imported"),
        (["audited_model:wrong"], "the mapping has 'image'; expected names from model, images"),
        (["audited_model:short"], "the mapping has no 'images'"),
        (
            ["audited_model:one"],
            "expected (model, images), with labels and pipe behind them if there are any, got Net",
        ),
        (["audited_model:failing"], "audited_model:failing() failed: RuntimeError: no data"),
        (["audited_model:same", "--samples", "2"], "expected at least 4"),
        (["audited_model:same", "--out", "missing/audit.html"], "expected a file in a folder that there is"),
    ],
)
def test_what_cannot_be_audited_is_2(run, arguments: list[str], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and says in err


def test_without_matplotlib_the_text_is_printed_and_the_extra_named(run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = run("audited_model:mapping", "--samples", "4", "--out", "audit.html")
    assert code == 2 and "Dropout at 2" in out and "augreg[plots]" in err


def report(ratio: float, gained: int | None, lost: int | None) -> SizeReport:
    return SizeReport(ratio, 0.7, 0.9, (224, 224), (277, 277), None, "", 100, 0.8, 0.9, gained, lost)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (report(1.049, 50, 0), "test size 224x224: objects look as large as in training; keep it."),
        (report(0.951, 50, 0), "keep it."),
        (report(0.81, None, None), "0.81 times as large as in training, at 277x277 the same; give labels"),
        (report(0.81, 20, 2), "+18.0 points of accuracy there (100 images); use 277x277."),
        (report(0.81, 2, 20), "-18.0 points of accuracy there (100 images); keep 224x224."),
        (report(0.81, 6, 2), "not enough images to tell."),
        (report(0.81, 2, 6), "not enough images to tell."),
    ],
)
def test_what_to_do_about_the_test_size(found: SizeReport, says: str) -> None:
    assert says in size_words(found)
