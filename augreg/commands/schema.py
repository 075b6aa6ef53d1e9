"""`augreg schema`: the JSON Schema of specs with all that is installed, for editors to complete and check them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from augreg.errors import AugregError

__all__ = ["add", "run"]


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of specs, for your editor",
        description="Print the JSON Schema of specs with all that is installed. Save it next to your specs, and "
        "start them with the line: # yaml-language-server: $schema=augreg.schema.json",
    )
    parser.add_argument("--built-in", action="store_true", help="without the steps of plugins")
    parser.add_argument(
        "--draft", choices=("2020-12", "7"), default="2020-12", help="the version of JSON Schema; 7 for older editors"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema on stdout, and the steps that do not load on stderr."""
    from augreg.commands.console import print_error
    from augreg.registry.registry import Registry
    from augreg.spec.json_schema import schema

    registry = Registry.installed()
    classes: dict[str, Any] = {}
    for name in registry:
        if not (arguments.built_in and "/" in name):
            try:
                found = {name: registry[name]}
                if "/" in name:  # the types of a plugin's fields may be more than a schema can say
                    json.dumps(schema(found))
                classes |= found
            except AugregError as error:
                print_error(f"{name} is left out: {error}")
            except Exception as error:
                print_error(f"{name} is left out: {type(error).__name__}: {error}")
    print(json.dumps(schema(classes, arguments.draft), indent=1))
    return 0
