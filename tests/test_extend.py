"""Adding a transform takes one class: lists, docs, the gallery and the property tests find it.

The plugins are whole distributions in a temporary folder, which a new Python process finds as installed ones.
"""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from images import made
from msgspec import Meta
from PIL import Image

from augreg import Pipeline, PluginError, SpecError, ops, transform
from augreg.registry.registry import Registry

GALLERY = Path(__file__).with_name("plugin_gallery.py").read_text()
# A complete transform.
FLAKES = '''
from typing import Annotated
from msgspec import Meta
from augreg import ops, transform

@transform("flakes", kind="erasing", preview=({"count": 3}, {"count": 30}))
class Flakes:
    """Paint white flakes of one pixel anywhere."""
    count: Annotated[int, Meta(ge=0, le=100)] = 10
    def sample(self, rng, scene):
        places = [(rng.integers(scene.height), rng.integers(scene.width)) for _ in range(self.count)]
        return tuple(ops.paint(scene, y, x, 1, 1, (255.0,)) for y, x in places)
'''


# One class is enough.


def test_new_class_is_listed_and_documented(install, python) -> None:
    install("augreg-snow", {"snow": "snow"}, snow=FLAKES)
    listed = python("-m", "augreg", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("snow/flakes ")]
    assert line.split(maxsplit=2)[1:] == ["erasing", "Paint white flakes of one pixel anywhere."]

    shown = python("-m", "augreg", "show", "snow/flakes")
    assert "count     integer from 0 to 100  10" in shown.stdout
    assert "- snow/flakes: {count: 3}" in shown.stdout
    near = python("-m", "augreg", "show", "snow/flake")
    assert "did you mean 'snow/flakes'?" in near.stderr

    page = python("-m", "augreg", "list", "--markdown").stdout
    assert "### `snow/flakes`\n\nPaint white flakes" in page
    ours = python("-m", "augreg", "list", "--markdown", "--built-in").stdout
    assert "snow/flakes" not in ours
    assert "### `rotate`" in ours


def test_new_class_runs_in_a_spec(install, python, tmp_path: Path) -> None:
    install("augreg-snow", {"snow": "snow"}, snow=FLAKES)
    spec = tmp_path / "snow.yaml"
    spec.write_text("- snow/flakes: 40\n- snow/flakes: {count: 1, p: 0.5}\n")
    assert python("-m", "augreg", "validate", str(spec)).returncode == 0
    code = (
        "import sys, pickle, numpy as np, augreg\n"
        "pipe = augreg.Pipeline.from_spec(sys.argv[1])\n"
        "black = np.zeros((20, 20, 3), np.uint8)\n"
        "snow = pickle.loads(pickle.dumps(pipe)).train(black, index=7)\n"
        "assert (snow == pipe.train(black, index=7)).all() and 20 < (snow == 255).all(axis=2).sum() <= 41\n"
        "assert (pipe.test(black) == 0).all()\n"
    )
    done = python("-W", "error", "-c", code, str(spec))
    assert (done.returncode, done.stderr) == (0, "")


