"""Plugins that raise, print, lie about themselves or have damaged metadata: nothing of anybody else is disturbed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from augreg import Pipeline, PluginError, Registry, SpecError, transform
from augreg.registry.discovery import Contributions, guarded, load

GOOD = """
from augreg import ops, transform

@transform("turn", kind="color")
class Turn:
    '''Invert the image.'''
    def sample(self, rng, scene):
        return ops.point_function("invert")
"""
LATER = "from augreg import Plugin\nPLUGIN = Plugin(transforms={'turn': 'MODULE:Turn'})"
META = """
class Meta(type):
    armed = False
    def __getattribute__(cls, name):
        if type.__getattribute__(type(cls), "armed"):
            raise BaseException("not yours")
        return type.__getattribute__(cls, name)
"""
BAD: dict[str, str] = {
    "marked": "class Turn:\n    '''Marked.'''\n    __augreg__ = 5\n",
    "none": "Turn = None\n",
    "instance": GOOD + "Turn = Turn()\n",
    "meta": META + GOOD.replace("class Turn", "class Turn(metaclass=Meta)") + "Meta.armed = True\n",
    "lying": GOOD + "import dataclasses as d\nTurn.__augreg__ = d.replace(Turn.__augreg__, rule='no', kind='no')\n",
    "nameless": GOOD + "Turn.__augreg__ = object()\n",
    "unhashable": "class M(type):\n    __hash__ = None\n" + GOOD.replace("class Turn", "class Turn(metaclass=M)"),
    "base": "raise BaseException('a base')\n",
    "own": "class Own(BaseException):\n    def __str__(self): raise ValueError\nraise Own\n",
    "group": "raise BaseExceptionGroup('some', [SystemExit(3)])\n",
    "exits": "import sys\nsys.exit(0)\n",
    "generator": "raise GeneratorExit\n",
    "recursion": "def f(): f()\nf()\n",
    "syntax": "def (\n",
    "exotic": GOOD.replace("    def", "    field: 'complex'\n    def"),
    "annotated": GOOD.replace("    def", "    field: 'no_such_type'\n    def"),
    "stdout": "import io, sys\nsys.stdout = io.StringIO()\nraise SystemExit\n",
}  # fmt: skip


def test_bad_plugins_disturb_nobody(install, python, tmp_path: Path) -> None:
    """As a module, which is imported by the scan, and named in a manifest, which is imported when it is used."""
    for name, code in BAD.items():
        install(f"augreg-{name}", {name: f"bad_{name}"}, **{f"bad_{name}": "print('hello from', __name__)\n" + code})
        manifest = LATER.replace("MODULE", f"bad_{name}") + "\nprint('a manifest')\n"
        install(f"augreg-{name}-late", {f"{name}-late": f"late_{name}"}, **{f"late_{name}": f"{manifest}\n"})
        text = (tmp_path / f"late_{name}.py").read_text()
        assert text.count("PLUGIN") == 1
        (tmp_path / f"augreg_{name}_late-1.0.dist-info" / "entry_points.txt").write_text(
            f"[augreg.plugins]\n{name}-late = late_{name}:PLUGIN\n"
        )
    install("augreg-good", {"good": "good"}, good="print('{}')\n" + GOOD)
    damaged = tmp_path / "damaged-1.0.dist-info"
    damaged.mkdir()
    (damaged / "METADATA").write_bytes(b"\xff\xfe: \x00")
    (damaged / "entry_points.txt").write_bytes(b"[augreg.plugins]\n\xff = \xff\n")

    listed = python("-m", "augreg", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    names = {entry["name"] for entry in json.loads(listed.stdout)}
    assert {"rotate", "dropout", "good/turn"} <= names
    schema = python("-m", "augreg", "schema")
    assert schema.returncode == 0, schema.stderr
    assert "good/turn" in schema.stdout and json.loads(schema.stdout)
    doctor = python("-m", "augreg", "doctor", "--json")
    assert doctor.returncode == 1, doctor.stderr
    plugins = {plugin["namespace"]: plugin for plugin in json.loads(doctor.stdout)["plugins"]}
    for name in BAD.keys() - {"none", "instance", "exotic", "annotated", "marked", "nameless", "lying", "unhashable"}:
        assert plugins[name]["failed"], name
    for name in BAD.keys() - {"exotic"}:
        assert plugins[f"{name}-late"]["failed"] or plugins[f"{name}-late"]["load_errors"], name
    assert not plugins["good"]["failed"] and not plugins["good"]["load_errors"]
    (tmp_path / "spec.yaml").write_text("- good/turn\n- rotate\n")
    spec = python("-m", "augreg", "explain", str(tmp_path / "spec.yaml"))
    assert spec.returncode == 0 and spec.stdout.startswith("step"), spec.stderr
    (tmp_path / "spec.yaml").write_text("\n".join(f"- {name}-late/turn" for name in BAD))
    refused = python("-m", "augreg", "validate", str(tmp_path / "spec.yaml"))
    assert refused.returncode == 1 and "Traceback" not in refused.stderr, refused.stderr
    assert refused.stderr.count("spec.yaml:") >= len(BAD) - 1, refused.stderr


@pytest.mark.parametrize("error", [BaseException("why"), SystemExit("why"), GeneratorExit("why"), ValueError("why")])
def test_whatever_a_plugin_raises_is_a_plugin_error(error: BaseException) -> None:
    with pytest.raises(PluginError, match=f"here: {type(error).__name__}: why"), guarded("here"):
        raise error


def test_only_the_user_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt), guarded("here"):
        raise KeyboardInterrupt


def test_prints_go_to_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greets_us.py").write_text("print('hello')\nvalue = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load("greets_us:value") == 3
    assert capsys.readouterr() == ("", "hello\n")


def test_a_class_beside_a_broken_one_of_its_name() -> None:
    """A pipeline of objects looks for the name of its class, and another one of this name may not load."""

    @transform("turn", kind="color")
    class Turn:
        """Does nothing."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return ()

    registry = Registry(Contributions({"bad/turn": "no_such_module:Turn", "good/turn": Turn}))
    assert Pipeline([Turn()], registry).steps[0].name == "good/turn"
    with pytest.raises(SpecError, match="no_such_module:Turn does not load"):
        Pipeline.from_spec(["bad/turn"], registry)


@pytest.mark.parametrize("mark", [5, None, "name", object(), type])
def test_what_only_looks_like_a_step_is_refused(mark: Any) -> None:
    fake = type("Fake", (), {"__augreg__": mark})
    with pytest.raises(PluginError, match=r"decorate its class with @augreg\.transform"):
        Registry.installed().add(fake)
    with pytest.raises(SpecError):
        Pipeline([fake()])
    with pytest.raises(SpecError, match="is not a class decorated"):
        Pipeline.from_spec(["a/fake"], Registry(Contributions({"a/fake": fake})))
