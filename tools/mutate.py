"""Make small changes to the code, one at a time, and list those that no test notices.

    python tools/mutate.py --count 40 --seed 1                    # 40 random changes all over the package
    python tools/mutate.py --count 10 augreg/execution/merging.py # in these files alone
    python tools/mutate.py --count 40 --seed 1 --list             # print the changes and run nothing

A change is a comparison or a sign turned around, `and` for `or`, a condition negated, a number moved by one, a
statement dropped, `min` for `max`. Each is made in a copy of the checkout, where the tests of its room run until one
fails. A change that survives is printed as a diff: write the test that is missing, or see that both mean the same.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

# The tests to run for a change in a room: names in tests/ that begin with one of these.
TESTS = {
    "attachment": ("test_attachment", "test_layers", "test_activations", "test_initialization", "test_check_reg"),
    "backends": ("test_oracle", "test_pillow", "test_new_op_kind", "test_hostile", "test_targets", "test_policies"),
    "batch": ("test_mixing", "test_soft_labels", "test_data", "test_loss"),
    "commands": ("test_cli", "test_completion", "test_apply", "test_stats", "test_schema", "test_doctor"),
    "data": ("test_data", "test_promise", "test_mixing"),
    "doctor": ("test_doctor",),
    "errors": ("test_spec", "test_discovery"),
    "execution": ("test_plan", "test_pipeline", "test_targets", "test_approximate", "test_codecs", "test_prop"),
    "gallery": ("test_gallery",),
    "images": ("test_codecs", "test_hostile", "test_pipeline", "test_plan"),
    "importers": ("test_importers", "test_plugins"),
    "inspect": ("test_inspect",),
    "lazy": ("test_house", "test_training", "test_inspect"),
    "loss": ("test_loss", "test_soft_labels", "test_schedules", "test_training"),
    "nn": ("test_layers", "test_activations", "test_initialization", "test_attachment"),
    "ops": ("test_oracle", "test_targets", "test_transforms", "test_plan", "test_more_transforms", "test_policies"),
    "pipeline": ("test_pipeline", "test_spec", "test_extend", "test_plan"),
    "registry": ("test_discovery", "test_foreign", "test_extend", "test_plugins"),
    "regularizers": ("test_layers", "test_attachment", "test_loss", "test_activations", "test_initialization"),
    "rng": ("test_rng", "test_mixing", "test_transforms"),
    "spec": ("test_spec", "test_schedules", "test_pipeline", "test_hostile"),
    "steps": ("test_spec", "test_schedules", "test_cli", "test_extend", "test_schema", "test_attachment"),
    "targets": ("test_targets", "test_properties", "test_safe", "test_new_op_kind"),
    "testing": ("test_conformance", "test_check", "test_testing", "test_kit", "test_documented"),
    "training": ("test_training",),
    "transforms": ("test_transforms", "test_more_transforms", "test_policies", "test_oracle", "test_mixing"),
}

_COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}


class Change(NamedTuple):
    """A file, the line of the change, what it does in a word, and the file's text after it."""

    path: Path
    line: int
    what: str
    text: str


def changes(path: Path) -> Iterator[Change]:
    """Every small change that can be made to a file."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    skipped = {id(part) for node in ast.walk(tree) for part in _unread(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        for what, new in _variants(node):
            yield Change(path, node.lineno, what, _replaced(source, node, new))  # type: ignore[attr-defined]


def _unread(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that no test can notice: annotations, messages, what is there for type checkers."""
    parts: list[ast.AST | None] = []
    if isinstance(node, ast.arg | ast.AnnAssign):
        parts.append(node.annotation)
    elif isinstance(node, ast.FunctionDef):
        parts.append(node.returns)
    elif isinstance(node, ast.JoinedStr) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
        parts.append(node)
    elif isinstance(node, ast.Raise):
        parts.append(node.exc)
    for part in parts:
        if part is not None:
            yield from ast.walk(part)


