"""`augreg new-plugin NAME`: writes a plugin package to start from; its tests pass without changes.

It is a renamed copy of the example plugin that is installed with augreg.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

from augreg import shipped
from augreg.commands.console import USAGE, print_error, print_lines

__all__ = ["add", "example", "run"]

_TAKEN = ("augreg", "example", "albumentations")
_IGNORED = ("__pycache__", "build", "dist")


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "new-plugin",
        help="write a plugin package to start from",
        description="Write a folder augreg-NAME with a small plugin: two transforms, a regularizer, a preset and "
        "tests. NAME is the namespace of the plugin in specs.",
    )
    parser.add_argument("name", metavar="NAME", help="lowercase letters, digits and underscores")
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="the folder to write it to (default: the current one)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the package. Returns 0, or 2 if the name or the folder cannot be used; nothing is written then."""
    name: str = arguments.name
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) or name in _TAKEN:
        why = "it is taken" if name in _TAKEN else "use lowercase letters, digits and (inside the name) underscores"
        print_error(f"a plugin cannot be called {name!r}: {why}")
        return USAGE
    target: Path = arguments.folder / f"augreg-{name.replace('_', '-')}"
    if target.exists() or not arguments.folder.is_dir():
        why = "it exists already" if target.exists() else f"there is no folder {arguments.folder}"
        print_error(f"{target}: {why}")
        return USAGE
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _write(example(), unfinished, name)
        unfinished.rename(target)
    except OSError as error:
        print_error(f"{target}: cannot be written: {error.strerror or error}")
        return USAGE
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print_lines(f"wrote {target}", "", f"    cd {target}", "    pip install '.[test]'", "    python -m pytest")
    return 0


def example() -> Path:
    """The folder of the example plugin: inside the installed package, or next to it in the repository."""
    return shipped.folder("plugins/augreg-example")


def _write(source: Path, target: Path, name: str) -> None:
    distribution = f"augreg-{name.replace('_', '-')}"
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or any(part.startswith(".") or part in _IGNORED for part in relative.parts):
            continue
        text = path.read_text(encoding="utf-8").replace("augreg-example", distribution)
        text = re.sub(r"\baugreg_example\b", f"augreg_{name}", text)
        text = re.sub(r"\bexample\b", name, text)
        out = target / str(relative).replace("example", name)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
