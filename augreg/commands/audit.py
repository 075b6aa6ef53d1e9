"""`augreg audit`: how far the test-time rules of a model and a pipeline are from the means that they stand for."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augreg.commands.apply import positive
from augreg.commands.console import USAGE, print_error
from augreg.commands.doctor import positive_seconds
from augreg.commands.imported_functions import called, module_and_function
from augreg.commands.progress import stages
from augreg.errors import AugregError, printable

__all__ = ["add", "run"]

_TO_CHANGE = 1
_ORDER = ("model", "images", "labels", "pipe")
_OPTIONS = ("select", "batch_size", "bins", "tolerance")


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "audit",
        help="compare the test-time rules of a model and a pipeline with the means that they stand for",
        description="Compare each fast test-time rule with the mean over what is random in training: dropout and "
        "other noise of a model, and random image steps. FUNCTION returns (model, images), (model, images, labels) "
        "or (model, images, labels, pipe), or a mapping with these names. The exit code is 0 if no rule should be "
        "replaced, and 1 otherwise.",
    )
    parser.add_argument("source", metavar="MODULE:FUNCTION", help="imported with the current folder on the path")
    parser.add_argument(
        "--samples", metavar="N", type=_samples, default=256, help="predictions for each image and rule (256)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of what is drawn (0)")
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=positive_seconds,
        help="report the images that were examined until then (no limit)",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="print the audit as JSON")
    parser.add_argument("--out", metavar="PAGE", type=Path, help="also write an HTML page with plots")
    parser.set_defaults(run=run, usage_error=parser.error)


def _samples(text: str) -> int:
    number = positive(text)
    if number < 4:
        raise argparse.ArgumentTypeError(f"expected at least 4, two for each half, got {number}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Print the audit. Return 0 if no rule should be replaced, 1 if one should, 2 for what cannot be audited."""
    module, function = module_and_function(arguments, "audited")
    out: Path | None = arguments.out
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        arguments.usage_error(f"--out {out}: expected a file in a folder that there is")
    with contextlib.redirect_stdout(sys.stderr):  # keep the output of the user's code out of the audit
        made = called(module, function)
        if made is None:
            return USAGE
        try:
            found = _audited(made[0], arguments)
        except (AugregError, TypeError, ValueError, ImportError, RuntimeError) as error:
            print_error(f"{arguments.source}: {error}")
            return USAGE
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        print(printable(found, lines=True))
    if out is not None:
        try:
            found.save(out)
        except (ImportError, OSError) as error:
            print_error(f"--out {out}: {error}")
            return USAGE
        print_error(f"wrote {out}; open it in a browser")
    return _TO_CHANGE if found.to_change else 0


def _audited(made: Any, arguments: argparse.Namespace) -> Any:
    from augreg.expectation.auditing.audit import audit

    with stages(arguments.quiet) as progress:
        return audit(
            **_arguments(made),
            samples=arguments.samples,
            seed=arguments.seed,
            time_limit=arguments.time_limit,
            progress=progress,
        )


def _arguments(made: Any) -> dict[str, Any]:
    """The arguments of `augreg.audit`. Raises ValueError for a wrong mapping or tuple."""
    if isinstance(made, Mapping):
        names = (*_ORDER, *_OPTIONS)
        unknown = [name for name in made if name not in names]
        if unknown:
            raise ValueError(f"the mapping has {unknown[0]!r}; expected names from {', '.join(names)}")
        missing = [name for name in ("model", "images") if name not in made]
        if missing:
            raise ValueError(f"the mapping has no {missing[0]!r}")
        return dict(made)
    if isinstance(made, tuple | list) and 2 <= len(made) <= len(_ORDER):
        return dict(zip(_ORDER, made, strict=False))
    shown = f"{len(made)} values" if isinstance(made, tuple | list) else type(made).__name__
    raise ValueError(f"expected (model, images), with labels and pipe behind them if there are any, got {shown}")
