"""What a package index and a citation say of augreg, and that CONTRIBUTING.md names every folder of the code."""

from __future__ import annotations

import email
import email.message
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from markdown_links import links
from walls import FLOORS

import augreg

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
URL = "https://github.com/augreg/augreg"
RAW = "https://raw.githubusercontent.com/augreg/augreg/main/"


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> email.message.Message:
    """The metadata of the wheel, as a package index reads it."""
    pytest.importorskip("hatch_fancy_pypi_readme")
    build = pytest.importorskip("hatchling.build")
    folder = tmp_path_factory.mktemp("metadata")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        made = build.prepare_metadata_for_build_wheel(str(folder))
    return email.message_from_string((folder / made / "METADATA").read_text(encoding="utf-8"))


def test_the_readme_of_the_index_has_absolute_links_alone(metadata: email.message.Message) -> None:
    """They lead to the files that the links of README.md lead to, and nothing else differs."""
    readme, page = (ROOT / "README.md").read_text(encoding="utf-8"), metadata.get_payload()
    assert isinstance(page, str) and metadata["Description-Content-Type"].startswith("text/markdown")
    found = links(page)
    assert len(found) == len(links(readme)) > 20
    for before, after in zip(links(readme), found, strict=True):
        assert (
            after == before or after.removeprefix(RAW) == before or after.removeprefix(f"{URL}/blob/main/") == before
        )
        assert after.startswith("https://")
    images = re.findall(r"!\[[^]]*\]\(([^)]+)", page)
    assert images and all(image.startswith(RAW) for image in images)
    assert page.replace(f"]({RAW}", "](").replace(f"]({URL}/blob/main/", "](").strip() == readme.strip()


def test_the_index_knows_where_and_for_what_it_is(metadata: email.message.Message) -> None:
    urls = dict(entry.split(", ") for entry in metadata.get_all("Project-URL", []))
    assert urls["Repository"] == URL and all(url.startswith(URL) for url in urls.values())
    assert {"Documentation", "Changelog", "Issues"} < urls.keys()
    kinds = {entry.partition(" ::")[0] for entry in metadata.get_all("Classifier", [])}
    assert {"Operating System", "Framework", "Programming Language", "Intended Audience"} < kinds
    assert metadata["Author"] == PROJECT["project"]["authors"][0]["name"]
    known = pytest.importorskip("trove_classifiers").classifiers
    assert set(metadata.get_all("Classifier", [])) <= known


def test_the_citation_says_the_same() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = PROJECT["project"]
    assert cited["version"] == project["version"] == augreg.__version__
    assert cited["license"] == project["license"]
    assert cited["repository-code"] == project["urls"]["Repository"] == URL
    assert [author["name"] for author in cited["authors"]] == [author["name"] for author in project["authors"]]
    assert {"cff-version", "message", "title"} < cited.keys()


def test_every_folder_of_the_code_is_explained_after_those_that_it_imports() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [
        re.findall(r"`augreg/(\w+)(?:/|\.py)`", line) for line in text.splitlines() if line.startswith("| `augreg/")
    ]
    named = [name for row in rows for name in row]
    folders = {path.parent.name for path in (ROOT / "augreg").glob("*/__init__.py")} | {"presets", "pipeline"}
    assert set(named) == folders and len(named) == len(folders)
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    floors = [floor[name] for name in named if name in floor]
    assert floors == sorted(floors)
    order = re.findall(r"^\d\. `(augreg/[\w/]+\.py)`", text, re.MULTILINE)
    assert len(order) == 5 and all((ROOT / path).is_file() for path in order)
