"""`augreg list` and `augreg show`: what transforms there are, and what one of them takes and does."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterable
from typing import Any

from augreg.commands.telling import USAGE, aligned, complain
from augreg.errors import PluginError

__all__ = ["add", "run", "show"]


def add(commands: Any) -> None:
    """Declare both commands."""
    listing = commands.add_parser("list", help="name every transform, with what it does")
    form = listing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="the whole reference, as Markdown")
    listing.add_argument("--built-in", action="store_true", help="without the transforms of plugins")
    listing.set_defaults(run=run)

    one = commands.add_parser("show", help="describe one transform: arguments, test-time rule, a line to copy")
    one.add_argument("name", metavar="NAME")
    one.set_defaults(run=show)


def run(arguments: argparse.Namespace) -> int:
    """List the transforms on stdout, and the plugins that failed on stderr."""
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
        print("\n".join(aligned(rows)))
    if not arguments.built_in:
        failed = [record for record in registry.plugins if record.error]
        failures += [f"{record.namespace} ({record.distribution}): {record.error}" for record in failed]
    if failures:
        sys.stdout.flush()
        complain("plugins that failed:", *(f"  {failure}" for failure in failures))
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


def show(arguments: argparse.Namespace) -> int:
    """Describe one transform on stdout."""
    from augreg import reference
    from augreg.registry import Registry

    name: str = arguments.name
    registry = Registry.installed()
    if name not in registry:
        complain(registry.unknown(name))
        return USAGE
    cls: Any = registry[name]
    rows = reference.arguments(cls)
    table = aligned([("argument", "takes", "default"), *rows]) if rows else ["It takes no arguments."]
    rule, exact = reference.rule(cls)
    print(f"{name} ({cls.__augreg__.kind})\n\n{inspect.getdoc(cls)}\n")
    print("\n".join(table))
    print(f"\np          {cls.__augreg__.p:g} by default\ntest time  {rule}\nexact for  {exact}\n")
    print(reference.line(name, cls))
    return 0
