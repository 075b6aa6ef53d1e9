"""The command line: parse the arguments and run the command; each command is a module in `augreg.commands`.

Data goes to stdout, everything else to stderr. Exit codes: 0 success, 1 a spec is invalid or some images failed,
2 wrong arguments, an unreadable file or an unknown name. `augreg` alone prints its help and succeeds, as pip does.
Array libraries are imported only by the commands that need them.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from augreg import __version__
from augreg.commands import (
    apply,
    audit,
    completion,
    doctor,
    explain,
    listing,
    new_plugin,
    plots,
    recipe,
    schema,
    stats,
    validate,
)
from augreg.commands.console import USAGE, print_error
from augreg.errors import AugregError, printable
from augreg.gallery import command as gallery
from augreg.steps.suggestions import nearest

__all__ = ["main"]

_INTERRUPTED = 130
_BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE killed


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; raises SystemExit as argparse does for a wrong call."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show ° must not end a listing
            stream.reconfigure(errors="backslashreplace")
    try:
        parser = _parser()
        if not (sys.argv[1:] if argv is None else argv):
            parser.print_help()
            return 0
        arguments = parser.parse_args(argv)
        if "run" not in arguments:
            parser.error("the following arguments are required: COMMAND")
        code: int = arguments.run(arguments)
        sys.stdout.flush()  # here, where a broken pipe can still be caught
        return code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # the interpreter flushes once more when it exits; discard that output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except AugregError as error:
        print_error(error)
        return USAGE


class _Parser(argparse.ArgumentParser):
    """A parser whose errors, which repeat the arguments, are one line and name the most similar choice or option."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As in argparse, but the parser of a command refuses what it does not know: it knows the similar options."""
        arguments, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = next((text for text in unknown if text.startswith("-")), unknown[0]).partition("=")[0]
            hint = nearest(option, self._option_string_actions) if option.startswith("-") else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return arguments, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            hint = nearest(value, map(str, action.choices or ()))
            raise argparse.ArgumentError(action, f"{error.message}{hint}") from None

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="augreg", description="Check, show and apply image augmentation that is described by a spec."
    )
    parser.add_argument("--version", action="version", version=f"augreg {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND"
    )  # not required: an unknown option is named first
    for module in (
        listing, validate, explain, apply, stats, schema, doctor, audit, recipe, plots, new_plugin, gallery,
    ):  # fmt: skip
        module.add(commands)
    completion.add(commands, parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
