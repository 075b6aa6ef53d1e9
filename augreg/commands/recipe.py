"""`augreg recipe run`: the steps of the training recipe on a task of the user."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from augreg.commands.apply import positive
from augreg.commands.console import USAGE, print_error
from augreg.commands.imported_functions import imported_function
from augreg.commands.progress import stages
from augreg.errors import AugregError, printable

__all__ = ["add", "run"]

_FAILED = 1
_INTERRUPTED = 130
_NAMES = "1 initial loss, 2 overfit, 3 learning rate, 4 coarse search, 5 fine search, 6 curves, 7 advice"


def add(commands: Any) -> None:
    """Add the command."""
    recipe = commands.add_parser(
        "recipe",
        help="go through the training recipe: initial loss, a few samples, learning rate, search, curves, advice",
        description="Find out step by step why a model does not train, and what makes it better.",
    )
    parser = recipe.add_subparsers(title="commands", metavar="COMMAND").add_parser(
        "run",
        help="run the steps on a task",
        description="Run the steps of the recipe and stop where one fails. FUNCTION returns an augreg.recipe.Task, "
        "or a mapping of its arguments. Results are kept in a folder: the same command goes on where it was, and "
        "runs again what failed. The exit code is 0 if no step failed, and 1 otherwise.",
    )
    parser.add_argument("source", metavar="MODULE:FUNCTION", help="imported with the current folder on the path")
    parser.add_argument("--folder", metavar="DIR", type=Path, help="where results are kept (recipe-MODULE-FUNCTION)")
    parser.add_argument("--steps", metavar="LIST", help=f"numbers or names, with commas between: {_NAMES} (all)")
    parser.add_argument("--epochs", metavar="N", type=positive, help="of the curves and the advice (20)")
    parser.add_argument("--seeds", metavar="N", type=positive, help="with which the advice is measured (3)")
    parser.add_argument("--go-on", action="store_true", help="go on after a step that failed")
    parser.add_argument("--fresh", action="store_true", help="remove the results in the folder first")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--out", metavar="PAGE", type=Path, help="also write an HTML page, and JSON beside it")
    parser.set_defaults(run=run, usage_error=parser.error)
    recipe.set_defaults(run=lambda _: recipe.error("the following arguments are required: COMMAND"))


def run(arguments: argparse.Namespace) -> int:
    """Print the report. Return 0 if no step failed, 1 if one did, 2 for what cannot be run."""
    module, colon, function = arguments.source.partition(":")
    if not (module and colon and function):
        arguments.usage_error(f"{arguments.source!r}: expected MODULE:FUNCTION, such as train:task")
    out: Path | None = arguments.out
    if out is not None and (out.is_dir() or not out.parent.is_dir() or out.suffix == ".json"):
        arguments.usage_error(f"--out {out}: expected an HTML file in a folder that there is")
    folder = arguments.folder or Path(f"recipe-{module}-{function}")
    if folder.exists() and not folder.is_dir():
        arguments.usage_error(f"--folder {folder}: it is a file")
    with contextlib.redirect_stdout(sys.stderr):  # keep the output of the user's code out of the report
        make = imported_function(module, function)
        if make is None:
            return USAGE
        try:
            made = make()
        except Exception as error:  # the user's function may raise anything
            print_error(f"{arguments.source}() failed: {type(error).__name__}: {error}")
            return USAGE
        try:
            found = _report(made, folder, arguments)
        except KeyboardInterrupt:
            print_error(f"interrupted; the same command goes on with what is in {folder}")
            return _INTERRUPTED
        except (AugregError, TypeError, ValueError, ImportError, RuntimeError, OSError) as error:
            print_error(f"{arguments.source}: {error}")
            return USAGE
    return _shown(found, out, arguments.json)


def _report(made: Any, folder: Path, arguments: argparse.Namespace) -> Any:
    from augreg.recipe.run_folder import clear
    from augreg.recipe.run_steps import chosen_steps, run
    from augreg.recipe.task import as_task

    steps = None if arguments.steps is None else [each.strip() for each in arguments.steps.split(",")]
    chosen_steps(steps)  # before anything is removed or made
    task = as_task(made)
    if arguments.fresh:
        clear(folder, [(step.number, step.name) for step in chosen_steps(None)])
    settings: dict[str, dict[str, Any]] = {}
    if arguments.epochs is not None:
        settings["curves"] = {"epochs": arguments.epochs}
    if arguments.seeds is not None:
        settings["advice"] = {"seeds": arguments.seeds}
    with stages(arguments.quiet) as progress:
        return run(task, folder, steps=steps, settings=settings, go_on=arguments.go_on, progress=progress)


def _shown(found: Any, out: Path | None, as_json: bool) -> int:
    """Print a report, write its page, and return the exit code."""
    print(json.dumps(found.as_dict(), indent=2, allow_nan=False) if as_json else printable(found, lines=True))
    if out is not None:
        try:
            found.save(out)
        except (ImportError, OSError) as error:
            print_error(f"--out {out}: {error}")
            return USAGE
        print_error(f"wrote {out} and {out.with_suffix('.json')}")
    return 0 if found.ok else _FAILED
