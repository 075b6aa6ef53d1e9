"""`augreg new-plugin NAME`: writes a plugin package to start from; its tests pass without changes.

It is a renamed copy of the example plugin that is installed with augreg, or of the steps of some sections in it, with
its own description and author.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from augreg.commands.console import USAGE, print_error, print_lines
from augreg.files import shipped

__all__ = ["KINDS", "add", "example", "run"]

KINDS = {
    "image": ("snow", "vignette", "winter", "test_image"),
    "batch": ("horizontal_concat", "test_batch"),
    "model": ("scale_noise", "layers", "test_model"),
    "loss": ("logit_squeezing", "test_loss"),
}
"""The files of the example plugin that belong to a section, without suffix: its steps, presets, layers and tests."""
_TAKEN = ("augreg", "example", "albumentations")
_IGNORED = ("__pycache__", "build", "dist")
_VERBATIM = ("LICENSE", ".gitignore")
_NO_AUTHOR = '# authors = [{name = "Your Name", email = "you@your.domain"}]'


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "new-plugin",
        help="write a plugin package to start from",
        description="Write a folder augreg-NAME with a small plugin: two transforms, a batch transform, a "
        "regularizer of models and one of losses, a preset and tests; or the steps of one kind alone. NAME is the "
        "namespace of the plugin in specs.",
    )
    parser.add_argument("name", metavar="NAME", help="lowercase letters, digits and underscores")
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="the folder to write it to (default: the current one)"
    )
    parser.add_argument(
        "--kind", choices=KINDS, action="append", help="steps of this section alone; may be repeated (default: all)"
    )
    parser.add_argument("--description", metavar="TEXT", help="one line on what the plugin does")
    parser.add_argument("--author", metavar="NAME", help="its author (default: git's user.name, with user.email)")
    parser.add_argument("--email", metavar="ADDRESS", help="the author's address")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the package. Returns 0, or 2 if the name or the folder cannot be used; nothing is written then."""
    name: str = arguments.name
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) or name in _TAKEN:
        why = "it is taken" if name in _TAKEN else "use lowercase letters, digits and (inside the name) underscores"
        print_error(f"a plugin cannot be called {name!r}: {why}")
        return USAGE
    for option in ("description", "author", "email"):
        value = getattr(arguments, option)
        if value is not None and (not value.strip() or not value.isprintable()):
            print_error(f"--{option}: expected one line of text, got {value!r}")
            return USAGE
    kinds = set(arguments.kind or KINDS)
    contents = ["transforms"] * bool(kinds & {"image", "batch"}) + ["regularizers"] * bool(kinds & {"model", "loss"})
    steps = " and ".join(contents).capitalize()
    description = arguments.description or f"{steps} for augreg, in the namespace {name}."
    target: Path = arguments.folder / f"augreg-{name.replace('_', '-')}"
    if target.exists() or not arguments.folder.is_dir():
        why = "it exists already" if target.exists() else f"there is no folder {arguments.folder}"
        print_error(f"{target}: {why}")
        return USAGE
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        authors = _authors(arguments.author, arguments.email)
        _write(example(), unfinished, name, description, authors, kinds)
        unfinished.rename(target)
    except OSError as error:
        print_error(f"{target}: cannot be written: {error.strerror or error}")
        return USAGE
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    commands = (f"cd {target}", 'pip install -e ".[test]"', "python -m pytest", f"augreg list {name}")
    print_lines(f"wrote {target}", "", *(f"    {command}" for command in commands))
    print_lines("", f"Before you publish it, check description, authors and license in {target / 'pyproject.toml'}.")
    return 0


def _authors(name: str | None, email: str | None) -> str:
    """The entry of `authors` in TOML; empty if no author is given and git knows none."""
    if name is None and email is None:
        name, email = _git("user.name"), _git("user.email")
    parts = {"name": name, "email": email}
    return ", ".join(f"{key} = {_quoted(value)}" for key, value in parts.items() if value)


def _git(setting: str) -> str:
    """A setting of git; empty if there is none, or no git."""
    try:
        done = subprocess.run(
            ["git", "config", "--get", setting], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    value = done.stdout.strip()
    return value if value.isprintable() else ""


def _quoted(text: str) -> str:
    """A printable text as a string of TOML."""
    return json.dumps(text, ensure_ascii=False)


def example() -> Path:
    """The folder of the example plugin: inside the installed package, or next to it in the repository."""
    return shipped.folder("plugins/augreg-example")


def _write(source: Path, target: Path, name: str, description: str, authors: str, kinds: set[str]) -> None:
    """Copy these kinds of the example plugin under another name, with this description and these authors in TOML."""
    distribution = f"augreg-{name.replace('_', '-')}"
    left_out = [part for kind, parts in KINDS.items() if kind not in kinds for part in parts]

    def renamed(text: str) -> str:
        text = text.replace("augreg-example", distribution)
        return re.sub(r"\bexample\b", name, re.sub(r"\baugreg_example\b", f"augreg_{name}", text))

    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    described = renamed(project["description"])
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        hidden = any(part.startswith(".") and part not in _VERBATIM for part in relative.parts)
        if not path.is_file() or hidden or any(part in _IGNORED for part in relative.parts) or path.stem in left_out:
            continue
        text = path.read_text(encoding="utf-8")
        if path.name in ("manifest.py", "README.md"):
            text = _without(left_out, text)
        if path.name not in _VERBATIM:
            text = renamed(text)
        if path.name == "README.md":
            text = text.replace(described, description)
        elif path.name == "pyproject.toml":
            line = f"authors = [{{{authors}}}]" if authors else _NO_AUTHOR
            text = text.replace(_quoted(described), _quoted(description))
            if not kinds & {"model", "loss"}:
                text = text.replace("augreg[testing,torch]", "augreg[testing]")
            text = "".join(line + "\n" if old.startswith("authors = ") else old for old in text.splitlines(True))
        out = target / str(relative).replace("example", name)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")


def _without(names: list[str], text: str) -> str:
    """A manifest or a README without the lines on these names, and without tables that this leaves empty."""
    lines = [line for line in text.splitlines(True) if not any(re.search(rf"\b{name}\b", line) for name in names)]
    return re.sub(r" *\w+=\{\s*\},\n", "", "".join(lines))