def _variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        turned = _COMPARISONS[type(node.ops[0])]()
        yield "comparison", ast.Compare(node.left, [turned, *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield "operator", ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and / or", ast.BoolOp(other, node.values)
        yield "condition dropped", ast.BoolOp(node.op, node.values[:-1]) if len(node.values) > 2 else node.values[0]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield "sign", node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "number", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "truth", ast.Constant(not node.value)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        negated = ast.UnaryOp(ast.Not(), node.test)
        if isinstance(node, ast.IfExp):
            yield "condition", ast.IfExp(negated, node.body, node.orelse)
        elif isinstance(node, ast.If) and not node.orelse:
            yield "branch dropped", ast.Pass()
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        yield "function", ast.Call(ast.Name(_CALLS[node.func.id]), node.args, node.keywords)
    elif isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield "statement dropped", ast.Pass()


def _replaced(source: str, node: ast.AST, new: ast.AST) -> str:
    """The source with another node in the place of this one."""
    lines = source.encode().splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno - 1  # type: ignore[attr-defined]
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]  # type: ignore[attr-defined]
    text = ast.unparse(ast.fix_missing_locations(new))
    text = f"({text})" if isinstance(new, ast.expr) and not isinstance(new, ast.Constant | ast.Name) else text
    return b"".join([*lines[:first], before, text.encode(), after, *lines[last + 1 :]]).decode()


def survives(change: Change, copy: Path) -> bool:
    """Whether the tests of the room pass with the change; the file in the copy is put back."""
    there = copy / change.path.relative_to(ROOT)
    there.write_text(change.text, encoding="utf-8")
    try:
        return passes(_room(change.path), copy)
    except subprocess.TimeoutExpired:  # a loop without an end is noticed
        return False
    finally:
        shutil.copy(change.path, there)


def passes(room: str, copy: Path) -> bool:
    """Whether the tests of a room pass in a copy of the checkout."""
    tests = [str(path) for path in (copy / "tests").glob("test_*.py") if path.name.startswith(TESTS[room])]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "2", "-p", "no:cacheprovider", *tests]
    variables = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    # no pipes: a process that a test left behind would keep one open, and this would wait for it
    null = subprocess.DEVNULL
    return not subprocess.run(command, cwd=copy, env=variables, stdout=null, stderr=null, timeout=900).returncode


def _room(path: Path) -> str:
    return path.relative_to(ROOT / "augreg").with_suffix("").parts[0]


def main() -> int:
    """Try random changes; exit code 1 if one survives."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="where to make them; the whole package if none is given")
    parser.add_argument("--count", type=int, default=40, help="how many changes")
    parser.add_argument("--seed", type=int, default=0, help="which of all possible changes")
    parser.add_argument("--list", action="store_true", help="print the changes, run no test")
    options = parser.parse_args()
    paths = [path.resolve() for path in options.files] or sorted((ROOT / "augreg").rglob("*.py"))
    every = [change for path in paths if _room(path) in TESTS for change in changes(path)]
    tried = random.Random(options.seed).sample(every, min(options.count, len(every)))
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        if not options.list:
            ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis")
            shutil.copytree(ROOT, copy, ignore=ignored)
            if failing := [
                room for room in sorted({_room(change.path) for change in tried}) if not passes(room, copy)
            ]:
                print(f"the tests of {', '.join(failing)} fail without a change, so they can notice none")
                return 1
        for number, change in enumerate(tried, 1):
            where = f"{change.path.relative_to(ROOT)}:{change.line}: {change.what}"
            survived = options.list or survives(change, copy)
            print(f"{number}/{len(tried)} {where}" + ("" if survived else ": noticed"), flush=True)
            if survived:
                survivors += 1
                diff = difflib.unified_diff(
                    change.path.read_text().splitlines(), change.text.splitlines(), n=1, lineterm=""
                )
                print("\n".join(line for line in diff if line[:3] not in ("---", "+++")))
    print(f"{survivors} of {len(tried)} changes were not noticed" if not options.list else "")
    return bool(survivors) and not options.list


if __name__ == "__main__":
    sys.exit(main())
