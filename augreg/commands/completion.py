"""`augreg completion`: a script for bash, zsh or fish that completes commands, options, specs and names.

It is made from the parser of the command line itself. Names of transforms are asked for while completing, so
that those of plugins are among them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["add", "script"]

_SHELLS = ("bash", "zsh", "fish")
_NAMES = "augreg list 2>/dev/null | cut -d' ' -f1"
_FOLDERS = ("DIR", "IN", "OUT")


class _Option(NamedTuple):
    """An option: its strings, its help, and what it takes (words, `file`, `folder`, `value`; nothing for a flag)."""

    strings: Sequence[str]
    help: str
    takes: str


class _Command(NamedTuple):
    """A command: its name, its help, its options, and what stands after it."""

    name: str
    help: str
    options: list[_Option]
    takes: list[str]


def add(commands: Any, parser: argparse.ArgumentParser) -> None:
    """Declare the command; `parser` is the whole command line, which is to be completed."""
    own = commands.add_parser(
        "completion",
        help="print a script that completes commands and options in your shell",
        description='Print a completion script. bash: eval "$(augreg completion bash)" in ~/.bashrc; zsh: the same '
        "in ~/.zshrc, after compinit; fish: augreg completion fish > ~/.config/fish/completions/augreg.fish",
    )
    own.add_argument("shell", choices=_SHELLS, help="for which shell")
    own.set_defaults(run=lambda arguments: _print(script(parser, arguments.shell)))


def _print(text: str) -> int:
    print(text, end="")
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The completion script of a command line, for `bash`, `zsh` or `fish`."""
    commands = list(_commands(parser))
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](commands)


