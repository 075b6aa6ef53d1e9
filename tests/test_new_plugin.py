"""`augreg new-plugin`: what it writes is the author's own; `augreg list NAMESPACE` lists one plugin."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from augreg.__main__ import main
from augreg.commands import new_plugin

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "plugins" / "augreg-example"


def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def no_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user that git knows nothing of."""
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(variable, str(tmp_path / "no-such-file"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)


def test_description_and_author_are_as_given(
    no_git: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = 'An example of "rain" \\ fog: ü, snow = {1}.'
    given = ["--description", description, "--author", 'Ada "L" Ö', "--email", "ada@lovelace.org"]
    assert main(["new-plugin", "rain", *given, "--folder", str(tmp_path)]) == 0
    folder = tmp_path / "augreg-rain"
    found = project(folder)
    assert (found["name"], found["description"]) == ("augreg-rain", description)
    assert found["authors"] == [{"name": 'Ada "L" Ö', "email": "ada@lovelace.org"}]
    assert (folder / "README.md").read_text(encoding="utf-8").startswith(f"# augreg-rain\n\n{description}\n\n")
    printed = capsys.readouterr().out
    assert '    pip install -e ".[test]"\n    python -m pytest\n    augreg list rain\n' in printed
    assert f"check description, authors and license in {folder / 'pyproject.toml'}" in printed


def test_nothing_of_the_example_is_left(no_git: None, tmp_path: Path) -> None:
    assert main(["new-plugin", "rain"]) == 0
    found, ours = project(tmp_path / "augreg-rain"), project(EXAMPLE)
    assert found["description"] == "Transforms and regularizers for augreg, in the namespace rain."
    assert (
        "authors" not in found and '# authors = [{name = "' in (tmp_path / "augreg-rain/pyproject.toml").read_text()
    )
    assert found.keys() == ours.keys() - {"authors"}
    for path in (tmp_path / "augreg-rain").rglob("*"):
        if path.is_file() and path.name != "LICENSE":
            assert "example" not in f"{path.name} {path.read_text()}", path
            assert ours["authors"][0]["name"] not in path.read_text()


def test_the_author_is_that_of_git(no_git: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Grace Hopper\n\temail = grace@navy.mil\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert main(["new-plugin", "rain"]) == 0
    assert project(tmp_path / "augreg-rain")["authors"] == [{"name": "Grace Hopper", "email": "grace@navy.mil"}]
    assert main(["new-plugin", "hail", "--author", "Ada"]) == 0
    assert project(tmp_path / "augreg-hail")["authors"] == [{"name": "Ada"}]

    def missing(*arguments: object, **options: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert main(["new-plugin", "fog"]) == 0
    assert "authors" not in project(tmp_path / "augreg-fog")


@pytest.mark.parametrize("option", ["description", "author", "email"])
@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "a\x1b[2Jb"])
def test_text_that_is_no_line_is_refused(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-plugin", "rain", f"--{option}", value, "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"--{option}: expected one line of text, got {value!r}\n"
    assert not list(tmp_path.iterdir())


def test_a_plugin_has_a_license_and_leaves_out_what_is_built(tmp_path: Path) -> None:
    ours = (ROOT / "LICENSE").read_text()
    for plugin in (ROOT / "plugins").iterdir():
        assert (plugin / "LICENSE").read_text() == ours, plugin
        assert project(plugin)["license"] == "Apache-2.0"
    assert main(["new-plugin", "rain", "--author", "Ada", "--folder", str(tmp_path)]) == 0
    folder = tmp_path / "augreg-rain"
    assert (folder / "LICENSE").read_text() == ours
    assert {"dist/", ".venv/", "__pycache__/"} <= set((folder / ".gitignore").read_text().split())
    copied = {
        str(path.relative_to(folder)).replace("rain", "example") for path in folder.rglob("*") if path.is_file()
    }
    listed = subprocess.run(["git", "ls-files", "."], cwd=EXAMPLE, capture_output=True, text=True, check=False)
    if listed.returncode == 0:  # not in an archive of the sources
        assert copied == set(listed.stdout.split())


def test_the_guide_installs_it_so_that_edits_take_effect_and_shows_each_file() -> None:
    guide = (ROOT / "docs/publish-a-plugin.md").read_text()
    assert '    pip install -e ".[test]"\n' in guide and "pip install '.[test]'" not in guide
    for path in [EXAMPLE / "pyproject.toml", *sorted(EXAMPLE.rglob("*.py"))]:
        if path.name != "__init__.py":
            assert f"<!-- file: {path.relative_to(ROOT)} -->" in guide
    manifest = (EXAMPLE / "augreg_example/manifest.py").read_text()
    for section in ("transforms", "batch_transforms", "regularizers", "presets"):
        assert f"    {section}={{" in manifest
    assert 'section="loss"' in (EXAMPLE / "augreg_example/logit_squeezing.py").read_text()


SECTIONS = ("image", "batch", "model", "loss")


def made_of_one_kind(folder: Path) -> list[Path]:
    """A plugin of each kind, named `hail_` and the kind, as if it were installed; returns their folders of tests."""
    for kind in SECTIONS:
        name = f"hail_{kind}"
        assert main(["new-plugin", name, "--kind", kind, "--author", "Ada", "--folder", str(folder)]) == 0
        plugin = folder / f"augreg-hail-{kind}"
        info = folder / f"augreg_hail_{kind}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: augreg-hail-{kind}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[augreg.plugins]\n{name} = augreg_{name}.manifest:PLUGIN\n")
        (plugin / f"augreg_{name}").rename(folder / f"augreg_{name}")
    return sorted(folder.glob("*/tests"))


@pytest.mark.parametrize(
    "checks",
    ["not test_conformance or same_key or input_is_not", pytest.param("", marks=pytest.mark.soak)],
    ids=["some", "all"],
)
def test_plugins_of_one_kind_have_its_steps_alone_and_pass_their_tests(checks: str, tmp_path: Path, python) -> None:
    tests = made_of_one_kind(tmp_path)
    assert len(tests) == 4
    done = python("-m", "augreg", "list", "--json")
    everything = json.loads(done.stdout)
    assert "hail_" not in done.stderr  # where the names would be that do not load
    for kind in SECTIONS:
        listed = [entry for entry in everything if entry["name"].startswith(f"hail_{kind}/")]
        assert listed and all(entry["sections"] == [kind] for entry in listed)
        plugin = tmp_path / f"augreg-hail-{kind}"
        written = {path.stem for path in [*plugin.rglob("*.py"), *(tmp_path / f"augreg_hail_{kind}").rglob("*.*")]}
        assert written == {"__init__", "manifest", "test_conformance", *new_plugin.KINDS[kind]}
        manifest = (tmp_path / f"augreg_hail_{kind}/manifest.py").read_text()
        assert re.search(r"=\{\s*\}", manifest) is None  # no empty tables
        needs = project(plugin)["optional-dependencies"]["test"]
        assert needs == ["augreg[testing,torch]" if kind in ("model", "loss") else "augreg[testing]"]
        readme = (plugin / "README.md").read_text()
        assert f"hail_{kind}/{new_plugin.KINDS[kind][0]}" in readme
        assert readme.count("| `hail_") == len(listed) + (kind == "image")  # and the preset
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        "-c",
        str(tests[0].parent / "pyproject.toml"),
    ]
    done = python("-m", "pytest", *options, "-k", checks, *map(str, tests))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout and int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 12


def test_kinds_may_be_joined_and_a_misspelt_one_is_answered(
    no_git: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-plugin", "model", "--kind", "batch", "--kind", "model"]) == 0
    folder = tmp_path / "augreg-model"
    assert sorted(path.stem for path in folder.rglob("*.py")) == [
        "__init__", "horizontal_concat", "layers", "manifest", "scale_noise",
        "test_batch", "test_conformance", "test_model",
    ]  # fmt: skip
    with pytest.raises(SystemExit, match="2"):
        main(["new-plugin", "rain", "--kind", "modle"])
    assert "did you mean 'model'?" in capsys.readouterr().err


PALE = '''
from augreg import ops, transform

@transform("pale", kind="color")
class Pale:
    """Halve the pixel values."""
    def sample(self, rng, scene):
        return ops.point_function("brightness", 0.5)
'''


def test_the_steps_of_one_plugin_are_listed(install, python) -> None:
    install("augreg-fair", {"fair": "fair"}, fair=PALE)
    install("augreg-crash", {"crash": "crash"}, crash="raise RuntimeError('no license file')")
    fair = python("-m", "augreg", "list", "fair")
    assert (fair.returncode, fair.stdout) == (0, "fair/pale  color  Halve the pixel values.\n")
    assert fair.stderr == ""  # what fails is another plugin
    crash = python("-m", "augreg", "list", "crash")
    assert (crash.returncode, crash.stdout) == (1, "")
    assert "crash (augreg-crash): " in crash.stderr and "no license file" in crash.stderr
    none = python("-m", "augreg", "list", "hail")
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr.startswith("no plugin 'hail' is installed; expected one of ") and "fair" in none.stderr
    own = python("-m", "augreg", "list", "augreg").stdout
    assert own == python("-m", "augreg", "list", "--built-in").stdout and "fair/pale" not in own
    off = python("-m", "augreg", "list", "fair", AUGREG_DISABLE_PLUGINS="1")
    assert off.returncode == 1 and "switched off by AUGREG_DISABLE_PLUGINS" in off.stderr