def test_new_class_has_its_tile_in_the_gallery(install, python, tmp_path: Path) -> None:
    install("augreg-snow", {"snow": "snow"}, snow=FLAKES)
    Image.fromarray(made("smooth", 24, 32)).save(tmp_path / "small.png")
    page = tmp_path / "page.html"
    done = python("-c", GALLERY, "--images", str(tmp_path / "small.png"), "--out", str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert "snow/flakes" in text
    assert "Paint white flakes of one pixel anywhere." in text


def test_new_class_is_property_tested(install, python) -> None:
    install("augreg-snow", {"snow": "snow"}, snow=FLAKES)
    done = python("-m", "pytest", "tests/test_properties.py", "-q", "-k", "flakes", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    passed = int(done.stdout.rpartition(" passed")[0].split()[-1])
    assert passed > 6


def test_property_tests_catch_a_wrong_class(install, python) -> None:
    """A transform that keeps its own random numbers, as no step may, does not pass."""
    wrong = FLAKES.replace("rng.integers(scene.width)", "random.randrange(scene.width)") + "\nimport random\n"
    install("augreg-snow", {"snow": "snow"}, snow=wrong)
    done = python("-m", "pytest", "tests/test_properties.py", "-q", "-k", "flakes", "-p", "no:cacheprovider")
    assert done.returncode == 1
    assert "test_same_index_same_bytes" in done.stdout


# Manifests, and plugins that fail.


def test_manifest_names_classes_and_imports_nothing(install, python) -> None:
    manifest = "from augreg.registry.plugin import Plugin\nPLUGIN = Plugin(transforms={'drops': 'snow:Flakes'})\n"
    install("augreg-rain", {"rain": "rain_manifest:PLUGIN"}, rain_manifest=manifest, snow=FLAKES)
    code = (
        "import sys\nfrom augreg.registry.registry import Registry\nregistry = Registry.installed()\n"
        "assert 'rain/drops' in registry and 'snow' not in sys.modules\n"
        "assert registry['rain/drops'].__name__ == 'Flakes' and 'snow' in sys.modules\n"
        "import augreg\nprint(augreg.Pipeline.from_spec(['rain/drops']).to_spec()['image'])"
    )
    done = python("-c", code)
    assert (done.stdout, done.stderr) == ("[{'rain/drops': {'count': 10, 'p': 1.0}}]\n", "")


BROKEN = {
    "crash": ("crash", "RuntimeError: no license"),
    "missing": ("not_there", "No module named 'not_there'"),
    "newer": ("newer:PLUGIN", "written for version 2 of the plugin API, and this augreg has version 1"),
    "thing": ("thing:PLUGIN", "the entry point must name a module or an augreg.Plugin, got 5"),
}


def test_broken_plugins_disturb_nobody(install, python, tmp_path: Path) -> None:
    before = python("-m", "augreg", "list").stdout
    install(
        "augreg-broken",
        {name: value for name, (value, _) in BROKEN.items()},
        crash="raise RuntimeError('no license')",
        newer="from augreg.registry.plugin import Plugin\nPLUGIN = Plugin(api=2)",
        thing="PLUGIN = 5",
    )
    install("augreg-one", {"twice": "one"}, one=FLAKES)
    install("augreg-two", {"twice": "two"}, two=FLAKES)
    late = "from augreg.registry.plugin import Plugin\nPLUGIN = Plugin(transforms={'x': 'crash:X', 'y': 'one:Y'})"
    install("augreg-late", {"late": "late:PLUGIN"}, late=late)

    listed = python("-m", "augreg", "list")
    assert (listed.returncode, listed.stdout) == (0, before)
    said = {
        **{name: why for name, (_, why) in BROKEN.items()},
        "twice": "augreg-one 1.0 and augreg-two 1.0 both claim the namespace 'twice'",
        "late/x": "crash:X does not load: RuntimeError: no license",
        "late/y": "one:Y does not load",
    }
    lines = listed.stderr.splitlines()
    assert lines[0] == "plugins that failed:"
    assert len(lines) == 1 + len(said) + 1  # a clash is reported for both
    for name, why in said.items():
        found = [line for line in lines if line.startswith(f"  {name}")]
        assert len(found) == 1 + (name == "twice")
        assert all(why in line for line in found)

    # a spec that names one gets the reason; one that names none is fine
    for name, why in said.items():
        spec = tmp_path / "spec.yaml"
        spec.write_text(f"- invert\n- {name if '/' in name else name + '/x'}\n")
        done = python("-m", "augreg", "validate", str(spec))
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith(str(spec))
        assert why in done.stderr
        assert "Traceback" not in done.stderr
    assert python("-m", "augreg", "validate", "imagenet").returncode == 0
    assert "no plugin 'fog' is installed" in python("-m", "augreg", "show", "fog/x").stderr


# In code, without a plugin.


@transform("checks", kind="erasing", preview=({"side": 2}, {"side": 6}))
class Checks:
    """Paint one square of `side` pixels black."""

    side: Annotated[int, Meta(ge=1, le=8)] = 3

    def sample(self, rng, scene):
        side = min(self.side, *scene.size)
        y, x = rng.integers(scene.height - side + 1), rng.integers(scene.width - side + 1)
        return ops.paint(scene, y, x, side, side)


def test_add_makes_a_new_registry() -> None:
    installed = Registry.installed()
    registry = installed.add(Checks)
    assert "checks" in registry
    assert "checks" not in installed
    assert "checks" not in Registry.installed()
    with pytest.raises(SpecError, match="no transform named 'checks'"):
        Pipeline.from_spec(["checks"])
    pipe = Pipeline.from_spec([{"checks": 4}], registry)
    white = np.full((9, 9, 3), 255, np.uint8)
    assert (pipe.train(white, index=1) == 0).all(axis=2).sum() == 16
    assert Pipeline([Checks(4)], registry) == pipe


def test_add_refuses_a_clash() -> None:
    registry = Registry.installed().add(Checks)
    with pytest.raises(PluginError, match="'checks' already"):
        registry.add(Checks)
    with pytest.raises(PluginError, match="'rotate' already; add this one as name='mine/rotate'"):
        registry.add(Checks, "rotate")
    assert registry.add(Checks, "mine/rotate")["mine/rotate"] is Checks
    with pytest.raises(PluginError, match="decorate its class with @"):
        registry.add(int)


def test_pipeline_with_an_added_class_pickles() -> None:
    pipe = Pipeline.from_spec(["invert", {"mine/checks": 5}], Registry.installed().add(Checks, "mine/checks"))
    again = pickle.loads(pickle.dumps(pipe))
    assert again == pipe
    image = made("noise", 12, 12)
    assert np.array_equal(again.train(image, index=3), pipe.train(image, index=3))
    assert dict(again.registry.added) == {"mine/checks": Checks}


def test_a_class_that_is_not_a_transform_gets_a_reason() -> None:
    with pytest.raises(SpecError, match="needs a docstring"):
        transform("a", kind="erasing")(type("A", (), {"sample": Checks.sample}))
    with pytest.raises(SpecError, match="needs a method sample"):
        transform("b", kind="erasing")(type("B", (), {"__doc__": "B."}))
    with pytest.raises(SpecError, match="needs an annotation"):
        transform("c", kind="erasing")(type("C", (), {"__doc__": "C.", "sample": Checks.sample, "side": 3}))
    with pytest.raises(SpecError, match="side"):
        Checks(side=9)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Checks().side = 4
