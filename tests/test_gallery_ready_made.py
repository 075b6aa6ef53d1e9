"""The gallery's pictures of regularizers in files: what the code draws, shown where torch is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import gallery
from augreg.gallery import cards, ready_made
from augreg.gallery.regularizers import Picture, Pictures
from augreg.registry.discovery import Contributions
from augreg.registry.registry import Registry
from augreg.steps.declare import regularizer
from augreg.steps.selectors import At

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "gallery" / "ready-made"
CAT = ROOT / "gallery" / "photos" / "chelsea.jpg"
INSTALLED = Registry.installed()
STEPS = sorted(name for name in INSTALLED if "/" not in name and ready_made.has_pictures(INSTALLED[name]))


def in_order(pictures: Pictures) -> list[Picture]:
    return [*pictures.strengths, *([pictures.test] if pictures.test else []), *pictures.draws]


def figures(text: str) -> list[str]:
    """The captions of pictures, without their numbers."""
    return re.findall(r"[a-z]+", text)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]


@pytest.mark.parametrize("name", STEPS)
def test_the_files_have_what_the_code_draws(name: str) -> None:
    """To two levels of 255 and one unit of the last digit of a caption: processors round floats differently."""
    pytest.importorskip("torch")
    shipped = ready_made.read(name, INSTALLED[name])
    drawn = ready_made.drawn(name, INSTALLED[name], INSTALLED)
    assert shipped is not None
    assert (shipped.about, len(shipped.strengths), shipped.test is None, len(shipped.draws)) == (
        drawn.about, len(drawn.strengths), drawn.test is None, len(drawn.draws),
    ), "run `make ready-made`"  # fmt: skip
    for old, new in zip(in_order(shipped), in_order(drawn), strict=True):
        assert (old.subject, old.heading) == (new.subject, new.heading), "run `make ready-made`"
        assert figures(old.caption) == figures(new.caption)
        assert numbers(old.caption) == pytest.approx(numbers(new.caption), abs=1.01 if "%" in new.caption else 0.0101)
        assert old.pixels.shape == new.pixels.shape
        assert np.abs(old.pixels.astype(int) - new.pixels.astype(int)).max() <= 2, "run `make ready-made`"


def test_every_file_is_of_a_step_and_all_are_small() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {"pictures.json", *(f"{name}.webp" for name in STEPS)}
    assert set(json.loads((FOLDER / "pictures.json").read_text())["steps"]) == set(STEPS)
    assert len(STEPS) >= 12
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 120_000


def test_what_is_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    few = Registry(Contributions({name: INSTALLED[name] for name in ("dropout", "activation", "l2", "invert")}))
    ready_made.write(tmp_path, "9.8.7", few)
    assert {path.name for path in tmp_path.iterdir()} == {"pictures.json", "dropout.webp", "activation.webp"}
    monkeypatch.setattr(ready_made.shipped, "folder", lambda name: tmp_path)
    ready_made._texts.cache_clear()
    try:
        assert ready_made.made_with() == "9.8.7"
        for name in ("dropout", "activation"):
            read, drawn = ready_made.read(name, few[name]), ready_made.drawn(name, few[name], few)
            assert read is not None
            for old, new in zip(in_order(read), in_order(drawn), strict=True):
                assert old[1:] == new[1:]
                np.testing.assert_array_equal(old.pixels, new.pixels)
    finally:
        ready_made._texts.cache_clear()


@regularizer("dropout", preview=({"at": "head"},))
class Mine:
    """A step of somebody else with the name of a built-in one."""

    at: At

    def attach(self, site: Any) -> Any:
        return None


def rendered(*names: str, registry: Registry | None = None) -> str:
    registry = registry or Registry(Contributions({name: INSTALLED[name] for name in ("invert", *names)}))
    return gallery.render(augreg.Pipeline.from_spec(["invert"]), [CAT], registry=registry)


def card(text: str, name: str) -> str:
    start = text.index(f'id="t-{name}"')
    return text[start : text.index("</article>", start)]


def sources(text: str) -> Iterator[str]:
    return iter(re.findall(r'<img src="([^"]*)"', text))


def test_without_torch_the_page_shows_the_same_images_and_says_how_they_were_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    names = ("activation", "dropout", "label_smoothing", "init", "l2")
    live = rendered(*names)
    monkeypatch.setattr(cards, "torch_installed", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it would raise
    text = rendered(*names)
    for name in ("activation", "label_smoothing"):  # nothing is drawn at random: the bytes are the same anywhere
        assert list(sources(card(text, name))) == list(sources(card(live, name)))
    for name in ("dropout", "init"):
        shown = card(text, name)
        assert shown.count("<img ") == card(live, name).count("<img ") >= 3
        assert "failed" not in shown and "No images" not in shown
    version = json.loads((FOLDER / "pictures.json").read_text())["torch"]
    said = (
        "PyTorch is not installed here, so the images of augreg's own steps were not drawn now. They come with "
        f"augreg, and were drawn by the same code with PyTorch {version}."
    )
    assert text.count(said) == 2  # for the regularizers and for the losses
    assert "PyTorch" not in live
    assert "<img " not in card(text, "l2")


def test_a_step_of_somebody_else_never_gets_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "torch_installed", lambda: False)
    shown = card(rendered(registry=Registry(Contributions({"dropout": Mine}))), "dropout")
    assert "No images: they need torch, which is not installed." in shown
    assert "<img " not in shown


def test_a_wheel_finds_its_folders_inside_the_package(tmp_path: Path) -> None:
    """The layout of an installed wheel: the folders that pyproject.toml names are inside the package."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    placed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert placed == {name: f"augreg/{name}" for name in placed}
    shutil.copytree(ROOT / "augreg", tmp_path / "augreg", ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in placed.items():
        shutil.copytree(ROOT / source, tmp_path / target)
    program = (
        "from augreg.files import shipped; from augreg.data import sample_photo\n"
        "from augreg.gallery import ready_made\n"
        "from augreg.commands.new_plugin import example; from pathlib import Path; import sys\n"
        "print(sample_photo()); print(shipped.folder(ready_made.FOLDER)); print(example())\n"
        "assert ready_made.made_with() and sample_photo().is_file()\n"
        "assert 'torch' not in sys.modules\n"
        "try:\n    shipped.folder('gallery/none')\n"
        "except FileNotFoundError as error:\n    print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    inside = tmp_path / "augreg"
    assert found[:3] == [
        str(inside / "gallery/photos/chelsea.jpg"), str(inside / "gallery/ready-made"),
        str(inside / "plugins/augreg-example"),
    ]  # fmt: skip
    assert found[3] == f"{inside / 'gallery/none'}: no such folder; it is part of augreg, so install augreg again"
