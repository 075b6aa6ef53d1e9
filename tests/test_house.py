"""What an import costs, which names are public, and what a file of the package is; test_walls.py has the floors."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
    "devices",
    "data",
    "testing",
    "recipe",
    "expectation",
)  # rooms that are for torch, or for what uses it


def _imports(path: Path) -> tuple[set[str], set[str]]:
    """The packages that a file imports at its top, and those in functions; not those for type checkers alone."""
    top, inner = set(), set()
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            continue
        for node in ast.walk(statement):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            (top if node is statement else inner).update(module.partition(".")[0] for module in modules)
    return top, inner


def test_nothing_but_the_torch_side_sees_torch_and_only_backends_see_cv2() -> None:
    for path in PACKAGE.rglob("*.py"):
        top, inner = _imports(path)
        of_torch = path.stem.partition("_")[0] == "torch" or path.parent.name == "torch_kernels"
        if _room(path) not in TORCH and not (path.name == "codecs.py" or of_torch):
            # codecs hands out tensors, torch_* mix and augment them; regularizers need it when they are used
            assert "torch" not in top, path
            assert "torch" not in inner or _room(path) in ("gallery", "regularizers") or path.name == "collate.py", (
                path
            )
        if path.name not in ("opencv.py", "shrinking.py"):
            assert "cv2" not in top | inner, path
        if (
            _room(path) in ("ops", "steps", "registry", "spec", "transforms", "regularizers")
            and path.stem != "foreign"
        ):
            assert not {"numpy", "PIL"} & (top | inner), path


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


def _for_type_checkers(package: Path) -> list[ast.ImportFrom]:
    """What a package imports under TYPE_CHECKING."""
    for node in ast.parse((package / "__init__.py").read_text()).body:
        if isinstance(node, ast.If):
            return [statement for statement in node.body if isinstance(statement, ast.ImportFrom)]
    return []


LAZY = {path.parent: path.read_text() for path in PACKAGE.rglob("__init__.py") if "lazy." in path.read_text()}


def _package(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(ROOT).parts))


@pytest.mark.parametrize("path", [path for path in LAZY if "lazy.names(" in LAZY[path]], ids=lambda path: path.name)
def test_a_table_of_names_is_what_type_checkers_see(path: Path) -> None:
    package = _package(path)
    seen = {alias.asname: (node.module, alias.name) for node in _for_type_checkers(path) for alias in node.names}
    assert set(package.__all__) == set(dir(package)) == set(seen)
    for name, (module, original) in seen.items():
        assert name == original and module is not None
        home = importlib.import_module(module)
        value = getattr(package, name)
        assert value is (getattr(home, name) if hasattr(home, name) else importlib.import_module(f"{module}.{name}"))


@pytest.mark.parametrize(
    "path", [path for path, text in LAZY.items() if "lazy.modules(" in text], ids=lambda p: p.name
)
def test_what_type_checkers_see_of_a_package_is_what_it_shows(path: Path) -> None:
    """A new module works without an entry; with one, its names have types."""
    package = _package(path)
    modules = [importlib.import_module(node.module or "") for node in _for_type_checkers(path)]
    assert len(modules) >= 7
    seen = {name: value for module in modules for name, value in vars(module).items() if name in dir(package)}
    assert len(seen) >= 15
    for name, value in seen.items():
        assert getattr(package, name) is value
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_every_built_in_step_is_imported_by_its_class_name() -> None:
    built_in = {name: cls for name, cls in Registry.installed().items() if "/" not in name}
    assert len(built_in) > 80
    for cls in built_in.values():
        package = "transforms" if cls.__module__.startswith("augreg.transforms.") else "regularizers"
        assert getattr(getattr(augreg, package), cls.__name__) is cls
    shown = {name for package in (augreg.transforms, augreg.regularizers) for name in dir(package)}
    assert shown == {cls.__name__ for cls in built_in.values()}


def test_what_needs_torch_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport augreg\nfrom augreg.regularizers import Dropout\n"
    for name in ("nn", "inspect", "training"):
        message = f"augreg.{name} needs torch: pip install 'augreg[torch]'"
        code += f"try:\n    augreg.{name}.ema\nexcept ModuleNotFoundError as error:\n    "
        code = code.replace("inspect.ema", "inspect.activations").replace("nn.ema", "nn.Dropout")
        code += f'assert str(error) == "{message}", error\nelse:\n    raise AssertionError\n'
    loaded(code)


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


def test_no_file_has_a_name_such_as_utils() -> None:
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
