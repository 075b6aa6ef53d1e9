"""`augreg validate` and `augreg explain`: whether a spec is right, and what it does."""

from __future__ import annotations

import argparse
from typing import Any

from augreg.commands.console import report, unreadable
from augreg.errors import AugregError, SpecError

__all__ = ["add", "explain", "run"]


def add(commands: Any) -> None:
    """Declare both commands."""
    validate = commands.add_parser("validate", help="check specs, and print everything that is wrong with them")
    validate.add_argument("specs", metavar="SPEC", nargs="+", help="a file, or the name of a preset")
    validate.set_defaults(run=run)

    said = commands.add_parser("explain", help="say what a spec does at test time, and for one training image")
    said.add_argument("spec", metavar="SPEC", help="a file, or the name of a preset")
    said.add_argument("--size", metavar=("H", "W"), nargs=2, type=int, help="also plan a training image")
    said.add_argument("--index", metavar="N", help="which sample it is; without it the plan is drawn afresh")
    said.add_argument("--epoch", metavar="N", type=int, help="in which epoch (0)")
    said.set_defaults(run=explain, usage_error=said.error)


def run(arguments: argparse.Namespace) -> int:
    """Check specs; the worst exit code of all."""
    return max(_validate(source) for source in arguments.specs)


def _validate(source: str) -> int:
    code = unreadable(source)
    if code:
        return code
    try:
        count, fingerprint = _checked(source)
    except AugregError as error:
        return report(source, error)
    print(f"{source}: ok, {count} step{'s' * (count != 1)}, fingerprint {fingerprint}")
    return 0


def _checked(source: str) -> tuple[int, str]:
    """How many steps a spec has, and its fingerprint. Raises SpecError or PluginError."""
    from augreg.backends import choose
    from augreg.registry.registry import Registry
    from augreg.spec.options import SECTIONS
    from augreg.spec.parse import parse
    from augreg.spec.write import fingerprint, unparse

    spec = parse(source, Registry.installed())
    choose(spec.options.backend)
    return sum(len(getattr(spec, section)) for section in SECTIONS), fingerprint(unparse(spec))


def explain(arguments: argparse.Namespace) -> int:
    """Print the test side, and with a size one training plan."""
    if arguments.size is None and (arguments.index is not None or arguments.epoch is not None):
        arguments.usage_error("--index and --epoch are for the training plan, which needs --size H W")
    code = unreadable(arguments.spec)
    if code:
        return code
    from augreg.pipeline import Pipeline

    try:
        pipe = Pipeline.from_spec(arguments.spec)
        said = [pipe.test.explain()]
        if arguments.size is not None:
            said += ["", str(_train_plan(pipe, arguments))]
        print("\n".join(said))
    except AugregError as error:
        return report(arguments.spec, error)
    return 0


def _train_plan(pipe: Any, arguments: argparse.Namespace) -> Any:
    index = arguments.index
    if index is not None and index.removeprefix("-").isdecimal():
        index = int(index)
    try:
        return pipe.train.plan(tuple(arguments.size), index=index, epoch=arguments.epoch or 0)
    except SpecError:
        raise
    except ValueError as error:  # a size or an address that cannot be
        return arguments.usage_error(str(error))
