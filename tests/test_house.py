"""The rules of the house: who imports whom, what an import costs, which names are public."""

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

# Each module and what of ours it may import at its top; what it imports inside a function is listed below.
ROOMS = {
    "errors": set(),
    "plugin": set(),
    "rng": set(),
    "projective": set(),
    "scene": set(),
    "ops": {"projective", "scene"},
    "fields": {"errors"},
    "steps": {"errors"},
    "schedules": {"fields", "steps"},
    "selection": {"fields"},
    "declare": {"errors", "fields", "steps"},
    "manifest": {"plugin", "regularizers", "transforms"},
    "discovery": {"errors", "plugin"},
    "registry": {"discovery", "errors", "fields"},
    "readers": {"errors", "fields"},
    "spec": {"declare", "errors", "fields", "readers", "registry", "schedules", "steps", "targets"},
    "settle": {"errors", "ops", "rng", "sampling", "steps"},
    "camera": {"ops"},
    "mixing": {"errors", "ops", "rng", "scene", "schedules", "steps"},
    "foreign": {"declare", "errors", "fields", "ops"},
    "policies": {"fields", "ops"},
    "transforms": {"camera", "declare", "errors", "fields", "mixing", "ops", "policies", "steps"},
    "regularizers": {"declare", "errors", "fields", "selection"},
    "sampling": {"errors", "ops", "rng", "schedules", "steps"},
    "plan": {"ops", "projective"},
    "buffers": set(),
    "backends": {"buffers", "camera", "errors", "ops", "rng"},
    "codecs": {"buffers", "errors", "ops"},
    "targets": {"backends", "camera", "codecs", "errors", "fields", "ops", "plan", "projective", "run", "sampling"},
    "run": {"backends", "buffers", "codecs", "errors", "ops", "plan", "sampling"},
    "pipeline": {
        "backends",
        "codecs",
        "errors",
        "ops",
        "plan",
        "registry",
        "rng",
        "run",
        "sampling",
        "spec",
        "steps",
        "targets",
    },
    "nn": {"errors", "fields", "pipeline", "registry", "schedules", "selection", "spec", "steps"},
    "training": {"errors", "nn"},
    "inspect": {"errors", "fields", "nn", "selection"},
    "data": {"errors", "mixing", "pipeline", "rng"},
    "doctor": {"errors", "pipeline"},
    "testing": {"backends", "errors", "fields", "nn", "ops", "pipeline", "projective", "registry"},
    "reference": {"declare", "errors", "fields", "registry", "steps"},
    "importers": {"errors", "fields", "policies", "registry", "spec"},
    # the command line stands on top of everything, and needs little of it before a command runs
    "commands": {
        "__version__",
        "backends",
        "codecs",
        "doctor",
        "errors",
        "fields",
        "pipeline",
        "readers",
        "reference",
        "registry",
        "schedules",
        "spec",
        "steps",
    },
}
# Arrows that exist only inside a function, each for a reason said there.
INSIDE = {
    "pipeline": {"data", "mixing", "nn"},
    "regularizers": {"nn"},
    "registry": {"foreign"},
    "foreign": {"codecs"},
    "discovery": set(),
    "backends": {"discovery", "registry"},
    "policies": {"discovery", "registry"},
    "plan": {"run", "targets"},
    "spec": {"settle"},
}


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The modules of ours that a file imports: at its top, and inside functions. Type checking does not count."""
    tree = ast.parse(path.read_text())
    top: set[str] = set()
    inside: set[str] = set()

    def visit(node: ast.AST, target: set[str]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.ImportFrom) and child.module and child.module.split(".")[0] == "augreg":
                parts = child.module.split(".")[1:]
                target.update([parts[0]] if parts else [alias.name for alias in child.names])
            elif isinstance(child, ast.Import):
                target.update(a.name.split(".")[1] for a in child.names if a.name.startswith("augreg."))
            visit(child, inside if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else target)

    visit(tree, top)
    return top, inside


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_import_walls(path: Path) -> None:
    here = room(path)
    top, inside = imports(path)
    if "ops" in ROOMS.get(here, ()):  # what an op is told, a scene, comes with the ops
        top, inside = top - {"scene"}, inside - {"scene"}
    if here in ROOMS:
        assert top - {here} <= ROOMS[here], f"{path.name} may not import {top - ROOMS[here] - {here}}"
        assert inside - {here} <= ROOMS[here] | INSIDE.get(here, set())
    else:  # the gallery and the command line stand on top
        assert here in ("__init__", "__main__", "gallery")


TORCH = ("nn", "training", "inspect", "doctor", "data", "testing")  # rooms that are for torch, or for what uses it


def test_nothing_but_the_torch_side_sees_torch_and_only_backends_see_cv2() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if room(path) not in TORCH and path.name not in ("codecs.py", "tensors.py"):
            # codecs hands out tensors, tensors mixes them; regularizers and their pictures need it when they are used
            assert not re.search(r"^(import|from) torch\b", text, re.M), path
            assert room(path) in ("gallery", "regularizers") or not re.search(
                r"^\s+(import|from) torch\b", text, re.M
            ), path
        if path.name != "opencv.py":
            assert not re.search(r"^\s*(import|from) cv2\b", text, re.M), path
        light = path.stem in (
            "ops",
            "fields",
            "declare",
            "registry",
            "discovery",
            "spec",
            "steps",
            "selection",
            "schedules",
        )
        if path.parent.name in ("transforms", "regularizers") or light:
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
