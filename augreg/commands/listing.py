"""`augreg list` and `augreg show`: list all transforms and regularizers, or describe one of them."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterable
from typing import Any

from augreg.commands.console import FAILED, USAGE, align_columns, print_error, print_lines
from augreg.errors import PluginError, printable
from augreg.steps.suggestions import nearest

__all__ = ["add", "run", "show"]


def add(commands: Any) -> None:
    """Declare both commands."""
    listing = commands.add_parser("list", help="list all transforms and regularizers")
    steps = listing.add_mutually_exclusive_group()
    steps.add_argument(
        "namespace",
        metavar="PLUGIN|KIND|SECTION",
        nargs="?",
        help="list these steps alone: of a plugin (`augreg` is built in), of a kind such as color, or of a section",
    )
    output = listing.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--markdown", action="store_true", help="print the whole reference as Markdown")
    steps.add_argument("--built-in", action="store_true", help="leave out the steps of plugins")
    listing.set_defaults(run=run)

    show_parser = commands.add_parser(
        "show", help="describe a transform or regularizer: arguments, test-time rule, spec line"
    )
    show_parser.add_argument("name", metavar="NAME", help="a name from `augreg list`")
    show_parser.set_defaults(run=show)


def run(arguments: argparse.Namespace) -> int:
    """Print everything to stdout, section by section, and failed plugins to stderr.

    Returns 0; for a single plugin, 1 if it failed, and 2 for what is no plugin, kind or section.
    """
    from augreg.registry.registry import Registry
    from augreg.steps import describe

    registry = Registry.installed()
    namespace = "augreg" if arguments.built_in else arguments.namespace
    records = [record for record in registry.plugins if namespace in (None, record.namespace)]
    names = [name for name in registry if not records or namespace in (None, name.rpartition("/")[0] or "augreg")]
    classes, failures = _load(registry, names)
    if not records:
        plugins = sorted({record.namespace for record in registry.plugins})
        groups = dict.fromkeys(group for cls in classes.values() for group in _groups(cls))
        classes, failures = {name: cls for name, cls in classes.items() if namespace in _groups(cls)}, []
        if namespace in registry:
            print_error(f"{namespace!r} is a step; run `augreg show {namespace}`")
            return USAGE
        if not classes:
            expected = f"one of {', '.join(plugins)}, or a kind or section: {', '.join(groups)}"
            hint = nearest(namespace, [*plugins, *groups])
            print_error(f"no plugin {namespace!r} is installed; expected {expected}{hint}")
            return USAGE
    if arguments.markdown:
        print(printable(describe.markdown(classes), lines=True), end="")
    elif arguments.json:
        print(json.dumps([_entry(name, cls) for name, cls in classes.items()], indent=2))
    else:
        rows = [(name, cls.__augreg__.kind, describe.summary(cls)) for name, cls in classes.items()]
        for line in align_columns(rows):
            print(line)
    if not arguments.built_in:
        failed = [record for record in records if record.failed or (namespace and record.error)]
        failures += [f"{record.namespace} ({record.distribution}): {record.error}" for record in failed]
    if failures:
        sys.stdout.flush()
        print_error("plugins that failed:", *(f"  {failure}" for failure in failures))
    return FAILED if failures and arguments.namespace else 0


def _load(registry: Any, names: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """The classes of these names, sorted by section, and the errors of those that do not load."""
    from augreg.spec.options import SECTIONS

    classes: dict[str, Any] = {}
    failures = []
    for name in names:
        try:
            classes[name] = registry[name]
        except PluginError as error:
            failures.append(f"{name}: {error}")
    return dict(sorted(classes.items(), key=lambda item: SECTIONS.index(item[1].__augreg__.sections[0]))), failures


def _groups(cls: Any) -> tuple[str, ...]:
    """The kind and the sections of a step."""
    return cls.__augreg__.kind, *cls.__augreg__.sections


def _entry(name: str, cls: Any) -> dict[str, Any]:
    from augreg.steps import describe

    info = cls.__augreg__
    return {
        "name": name,
        "kind": info.kind,
        "sections": list(info.sections),
        "summary": describe.summary(cls),
        "arguments": [row._asdict() for row in describe.arguments(cls)],
        "p": describe.chance(cls),
        "test": info.rule,
        "exact": describe.rule(cls)[1],
    }


def show(arguments: argparse.Namespace) -> int:
    """Print the description of a transform or regularizer to stdout."""
    from augreg.registry.registry import Registry
    from augreg.spec.files import presets
    from augreg.steps import describe

    name: str = arguments.name
    registry = Registry.installed()
    if name not in registry:
        preset = name in presets() or name in registry.presets
        print_error(f"{name!r} is a preset; run `augreg explain {name}`" if preset else registry.unknown(name))
        return USAGE
    cls: Any = registry[name]
    rows = describe.arguments(cls)
    table = align_columns([("argument", "takes", "default"), *rows]) if rows else ["It takes no arguments."]
    rule, exact = describe.rule(cls)
    print(printable(f"{name} ({cls.__augreg__.kind})\n\n{inspect.getdoc(cls)}\n", lines=True))
    print("\n".join(table))
    p = describe.chance(cls)
    properties = [("section", describe.sections(cls)), ("test time", rule), ("exact for", exact)]
    if p is not None:
        properties.insert(1, ("p", f"{p:g} by default"))
    if cls.__augreg__.kind == "loss":
        properties.pop()
    print_lines("", *(f"{label:9}  {value}" for label, value in properties), "", describe.line(name, cls))
    return 0
