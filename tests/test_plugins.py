"""The plugins of this repository, installed from wheels; plugins that fail, and the output of `augreg doctor`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]


def built(source: Path, folder: Path) -> None:
    """Build a wheel and unpack it into a folder that is used as site-packages."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "install", "--no-deps", "--no-build-isolation", "--no-index", "--target", folder, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with augreg and both plugins, from their wheels."""
    folder = tmp_path_factory.mktemp("site")
    sources = tmp_path_factory.mktemp("sources")
    for name in ("augreg", "plugins/augreg-example", "plugins/augreg-albumentations"):
        copy = sources / Path(name).name
        copy.mkdir()
        parts = ["pyproject.toml", "README.md", "LICENSE"]
        parts += ["augreg", "gallery", "plugins"] if name == "augreg" else [Path(name).name.replace("-", "_")]
        for part in parts:
            source = (ROOT if name == "augreg" else ROOT / name) / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
        built(copy, folder)
    return folder


@pytest.fixture
def site(wheels: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to add to and take from."""
    return Path(shutil.copytree(wheels, tmp_path / "site"))


def in_folder(site: Path, where: Path) -> Run:
    """A function that runs a fresh Python which finds what is in `site`, and not this checkout."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=where, capture_output=True, text=True, check=False
        )

    return run


def test_the_example_plugin_is_in_lists_schema_and_gallery(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = in_folder(site, tmp_path)
    where = run("-c", "import augreg; print(augreg.__file__)")
    assert where.stdout.startswith(str(site)), where
    listed = run("-m", "augreg", "list").stdout
    for name in ("example/snow", "example/vignette", "example/scale_noise", "albumentations/RandomRain"):
        assert any(line.startswith(f"{name} ") for line in listed.splitlines()), name
    (tmp_path / "spec.yaml").write_text("- example/snow: 5\n")
    image = run(
        "-c",
        "import augreg, numpy as np; pipe = augreg.Pipeline.from_spec('spec.yaml')\n"
        "print((pipe.train(np.zeros((20, 20, 3), np.uint8), index=1) > 0).sum() > 20)",
    )
    assert (image.stdout, image.stderr) == ("True\n", "")
    monkeypatch.setenv("AUGREG_PLUGINS", "example")  # a hundred cards of albumentations take long
    assert run("-m", "augreg", "explain", "example/winter").returncode == 0
    assert "did you mean 'example/winter'?" in run("-m", "augreg", "validate", "example/winters").stderr

    # the gallery shows it, and says so of one that is gone
    photo = ROOT / "gallery" / "photos" / "coffee.jpg"
    program = (ROOT / "tests" / "plugin_gallery.py").read_text()
    made = run("-c", program, "--size", "32", "--images", str(photo), "--spec", "example/winter")
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert "example/snow" in page
    assert "squares of" in page


def test_a_spec_that_names_an_uninstalled_plugin_is_refused(site: Path, tmp_path: Path) -> None:
    run = in_folder(site, tmp_path)
    (tmp_path / "spec.yaml").write_text("- invert\n- example/snow\n")
    assert run("-m", "augreg", "validate", "spec.yaml").returncode == 0
    for part in site.glob("augreg_example*"):
        shutil.rmtree(part)
    preset = run("-m", "augreg", "validate", "example/winter")
    assert preset.returncode == 2
    assert "no preset named 'example/winter': no plugin 'example' is installed" in preset.stderr
    gone = run("-m", "augreg", "validate", "spec.yaml")
    assert gone.returncode == 1
    assert gone.stderr.strip() == (
        "spec.yaml:2: image[1]: no transform named 'example/snow': no plugin 'example' is installed; "
        "its package may be augreg-example"
    )


# The whole kit on a hundred transforms takes half a minute; this is the check that none of them may fail. Of what
# moves by fields, one takes three seconds and its neighbors a tenth.
NEVER = "same_key and not PiecewiseAffine"
PARTS = [
    ["-k", f"not test_conformance or {NEVER}"],
    pytest.param(["tests/test_conformance.py"], marks=pytest.mark.soak),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: " ".join(part)[:40])
def test_the_albumentations_plugin_passes_its_own_tests(part: list[str], wheels: Path, tmp_path: Path) -> None:
    pytest.importorskip("albumentations")
    shutil.copytree(ROOT / "plugins" / "augreg-albumentations" / "tests", tmp_path / "tests")
    shutil.copy(ROOT / "plugins" / "augreg-albumentations" / "pyproject.toml", tmp_path)
    done = in_folder(wheels, tmp_path)("-m", "pytest", "-q", "-p", "no:cacheprovider", *part)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_new_plugin_passes_its_tests_as_it_stands(site: Path, tmp_path: Path) -> None:
    """It is the example under another name, so these are the tests of the example too."""
    run = in_folder(site, tmp_path)
    made = run("-m", "augreg", "new-plugin", "rain_fall", "--author", "Ada")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "augreg-rain-fall"
    words = [path.read_text() for path in folder.rglob("*") if path.is_file() and path.name != "LICENSE"]
    assert not any("example" in word for word in words)
    built(folder, site)
    assert (folder / ".gitignore").is_file() and list(site.glob("augreg_rain_fall-0.1.0.dist-info/licenses/LICENSE"))
    listed = run("-m", "augreg", "list", "rain_fall").stdout
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["rain_fall/snow", "erasing"],
        ["rain_fall/vignette", "texture"],
        ["rain_fall/horizontal_concat", "mixing"],
        ["rain_fall/scale_noise", "regularizer"],
        ["rain_fall/logit_squeezing", "loss"],
    ]
    some = "not test_conformance or same_key or input_is_not"  # test_new_plugin.py has all of them, as a long test
    tested = in_folder(site, folder)("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", some)
    assert tested.returncode == 0, tested.stdout
    assert "xfailed" not in tested.stdout
    again = run("-m", "augreg", "new-plugin", "rain_fall")
    assert (again.returncode, again.stderr) == (2, "augreg-rain-fall: it exists already\n")
    for name, why in (("Rain", "use lowercase letters"), ("augreg", "it is taken"), ("a-b", "use lowercase letters")):
        refused = run("-m", "augreg", "new-plugin", name)
        assert refused.returncode == 2
        assert why in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["augreg-rain-fall", "site"]


