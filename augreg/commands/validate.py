"""`augreg validate`: check specs, and print every problem."""

from __future__ import annotations

import argparse
from typing import Any

from augreg.commands.console import check_readable, print_lines, print_problems
from augreg.errors import AugregError

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("validate", help="check specs, and print every problem")
    parser.add_argument("specs", metavar="SPEC", nargs="+", help="a file, or the name of a preset")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check specs; returns the highest exit code."""
    return max(_validate(source) for source in arguments.specs)


def _validate(source: str) -> int:
    code = check_readable(source)
    if code:
        return code
    try:
        count, fingerprint = _check(source)
    except AugregError as error:
        return print_problems(source, error)
    print_lines(f"{source}: ok, {count} step{'s' * (count != 1)}, fingerprint {fingerprint}")
    return 0


def _check(source: str) -> tuple[int, str]:
    """The number of steps of a spec, and its fingerprint. Raises SpecError or PluginError."""
    from augreg.backends import choose
    from augreg.registry.registry import Registry
    from augreg.spec.options import SECTIONS
    from augreg.spec.parse import parse
    from augreg.spec.write import fingerprint, unparse

    registry = Registry.installed()
    spec = parse(source, registry)
    choose(spec.options.backend, registry.backends)
    steps = [step for section in SECTIONS for step in getattr(spec, section)]
    return len(steps) + sum(len(group.steps) for group in spec.views), fingerprint(unparse(spec))
