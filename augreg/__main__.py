"""The command line: `augreg list`, `show`, `validate`, `explain`, `gallery`.

Data goes to stdout, everything else to stderr. Exit codes: 0 fine, 1 a spec is invalid, 2 a wrong call, an
unreadable file or an unknown name. What needs an array library is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import inspect
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from augreg import __version__
from augreg.errors import AugregError, PluginError, Problem, SpecError

__all__ = ["main"]

_INVALID = 1
_USAGE = 2
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
        _complain(error)
        return _USAGE


def _complain(*lines: object) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _command(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    run = arguments.run
    code: int = run(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="augreg", description="Image augmentation from one spec, checked and shown."
    )
    parser.add_argument("--version", action="version", version=f"augreg {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = commands.add_parser("list", help="name every transform, with what it does")
    form = listing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="the whole reference, as Markdown")
    listing.add_argument("--built-in", action="store_true", help="without the transforms of plugins")
    listing.set_defaults(run=_list)

    show = commands.add_parser("show", help="describe one transform: arguments, test-time rule, a line to copy")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(run=_show)

    validate = commands.add_parser("validate", help="check specs, and print everything that is wrong with them")
    validate.add_argument("specs", metavar="SPEC", nargs="+", help="a file, or the name of a preset")
    validate.set_defaults(run=_validate)

    explain = commands.add_parser("explain", help="say what a spec does at test time, and for one training picture")
    explain.add_argument("spec", metavar="SPEC", help="a file, or the name of a preset")
    explain.add_argument("--size", metavar=("H", "W"), nargs=2, type=int, help="also plan a training picture")
    explain.add_argument("--index", metavar="N", help="which sample it is; without it the plan is drawn afresh")
    explain.add_argument("--epoch", metavar="N", type=int, help="in which epoch (0)")
    explain.set_defaults(run=_explain, usage_error=explain.error)

    commands.add_parser("gallery", help="make a page with every transform at work; has its own --help")
    return parser


def _list(arguments: argparse.Namespace) -> int:
    from augreg import reference
    from augreg.registry import Registry

    registry = Registry.installed()
    found, failures = _load(registry, [name for name in registry if not (arguments.built_in and "/" in name)])
    if arguments.markdown:
        print(reference.markdown(found), end="")
    elif arguments.json:
        print(json.dumps([_entry(name, cls) for name, cls in found.items()], indent=2))
    else:
        rows = [(name, cls.__augreg__.kind, reference.summary(cls)) for name, cls in found.items()]
        print("\n".join(_aligned(rows)))
    if not arguments.built_in:
        failed = [record for record in registry.plugins if record.error]
        failures += [f"{record.namespace} ({record.distribution}): {record.error}" for record in failed]
    if failures:
        sys.stdout.flush()
        _complain("plugins that failed:", *(f"  {failure}" for failure in failures))
    return 0


def _load(registry: Any, names: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """The classes of these names, and why some do not load."""
    found: dict[str, Any] = {}
    failures = []
    for name in names:
        try:
            found[name] = registry[name]
        except PluginError as error:
            failures.append(f"{name}: {error}")
    return found, failures


def _entry(name: str, cls: Any) -> dict[str, Any]:
    from augreg import reference

    mark = cls.__augreg__
    return {
        "name": name,
        "kind": mark.kind,
        "summary": reference.summary(cls),
        "arguments": [row._asdict() for row in reference.arguments(cls)],
        "p": mark.p,
        "test": mark.rule,
        "exact": reference.rule(cls)[1],
    }


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _show(arguments: argparse.Namespace) -> int:
    from augreg import reference
    from augreg.registry import Registry

    name: str = arguments.name
    registry = Registry.installed()
    if name not in registry:
        _complain(registry.unknown(name))
        return _USAGE
    cls: Any = registry[name]
    rows = reference.arguments(cls)
    table = _aligned([("argument", "takes", "default"), *rows]) if rows else ["It takes no arguments."]
    rule, exact = reference.rule(cls)
    print(f"{name} ({cls.__augreg__.kind})\n\n{inspect.getdoc(cls)}\n")
    print("\n".join(table))
    print(f"\np          {cls.__augreg__.p:g} by default\ntest time  {rule}\nexact for  {exact}\n")
    print(reference.line(name, cls))
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    return max(_validate_one(source) for source in arguments.specs)


def _validate_one(source: str) -> int:
    code = _unreadable(source)
    if code:
        return code
    try:
        count, fingerprint = _checked(source)
    except AugregError as error:
        return _report(source, error)
    print(f"{source}: ok, {count} step{'s' * (count != 1)}, fingerprint {fingerprint}")
    return 0


def _checked(source: str) -> tuple[int, str]:
    """How many steps a spec has, and its fingerprint. Raises SpecError or PluginError."""
    from augreg.backends import choose
    from augreg.registry import Registry
    from augreg.spec import fingerprint, parse, unparse

    spec = parse(source, Registry.installed())
    choose(spec.options.backend)
    return len(spec.image), fingerprint(unparse(spec))


def _unreadable(source: str) -> int:
    """Exit code 2, said why, for what is neither a preset nor a file that can be read; else 0."""
    from augreg.readers import presets, read

    if source in presets():
        return 0
    try:
        Path(source).open("rb").close()
    except FileNotFoundError:
        try:
            read(source)  # names the nearest preset
        except SpecError as error:
            _complain(error)
    except (OSError, ValueError) as error:
        _complain(f"{source}: cannot be read: {error.strerror if isinstance(error, OSError) else error}")
    else:
        return 0
    return _USAGE


def _report(source: str, error: AugregError) -> int:
    """Print every problem with a spec, each with its file."""
    problems = error.problems if isinstance(error, SpecError) else (Problem("", str(error)),)
    for problem in problems:
        known = problem.file or problem.path == source  # what the reader says of a file has its name for a path
        _complain(problem if known else problem._replace(file=source))
    return _INVALID


def _explain(arguments: argparse.Namespace) -> int:
    if arguments.size is None and (arguments.index is not None or arguments.epoch is not None):
        arguments.usage_error("--index and --epoch are for the training plan, which needs --size H W")
    code = _unreadable(arguments.spec)
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
        return _report(arguments.spec, error)
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


def _gallery(argv: list[str]) -> int:
    from augreg import gallery

    code: int | None = gallery.main(argv)
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
