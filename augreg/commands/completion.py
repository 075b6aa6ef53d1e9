"""`augreg completion`: print a script with which bash, zsh or fish completes commands, options, specs and names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["add", "script"]

_SHELLS = ("bash", "zsh", "fish")
_NAMES = "augreg list 2>/dev/null | cut -d' ' -f1"  # run while completing, so that it includes new plugins


def add(commands: Any, parser: argparse.ArgumentParser) -> None:
    """Declare the command; `parser` is the parser of the whole command line."""
    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands and options in your shell",
        description='Print a completion script. bash: eval "$(augreg completion bash)" in ~/.bashrc; zsh: the same '
        "in ~/.zshrc, after compinit; fish: augreg completion fish > ~/.config/fish/completions/augreg.fish",
    )
    completion.add_argument("shell", choices=_SHELLS, help="the shell that reads the script")
    completion.set_defaults(run=lambda arguments: print(script(parser, arguments.shell)) or 0)


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The completion script of a command line for `bash`, `zsh` or `fish`."""
    import shtab

    places = {"DIR": shtab.DIRECTORY, "OUT": shtab.DIRECTORY, "IN": shtab.FILE}
    completers = {"SPEC": _specs(), "NAME": _names(), **places}
    for command, action in _arguments(parser):
        metavar = "SPEC" if action.dest == "spec" else str(action.metavar)
        if metavar in completers and (metavar != "NAME" or command == "show"):
            action.complete = completers[metavar]  # type: ignore[attr-defined]
        elif action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def _arguments(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every argument of a parser and its sub-commands, with the name of its command."""
    for action in parser._actions:  # argparse offers no public access
        yield command, action
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                child.description = None  # shtab then shows the short help of the command
                yield from _arguments(child, name)


def _specs() -> dict[str, Any]:
    """A preset or a file, in the form that shtab expects."""
    from augreg.registry.registry import Registry
    from augreg.spec.files import presets

    names = " ".join([*presets(), *Registry.installed().presets])
    return {
        "bash": "_augreg_preset_or_file",
        "zsh": "_augreg_preset_or_file",
        "fish": f"{names} (__fish_complete_path (commandline -ct))",
        "preamble": {
            "bash": f'_augreg_preset_or_file() {{ compgen -W "{names}" -f -- "$1"; }}',
            "zsh": f"_augreg_preset_or_file() {{ compadd {names}; _files }}",
        },
    }


def _names() -> dict[str, Any]:
    """The name of a transform or regularizer, in the form that shtab expects."""
    return {
        "bash": "_augreg_names",
        "zsh": "_augreg_names",
        "fish": f"({_NAMES})",
        "preamble": {
            "bash": f'_augreg_names() {{ compgen -W "$({_NAMES})" -- "$1"; }}',
            "zsh": f"_augreg_names() {{ compadd $({_NAMES}) }}",
        },
    }
