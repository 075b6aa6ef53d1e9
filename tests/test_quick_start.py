"""The first pipeline of a process: what is left out gives the same registry, and nothing that was not asked for."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import zipfile
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from augreg.registry.builtins import PLUGIN
from augreg.registry.no_plugins import only_version
from augreg.steps.declare import check_declared

PACKAGE = Path(importlib.import_module("augreg").__file__ or "").parent
MODULES = [
    f"augreg.{path.relative_to(PACKAGE).with_suffix('').as_posix().replace('/', '.')}"
    for folder in ("transforms", "regularizers")
    for path in sorted((PACKAGE / folder).rglob("*.py"))
    if path.stem != "__init__"
]


def test_the_manifest_names_every_declared_class() -> None:
    declared = {}
    for name in MODULES:
        for cls in vars(importlib.import_module(name)).values():
            if "__augreg__" in getattr(cls, "__dict__", ()) and cls.__module__ == name:
                declared[cls.__augreg__.name] = f"{name}:{cls.__name__}"
    assert PLUGIN.transforms == declared
    assert len(declared) > 80


def test_our_own_classes_pass_the_checks_that_declaring_them_leaves_out() -> None:
    for target in PLUGIN.transforms.values():
        module, _, name = target.partition(":")
        check_declared(getattr(importlib.import_module(module), name))


SHOW = """
import json, sys
import augreg
augreg.Pipeline.from_spec("imagenet")
loaded = [name for name in ("augreg.transforms.noise", "augreg.regularizers.dropout") if name in sys.modules]
quick = "importlib.metadata" not in sys.modules
found = augreg.Registry.installed()
print(json.dumps([quick, loaded, list(found), [str(record) for record in found.plugins]]))
"""


def shown(code: str) -> list[object]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_a_quick_look_gives_the_registry_of_the_long_one() -> None:
    quick, loaded, *found = shown(SHOW)
    slow, _, *expected = shown("import importlib.metadata" + SHOW)
    assert found == expected
    assert not slow
    assert not loaded
    assert quick or len(expected[1]) > 1  # type: ignore[arg-type] # another plugin is installed here


ENTRIES = "[console_scripts]\nours = ours:main\n\n[group.of]\nours = ours.manifest:PLUGIN\n"


def installed(folder: Path, name: str, entries: str) -> None:
    """A distribution with these entry points."""
    (folder / name).mkdir(parents=True)
    (folder / name / "entry_points.txt").write_text(entries)


def seen() -> str | None:
    return only_version("ours", "group.of", "ours = ours.manifest:PLUGIN")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with our distribution, others, and files, which alone is on the path."""
    installed(tmp_path, "ours-1.2.dev3.dist-info", ENTRIES)
    installed(tmp_path, "other-1.0.dist-info", "[group.else]\nother = other:x\n")
    (tmp_path / "plain-1.0.dist-info").mkdir()
    (tmp_path / "old-1.0.egg-info").write_text("Name: old")
    (tmp_path / "module.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing")])
    monkeypatch.setattr(sys, "meta_path", [PathFinder])
    return tmp_path


def test_the_only_distribution_has_a_version(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen() == "1.2.dev3"
    monkeypatch.chdir(site)
    monkeypatch.setattr(sys, "path", ["", str(site)])  # twice the same one
    assert seen() == "1.2.dev3"


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("rain-1.0.dist-info", "[group.of]\nrain = rain:x\n"),
        ("rain.egg-info", "[group.of]\nrain = rain:x\n"),
        ("RAIN-1.0.DIST-INFO", "[ group.of ]\nrain = rain:x\n"),
        ("ours-2.0.dist-info", ENTRIES),
        ("ours.egg-info", ENTRIES),
    ],
)
def test_any_other_distribution_with_the_group_is_left_to_the_long_look(site: Path, name: str, entries: str) -> None:
    installed(site, name, entries)
    assert seen() is None


@pytest.mark.parametrize(
    "entries",
    [
        "[group.of]\nours = another:PLUGIN\n",
        "[group.of]\nours = ours.manifest:PLUGIN\nmine = mine:x\n",
        "[group.of]\nmine = mine:x\nours = ours.manifest:PLUGIN\n",
        "[group.of]\nours = ours.manifest:PLUGIN\n[group.off]\nx = y:z\n[group.of]\nx = y:z\n",
        "# group.of\n",
    ],
)
def test_other_entries_of_ours_are_left_to_the_long_look(site: Path, entries: str) -> None:
    (site / "ours-1.2.dev3.dist-info" / "entry_points.txt").write_text(entries)
    assert seen() is None


def test_unusual_paths_and_finders_are_left_to_the_long_look(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(site / "archive.zip", "w"):
        pass
    for unusual in (str(site / "archive.zip"), str(site / "some.egg"), os.fsencode(site)):
        monkeypatch.setattr(sys, "path", [str(site), unusual])
        assert seen() is None

    loop = site / "loop"
    loop.symlink_to(loop)
    monkeypatch.setattr(sys, "path", [str(site), str(loop)])
    assert seen() is None

    class Finder:
        def find_distributions(self) -> None: ...

    monkeypatch.setattr(sys, "path", [str(site)])
    monkeypatch.setattr(sys, "meta_path", [PathFinder, Finder()])
    assert seen() is None
    monkeypatch.setattr(sys, "meta_path", [PathFinder])
    monkeypatch.setattr(sys, "path", [])
    assert seen() is None
    monkeypatch.setattr(sys, "path", [str(site)])
    (site / "odd-1.0.dist-info" / "entry_points.txt").mkdir(parents=True)  # a folder, which cannot be read
    assert seen() is None
