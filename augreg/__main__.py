"""The command line: reads the arguments and calls the command, each a module in `augreg.commands`.

Data goes to stdout, everything else to stderr. Exit codes: 0 fine, 1 a spec is invalid or some images failed,
2 a wrong call, an unreadable file or an unknown name. What needs an array library is imported by the command that
needs it.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from augreg import __version__
from augreg.commands import apply, checking, completion, doctor, listing, new_plugin, schema, stats
from augreg.commands.console import USAGE, print_error
from augreg.errors import AugregError

__all__ = ["main"]

_INTERRUPTED = 130
_BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; raises SystemExit as argparse does for a wrong call."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without ° must not end a listing
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _gallery(argv[1:]) if argv[:1] == ["gallery"] else _command(argv)
        sys.stdout.flush()  # here, where a broken pipe can still be met
        return code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # the interpreter flushes once more at its end; let that go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except AugregError as error:
        print_error(error)
        return USAGE


def _command(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    run = arguments.run
    code: int = run(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="augreg", description="Image augmentation from one spec, checked, shown and applied."
    )
    parser.add_argument("--version", action="version", version=f"augreg {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (listing, checking, apply, stats, schema, doctor, new_plugin):
        module.add(commands)
    commands.add_parser("gallery", help="make a page with every transform at work; has its own --help")
    completion.add(commands, parser)
    return parser


def _gallery(argv: list[str]) -> int:
    from augreg import gallery

    code: int | None = gallery.main(argv)
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
