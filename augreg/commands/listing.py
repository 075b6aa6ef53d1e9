"""`augreg list` and `augreg show`: what transforms and regularizers there are, and what one takes and does."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterable
from typing import Any

from augreg.commands.console import USAGE, aligned, print_error
from augreg.errors import PluginError

__all__ = ["add", "run", "show"]


def add(commands: Any) -> None:
    """Declare both commands."""
    listing = commands.add_parser("list", help="name every transform and regularizer, with what it does")
    form = listing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="the whole reference, as Markdown")
    listing.add_argument("--built-in", action="store_true", help="without those of plugins")
    listing.set_defaults(run=run)

    one = commands.add_parser("show", help="describe one of them: arguments, test-time rule, a line to copy")
    one.add_argument("name", metavar="NAME")
    one.set_defaults(run=show)


def run(arguments: argparse.Namespace) -> int:
    """List everything on stdout, section by section, and the plugins that failed on stderr."""
    from augreg.registry.registry import Registry
    from augreg.steps import describe

    registry = Registry.installed()
    found, failures = _load(registry, [name for name in registry if not (arguments.built_in and "/" in name)])
    if arguments.markdown:
        print(describe.markdown(found), end="")
    elif arguments.json:
        print(json.dumps([_entry(name, cls) for name, cls in found.items()], indent=2))
    else:
        rows = [(name, cls.__augreg__.kind, describe.summary(cls)) for name, cls in found.items()]
        print("\n".join(aligned(rows)))
    if not arguments.built_in:
        failed = [record for record in registry.plugins if record.failed]
        failures += [f"{record.namespace} ({record.distribution}): {record.error}" for record in failed]
    if failures:
        sys.stdout.flush()
        print_error("plugins that failed:", *(f"  {failure}" for failure in failures))
    return 0


def _load(registry: Any, names: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """The classes of these names in the order of their sections, and why some do not load."""
    from augreg.spec.options import SECTIONS

    found: dict[str, Any] = {}
    failures = []
    for name in names:
        try:
            found[name] = registry[name]
        except PluginError as error:
            failures.append(f"{name}: {error}")
    return dict(sorted(found.items(), key=lambda item: SECTIONS.index(item[1].__augreg__.sections[0]))), failures


def _entry(name: str, cls: Any) -> dict[str, Any]:
    from augreg.steps import describe

    mark = cls.__augreg__
    return {
        "name": name,
        "kind": mark.kind,
        "sections": list(mark.sections),
        "summary": describe.summary(cls),
        "arguments": [row._asdict() for row in describe.arguments(cls)],
        "p": describe.chance(cls),
        "test": mark.rule,
        "exact": describe.rule(cls)[1],
    }


def show(arguments: argparse.Namespace) -> int:
    """Describe one transform or regularizer on stdout."""
    from augreg.registry.registry import Registry
    from augreg.steps import describe

    name: str = arguments.name
    registry = Registry.installed()
    if name not in registry:
        print_error(registry.unknown(name))
        return USAGE
    cls: Any = registry[name]
    rows = describe.arguments(cls)
    table = aligned([("argument", "takes", "default"), *rows]) if rows else ["It takes no arguments."]
    rule, exact = describe.rule(cls)
    print(f"{name} ({cls.__augreg__.kind})\n\n{inspect.getdoc(cls)}\n")
    print("\n".join(table))
    p = describe.chance(cls)
    told = [("section", describe.sections(cls)), ("test time", rule), ("exact for", exact)]
    if p is not None:
        told.insert(1, ("p", f"{p:g} by default"))
    if cls.__augreg__.kind == "loss":
        told.pop()
    print("\n".join(["", *(f"{word:9}  {said}" for word, said in told), ""]))
    print(describe.line(name, cls))
    return 0
