"""The classes that the documents show pass the conformance kit, as readers start from them.

They are taken from the Python blocks of the documents, so a new one is checked without an entry here.
"""

from __future__ import annotations

import ast
import functools
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from augreg.testing import check_transform
from augreg.testing.step_under_test import step_under_test

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "plugins").glob("*/*.md"))]
DECORATORS = {"transform", "batch_transform", "regularizer"}

SHOWN_TO_FAIL = {"Memory": "same_key_same_bytes", "Shy": "mean_is_the_test_output"}
"""What the guides show as a mistake that the kit finds, with the check that finds it."""


@functools.cache
def blocks(document: Path) -> list[ast.stmt]:
    """The statements of its Python blocks, in order."""
    parsed = Sybil(parsers=[PythonCodeBlockParser()], path=str(document.parent)).parse(document)
    return [statement for example in parsed.examples() for statement in ast.parse(str(example.parsed)).body]


def is_step(node: ast.AST) -> bool:
    """Whether it is a class with a decorator of augreg, such as `@augreg.transform("stripe")`."""
    if not isinstance(node, ast.ClassDef):
        return False
    names = (part.func if isinstance(part, ast.Call) else part for part in node.decorator_list)
    return any(ast.unparse(name).rpartition(".")[2] in DECORATORS for name in names)


def is_definition(node: ast.stmt) -> bool:
    """Whether it is an import, a class, a function that is no test, or a constant."""
    if isinstance(node, ast.Assign):
        return all(isinstance(name, ast.Name) and name.id.isupper() for name in node.targets)
    if isinstance(node, ast.FunctionDef):
        return not node.decorator_list
    return isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef)


def shown(document: Path) -> list[str]:
    """The names of the steps that it defines."""
    return [node.name for statement in blocks(document) for node in ast.walk(statement) if is_step(node)]


SHOWN = [(document, name) for document in DOCUMENTS for name in shown(document)]
Load = Callable[[Path], ModuleType]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """A function that makes a module of a document's definitions, which other processes can import too."""
    folder = tmp_path_factory.mktemp("shown")

    def module(document: Path) -> ModuleType:
        name = f"shown_in_{document.stem.replace('-', '_')}"
        if name not in sys.modules:
            definitions = [node for node in blocks(document) if is_definition(node)]
            (folder / f"{name}.py").write_text(ast.unparse(ast.Module(definitions, [])))
        return importlib.import_module(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.syspath_prepend(ROOT / "plugins/augreg-example")
        yield module


def check(cls: Any, without: Iterable[str] = ()) -> None:
    name = f"shown/{cls.__augreg__.name}"  # built-in steps may have the same
    if step_under_test(cls, name=name).section in ("image", "batch"):
        return check_transform(cls, name=name, without=without)
    torch = pytest.importorskip("torch")
    from augreg.testing import check_regularizer

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small tensors are faster so
    try:
        return check_regularizer(cls, without=without)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("document", "name"), SHOWN, ids=lambda value: getattr(value, "stem", value))
def test_a_class_of_the_documents_passes(document: Path, name: str, load: Load) -> None:
    if any(
        "torch" in ast.unparse(node) for node in blocks(document) if isinstance(node, ast.Import | ast.ImportFrom)
    ):
        pytest.importorskip("torch")
    cls = getattr(load(document), name)
    if name in SHOWN_TO_FAIL:
        with pytest.raises(AssertionError, match=f"^{SHOWN_TO_FAIL[name]}: "):
            check(cls, without=["pickles"])  # as the guides do
    else:
        check(cls)


def test_each_class_has_a_name_of_its_own_and_mistakes_are_shown() -> None:
    assert len(set(SHOWN)) == len(SHOWN), "a document defines two steps of one name: the first was not checked"
    names = {name for _, name in SHOWN}
    assert names >= SHOWN_TO_FAIL.keys() | {
        "Corner",
        "Halves",
        "Tilt",
        "Blocks",
        "LogitNorm",
        "BiasBound",
        "Shrinking",
    }


def test_a_new_class_in_a_document_is_checked(tmp_path: Path, load: Load) -> None:
    """A document with a transform that moves pixels and does not say so."""
    document = tmp_path / "new-guide.md"
    document.write_text(
        "Text.\n\n```python\nimport numpy as np\nfrom augreg import ops\nimport augreg\n\nBY = 9\n"
        "def rolled(array):\n    return np.roll(array, BY, axis=1)\n```\n\n"
        '```python\n@augreg.transform("roll", kind="texture")\nclass Roll:\n    """Shift the image."""\n'
        "    def sample(self, rng, scene):\n        return ops.call(rolled, size=scene.size)\n\n"
        "raise RuntimeError('this does not run')\n```\n"
    )
    assert shown(document) == ["Roll"]
    with pytest.raises(AssertionError, match=r"^targets_follow: its ops declare that pixels stay, but they move by"):
        check(load(document).Roll)