def test_bad_plugins_disturb_nobody_and_the_doctor_reports_them(install, python, tmp_path: Path) -> None:
    good = (
        "from augreg import ops, transform\n"
        "@transform('turn', kind='color')\n"
        "class Turn:\n"
        "    '''Invert the image.'''\n"
        "    def sample(self, rng, scene):\n"
        "        return ops.point_function('invert')\n"
    )
    install("augreg-good", {"good": "good"}, "License-Expression: MIT\n", good=good)
    install("augreg-crash", {"crash": "crash"}, crash="raise RuntimeError('no license file')")
    install("a-squatter", {"good": "squatter"}, squatter=good)
    newer = "from augreg import Plugin\nPLUGIN = Plugin(api=7, transforms={'x': 'newer:X'})"
    install("augreg-newer", {"newer": "newer:PLUGIN"}, newer=newer)
    late = "from augreg import Plugin\nPLUGIN = Plugin(transforms={'x': 'nowhere:X'})"
    install("augreg-late", {"late": "late:PLUGIN"}, late=late)

    assert python("-m", "augreg", "show", "good/turn").returncode == 0
    assert python("-m", "augreg", "validate", "imagenet").returncode == 0
    (tmp_path / "spec.yaml").write_text("- good/turn\n- newer/x\n")
    done = python("-m", "augreg", "validate", str(tmp_path / "spec.yaml"))
    assert done.returncode == 1
    assert "version 7 of the plugin API, and this augreg has version 1 (pip install --upgrade augreg)" in done.stderr

    story = python("-m", "augreg", "doctor")
    assert story.returncode == 1
    for line in (
        "good     augreg-good 1.0    MIT         1 name",
        "RuntimeError: no license file",
        "a-squatter 1.0 and augreg-good 1.0 both claim the namespace 'good'; augreg-good keeps it",
        "a-squatter: pip uninstall a-squatter",
        "it was written for version 7 of the plugin API, and this augreg has version 1",
        "augreg-newer: pip install --upgrade augreg",
        "late/x: nowhere:X does not load: ModuleNotFoundError",
    ):
        assert " ".join(line.split()) in " ".join(story.stdout.split()), (line, story.stdout)
    records = json.loads(python("-m", "augreg", "doctor", "--json").stdout)["plugins"]
    failed = {record["distribution"] for record in records if record["error"]}
    assert failed == {"a-squatter", "augreg-crash", "augreg-newer"}
    well = python("-m", "augreg", "doctor", AUGREG_PLUGINS="good")
    assert "switched off by AUGREG_PLUGINS=good" in well.stdout


def test_the_doctor_is_content_with_us(python) -> None:
    done = python("-m", "augreg", "doctor", AUGREG_DISABLE_PLUGINS="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "backend" in done.stdout