def _commands(parser: argparse.ArgumentParser) -> Iterator[_Command]:
    for action in parser._actions:  # argparse has no public way to ask
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, sub in action.choices.items():
                actions = list(_actions(sub))
                options = {
                    tuple(option.option_strings): _Option(option.option_strings, option.help or "", _takes(option))
                    for option in actions
                    if option.option_strings
                }
                takes = [_takes(argument) for argument in actions if not argument.option_strings]
                yield _Command(name, helps.get(name, ""), list(options.values()), takes or ["file"])


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """What a command takes: where it has sub-commands, their names, and then what these take."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _actions(sub)


def _takes(action: argparse.Action) -> str:
    """What an argument takes: words, `spec`, `name`, `file`, `folder` or `value`; nothing for a flag."""
    if action.choices:
        return " ".join(map(str, action.choices))
    if action.nargs == 0:
        return ""
    if action.metavar in ("SPEC", "NAME"):
        return str(action.metavar).lower()
    if action.metavar in _FOLDERS:
        return "folder"
    return "file" if action.type is Path else "value"


def _presets() -> str:
    from augreg.registry.registry import Registry
    from augreg.spec.files import presets

    return " ".join([*presets(), *Registry.installed().presets])


# bash: compgen per kind of argument; zsh runs the same script by its own bashcompinit.


def _bash(commands: list[_Command]) -> str:
    kinds = {
        "spec": f'-W "{_presets()}" -f',
        "name": f'-W "$({_NAMES})"',
        "file": "-f",
        "folder": "-d",
        "value": '-W ""',
    }

    def generate(takes: str) -> str:
        return kinds.get(takes, f'-W "{takes}"')

    cases = []
    for command in commands:
        flags = " ".join(string for option in command.options for string in option.strings)
        values = "".join(
            f"        {'|'.join(option.strings)}) by={_quoted(generate(option.takes))} ;;\n"
            for option in command.options
            if option.takes
        )
        rest = _quoted(generate(command.takes[0]))
        further = _quoted(generate(command.takes[-1]))
        places = f"else by={rest};"
        if rest != further:
            places = f'elif [[ "$before" == {command.name} ]]; then by={rest}; else by={further};'
        cases.append(
            f"    {command.name})\n"
            f'      case "$before" in\n{values}'
            f'        *) if [[ "$word" == -* ]]; then by={_quoted(f"-W {chr(34)}{flags}{chr(34)}")}\n'
            f"           {places} fi ;;\n"
            "      esac ;;\n"
        )
    names = " ".join(command.name for command in commands)
    return (
        "# bash completion of augreg; made by `augreg completion bash`\n"
        "_augreg() {\n"
        '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" by=""\n'
        "  if (( COMP_CWORD == 1 )); then\n"
        f"    by='-W \"{names} --help --version\"'\n"
        '  else case "${COMP_WORDS[1]}" in\n' + "".join(cases) + "  esac; fi\n"
        "  COMPREPLY=()\n"
        "  local found\n"
        '  while IFS= read -r found; do [[ -n "$found" ]] && COMPREPLY+=("$found"); done \\\n'
        '    < <(eval "compgen $by -- $(printf %q "$word")" 2>/dev/null)\n'
        "}\n"
        "complete -o filenames -F _augreg augreg\n"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh(commands: list[_Command]) -> str:
    kinds = {
        "spec": f"{{ compadd {_presets()}; _files }}",
        "name": f"{{ compadd $({_NAMES}) }}",
        "file": "_files",
        "folder": "_files -/",
        "value": " ",
    }

    def generate(takes: str) -> str:
        return kinds.get(takes, f"({takes})")

    cases = []
    for command in commands:
        lines = []
        for option in command.options:
            value = f":{_plain(option.takes.partition(' ')[0])}:{generate(option.takes)}" if option.takes else ""
            for string in option.strings:
                lines.append(_quoted(f"{string}[{_plain(option.help)}]{value}"))
        places = [f"{number}:{number}:{generate(takes)}" for number, takes in enumerate(command.takes, 1)]
        lines += [_quoted(place) for place in places[:-1]]
        lines.append(_quoted(f"*:more:{generate(command.takes[-1])}"))
        cases.append(f"    {command.name}) _arguments {' '.join(lines)} ;;\n")
    described = " ".join(_quoted(f"{command.name}:{_plain(command.help)}") for command in commands)
    return (
        "#compdef augreg\n# zsh completion of augreg; made by `augreg completion zsh`\n"
        "_augreg() {\n"
        f"  local -a commands=({described})\n"
        "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
        "  shift words; (( CURRENT-- ))\n"
        '  case "$words[1]" in\n' + "".join(cases) + "  esac\n"
        "}\n"
        "compdef _augreg augreg\n"
    )


def _plain(text: str) -> str:
    """Help without what zsh reads as syntax."""
    for character in ":[]":
        text = text.replace(character, " ")
    return text


def _fish(commands: list[_Command]) -> str:
    kinds = {
        "spec": f"-F -a {_quoted(_presets())}",
        "name": f"-f -a {_quoted(f'({_NAMES})')}",
        "file": "-F",
        "folder": "-f -a '(__fish_complete_directories)'",
        "value": "-f",
    }

    def generate(takes: str) -> str:
        return kinds.get(takes, f"-f -a {_quoted(takes)}")

    lines = ["# fish completion of augreg; made by `augreg completion fish`", "complete -c augreg -f"]
    for command in commands:
        lines.append(f"complete -c augreg -n __fish_use_subcommand -a {command.name} -d {_fishy(command.help)}")
        here = f"complete -c augreg -n '__fish_seen_subcommand_from {command.name}'"
        lines += [f"{here} {generate(takes)}" for takes in dict.fromkeys(command.takes)]
        for option in command.options:
            strings = " ".join(
                f"-l {string[2:]}" if string.startswith("--") else f"-s {string[1:]}" for string in option.strings
            )
            value = f" -r {generate(option.takes)}" if option.takes else ""
            lines.append(f"{here} {strings}{value} -d {_fishy(option.help)}")
    return "\n".join(lines) + "\n"


def _fishy(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
