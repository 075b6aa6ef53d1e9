"""Discovery: what plugins may contain, switches, who owns a namespace, and the errors of plugins that fail."""

from __future__ import annotations

import json
import subprocess
import sys

from augreg import Registry

INVERT = """
from augreg import ops, transform

@transform("{name}", kind="color")
class Thing:
    \"\"\"Invert the image.\"\"\"
    def sample(self, rng, scene):
        return ops.point_function("invert")
"""
RECORDS = (
    "import json; from augreg import Registry\n"
    "records = Registry.installed().plugins\n"
    "print(json.dumps({r.distribution: [r.namespace, r.error, r.remedy, r.license, list(r.names)] for r in records}))"
)


def records(done: subprocess.CompletedProcess[str]) -> dict[str, list]:
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_everything_that_a_plugin_may_contain(install, python, tmp_path) -> None:
    manifest = """
from augreg.registry.plugin import Plugin
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
from augreg.steps.selectors import At

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
image = np.full((4, 4, 3), 9, np.uint8)
assert (Pipeline.from_spec("rain/heavy").train(image, index=0) == 246).all()
auto = Pipeline.from_spec([{"auto_augment": {"policy": "rain/storm"}}])
assert (auto.train(image, index=0) == 9).all() and "rain/storm" in str(auto.to_spec())
painted = Pipeline.from_spec({"backend": "rain/white", "image": [{"cutout": 2}]})
assert (painted.train(image, index=0) == 255).all()
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
    install("augreg-rain", {"rain": "rain"}, rain="import os; os._exit(3)")
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
        "augreg-rain keeps it because of its name"
    )
    assert remedy == "pip uninstall a-squatter"
    ours = python(
        "-c",
        "from augreg import Registry\n"
        "print([record.error for record in Registry.installed().plugins if record.namespace == 'augreg'])",
    )
    assert "is reserved for augreg" in ours.stdout


def test_what_is_lacking_is_named_with_its_requirement(install, python) -> None:
    lines = ("not-there-at-all (>=2.0)", "numpy", "nope; extra == 'x'")
    needs = "".join(f"Requires-Dist: {line}\n" for line in lines) + "License: MIT\n"
    install("augreg-rain", {"rain": "rain"}, needs, rain=INVERT.format(name="thing"))
    install("augreg-snow", {"snow": "snow"}, "License-Expression: Apache-2.0\n", snow="import not_here.either")
    found = records(python("-c", RECORDS))
    namespace, error, remedy, license, names = found["augreg-rain"]
    assert (namespace, license, names) == ("rain", "MIT", ["rain/thing"])
    assert error == "not-there-at-all is not installed"
    assert remedy == "pip install 'not-there-at-all (>=2.0)'"
    assert found["augreg-snow"][1:4] == [
        "ModuleNotFoundError: No module named 'not_here'",
        "pip install 'not_here'",
        "Apache-2.0",
    ]
    shown = python("-m", "augreg", "show", "rain/thing")
    assert "not-there-at-all is not installed (pip install 'not-there-at-all (>=2.0)')" in shown.stderr


def test_another_api_version_says_what_to_upgrade(install, python) -> None:
    for name, number in (("newer", 2), ("older", 0)):
        install(
            f"augreg-{name}",
            {name: f"{name}:PLUGIN"},
            **{name: f"from augreg.registry.plugin import Plugin\nPLUGIN = Plugin(api={number})"},
        )
    found = records(python("-c", RECORDS))
    assert found["augreg-newer"][1:3] == [
        "it was written for version 2 of the plugin API, and this augreg has version 1",
        "pip install --upgrade augreg",
    ]
    assert found["augreg-older"][2] == "pip install --upgrade augreg-older"


SLOPPY = {
    "number": ("Plugin(transforms={1: 'm:X'})", "transforms: 1 cannot be a name"),
    "slash": ("Plugin(policies={'a/b': 'm:X'})", "policies: 'a/b' cannot be a name"),
    "target": ("Plugin(presets={'a': 3})", "presets: expected 'module:attribute' for a, got 3"),
    "colon": ("Plugin(regularizers={'a': 'm.X'})", "regularizers: expected 'module:attribute' for a, got 'm.X'"),
    "mapping": ("Plugin(backends=['a'])", "backends: expected a mapping"),
    "api": ("Plugin(api='1')", "api: expected a whole number, got '1'"),
    "modules": ("Plugin(modules='json')", "modules: expected a tuple of names"),
    "twice": ("Plugin(transforms={'a': 'm:X'}, regularizers={'a': 'm:Y'})", "two steps named 'a'"),
}


def test_sloppy_manifests_and_exits_become_records(install, python) -> None:
    for name, (manifest, _) in SLOPPY.items():
        install(
            f"augreg-{name}", {name: f"{name}:PLUGIN"}, **{name: f"from augreg import Plugin\nPLUGIN = {manifest}"}
        )
    install("augreg-exits", {"exits": "exits"}, exits="import sys\nsys.exit(3)")
    double = INVERT.format(name="thing") + INVERT.format(name="thing").replace("Thing", "Other")
    install("augreg-double", {"double": "double"}, double=double)
    found = records(python("-c", RECORDS))
    for name, (_, why) in SLOPPY.items():
        assert why in found[f"augreg-{name}"][1], found[f"augreg-{name}"]
    assert found["augreg-exits"][1] == "SystemExit: 3"
    assert "two classes named 'thing'" in found["augreg-double"][1]
    assert python("-m", "augreg", "validate", "imagenet").returncode == 0


def test_the_doctor_looks_at_all_that_is_named(install, python) -> None:
    manifest = (
        "from augreg import Plugin\n"
        "PLUGIN = Plugin(transforms={'exits': 'gone:X'}, presets={'p': 'json:no.yaml'}, policies={'q': 'json:Q'},"
        " backends={'b': 'nowhere:B'})"
    )
    install("augreg-hollow", {"hollow": "hollow:PLUGIN"}, hollow=manifest, gone="raise SystemExit(4)")
    done = python("-m", "augreg", "doctor", AUGREG_PLUGINS="hollow,typo")
    assert done.returncode == 1
    for line in (
        "hollow/exits: gone:X does not load: SystemExit: 4",
        "hollow/p: there is no file json:no.yaml",
        "hollow/q: json:Q does not load: AttributeError",
        "hollow/b: nowhere:B does not load: ModuleNotFoundError",
        "AUGREG_PLUGINS names 'typo', and no plugin of that name is installed",
    ):
        assert line in done.stdout


def test_missing_names_are_reported_for_every_kind(install, python) -> None:
    install("augreg-crash", {"crash": "crash"}, crash="raise RuntimeError('no film')")
    code = (
        "from augreg import Pipeline, SpecError\n"
        "for name in ('gone', 'crash'):\n"
        "    name += '/x'\n"
        "    for spec in (name, [{'auto_augment': name}], {'backend': name, 'image': []}, [name]):\n"
        "        try:\n"
        "            Pipeline.from_spec(spec)\n"
        "        except SpecError as error:\n"
        "            print(error)\n"
    )
    lines = python("-c", code).stdout.splitlines()
    for kind, gone, crashed in zip(("preset", "policy", "backend", "transform"), lines[:4], lines[4:], strict=True):
        assert f"no {kind} named 'gone/x': no plugin 'gone' is installed; its package may be augreg-gone" in gone
        assert f"no {kind} named 'crash/x': the plugin augreg-crash failed: RuntimeError: no film" in crashed


def test_two_distributions_with_one_module_clash(install, python) -> None:
    install("forky", {"fork": "shared"}, shared=INVERT.format(name="thing"))
    install("forkz", {"fork": "shared"})
    found = records(python("-c", RECORDS))
    for name in ("forky", "forkz"):
        assert "forky 1.0 and forkz 1.0 both claim the namespace 'fork'" in found[name][1]


def test_a_typo_is_reported_even_if_a_claimant_failed(install, python) -> None:
    install("augreg-rain", {"rain": "rain"}, rain=INVERT.format(name="thing"))
    install("a-squatter", {"rain": "squatter"}, squatter="")
    assert "did you mean 'rain/thing'?" in python("-m", "augreg", "show", "rain/thnig").stderr


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
    code = "import sys, augreg; assert not {'augreg.registry.discovery', 'importlib.metadata'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert Registry.installed() is Registry.installed()


def test_a_plugin_that_exits_when_it_is_imported_disturbs_nobody(install, python) -> None:
    install("augreg-rain", {"rain": "rain"}, rain="import sys; sys.exit('no license')")
    manifest = "from augreg import Plugin\nPLUGIN = Plugin(transforms={'thing': 'snow:Thing'})\n"
    install("augreg-snow", {"snow": "manifest:PLUGIN"}, manifest=manifest, snow="raise SystemExit(1)")
    found = records(python("-c", RECORDS))
    assert found["augreg-rain"][1] == "SystemExit: no license"
    assert found["augreg-snow"][1] is None
    shown = python("-m", "augreg", "doctor")
    assert shown.returncode == 1
    assert "snow/thing: snow:Thing does not load: SystemExit: 1" in shown.stdout


def test_the_owner_of_a_namespace_works_despite_other_claimants(install, python) -> None:
    install("augreg-rain", {"rain": "rain"}, rain=INVERT.format(name="thing"))
    install("a-squatter", {"rain": "squatter"}, squatter=INVERT.format(name="other"))
    wrong = python("-m", "augreg", "show", "rain/thin")
    assert "did you mean 'rain/thing'?" in wrong.stderr and "squatter" not in wrong.stderr
    code = (
        "from augreg.testing.plugins import cases\n"
        "found = {case.id: case.check for case in cases('rain')}\n"
        "found['rain:loads']()\nassert 'rain/thing:same_key_same_bytes' in found"
    )
    assert python("-c", code).stderr == ""
    none = python("-c", "from augreg.testing import parametrize; parametrize('rain', {'rain/thing:x': 'why'})")
    assert "no check is named 'rain/thing:x'" in none.stderr


def test_a_plugin_that_failed_has_one_test_whatever_is_expected_of_it(install, python) -> None:
    install("augreg-rain", {"rain": "rain"}, rain="import not_here")
    code = (
        "from augreg.testing import parametrize\n"
        "(only,) = parametrize('rain', {'rain/thing:pickles': 'why'}).args[1]\n"
        "try:\n    only.values[0]()\nexcept AssertionError as error:\n    print(only.id, error)"
    )
    done = python("-c", code)
    assert done.stdout == (
        "rain:loads augreg-rain: ModuleNotFoundError: No module named 'not_here'. pip install 'not_here'\n"
    )
