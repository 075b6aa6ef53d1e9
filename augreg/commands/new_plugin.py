"""`augreg new-plugin NAME`: a package of your own to start from, whose tests pass as it stands.

It is the example plugin, which ships with augreg, under another name.
"""

from __future__ import annotations

import argparse
import importlib.resources
import re
import shutil
from pathlib import Path
from typing import Any

from augreg.commands.console import USAGE, print_error

__all__ = ["add", "example", "run"]

_TAKEN = ("augreg", "example", "albumentations")


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "new-plugin",
        help="make a plugin package to start from",
        description="Write a folder augreg-NAME with a small plugin: two transforms, a regularizer, a preset and "
        "their tests. NAME is its namespace in specs.",
    )
    parser.add_argument("name", metavar="NAME", help="small letters, digits and underscores")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to put it (default: here)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the package. Returns 0; 2 where the name or the folder cannot be used, and then nothing is written."""
    name: str = arguments.name
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) or name in _TAKEN:
        why = (
            "it is taken"
            if name in _TAKEN
            else "a name is small letters, digits and underscores, a letter first and no underscore last"
        )
        print_error(f"a plugin cannot be called {name!r}: {why}")
        return USAGE
    target: Path = arguments.folder / f"augreg-{name.replace('_', '-')}"
    if target.exists() or not arguments.folder.is_dir():
        print_error(
            f"{target}: " + ("it is there already" if target.exists() else "there is no such folder to put it in")
        )
        return USAGE
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _write(example(), unfinished, name)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(f"wrote {target}\n\n    cd {target}\n    pip install '.[test]'\n    python -m pytest")
    return 0


def example() -> Path:
    """The example plugin: inside the installed package, or beside it in the repository."""
    inside = Path(str(importlib.resources.files("augreg"))) / "plugins" / "augreg-example"
    beside = Path(__file__).parents[2] / "plugins" / "augreg-example"
    return inside if inside.is_dir() else beside


def _write(source: Path, target: Path, name: str) -> None:
    distribution = f"augreg-{name.replace('_', '-')}"
    for path in sorted(source.rglob("*")):
        place = path.relative_to(source)
        if not path.is_file() or any(part.startswith(".") or part in _LEFT_OUT for part in place.parts):
            continue
        text = path.read_text(encoding="utf-8").replace("augreg-example", distribution)
        text = re.sub(r"\baugreg_example\b", f"augreg_{name}", text)
        text = re.sub(r"\bexample\b", name, text)
        out = target / str(place).replace("example", name)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")


_LEFT_OUT = ("__pycache__", "build", "dist")
