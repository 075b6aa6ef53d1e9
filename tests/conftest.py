"""One thread for each test process, and distributions in a temporary folder, found by a fresh Python."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side: threads of one would take the cores of others

ROOT = Path(__file__).parent.parent

collect_ignore = ["clients"]  # `make clients` names the folder, and so collects it
if os.environ.get("AUGREG_LOWEST"):  # `make versions`: files that need what is not installed there are left out
    _imports = re.compile(r"^(?:import|from) (\w+)", re.MULTILINE)
    _mine = {path.stem for path in Path(__file__).parent.glob("*.py")}
    for _ in range(3):  # a file of helpers may be what imports it
        for _path in sorted(Path(__file__).parent.glob("*.py")):
            _names = set(_imports.findall(_path.read_text())) - (_mine - {Path(name).stem for name in collect_ignore})
            if any(importlib.util.find_spec(name) is None or f"{name}.py" in collect_ignore for name in _names):
                collect_ignore.append(_path.name)
    collect_ignore = sorted(set(collect_ignore))
    print("left out:", ", ".join(collect_ignore) or "nothing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The processes of a parallel run must collect the same names."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"the name of a test holds an address: give its cases ids. {item.nodeid}")


def pytest_collection_finish() -> None:
    """What is imported by now stays: the garbage collector need not look through it again, many times over.

    It comes less often too: a test keeps little, and its default of 700 new objects is reached within most of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., None]:
    """A function that installs a distribution: its entry points, lines of metadata, and its modules by name."""

    def put(distribution: str, entry_points: dict[str, str], metadata: str = "", **modules: str) -> None:
        for name, code in modules.items():
            (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{metadata}")
        points = "".join(f"{name} = {value}\n" for name, value in entry_points.items())
        (info / "entry_points.txt").write_text(f"[augreg.plugins]\n{points}")

    return put


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs a fresh Python in which the distributions are installed."""

    def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **variables, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )

    return start


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The browser; without one, the tests are skipped, but where CI is set they fail."""

    def without(what: str) -> Any:
        if os.environ.get("CI"):
            pytest.fail(f"{what} is missing, and pages must be tested in a browser where CI is set")
        pytest.skip(f"{what} is missing, so the page is not tested in a browser")

    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without("playwright")
    path = shutil.which("chromium") or without("chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture(autouse=True)
def _no_compiled_layers() -> None:
    """Forget that an earlier test compiled an attached layer: from then on a process reports no layer as idle."""
    counting = sys.modules.get("augreg.attachment.counting")
    if counting is not None:
        counting.RunCounter.compiled = False
