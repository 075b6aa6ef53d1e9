"""`augreg explain`: print what a spec does at test time, and to one training image."""

from __future__ import annotations

import argparse
from typing import Any

from augreg.commands.console import check_readable, print_problems
from augreg.errors import AugregError, SpecError, printable

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("explain", help="print what a spec does at test time, and to one training image")
    parser.add_argument("spec", metavar="SPEC", help="a file, or the name of a preset")
    parser.add_argument(
        "--size", metavar=("H", "W"), nargs=2, type=int, help="also print the training plan for an image of this size"
    )
    parser.add_argument("--index", metavar="N", help="index of the sample (default: draw a random plan)")
    parser.add_argument("--epoch", metavar="N", type=int, help="epoch of the plan (0)")
    parser.add_argument(
        "--batch", action="store_true", help="also say which steps train.batch cannot run for all images at once"
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Print the test side, and with a size one training plan."""
    if arguments.size is None and (arguments.index is not None or arguments.epoch is not None):
        arguments.usage_error("--index and --epoch are for the training plan, which needs --size H W")
    code = check_readable(arguments.spec)
    if code:
        return code
    from augreg.pipeline import Pipeline

    try:
        pipe = Pipeline.from_spec(arguments.spec)
        plans = [pipe.test.explain(batch=arguments.batch)]
        if arguments.size is not None:
            plans.append(str(_train_plan(pipe, arguments)))
        print(printable("\n\n".join(plans), lines=True))
    except AugregError as error:
        return print_problems(arguments.spec, error)
    return 0


def _train_plan(pipe: Any, arguments: argparse.Namespace) -> Any:
    index = arguments.index
    if index is not None and index.removeprefix("-").isdecimal():
        index = int(index)
    try:
        return pipe.train.plan(tuple(arguments.size), index=index, epoch=arguments.epoch or 0)
    except SpecError:
        raise
    except ValueError as error:  # an invalid size, index or epoch
        return arguments.usage_error(str(error))
