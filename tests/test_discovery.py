"""Discovery: what plugins bring besides classes, switches, claims to a namespace, and what is said of failures."""

from __future__ import annotations

import json
import subprocess
import sys

from augreg import Registry

INVERT = """
from augreg import ops, transform

@transform("{name}", kind="color")
class Thing:
    \"\"\"Invert the levels.\"\"\"
    def sample(self, rng, scene):
        return ops.curve("invert")
"""
RECORDS = (
    "import json; from augreg import Registry\n"
    "records = Registry.installed().plugins\n"
    "print(json.dumps({r.distribution: [r.namespace, r.error, r.remedy, r.licence, list(r.names)] for r in records}))"
)


def records(done: subprocess.CompletedProcess[str]) -> dict[str, list]:
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_everything_a_plugin_may_bring(install, python, tmp_path) -> None:
    manifest = """
from augreg.plugin import Plugin
PLUGIN = Plugin(
    transforms={"thing": "rain:Thing"},
    batch_transforms={"halves": "rain:Halves"},
    regularizers={"loud": "rain:Loud"},
    policies={"storm": "rain:STORM"},
    presets={"heavy": "rain_presets:heavy.yaml"},
    backends={"white": "rain:KERNELS"},
)
"""
    code = (
        INVERT.format(name="thing")
        + """
import numpy as np
from augreg import batch_transform, regularizer
from augreg.ops import Paint
from augreg.selection import At

STORM = "Invert,1.0,0 / Invert,1.0,0"
def white(op, image):
    return np.full_like(image, 255)
KERNELS = {Paint: white}

@batch_transform("halves")
class Halves:
    \"\"\"Mix nothing.\"\"\"
    def sample(self, rng, count, scene):
        return ()

@regularizer("loud")
class Loud:
    \"\"\"Attach nothing.\"\"\"
    at: At
    def attach(self, site):
        pass
"""
    )
    install("augreg-rain", {"rain": "rain_manifest:PLUGIN"}, rain_manifest=manifest, rain=code)
    (tmp_path / "rain_presets").mkdir()
    (tmp_path / "rain_presets" / "__init__.py").write_text("")
    (tmp_path / "rain_presets" / "heavy.yaml").write_text("- rain/thing\n")
    done = python(
        "-W",
        "error",
        "-c",
        """
import numpy as np
from augreg import Pipeline, SpecError
picture = np.full((4, 4, 3), 9, np.uint8)
assert (Pipeline.from_spec("rain/heavy").train(picture, index=0) == 246).all()
auto = Pipeline.from_spec([{"auto_augment": {"policy": "rain/storm"}}])
assert (auto.train(picture, index=0) == 9).all() and "rain/storm" in str(auto.to_spec())
painted = Pipeline.from_spec({"backend": "rain/white", "image": [{"cutout": 2}]})
assert (painted.train(picture, index=0) == 255).all()
whole = Pipeline.from_spec({"batch": ["rain/halves"], "model": [{"rain/loud": {"at": "*"}}]})
assert [step.name for step in whole.spec.batch + whole.spec.model] == ["rain/halves", "rain/loud"]
for wrong in ({"backend": "rain/whit", "image": []}, [{"auto_augment": "rain/strom"}], "rain/heavi"):
    try:
        Pipeline.from_spec(wrong)
    except SpecError as error:
        assert "did you mean 'rain/" in str(error), error
    else:
        raise AssertionError(wrong)
""",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_switches(install, python) -> None:
    for name in ("rain", "snow"):
        install(f"augreg-{name}", {name: name}, **{name: INVERT.format(name="thing")})
    code = (
        "from augreg import Registry; found = Registry.installed()\n"
        "print([name for name in found if '/' in name], 'invert' in found)"
    )
    for variables, expected in (
        ({}, ["rain/thing", "snow/thing"]),
        ({"AUGREG_PLUGINS": "rain"}, ["rain/thing"]),
        ({"AUGREG_PLUGINS": "-rain"}, ["snow/thing"]),
        ({"AUGREG_PLUGINS": "rain, snow,-rain"}, ["snow/thing"]),
        ({"AUGREG_DISABLE_PLUGINS": "1"}, []),
        ({"AUGREG_DISABLE_PLUGINS": "0"}, ["rain/thing", "snow/thing"]),
    ):
        done = python("-c", code, **variables)
        assert (done.stdout, done.stderr) == (f"{expected} True\n", ""), variables
    off = python("-m", "augreg", "show", "rain/thing", AUGREG_PLUGINS="-rain")
    assert "switched off by AUGREG_PLUGINS=-rain" in off.stderr


def test_a_plugin_that_is_switched_off_is_not_imported(install, python) -> None:
    install("augreg-rain", {"rain": "rain"}, rain="raise SystemExit('imported')")
    done = python("-c", "from augreg import Registry; Registry.installed()", AUGREG_DISABLE_PLUGINS="1")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_taken_namespace_stays_with_its_owner(install, python) -> None:
    install("augreg-rain", {"rain": "rain"}, rain=INVERT.format(name="thing"))
    install("a-squatter", {"rain": "squatter", "augreg": "squatter"}, squatter=INVERT.format(name="other"))
    found = records(python("-c", RECORDS))
    assert found["augreg-rain"][1:3] == [None, ""]
    assert found["augreg-rain"][4] == ["rain/thing"]
    namespace, error, remedy, _, names = found["a-squatter"]
    assert (namespace, names) == ("rain", [])
    assert (
        error == "a-squatter 1.0 and augreg-rain 1.0 both claim the namespace 'rain'; "
        "augreg-rain keeps it, as it is named after it"
    )
    assert remedy == "pip uninstall a-squatter"
    ours = python(
        "-c",
        "from augreg import Registry\n"
        "print([record.error for record in Registry.installed().plugins if record.namespace == 'augreg'])",
    )
    assert "is augreg's own" in ours.stdout


def test_what_is_lacking_is_named_with_its_requirement(install, python) -> None:
    lines = ("not-there-at-all (>=2.0)", "numpy", "nope; extra == 'x'")
    needs = "".join(f"Requires-Dist: {line}\n" for line in lines) + "License: MIT\n"
    install("augreg-rain", {"rain": "rain"}, needs, rain=INVERT.format(name="thing"))
    install("augreg-snow", {"snow": "snow"}, "License-Expression: Apache-2.0\n", snow="import not_here.either")
    found = records(python("-c", RECORDS))
    namespace, error, remedy, licence, names = found["augreg-rain"]
    assert (namespace, licence, names) == ("rain", "MIT", ["rain/thing"])
    assert error == "not-there-at-all is not installed"
    assert remedy == "pip install 'not-there-at-all (>=2.0)'"
    assert found["augreg-snow"][1:4] == [
        "ModuleNotFoundError: No module named 'not_here'",
        "pip install 'not_here'",
        "Apache-2.0",
    ]
    shown = python("-m", "augreg", "show", "rain/thing")
    assert "not-there-at-all is not installed (pip install 'not-there-at-all (>=2.0)')" in shown.stderr


def test_another_contract_says_who_has_to_move(install, python) -> None:
    for name, number in (("newer", 2), ("older", 0)):
        install(
            f"augreg-{name}",
            {name: f"{name}:PLUGIN"},
            **{name: f"from augreg.plugin import Plugin\nPLUGIN = Plugin(api={number})"},
        )
    found = records(python("-c", RECORDS))
    assert found["augreg-newer"][1:3] == [
        "it was written for plugin contract 2; this augreg speaks 1",
        "pip install --upgrade augreg",
    ]
    assert found["augreg-older"][2] == "pip install --upgrade augreg-older"


def test_refresh_finds_what_was_installed_meanwhile(install, python, tmp_path) -> None:
    code = """
import pathlib, sys
from augreg import Registry
before = Registry.installed()
assert "rain/thing" not in before
info = pathlib.Path(sys.argv[1]) / "augreg_rain-1.0.dist-info"
info.mkdir()
(info / "METADATA").write_text("Metadata-Version: 2.1\\nName: augreg-rain\\nVersion: 1.0\\n")
(info / "entry_points.txt").write_text("[augreg.plugins]\\nrain = rain\\n")
assert "rain/thing" not in Registry.installed()
assert "rain/thing" in Registry.refresh() and "rain/thing" in Registry.installed() and "rain/thing" not in before
"""
    install("augreg-other", {}, rain=INVERT.format(name="thing"))
    done = python("-c", code, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_augreg_scans_nothing() -> None:
    code = (
        "import sys, augreg; assert 'augreg.discovery' not in sys.modules and 'importlib.metadata' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert Registry.installed() is Registry.installed()
