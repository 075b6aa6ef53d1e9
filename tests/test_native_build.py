"""How the compiled backend is built and found: `make native`, its version, and what the doctor says of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import augreg

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "plugins/augreg-native"

Make = Callable[..., tuple[str, str, str]]

PYTHON = """#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *" install "*) test -z "$FAILS" || case "$*" in *"$FAILS"*) exit 1 ;; esac ;;
    *_jpeg*) exit $NO_JPEG ;;
esac
echo "$*" >> "$LOG"
"""
TOOLS = ("sh", "cat", "cp", "find", "mkdir", "rm", "test", "touch")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that runs `make native` with a Python that only makes environments of itself.

    It returns what make says, the stamp, and what pip did with augreg-native. A compiler is there if `CC` is.
    """
    found = shutil.which("make")
    if found is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "plugins/augreg-native/csrc").mkdir(parents=True)
    (tmp_path / "plugins/augreg-native/csrc/module.c").touch()
    (tmp_path / "tools").mkdir()
    for name in TOOLS:
        (tmp_path / "tools" / name).symlink_to(str(shutil.which(name)))
    python, log = tmp_path / "tools/python3", tmp_path / "log"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(*arguments: str, **variables: str) -> tuple[str, str, str]:
        log.write_text("")
        environment = {"PATH": str(tmp_path / "tools"), "LOG": str(log), "FAILS": "", "NO_JPEG": "0", **variables}
        command = [str(found), "native", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        did = re.findall(r"(\w*install) .*augreg-native", log.read_text())
        return done.stdout, (tmp_path / ".venv/native.stamp").read_text().strip(), " ".join(did)

    return run


def test_make_builds_it_once_and_again_after_a_change(make: Make, tmp_path: Path) -> None:
    said, *found = make(CC="sh")
    assert found == ["built", "install"] and "LEFT OUT" not in said
    assert make(CC="sh")[1:] == ("built", "")
    source = tmp_path / "plugins/augreg-native/csrc/module.c"
    later = source.stat().st_mtime + 100
    os.utime(source, (later, later))
    said, *found = make(CC="sh", NO_JPEG="1")
    assert found == ["built", "install"] and "LEFT OUT: decoding parts of JPEGs" in said


def test_a_failed_build_leaves_no_old_one_and_is_tried_again(make: Make, tmp_path: Path) -> None:
    make(CC="sh")
    (tmp_path / ".venv/native.stamp").write_text("failed\n")
    for _ in range(2):
        said, *found = make(CC="sh", FAILS="./plugins/augreg-native")
        assert found == ["failed", "uninstall"]
        assert "LEFT OUT: the compiled backend (plugins/augreg-native): it does not build here; see .venv/" in said
    said, *found = make()
    assert found == ["failed", "uninstall"] and "it needs a C compiler" in said
    assert make(CC="sh")[1:] == ("built", "install")


def test_it_can_be_left_out_also_after_a_build(make: Make) -> None:
    make(CC="sh")
    said, *found = make("NATIVE=no", CC="sh")
    assert found == ["no", "uninstall"] and "(plugins/augreg-native): NATIVE=no" in said
    assert make("NATIVE=no", CC="sh")[1:] == ("no", "")
    assert make(CC="sh")[1:] == ("built", "install")


def test_its_version_is_that_of_augreg() -> None:
    ours, project = (tomllib.loads((at / "pyproject.toml").read_text())["project"] for at in (ROOT, PLUGIN))
    assert project["version"] == augreg.__version__ == ours["version"]
    assert f"augreg=={augreg.__version__}" in project["dependencies"]
    assert f'__version__ = "{augreg.__version__}"' in (PLUGIN / "augreg_native/__init__.py").read_text()


def test_one_of_another_version_is_not_used_and_the_doctor_says_why(
    install: Callable[..., None], python: Callable[..., Any], tmp_path: Path
) -> None:
    install("augreg-native", {"native": "augreg_native.manifest:PLUGIN"})
    package = Path(shutil.copytree(PLUGIN / "augreg_native", tmp_path / "augreg_native")) / "__init__.py"
    package.write_text(package.read_text().replace(f'= "{augreg.__version__}"', '= "0.0.9"'))
    done = python("-m", "augreg", "doctor")
    assert done.returncode == 1 and "backend native" not in done.stdout
    assert f"works with augreg 0.0.9 only, and this is augreg {augreg.__version__}: install" in done.stdout
    assert "augreg-native: pip install ./plugins/augreg-native (in a checkout of augreg)" in done.stdout
    code = "from augreg import Pipeline; from augreg.images import jpeg; assert jpeg._parts is None;"
    code += "print(Pipeline.from_spec([]).backend); Pipeline.from_spec([], backend='native')"
    done = python("-c", code)
    assert done.stdout.strip() in ("opencv", "pillow")
    assert "native is not installed, or does not load, which `augreg doctor` shows" in done.stderr


def test_the_doctor_says_what_the_compiled_backend_uses(python: Callable[..., Any]) -> None:
    pytest.importorskip("augreg_native")
    for name in ("", "plain"):
        done = python("-m", "augreg", "doctor", AUGREG_NATIVE_ISA=name)
        assert re.search(r"^backend native; instruction set (plain|avx2|avx512); parts of jpegs ", done.stdout, re.M)
    assert "instruction set plain;" in done.stdout
