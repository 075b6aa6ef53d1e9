"""What an import costs, which names are public, and what a file of the package is; test_walls.py has the floors."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import augreg
from augreg import Registry

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "augreg"


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


TORCH = (
    "nn",
    "attachment",
    "loss",
    "training",
    "inspect",
    "doctor",
    "data",
    "testing",
)  # rooms that are for torch, or for what uses it


def test_nothing_but_the_torch_side_sees_torch_and_only_backends_see_cv2() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if _room(path) not in TORCH and path.name not in ("codecs.py", "torch_kernels.py"):
            # codecs hands out tensors, torch_kernels mixes them; regularizers need it when they are used
            assert not re.search(r"^(import|from) torch\b", text, re.M), path
            assert _room(path) in ("gallery", "regularizers") or not re.search(
                r"^\s+(import|from) torch\b", text, re.M
            ), path
        if path.name != "opencv.py":
            assert not re.search(r"^\s*(import|from) cv2\b", text, re.M), path
        if (
            _room(path) in ("ops", "steps", "registry", "spec", "transforms", "regularizers")
            and path.stem != "foreign"
        ):
            assert not re.search(r"^\s*(import|from) (numpy|PIL)\b", text, re.M), path


def loaded(code: str) -> set[str]:
    """The modules in memory after some code in a fresh process."""
    code += "\nimport sys; print(' '.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_importing_augreg_is_light() -> None:
    assert not loaded("import augreg") & {"numpy", "PIL", "torch", "cv2", "yaml", "msgspec", "importlib.metadata"}


def test_a_pipeline_needs_no_torch_and_pillow_no_cv2() -> None:
    code = "import augreg; augreg.Pipeline.from_spec({'backend': 'pillow', 'image': ['invert']})"
    assert not loaded(code) & {"torch", "cv2", "jinja2", "hypothesis"}


def test_public_names() -> None:
    assert augreg.__all__ == sorted(augreg.__all__)
    for name in augreg.__all__:
        assert getattr(augreg, name) is not None
    assert set(augreg.__all__) <= set(dir(augreg))
    with pytest.raises(AttributeError, match="no attribute 'Compose'"):
        _ = augreg.Compose


def test_every_module_says_what_it_is_for_and_defines_what_it_names() -> None:
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        first = (ast.get_docstring(tree) or "").split("\n")[0]
        assert first, f"{path} has no docstring"
        for node in tree.body:
            if (
                isinstance(node, ast.Assign)
                and getattr(node.targets[0], "id", "") == "__all__"
                and path.name != "__init__.py"
            ):
                names = ast.literal_eval(node.value)
                defined = {getattr(n, "name", None) for n in tree.body}
                defined |= {
                    t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
                }
                defined |= {
                    n.target.id for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
                }
                defined |= {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
                assert set(names) <= defined, f"{path}: {set(names) - defined}"


def test_every_public_thing_has_a_docstring() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def test_no_file_is_a_drawer_for_everything() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.stem not in ("utils", "util", "common", "core", "helpers", "misc", "base")
        assert len(path.read_text().splitlines()) <= 450, f"{path}: does it hold two ideas?"


def test_the_registry_has_what_the_readme_promises() -> None:
    names = set(Registry.installed())
    assert len(names) >= 35
    for name in names:
        first = (Registry.installed()[name].__doc__ or "").strip().split("\n")[0]
        assert first.endswith((".", ":")) and len(first) <= 120, f"{name}: {first}"


def test_only_sources_lie_in_the_package() -> None:
    allowed = {".py", ".yaml", ".html", ".css", ".js", ".typed"}
    found = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.suffix or path.name for path in found} <= allowed | {"py.typed"}
