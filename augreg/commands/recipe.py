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
from augreg.commands.imported_functions import called, module_and_function
from augreg.commands.progress import stages
from augreg.errors import AugregError, SpecError, printable

__all__ = ["add", "run"]

_FAILED = 1
_INTERRUPTED = 130
_SAMPLERS = ("quasi-random", "random", "grid", "tpe")
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
    search = parser.add_argument_group("search")
    search.add_argument(
        "--space",
        metavar="PATH=RANGE",
        type=_range,
        action="append",
        help="what is searched, such as 'learning_rate=log [1e-4, 0.1]' or 'model[0].dropout.p=[0, 0.5]'; may be "
        "given several times (the rate, weight decay, and the usual numbers of the spec)",
    )
    search.add_argument("--trials", metavar="N", type=positive, help="of each search (20)")
    search.add_argument("--coarse-epochs", metavar="N", type=positive, help="of a trial of the coarse search (3)")
    search.add_argument("--fine-epochs", metavar="N", type=positive, help="of a trial of the fine search (15)")
    search.add_argument("--sampler", choices=_SAMPLERS, help="how trials are chosen; tpe needs Optuna (quasi-random)")
    parser.add_argument(
        "--settings",
        metavar="FILE",
        type=Path,
        help="YAML or JSON with arguments of the steps, such as {learning rate: {finer: 9}}; options have precedence",
    )
    parser.add_argument("--go-on", action="store_true", help="go on after a step that failed")
    parser.add_argument("--fresh", action="store_true", help="remove the results in the folder first")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--out", metavar="PAGE", type=Path, help="also write an HTML page, and JSON beside it")
    parser.set_defaults(run=run, usage_error=parser.error)
    recipe.set_defaults(run=lambda _: recipe.error("the following arguments are required: COMMAND"))


def run(arguments: argparse.Namespace) -> int:
    """Print the report. Return 0 if no step failed, 1 if one did, 2 for what cannot be run."""
    module, function = module_and_function(arguments, "task")
    out: Path | None = arguments.out
    if out is not None and (out.is_dir() or not out.parent.is_dir() or out.suffix == ".json"):
        arguments.usage_error(f"--out {out}: expected an HTML file in a folder that there is")
    folder = arguments.folder or Path(f"recipe-{module}-{function}")
    if folder.exists() and not folder.is_dir():
        arguments.usage_error(f"--folder {folder}: it is a file")
    with contextlib.redirect_stdout(sys.stderr):  # keep the output of the user's code out of the report
        made = called(module, function)
        if made is None:
            return USAGE
        try:
            found = _report(made[0], folder, arguments)
        except KeyboardInterrupt:
            print_error(f"interrupted; the same command goes on with what is in {folder}")
            return _INTERRUPTED
        except SpecError as error:
            print_error(*(f"{arguments.source}: {problem}" for problem in error.problems))
            return USAGE
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
    settings = _settings(arguments)
    with stages(arguments.quiet) as progress:
        return run(task, folder, steps=steps, settings=settings, go_on=arguments.go_on, progress=progress)


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of the steps: those in the file, and those of options."""
    found = {} if arguments.settings is None else _read(arguments.settings)
    options = {
        "coarse search": {
            "space": None if arguments.space is None else dict(arguments.space),
            "trials": arguments.trials,
            "epochs": arguments.coarse_epochs,
            "sampler": arguments.sampler,
        },
        "fine search": {
            "trials": arguments.trials,
            "epochs": arguments.fine_epochs,
            "sampler": arguments.sampler,
        },
        "curves": {"epochs": arguments.epochs},
        "advice": {"seeds": arguments.seeds},
    }
    for step, given in options.items():
        given = {name: value for name, value in given.items() if value is not None}
        if given and isinstance(found.get(step, {}), dict):
            found[step] = {**found.get(step, {}), **given}
    return found


def _read(file: Path) -> dict[str, Any]:
    from augreg.spec.files import read_yaml

    try:
        found = read_yaml(file)
    except SpecError as error:
        (problem,) = error.problems
        line = "" if problem.line is None else f" (line {problem.line})"
        raise ValueError(f"--settings {file}: {problem.message.removeprefix('not valid YAML: ')}{line}") from None
    if not isinstance(found, dict):
        raise ValueError(f"--settings {file}: expected names of steps with their arguments, got {found!r}")
    return found


def _range(text: str) -> tuple[str, str]:
    path, equals, written = text.partition("=")
    if not (path.strip() and equals and written.strip()):
        raise argparse.ArgumentTypeError(f"expected PATH=RANGE, such as 'weight_decay=log [1e-5, 0.1]', got {text!r}")
    return path.strip(), written.strip()


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
